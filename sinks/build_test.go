package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	"go.yaml.in/yaml/v4"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

const twoReceivers = `
route: {receiver: oncall}
receivers:
- name: oncall
  slack_configs: [{api_url: "http://x.example/hush-slack-url"}]
  webhook_configs: [{url: "http://a.example"}, {url: "http://b.example"}]
- name: "null"
`

func load(t *testing.T, s string) *amconfig.Config {
	t.Helper()
	cfg, err := amconfig.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func ownSinks(t *testing.T, s string) Config {
	t.Helper()
	var c Config
	if err := yaml.Unmarshal([]byte(s), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func buildOptions() BuildOptions {
	return BuildOptions{ExternalURL: &url.URL{Scheme: "http", Host: "winnow.example"}, Stdout: &bytes.Buffer{}}
}

func TestBuild(t *testing.T) {
	r, err := Build(load(t, twoReceivers), ownSinks(t, `[{receiver: oncall, stdout: {}}, {receiver: oncall, stdout: {}}, {receiver: oncall, jsonl: {path: /x}}]`), buildOptions())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, in := range r["oncall"] {
		names = append(names, in.Name())
	}
	if got := strings.Join(names, " "); got != "slack[0] webhook[0] webhook[1] stdout[0] stdout[1] jsonl[0]" {
		t.Errorf("integrations %s", got)
	}
	if got := r.Class("oncall"); got != correlate.WantsResolved|correlate.FiringOnly {
		t.Errorf("class %v", got)
	}
	if _, ok := r["null"]; !ok || r.Class("null") != 0 || r.Class("unknown") != 0 {
		t.Error("a receiver without integrations has a class")
	}
}

func TestBuildKeyed(t *testing.T) {
	p := newProvider(t)
	for _, c := range integrations {
		want := c.kind == "pagerduty" || c.kind == "opsgenie" || c.kind == "victorops" || c.kind == "incidentio" || c.kind == "jira"
		if got := p.build(t, c.conf).Keyed(); got != want {
			t.Errorf("%s: keyed %v", c.kind, got)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	f := func(conf, own, want string) {
		t.Helper()
		_, err := Build(load(t, conf), ownSinks(t, own), buildOptions())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s %s: error %v, want %q", conf, own, err, want)
		}
	}
	one := "route: {receiver: a}\nglobal: {slack_api_url: 'http://x.example'}\nreceivers:\n- name: a\n  "
	f(twoReceivers, `[{receiver: oncal, stdout: {}}]`, `sinks[0].receiver "oncal": no such receiver; there are null, oncall`)
	f(twoReceivers, `[{receiver: oncall, stdout: }]`, "sinks[0]: want exactly one of stdout")
	f(twoReceivers, `[{receiver: oncall, stdout: {}, jsonl: {path: /x}}]`, "sinks[0]: want exactly one of stdout")
	f(twoReceivers, `[{stdout: {}}]`, "sinks[0].receiver is empty")
	f(twoReceivers, `[{receiver: oncall, jsonl: {path: pages.jsonl}}]`, `sinks[0].jsonl.path "pages.jsonl": want an absolute path`)
	f(one+"slack_configs: [null]", ``, `receiver "a": slack_configs[0] is empty`) // Alertmanager's own check lets it pass and panics
	f(one+`rocketchat_configs: [{token_file: /nowhere, token_id: hush}]`, ``, `receiver "a": rocketchat_configs[0]: build: `)
	f(one+`webhook_configs: [{url: "http://x.example", http_config: {tls_config: {ca_file: /nowhere}}}]`, ``, `receiver "a": webhook_configs[0]`)

	f(one+`slack_configs: [{channel: "#ops", title: "{{ .CommonLabels.alertname"}]`, ``, `receiver "a": slack_configs[0]: title: template: :1: unclosed action`)
	f(one+`slack_configs: [{channel: "#ops", fields: [{title: x, value: "{{ nope }}"}]}]`, ``, `receiver "a": slack_configs[0]: fields[0].value: template: :1: function "nope" not defined`)
	f(one+`pagerduty_configs: [{routing_key: hush, details: {firing: "{{ end }}"}}]`, ``, `receiver "a": pagerduty_configs[0]: details.firing: template: :1: unexpected {{end}}`)

	cfg := load(t, twoReceivers)
	if _, err := Build(cfg, nil, BuildOptions{}); err == nil {
		t.Error("built without an external URL")
	}
	if _, err := Build(cfg, ownSinks(t, `[{receiver: oncall, stdout: {}}]`), BuildOptions{ExternalURL: &url.URL{}}); err == nil {
		t.Error("built a stdout sink without a stdout")
	}
	cfg.Templates = []string{filepath.Join(t.TempDir(), "*.tmpl")}
	if err := os.WriteFile(strings.Replace(cfg.Templates[0], "*", "bad", 1), []byte("{{ define"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(cfg, nil, buildOptions()); err == nil || !strings.Contains(err.Error(), "read templates") {
		t.Errorf("a broken template: %v", err)
	}
}

// TestBuildLeavesTheConfigurationAlone: it is read by others, and printed.
func TestBuildLeavesTheConfigurationAlone(t *testing.T) {
	p := newProvider(t)
	for _, c := range integrations {
		host := p.plain.Listener.Addr().String()
		cfg := load(t, "route: {receiver: a}\nreceivers:\n- name: a\n  "+strings.NewReplacer("URL", "http://"+host, "HOST", host).Replace(c.conf))
		before := cfg.String()
		r, err := Build(cfg, nil, buildOptions())
		if err != nil {
			t.Fatal(err)
		}
		p.status(200, c.accept)
		if c.kind != "email" && c.kind != "pushover" {
			_ = send(t, r["a"][0])
		}
		if after := cfg.String(); after != before {
			t.Errorf("%s: the configuration changed:\n%s\nwas:\n%s", c.kind, after, before)
		}
	}
}

func TestStdout(t *testing.T) {
	var out bytes.Buffer
	o := buildOptions()
	o.Stdout = &out
	r, err := Build(load(t, twoReceivers), ownSinks(t, `[{receiver: "null", stdout: {}}]`), o)
	if err != nil {
		t.Fatal(err)
	}
	in := r["null"][0]
	n, c := note(correlate.Update, 7, 2), enrich.Context{Owner: "payments"}
	for _, page := range []bool{false, true} {
		if err := in.Send(t.Context(), &Message{Notification: n, Context: c, Page: page}); err != nil {
			t.Fatal(err)
		}
	}
	want := Format(n, c) + strings.Replace(Format(n, c), "UPDATE", "PAGE", 1)
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

// failing is a writer on a full disk.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestStdoutFails(t *testing.T) {
	o := buildOptions()
	o.Stdout = failing{}
	r, err := Build(load(t, twoReceivers), ownSinks(t, `[{receiver: "null", stdout: {}}]`), o)
	if err != nil {
		t.Fatal(err)
	}
	if e, _ := errors.AsType[*Error](send(t, r["null"][0])); e == nil || !e.Retry || e.Unknown {
		t.Errorf("%+v", e)
	}
}

func TestJSONL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pages.jsonl")
	s := &jsonl{name: "jsonl[0]", path: path, sync: true}
	var wg sync.WaitGroup
	for i := range uint64(20) {
		wg.Go(func() {
			n := note(correlate.Page, i+1, 1)
			if err := s.Send(t.Context(), &Message{Notification: n, Page: true, Context: enrich.Context{Owner: "a\nb"}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := os.Rename(path, path+".1"); err != nil { // as logrotate does
		t.Fatal(err)
	}
	n := note(correlate.Resolve, 21, 2)
	if err := s.Send(t.Context(), &Message{Notification: n}); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(path + ".1")
	if err != nil || bytes.Count(old, []byte("\n")) != 20 {
		t.Errorf("%v: %s", err, old)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var l Line
	if err := json.Unmarshal(b, &l); err != nil {
		t.Fatal(err)
	}
	if l.ID != "INC-21/2" || l.Incident != "INC-21" || l.Kind != "resolve" || l.Page || l.Severity != "critical" ||
		l.Receiver != "oncall" || l.Reason != "all alerts resolved" || l.Notification.GroupKey != n.GroupKey || l.At != n.At.String() {
		t.Errorf("line %+v", l)
	}
}

func TestJSONLFails(t *testing.T) {
	f := func(path string, retry bool) {
		t.Helper()
		s := &jsonl{name: "jsonl[0]", path: path}
		e, _ := errors.AsType[*Error](send(t, s))
		if e == nil || e.Retry != retry || !strings.Contains(e.Error(), "jsonl[0]: append INC-42/1") {
			t.Errorf("%s: %+v", path, e)
		}
	}
	f(filepath.Join(t.TempDir(), "missing", "x"), false)
	f(t.TempDir(), true) // a directory; it may be moved away
	f("/dev/full", true)
}

// TestTornLineSwallowsNoOther: a kill in the middle of a write leaves a part of
// a line, and what comes next must not be appended to it.
func TestTornLineSwallowsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pages.jsonl")
	if err := os.WriteFile(path, []byte("{\"whole\":1}\n{\"at\":\"20"), 0o640); err != nil {
		t.Fatal(err)
	}
	s := &jsonl{name: "jsonl[0]", path: path}
	for _, line := range []string{"{\"next\":1}\n", "{\"last\":1}\n"} {
		if err := s.append([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\"whole\":1}\n{\"at\":\"20\n{\"next\":1}\n{\"last\":1}\n"; string(got) != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
}
