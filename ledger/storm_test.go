package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// TestAStormIsPagedAsOne plays 100,000 alerts within a minute, each with a label
// that no other has and that the route groups by: as many pages as the receiver
// may get and a few for the storm, every critical by name, and at the end
// nothing stands.
func TestAStormIsPagedAsOne(t *testing.T) {
	const n, limit, every = 100_000, 60, 97 // of every 97 one is critical and one an error
	core, err := correlate.NewCore(&correlate.Policy{
		Route: correlate.Route{
			ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname", "pod"},
			GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour,
		},
		Receivers:      []correlate.Receiver{{Name: "oncall", Resolved: true}},
		Storm:          correlate.StormLimit{NewGroups: limit},
		ResolveTimeout: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := New(core.Dim, Options{})
	var out correlate.Output
	minutes := map[time.Duration]int{}
	grave, named, standing := map[alert.Fingerprint]bool{}, map[alert.Fingerprint]time.Duration{}, map[string]bool{}
	step := func(d time.Duration, do func()) {
		core.Advance(&out, at(d))
		do()
		core.Advance(&out, at(d))
		l.FoldOutput(at(d), &out)
		for i := range out.Notifications {
			note := &out.Notifications[i]
			minutes[note.At.Sub(start)/time.Minute]++
			for j := range note.Alerts {
				if m := &note.Alerts[j]; grave[m.Fingerprint] && !m.Resolved() && named[m.Fingerprint] == 0 {
					named[m.Fingerprint] = note.At.Sub(start)
				}
			}
			for _, key := range note.Keys {
				standing[key] = note.Kind != correlate.Resolve
			}
		}
		out.Reset()
	}
	deliver := func(i int, resolved bool) {
		severity := "warning"
		switch i % every {
		case 3:
			severity = "critical"
		case 5:
			severity = "error"
		}
		a := alert.Alert{Labels: alert.Labels{
			{Name: "alertname", Value: fmt.Sprintf("Service%d", i%3)}, {Name: "cluster", Value: "eu-1"},
			{Name: "pod", Value: fmt.Sprintf("pod-%06d", i)}, {Name: "severity", Value: severity},
		}}
		a.Fingerprint = a.Labels.Fingerprint()
		if severity != "warning" {
			grave[a.Fingerprint] = true
		}
		d := time.Duration(i) * time.Minute / n
		if resolved {
			d += time.Hour
			a.Status, a.EndsAt = alert.Resolved, at(d)
		}
		step(d, func() { core.Observe(&out, at(d), "prometheus", 0, &a) })
	}
	for i := range n {
		deliver(i, false)
	}
	step(30*time.Minute, func() {})

	for minute, count := range minutes { // order: each minute by itself
		if count > limit+10 {
			t.Errorf("%d notifications in minute %d, want %d and a few", count, minute, limit)
		}
	}
	missing, latest := 0, time.Duration(0)
	for fp := range grave { // order: a count and a maximum
		missing += b2i(named[fp] == 0)
		latest = max(latest, named[fp])
	}
	if missing > 0 || latest > 90*time.Second || len(grave) < n/every*2 {
		t.Errorf("%d of %d criticals and errors were named by nobody, the last one after %s", missing, len(grave), latest)
	}
	totals := l.Totals()
	if d := totals.Dispositions; d[correlate.Storm]+d[correlate.Paged] != n || d[correlate.Paged] > limit+10 {
		t.Errorf("dispositions: %v", d)
	}
	if totals.SwallowedCriticals != 0 || !totals.Balanced || totals.Incidents != limit+3 {
		t.Errorf("%d criticals swallowed, balanced: %v, %d incidents", totals.SwallowedCriticals, totals.Balanced, totals.Incidents)
	}
	if got := l.delays[alert.Critical].n; got != n/every+1 {
		t.Errorf("%d delays of criticals are known", got)
	}

	for i := range n {
		deliver(i, true)
	}
	step(3*time.Hour, func() {})
	for key, stands := range standing { // order: each key by itself
		if stands {
			t.Errorf("%s stands at the end", key)
		}
	}
	if core.Groups() != 0 || core.Live() != 0 {
		t.Errorf("%d groups, %d alerts at the end", core.Groups(), core.Live())
	}
	t.Logf("%d alerts: %d notifications in the busiest minute, the last critical named %s after the first alert", n, busiest(minutes), latest)
}

func busiest(minutes map[time.Duration]int) (n int) {
	for _, count := range minutes { // order: a maximum
		n = max(n, count)
	}
	return n
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
