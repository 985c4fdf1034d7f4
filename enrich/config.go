package enrich

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of the configuration.
const (
	MaxTimeout      = 10 * time.Second // a page is not held back for longer
	MaxInFlight     = 1024             // look-ups under way at once, of one enricher
	MaxRunbookRules = 4096
	MaxCacheBytes   = 1 << 30
)

// Config says what to look up and where. It stands under the key enrich.
type Config struct {
	// Timeout is the deadline that all look-ups of a notification share.
	Timeout time.Duration `yaml:"timeout"`

	// MaxInFlight bounds the look-ups under way at once, for each enricher. One
	// more is not made: the page goes without, and the enricher is named.
	MaxInFlight int `yaml:"max_in_flight"`

	// Runbooks give a runbook to alerts that bring none; the first rule wins.
	Runbooks []RunbookRule `yaml:"runbooks"`

	// Catalog lists files, directories (searched for catalog-info.yaml) and
	// globs of Backstage catalogue documents.
	Catalog []string `yaml:"catalog"`

	// OwnerLabels are the labels by which an alert names its own owner, best
	// first. They win over the catalogue.
	OwnerLabels []string `yaml:"owner_labels"`

	// ServiceLabels are the labels whose value may be the name of a catalogue
	// entry, best first.
	ServiceLabels []string `yaml:"service_labels"`

	// CacheBytes and CacheTTL bound the cache of rendered links.
	CacheBytes int64         `yaml:"cache_bytes"`
	CacheTTL   time.Duration `yaml:"cache_ttl"`
}

// RunbookRule links alerts to a runbook.
type RunbookRule struct {
	// Matchers are in Alertmanager's syntax; all must match, none match all.
	Matchers []string `yaml:"matchers"`

	// URL is a text/template over .Labels, .GroupLabels and .Annotations with
	// the functions lower and urlquery. Values are escaped for use in a URL as
	// they are printed. Scheme and host must be literal text.
	URL string `yaml:"url"`
}

// Defaults is the configuration that is in force where nothing is said.
func Defaults() Config {
	return Config{
		Timeout:       250 * time.Millisecond,
		MaxInFlight:   16,
		OwnerLabels:   []string{"owner", "team"},
		ServiceLabels: []string{"service", "app", "app_kubernetes_io_name", "job", "namespace"},
		CacheBytes:    8 << 20,
		CacheTTL:      10 * time.Minute,
	}
}

// Validate reports everything that is wrong with c, each error with its key.
// It reads no file; New does.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("enrich.%s: "+format, append([]any{key}, args...)...))
	}
	if c.Timeout <= 0 || c.Timeout > MaxTimeout {
		bad("timeout", "%s: want more than 0s and at most %s", c.Timeout, MaxTimeout)
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > MaxInFlight {
		bad("max_in_flight", "%d: want 1 to %d", c.MaxInFlight, MaxInFlight)
	}
	if c.CacheBytes < minCacheBytes || c.CacheBytes > MaxCacheBytes {
		bad("cache_bytes", "%d: want %d to %d", c.CacheBytes, minCacheBytes, MaxCacheBytes)
	}
	if c.CacheTTL <= 0 {
		bad("cache_ttl", "%s: want more than 0s", c.CacheTTL)
	}
	if len(c.Runbooks) > MaxRunbookRules {
		bad("runbooks", "%d rules: at most %d", len(c.Runbooks), MaxRunbookRules)
	} else if _, err := compileRules(c.Runbooks); err != nil {
		errs = append(errs, err)
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"catalog", c.Catalog}, {"owner_labels", c.OwnerLabels}, {"service_labels", c.ServiceLabels}} {
		for i, name := range list.names {
			if strings.TrimSpace(name) == "" {
				bad(fmt.Sprintf("%s[%d]", list.key, i), "is empty: remove it")
			}
		}
	}
	return errors.Join(errs...)
}
