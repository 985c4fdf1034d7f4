package sinks

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// stormOf is what a core tells of n alerts of a storm, all of them criticals,
// with labels and annotations as long as those of Kubernetes.
func stormOf(t *testing.T, n int) []correlate.Notification {
	t.Helper()
	core, err := correlate.NewCore(&correlate.Policy{
		Route: correlate.Route{
			ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"pod"},
			GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour,
		},
		Receivers:      []correlate.Receiver{{Name: "oncall", Resolved: true}},
		Storm:          correlate.StormLimit{NewGroups: 1},
		ResolveTimeout: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out correlate.Output
	now := alert.TimeOf(time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC))
	for i := range n + 1 { // the first has a group of its own
		a := alert.Alert{
			Labels: alert.Labels{
				{Name: "alertname", Value: "KubePodCrashLooping"}, {Name: "cluster", Value: "eu-west-1"}, {Name: "container", Value: "checkout-api"},
				{Name: "instance", Value: fmt.Sprintf("10.42.%d.%d:8080", i/256, i%256)}, {Name: "job", Value: "kube-state-metrics"}, {Name: "namespace", Value: "checkout"},
				{Name: "pod", Value: podName(i)}, {Name: "prometheus", Value: "monitoring/k8s"}, {Name: "severity", Value: "critical"}, {Name: "uid", Value: fmt.Sprintf("%036d", i)},
			},
			Annotations: alert.Labels{{Name: "description", Value: strings.Repeat("The pod is in waiting state (reason: CrashLoopBackOff). ", 6)}},
		}
		a.Fingerprint = a.Labels.Fingerprint()
		core.Observe(&out, now, "prometheus", 0, &a)
	}
	core.Advance(&out, now.Add(time.Minute))
	return out.Notifications[1:]
}

func podName(i int) string { return fmt.Sprintf("checkout-api-7d9c5b8f6d-%06d", i) }

// TestPagerDutyShowsEveryNameOfAStorm: of an event of more than 512 KB
// Alertmanager's notifier removes all names.
func TestPagerDutyShowsEveryNameOfAStorm(t *testing.T) {
	const n = 2500
	bubble(t, "storm", func(t *testing.T) {
		d, pd := pager(t)
		said := stormOf(t, n)
		for i := range said {
			d.Deliver(&said[i], enrich.Context{Owner: "team-payments", Runbook: "https://runbooks.example/KubePodCrashLooping"})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var text strings.Builder
		longest := 0
		for _, e := range pd.Events() {
			firing := fmt.Sprint(e.Details["firing"])
			text.WriteString(firing)
			longest = max(longest, len(firing))
			if !strings.Contains(e.Summary, fmt.Sprintf("storm of %d alerts", n)) {
				t.Errorf("the summary is: %s", e.Summary)
			}
		}
		for i := 1; i <= n; i++ {
			if !strings.Contains(text.String(), podName(i)) {
				t.Fatalf("%s stands in none of %d events, of up to %d bytes", podName(i), len(pd.Events()), longest)
			}
		}
		if len(pd.Events()) != len(said) || len(said) < 2 {
			t.Errorf("%d events of %d notifications", len(pd.Events()), len(said))
		}
		t.Logf("%d criticals in %d events, the names of the longest take %d bytes", n, len(said), longest)
	})
}

// TestNothingTakesThePlaceOfNames: what names criticals that a newer
// notification has no room for is sent before it, also after a failure; what the
// newer one names again is not, and nothing outlasts the end.
func TestNothingTakesThePlaceOfNames(t *testing.T) {
	f := func(what string, outage bool, then *correlate.Notification, triggers int) {
		bubble(t, what, func(t *testing.T) {
			d, pd := pager(t)
			if outage {
				pd.Script(sinktest.Response{Status: http.StatusServiceUnavailable})
			}
			said := stormOf(t, 2500)
			for i := range said {
				d.Deliver(&said[i], enrich.Context{})
			}
			if then != nil {
				then.Incident, then.Revision, then.GroupKey, then.Keys = said[0].Incident, uint32(len(said)+1), said[0].GroupKey, said[0].Keys
				d.Deliver(then, enrich.Context{})
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			got := 0
			for _, i := range pd.Incidents() {
				got += i.Triggers
			}
			if got != triggers {
				t.Errorf("%d events, want %d", got, triggers)
			}
		})
	}
	parts := len(stormOf(t, 2500))
	f("all at once", false, nil, parts)
	f("an outage", true, nil, parts)
	f("an update that is not complete", true, note(correlate.Update, 1, 1, func(n *correlate.Notification) { n.Firing, n.Omitted = 2501, 2500 }), parts+1)
	f("an update that is complete", true, note(correlate.Update, 1, 1), 1)
}

func TestFormatOfAStorm(t *testing.T) {
	said := stormOf(t, 2500)
	got := Format(&said[0], enrich.Context{})
	for i := range said[0].Alerts {
		if name := said[0].Alerts[i].Labels.Get("pod"); !strings.Contains(got, name) {
			t.Fatalf("%s is not in it", name)
		}
	}
	want := []string{
		"storm:     2500 alerts with no group to join, too many at once for a page each",
		fmt.Sprintf("%d more", 2500-len(said[0].Alerts)), "2500 alerts firing",
	}
	for _, s := range want {
		if !strings.Contains(got, s) {
			t.Errorf("%q is not in\n%s", s, got[:2000])
		}
	}
	if got := Format(&said[1], enrich.Context{}); !strings.Contains(got, "goes on from the notification before it") {
		t.Errorf("the second one:\n%s", got[:2000])
	}
}
