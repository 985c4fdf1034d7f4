//go:build e2e && reload

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// verdict is what has to become of a file.
type verdict string

const (
	broken    verdict = "failed"
	dangerous verdict = "refused"
	good      verdict = "taken"
)

// mutation is a class of files. Put has it stand at the path that Winnow reads;
// it gets the text of a new edition that would be taken as it is.
type mutation struct {
	name string
	want verdict
	put  func(r *rig, text string)
}

// file is a mutation that is a text.
func file(name string, want verdict, change func(r *rig, text string) string) mutation {
	return mutation{name, want, func(r *rig, text string) { r.put(change(r, text)) }}
}

// in is a file in which one text stands for another.
func in(name string, want verdict, old string, with ...string) mutation {
	return file(name, want, func(r *rig, text string) string {
		if !strings.Contains(text, old) {
			r.t.Fatalf("%s: the file has no %q", name, old)
		}
		return strings.Replace(text, old, with[r.rng.IntN(len(with))], 1)
	})
}

// with is a file with more under the key winnow.
func with(name string, want verdict, more string) mutation {
	return in(name, want, "winnow:\n", "winnow:\n"+more)
}

// whole is a file that is something else altogether.
func whole(name string, text string) mutation {
	return file(name, broken, func(*rig, string) string { return text })
}

const last = "  - name: oncall\n" // of the receivers; a file that ends before it has a route to nobody that is defined

// mutations are the classes, each used about as often as any other of its verdict.
func mutations() []mutation {
	return []mutation{
		file("truncated", broken, func(r *rig, text string) string { return text[:r.rng.IntN(strings.Index(text, last))] }),
		in("wrong type", broken, "group_wait: 200ms", "group_wait: [1, 2]", "group_wait: {a: b}", "group_wait: soon", "group_wait: -5"),
		in("wrong type of a part", broken, "receivers:\n", "inhibit_rules: 7\nreceivers:\n", "time_intervals: never\nreceivers:\n"),
		in("unknown key", broken, "group_wait:", "group_wiat:", "group_wait_:"),
		with("unknown key of ours", broken, "  enrihc: {}\n"),
		in("duplicate key", broken, "  group_wait: 200ms\n", "  group_wait: 200ms\n  group_wait: 300ms\n"),
		in("bad matcher", broken, `severity="critical"`, `severity`, `="critical"`, `sev erity="critical"`),
		in("bad expression", broken, `severity="critical"`, `severity=~"("`, `severity=~"[z-a]"`, `severity=~"a{1001}"`),
		in("bad template", broken, "'{{ .NotificationReason }}'", "'{{ .NotificationReason'", "'{{ reason }}'", "'{{ if .Alerts }}'"),
		in("receiver that is not there", broken, "receiver: oncall", "receiver: oncal"),
		with("secret that is missing", broken, "  access: {tokens: [{name: a, role: admin, token_file: gone.token}]}\n"),
		with("secret that cannot be read", broken, "  access: {tokens: [{name: a, role: admin, token_file: folder}]}\n"),
		with("secret that is empty", broken, "  access: {tokens: [{name: a, role: admin, token_file: empty.token}]}\n"),
		with("catalogue that is missing", broken, "  enrich: {catalog: [gone.yaml]}\n"),
		with("catalogue that is no catalogue", broken, "  enrich: {catalog: [broken.tmpl]}\n"),
		in("template file that is broken", broken, "receivers:\n", "templates: [broken.tmpl]\nreceivers:\n"),
		whole("empty file", ""),
		whole("another language", "{\"route\": [}"),
		whole("no text", "route:\x00\x01\xff\xfe"),
		whole("anchor of itself", "route: &a {receiver: oncall, routes: [*a]}\nreceivers: [{name: oncall}]\n"),
		whole("aliases without end", bomb()),
		whole("large file", strings.Repeat("# nothing\n", 1<<20)),
		{"huge file", broken, func(r *rig, _ string) { r.put(""); r.must(os.Truncate(r.w.config, 1<<36)) }},
		{"no file", broken, func(r *rig, _ string) { r.must(os.RemoveAll(r.w.config)) }},
		{"a folder", broken, func(r *rig, _ string) {
			r.must(os.RemoveAll(r.w.config))
			r.must(os.Mkdir(r.w.config, 0o755))
		}},
		{"a link to nowhere", broken, func(r *rig, _ string) {
			r.must(os.RemoveAll(r.w.config))
			r.must(os.Symlink("gone.yml", r.w.config))
		}},

		in("criticals to nobody", dangerous, "  - receiver: oncall\n      matchers", "  - receiver: nobody\n      matchers"),
		in("everything to nobody", dangerous, "  routes:\n", "  routes:\n    - {receiver: nobody}\n"),
		in("inhibited by everything", dangerous, "receivers:\n", "inhibit_rules:\n  - source_matchers: [alertname=\"Steady\"]\n    target_matchers: [severity=\"critical\"]\nreceivers:\n"),
		in("muted always", dangerous, "      matchers: [severity=\"critical\"]\n", "      matchers: [severity=\"critical\"]\n      mute_time_intervals: [always]\n", "      matchers: [severity=\"critical\"]\n      active_time_intervals: [never]\n"),
		in("nobody behind the receiver", dangerous, "    pagerduty_configs:\n", "    webhook_configs: []\n#"),
		in("waits for a day", dangerous, "group_wait: 200ms", "group_wait: 24h"),

		in("new edition", good, "# harmless", "# harmless, again"),
		in("other interval", good, "group_interval: 5s", "group_interval: 6s", "group_interval: 7s"),
		in("one more receiver", good, "receivers:\n", "receivers:\n  - {name: others, webhook_configs: [{url: 'http://127.0.0.1:9/hook'}]}\n"),
		in("one more route", good, "  routes:\n", "  routes:\n    - {receiver: nobody, matchers: [alertname=\"Nothing\"]}\n"),
		in("one more inhibition", good, "receivers:\n", "inhibit_rules:\n  - {source_matchers: [severity=\"critical\"], target_matchers: [severity=\"info\"]}\nreceivers:\n"),
		with("a runbook", good, "  enrich: {runbooks: [{url: 'https://runbooks.example/{{ .Labels.alertname }}'}]}\n"),
		with("a token", good, "  ingest: {sources: {alertmanager: {tokens: [{token_file: good.token}]}}}\n"),
	}
}

