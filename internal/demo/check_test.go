package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/ledger"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// sound is a night in which everything is as it must be: 1,000 deliveries, of
// which 900 came from Prometheus, and two incidents, the first paged twice.
func sound() *Outcome {
	q := 0.997
	began := time.Unix(1_000_000, 0)
	o := &Outcome{
		Sent: map[string]Tally{"prometheus": {Accepted: 900}, "alertmanager": {Accepted: 100}}, QuietSent: began,
		Report: ledger.Report{
			Deliveries: 1000, Onsets: 50, Pages: 3, Balanced: true, Dispositions: map[string]uint64{"paged": 3, "repeat": 997},
			Ratios:   ledger.Ratios{NoiseReduction: &q},
			BySource: []ledger.Source{{Source: "prometheus", Deliveries: 900}, {Source: "alertmanager", Deliveries: 100}},
		},
	}
	o.Alert.Sent, o.Alert.Known = 50, 50
	for i, name := range []string{"INC-1", "INC-1", "INC-2"} {
		o.Pages = append(o.Pages, &Page{Incident: name})
		o.Called = append(o.Called, Called{
			Incident: sinktest.Incident{Key: fmt.Sprint(i), Opened: began.Add(time.Second), Triggers: 2}, Name: name, Quiet: i == 2,
		})
	}
	return o
}

func TestCheck(t *testing.T) {
	f := func(change func(o *Outcome), want string) {
		t.Helper()
		o := sound()
		change(o)
		if got := strings.Join(Check(o).Failed, "\n"); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
	f(func(*Outcome) {}, "")

	// Books and what was sent.
	f(func(o *Outcome) { o.Report.Dispositions["repeat"]-- }, "the books do not balance: 1000 deliveries, 999 accounted for")
	f(func(o *Outcome) { o.Report.Balanced = false }, "the books do not balance: 1000 deliveries, 1000 accounted for")
	f(func(o *Outcome) { o.Sent["prometheus"] = Tally{Accepted: 901} },
		"prometheus sent 901 alerts that were taken, the books have 900\n1001 alerts were taken, the books have 1000")
	f(func(o *Outcome) { o.Sent["prometheus"] = Tally{Accepted: 899} },
		"prometheus sent 899 alerts that were taken, the books have 900\n999 alerts were taken, the books have 1000")
	f(func(o *Outcome) { o.Sent["prometheus"] = Tally{Accepted: 890, Unsure: 10} }, "")
	f(func(o *Outcome) { o.Sent["prometheus"] = Tally{Accepted: 890, Unsure: 9} },
		"prometheus sent 890 alerts that were taken (and perhaps 9 more), the books have 900\n990 alerts were taken (and perhaps 9 more), the books have 1000")
	f(func(o *Outcome) { o.Report.BySource[1].Source = "grafana" },
		"the books have 100 deliveries of grafana, which sent none\nalertmanager sent 100 alerts that were taken, the books have 0")
	f(func(o *Outcome) { o.Alert.Known = 49 }, "of 50 different alerts that were sent 49 are known")
	f(func(o *Outcome) { o.Alert.Sent, o.Alert.Known = 0, 0 }, "of 0 different alerts that were sent 0 are known")
	f(func(o *Outcome) { o.Report.Pending = 2 }, "2 alerts still wait to be decided")
	f(func(o *Outcome) { o.Faults = 1 }, "1 messages of the log or the outbox are missing or unreadable")

	// Criticals and noise.
	f(func(o *Outcome) { o.Report.SwallowedCriticals = 1 }, "1 criticals were swallowed: []")
	f(func(o *Outcome) { o.Report.CriticalBelowThreshold = 1 }, "1 criticals went to a receiver with nobody behind it")
	f(func(o *Outcome) { *o.Report.Ratios.NoiseReduction = 0.949 }, "1000 deliveries became 3 pages: less than 95 % were kept away")
	f(func(o *Outcome) { o.Report.Ratios.NoiseReduction = nil }, "1000 deliveries became 3 pages: less than 95 % were kept away")

	// Pages.
	f(func(o *Outcome) { o.Called = o.Called[1:] },
		"the books have 3 pages, the pager was called 2 times\n3 pages were printed, the pager was called 2 times\nINC-1 was paged 2 times, the pager was called 1 times")
	f(func(o *Outcome) { o.Called[0].Name = "INC-2" },
		"INC-1 was paged 2 times, the pager was called 1 times\nINC-2 was paged 1 times, the pager was called 2 times")
	f(func(o *Outcome) { o.Called[0].Name = "INC-9" },
		"INC-1 was paged 2 times, the pager was called 1 times\nthe pager was called for 3 incidents, 2 were paged")
	f(func(o *Outcome) { o.Called[0].Phantom, o.Called[0].Summary = true, "disk" }, "the pager was called for INC-1 again after it was over: disk")
	f(func(o *Outcome) { o.Report.Pages = 4 }, "the books have 4 pages, the pager was called 3 times")

	// The quiet one.
	f(func(o *Outcome) { o.Called[2].Quiet = false }, "the quiet critical was paged 0 times, not once")
	f(func(o *Outcome) { o.Called[1].Quiet = true }, "the quiet critical was paged 2 times, not once")
	f(func(o *Outcome) { o.Called[2].Opened = o.QuietSent.Add(3 * time.Second) }, "")
	f(func(o *Outcome) { o.Called[2].Opened = o.QuietSent.Add(3001 * time.Millisecond) },
		"the quiet critical was paged 3.001s after it was first sent; 3s is allowed")
	f(func(o *Outcome) { o.QuietSent = time.Time{} }, "the quiet critical was never sent")

	f(func(o *Outcome) { o.Cut = true }, "the demo was stopped before its end: nothing can be said of the whole")
}
