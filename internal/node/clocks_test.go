package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// wrongStarts are what senders with a wrong clock say that an alert began at.
func wrongStarts(now time.Time) []string {
	out := []string{
		"0001-01-01T00:00:00Z", "0001-01-01T00:00:01Z", "0000-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "1678-01-01T00:00:00Z", "1900-01-01T00:00:00Z",
		"1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z", "2038-01-19T03:14:08Z", "2106-02-07T06:28:16Z", "2262-04-11T23:47:16.854775807Z",
		"2262-04-11T23:47:17Z", "2500-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "2016-12-31T23:59:60Z", "2025-02-29T00:00:00Z",
		"", "0", "now", "never", "NaN", "1748779200", "2025-06-01",
	}
	for _, by := range []time.Duration{time.Nanosecond, time.Second, 59 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour, 366 * 24 * time.Hour, 20 * 366 * 24 * time.Hour} {
		for _, at := range []time.Time{now.Add(by), now.Add(-by)} {
			for _, zone := range []int{0, 14 * 3600, -12 * 3600} {
				out = append(out, at.In(time.FixedZone("", zone)).Format(time.RFC3339Nano))
			}
		}
	}
	return out
}

// TestWrongClockOfASenderDelaysNoPage: whatever an alert says of its beginning,
// and of an end to come, it is paged when its group is due, and is over once a
// clock that was set right says so.
func TestWrongClockOfASenderDelaysNoPage(t *testing.T) {
	const groupWait = 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, dir: t.TempDir(), pager: sinktest.NewPagerDuty()}
		s.text = settings + "winnow: {storm: {new_groups_per_minute: 0}}\n"
		s.network = sinktest.NewNetwork(s.pager)
		t.Cleanup(func() { s.network.Close() })
		s.start()
		type wire struct {
			Status      string            `json:"status,omitempty"`
			Labels      map[string]string `json:"labels"`
			StartsAt    string            `json:"startsAt"`
			EndsAt      string            `json:"endsAt,omitempty"`
			Annotations map[string]string `json:"annotations"`
		}
		posted := time.Now()
		starts := wrongStarts(posted)
		later := []string{"", "9999-12-31T23:59:59Z", posted.Add(time.Hour).Format(time.RFC3339)}
		cases := 0
		post := func(resolved bool) {
			cases = 0
			for i, start := range starts {
				a := wire{Labels: map[string]string{"alertname": fmt.Sprint("Clock", i), "cluster": "direct", "severity": "critical"}, StartsAt: start, EndsAt: later[i%len(later)]}
				if resolved {
					a.EndsAt = time.Now().Format(time.RFC3339Nano)
				}
				s.body("/api/v2/alerts", []wire{a})
				a.Labels["cluster"], a.Status = "hook", "resolved"
				if !resolved {
					a.Status, a.EndsAt = "firing", starts[len(starts)-1-i] // which means nothing there
				}
				s.body("/ingest/alertmanager", map[string]any{"version": "4", "status": a.Status, "receiver": "winnow", "groupKey": "{}", "alerts": []wire{a}})
				cases += 2
			}
		}
		post(false)
		if cases < 150 {
			t.Fatalf("%d cases are too few", cases)
		}
		time.Sleep(groupWait + time.Second)
		// As in Alertmanager, what says that it began long ago does not wait.
		onTime := 0
		for _, e := range s.pager.Events() {
			if e.At.Sub(posted) <= groupWait+time.Second {
				onTime++
			}
		}
		if onTime != cases || len(s.pager.Open()) != cases {
			t.Errorf("%d of %d pages came within %s of their time; %d incidents are open", onTime, cases, time.Second, len(s.pager.Open()))
		}
		time.Sleep(5 * time.Minute)
		post(true)
		time.Sleep(6 * time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("all is over, and %d incidents stand open, as %s", len(open), open[0].Summary)
		}
		s.report()
		s.stop()
	})
}
