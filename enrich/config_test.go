package enrich

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

func TestDefaultsAreValid(t *testing.T) {
	c := Defaults()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestConfigFromYAML(t *testing.T) {
	c := Defaults()
	err := yaml.Load([]byte(`
timeout: 1s
catalog: [services/*.yaml]
service_labels: [service]
runbooks:
  - matchers: ['alertname=~"Kube.*"', severity=critical]
    url: https://runbooks.example/{{ .Labels.alertname }}
`), &c, yaml.WithKnownFields())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Timeout != time.Second || c.MaxInFlight != Defaults().MaxInFlight {
		t.Errorf("timeout %s, max_in_flight %d: want what was said, and the default", c.Timeout, c.MaxInFlight)
	}
	if !slices.Equal(c.ServiceLabels, []string{"service"}) || len(c.Runbooks) != 1 || len(c.Runbooks[0].Matchers) != 2 {
		t.Errorf("lists are %v and %v", c.ServiceLabels, c.Runbooks)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	f := func(change func(*Config), want ...string) {
		t.Helper()
		c := Defaults()
		change(&c)
		err := c.Validate()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want an error with %q", err, w)
			}
		}
	}
	f(func(c *Config) { c.Timeout = 0 }, "enrich.timeout: 0s")
	f(func(c *Config) { c.Timeout = time.Minute }, "enrich.timeout: 1m0s")
	f(func(c *Config) { c.MaxInFlight = 0 }, "enrich.max_in_flight: 0")
	f(func(c *Config) { c.CacheBytes = 1 }, "enrich.cache_bytes: 1")
	f(func(c *Config) { c.CacheTTL = -1 }, "enrich.cache_ttl: -1ns")
	f(func(c *Config) { c.Catalog = []string{"a", " "} }, "enrich.catalog[1]: is empty")
	f(func(c *Config) { c.OwnerLabels = []string{""} }, "enrich.owner_labels[0]: is empty")
	f(func(c *Config) { c.Runbooks = make([]RunbookRule, MaxRunbookRules+1) }, "enrich.runbooks: 4097 rules")
	f(func(c *Config) { // all at once
		c.Timeout = -1
		c.Runbooks = []RunbookRule{{Matchers: []string{"x"}, URL: "https://a.example/"}, {URL: "{{"}}
	}, "enrich.timeout", "enrich.runbooks[0].matchers", "enrich.runbooks[1].url")
}
