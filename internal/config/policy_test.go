package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"golang.org/x/tools/txtar"
	yaml2 "gopkg.in/yaml.v2"

	"github.com/winnowhq/winnow/correlate"
)

// TestPolicy prints what correlate is told of each file of testdata/policy.
func TestPolicy(t *testing.T) {
	files, err := filepath.Glob("testdata/policy/*.txtar")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d policies, want at least 4 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse("config.yml", ar.Files[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			if err := enc.Encode(c.Policy); err != nil {
				t.Fatal(err)
			}
			if *update {
				ar.Files[1].Data = b.Bytes()
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got, want := b.String(), string(ar.Files[1].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A policy read back from the log is the one that was written.
func TestPolicySurvivesJSON(t *testing.T) {
	for path := range validFiles(t) {
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(c.Policy)
		if err != nil {
			t.Fatal(err)
		}
		var back correlate.Policy
		if err := json.Unmarshal(want, &back); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if got, _ := json.Marshal(back); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
		}
	}
}

func TestReceiverClasses(t *testing.T) {
	f := func(receiver, winnow string, resolved, firingOnly bool) {
		t.Helper()
		text := fmt.Sprintf("{route: {receiver: a}, receivers: [{name: a, %s}], winnow: {%s}}", receiver, winnow)
		c, err := Parse("x", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.Policy.Receivers[0], (correlate.Receiver{Name: "a", Resolved: resolved, FiringOnly: firingOnly}); got != want {
			t.Errorf("%s %s: got %+v, want %+v", receiver, winnow, got, want)
		}
	}
	const hook, quiet = "{url: 'http://x'}", "{url: 'http://x', send_resolved: false}"
	const slack = "slack_configs: [{api_url: 'http://x'}]" // silent about resolves unless told otherwise
	f("", "", false, false)
	f("webhook_configs: []", "", false, false)
	f("webhook_configs: ["+hook+"]", "", true, false)
	f("webhook_configs: ["+quiet+"]", "", false, true)
	f("webhook_configs: ["+hook+", "+quiet+"]", "", true, true)
	f(slack, "", false, true)
	f(slack+", webhook_configs: ["+hook+"]", "", true, true)
	f("", "sinks: [{receiver: a, stdout: {}}]", true, false)
	f(slack, "sinks: [{receiver: a, jsonl: {path: /x}}]", true, true)
	f("pagerduty_configs: [{routing_key: x}]", "", true, false)
	f("incidentio_configs: [{url: 'http://x', alert_source_token: x}]", "", true, false)
	f("mattermost_configs: [{webhook_url: 'http://x', send_resolved: no}]", "", false, true)
}

// What an interval says must outlive the log, to the last special case.
func TestIntervalsSurviveTheLog(t *testing.T) {
	f := func(times string) {
		t.Helper()
		text := fmt.Sprintf("{route: {receiver: a}, receivers: [{name: a}], time_intervals: [{name: n, time_intervals: %s}]}", times)
		c, err := Parse("x", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := c.Alertmanager.TimeIntervals[0].TimeIntervals
		var got []timeinterval.TimeInterval
		if err := yaml2.UnmarshalStrict([]byte(c.Policy.Intervals[0].Times), &got); err != nil {
			t.Fatalf("%s: %v\n%s", times, err, c.Policy.Intervals[0].Times)
		}
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v\n%s", times, got, want, c.Policy.Intervals[0].Times)
		}
		for at := time.Date(2024, 1, 1, 0, 30, 0, 0, time.UTC); at.Year() < 2026; at = at.Add(7*time.Hour + 11*time.Minute) {
			for i := range want {
				if got[i].ContainsTime(at) != want[i].ContainsTime(at) {
					t.Fatalf("%s: %s: got %t", times, at, got[i].ContainsTime(at))
				}
			}
		}
	}
	f("[]")
	f("[{}]")
	f("[{weekdays: ['monday:friday', sunday]}]")
	f("[{weekdays: []}]") // never, where no weekdays at all would be always
	f("[{times: [], months: [], years: [], days_of_month: []}]")
	f("[{months: ['january:march', december, '6']}]")
	f("[{days_of_month: ['1', '-1', '-7:-3', '10:-2', '31']}]")
	f("[{years: ['2024', '2025:2030']}]")
	f("[{times: [{start_time: '00:00', end_time: '24:00'}, {start_time: '09:05', end_time: '17:59'}]}]")
	f("[{location: Europe/Berlin, times: [{start_time: '01:00', end_time: '03:00'}]}]")
	f("[{location: Australia/Lord_Howe, weekdays: [saturday]}]")
	f("[{location: ''}, {location: UTC}]")
	f("[{weekdays: [monday], times: [{start_time: '08:00', end_time: '09:00'}]}, {weekdays: [tuesday], location: America/New_York}]")
}

// TestExpressionsThatTakeTooLong are mistakes of the file wherever a matcher
// stands; one of what files have is none.
func TestExpressionsThatTakeTooLong(t *testing.T) {
	f := func(what, format string) {
		t.Helper()
		for expression, want := range map[string]string{strings.Repeat("(.*)", 3000): `too much of it repeats`, `(web|db)-[0-9]+.*`: ""} {
			_, err := Parse("w.yml", fmt.Appendf(nil, format, expression))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `matcher on "x"`)) {
				t.Errorf("%s, %.20s: %.300v", what, expression, err)
			}
		}
	}
	f("a route", "route: {receiver: r, routes: [{receiver: r, matchers: ['x=~\"%s\"']}]}\nreceivers: [{name: r}]\n")
	f("a route, in the old way", "route: {receiver: r, routes: [{receiver: r, match_re: {x: '%s'}}]}\nreceivers: [{name: r}]\n")
	f("an inhibition", "route: {receiver: r}\nreceivers: [{name: r}]\ninhibit_rules: [{source_matchers: ['a=b'], target_matchers: ['x!~\"%s\"']}]\n")
	f("a runbook", "route: {receiver: r}\nreceivers: [{name: r}]\nwinnow: {enrich: {runbooks: [{matchers: ['x=~\"%s\"'], url: 'https://run.book/'}]}}\n")
}
