package sinks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// note returns a notification of the receiver "oncall" and the group "g" as the
// core would decide it now.
func note(kind correlate.Kind, incident uint64, revision uint32, change ...func(*correlate.Notification)) *correlate.Notification {
	now := alert.TimeOf(time.Now())
	n := &correlate.Notification{
		Incident: incident, Revision: revision, Kind: kind, Class: correlate.WantsResolved,
		Receiver: "oncall", RouteID: "0", GroupKey: "g", GroupLabels: alert.Labels{{Name: "service", Value: "checkout"}},
		At: now, Opened: now, Severity: alert.Critical, Firing: 1,
		Reason: map[correlate.Kind]correlate.Reason{
			correlate.Page: correlate.FirstNotification, correlate.Update: correlate.NewAlerts, correlate.Resolve: correlate.AllResolved,
		}[kind],
		Alerts: []correlate.Member{{
			Labels: alert.Labels{
				{Name: "alertname", Value: "HighLatency"}, {Name: "service", Value: "checkout"}, {Name: "severity", Value: "critical"},
			},
			Annotations: alert.Labels{{Name: "summary", Value: "p99 is over 2 s"}},
			StartsAt:    now.Add(-time.Minute), Deliveries: 3, New: true,
		}},
	}
	if kind == correlate.Resolve {
		n.Firing, n.Resolved = 0, 1
		n.Alerts[0].EndsAt = now
	}
	for _, f := range change {
		f(n)
	}
	return n
}

func escalation(page uint32) func(*correlate.Notification) {
	return func(n *correlate.Notification) { pages(page)(n); n.Reason = correlate.Escalation }
}

// pages gives the incident as many keys: g, g#2, ...
func pages(count uint32) func(*correlate.Notification) {
	return func(n *correlate.Notification) {
		n.Keys = []string{n.GroupKey}
		for i := uint32(2); i <= count; i++ {
			n.Keys = append(n.Keys, fmt.Sprintf("%s#%d", n.GroupKey, i))
		}
	}
}

func group(key string) func(*correlate.Notification) {
	return func(n *correlate.Notification) { n.GroupKey = key }
}

func class(c correlate.Class) func(*correlate.Notification) {
	return func(n *correlate.Notification) { n.Class = c }
}

// brief writes a receipt as "INC-1/2 page accepted", with what is remarkable.
func brief(r correlate.Receipt) string {
	s := fmt.Sprintf("%s/%d %s %s", correlate.IncidentName(r.Incident), r.Revision, r.Kind, r.Outcome)
	if r.Attempts > 1 {
		s += fmt.Sprintf(" after %d", r.Attempts)
	}
	if !r.Last {
		s += " more to come"
	}
	return s
}

func equalLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n  %s\nwant:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
