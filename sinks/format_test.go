package sinks

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// atStart runs f at the time at which every bubble begins, so that texts with
// times in them are the same each time.
func atStart(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestFormat(t *testing.T) {
	f := func(n *correlate.Notification, c enrich.Context, want string) {
		t.Helper()
		if got := Format(n, c); got != strings.TrimPrefix(want, "\n") {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	}
	atStart(t, func(t *testing.T) {
		second := correlate.Member{
			Fingerprint: 0xabc, Labels: alert.Labels{{Name: "pod", Value: "b"}}, StartsAt: alert.TimeOf(time.Now()),
			EndsAt: alert.TimeOf(time.Now()), Deliveries: 1,
		}
		f(note(correlate.Page, 42, 1, func(n *correlate.Notification) {
			n.Alerts, n.Resolved, n.Omitted = append(n.Alerts, second), 1, 7
		}), enrich.Context{
			Runbook: "https://runbooks.example/latency", Owner: "payments", Tier: "1", Dashboard: "https://grafana.example/d/1",
			Links: []enrich.Link{{Title: "Logs", URL: "https://logs.example"}}, Notes: []string{"owner by label"}, Failed: []string{"catalog"},
		}, `
PAGE INC-42 [critical] HighLatency
  first notification, at 2000-01-01T00:00:00Z, open since 2000-01-01T00:00:00Z
  p99 is over 2 s
  alert:     firing HighLatency, service=checkout severity=critical, since 1999-12-31T23:59:00Z
  also:      resolved v1:0000000000000abc, pod=b, ended 2000-01-01T00:00:00Z
  also:      7 more
  runbook:   https://runbooks.example/latency
  owner:     payments (tier 1)
  dashboard: https://grafana.example/d/1
  link:      Logs https://logs.example
  note:      owner by label
  note:      not looked up: catalog
  counts:    1 alert firing, 1 resolved, received 4 times
  group:     service=checkout
  receiver:  oncall
`)
		f(note(correlate.Page, 42, 3, escalation(2)), enrich.Context{}, `
PAGE INC-42 [critical] HighLatency
  escalation, at 2000-01-01T00:00:00Z, open since 2000-01-01T00:00:00Z
  p99 is over 2 s
  alert:     firing HighLatency, service=checkout severity=critical, since 1999-12-31T23:59:00Z
  runbook:   none known
  owner:     unknown
  counts:    1 alert firing, 0 resolved, received 3 times
  group:     service=checkout
  receiver:  oncall
`)
		f(&correlate.Notification{Incident: 1, Kind: correlate.Resolve}, enrich.Context{}, `
RESOLVE INC-1 [unset] no alerts listed
  none, at an unknown time, open since an unknown time
  runbook:   none known
  owner:     unknown
  counts:    0 alerts firing, 0 resolved
  receiver:  
`)
	})
}

// TestFormatHostile: nothing in a payload adds a line or reaches the terminal.
func TestFormatHostile(t *testing.T) {
	evil := "x\nPAGE INC-1 [info] all is well\x1b[2J\u202e"
	n := note(correlate.Page, 1, 1, func(n *correlate.Notification) {
		n.Receiver, n.GroupLabels = evil, alert.Labels{{Name: evil, Value: evil}}
		n.Alerts = []correlate.Member{{
			Labels:      alert.Labels{{Name: "alertname", Value: evil}, {Name: evil, Value: strings.Repeat(evil, 1000)}},
			Annotations: alert.Labels{{Name: "summary", Value: evil}},
		}}
	})
	c := enrich.Context{
		Runbook: evil, Owner: evil, Tier: evil, Dashboard: evil, Links: []enrich.Link{{Title: evil, URL: evil}},
		Notes: []string{evil}, Failed: []string{evil},
	}
	got := Format(n, c)
	if strings.ContainsAny(got, "\x1b\u202e") || strings.Count(got, "\nPAGE") != 0 {
		t.Errorf("it came through:\n%s", got)
	}
	if want := strings.Count(Format(note(correlate.Page, 1, 1), enrich.Context{}), "\n") + 4; strings.Count(got, "\n") != want {
		t.Errorf("%d lines, want %d", strings.Count(got, "\n"), want)
	}
	if len(got) > 20_000 {
		t.Errorf("%d bytes", len(got))
	}
}

// TestFormatIsBounded: a storm's page can still be read.
func TestFormatIsBounded(t *testing.T) {
	n := note(correlate.Page, 1, 1, func(n *correlate.Notification) {
		n.Firing = 5000
		for range 4095 {
			n.Alerts = append(n.Alerts, n.Alerts[0])
		}
		n.Omitted = 904
	})
	got := Format(n, enrich.Context{})
	if !strings.Contains(got, "4980 more") || !strings.Contains(got, "5000 alerts firing") || strings.Count(got, "\n") > 40 {
		t.Errorf("got:\n%s", got)
	}
}