// bomb expands to a thousand million values.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [*a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d]\n", i, i, i-1)
	}
	return b.String() + "route: {receiver: oncall}\nreceivers: [{name: oncall}]\n"
}

// beside writes the files that mutations name.
func beside(t testing.TB, dir string) {
	t.Helper()
	for name, text := range map[string]string{"empty.token": "", "good.token": "0123456789abcdef0123456789abcdef", "broken.tmpl": `{{ define "x" }}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// edition is a file that is taken. What it sends says which edition it is. Its
// last receiver comes last, so that a beginning of it is no whole file. There are
// no storms: each probe is looked for in a page of its own.
func (p *pager) edition(n int) string {
	return fmt.Sprintf(`# harmless
route:
  receiver: oncall
  group_by: [alertname, probe]
  group_wait: 200ms
  group_interval: 5s
  repeat_interval: 4h
  routes:
    - receiver: oncall
      matchers: [severity="critical"]
    - receiver: nobody
      matchers: [severity="none"]
time_intervals:
  - name: always
    time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]
  - name: never
    time_intervals: [{years: ['1999']}]
winnow:
  self_alert: {webhook: {url_file: hook.url}}
  storm: {new_groups_per_minute: 0}
receivers:
  - name: nobody
%s    pagerduty_configs:
      - {routing_key: oncall-key, url: '%s/v2/enqueue', details: {edition: '%d', probe: '{{ .GroupLabels.probe }}', reason: '{{ .NotificationReason }}'}}
`, last, p.url, n)
}
