package preview

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

func TestMain(m *testing.M) {
	ats.Register() // see internal/stream
	os.Exit(m.Run())
}

// written is a log with a critical alert of its own every minute for so many
// minutes up to now.
func written(t *testing.T, minutes int) *stream.Stream {
	t.Helper()
	s, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range minutes {
		e := frame.Event{Kind: frame.Alerts, Source: "test", Alerts: []alert.Alert{{Labels: alert.Labels{{Name: "alertname", Value: fmt.Sprint("A", i)}, {Name: "severity", Value: "critical"}}}}}
		if _, err := s.AppendEvents(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	}
	return s
}

func begin() (*Comparison, error) {
	was, err := engine.NewRehearsal(policy(nil))
	if err != nil {
		return nil, err
	}
	is, err := engine.NewRehearsal(policy(func(p *correlate.Policy) { p.Route.Receiver = "nobody" }))
	return New(was, is), err
}

// TestRun replays a log under limits of time. Each look at the time says what the
// next of spent says.
func TestRun(t *testing.T) {
	const minutes = 400
	f := func(name string, window time.Duration, spent func(looks int) float64, unpaged int, covered time.Duration, limit string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			log := written(t, minutes)
			defer log.Close()
			now, looks := time.Now(), 0
			o := Options{Log: log, Begin: begin, Window: Span{now.Add(-window), now}}
			if spent != nil {
				o.Spent = func() float64 { looks++; return spent(looks) }
			}
			d, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if d.Unpaged != unpaged || d.Covered.length() != covered || !strings.Contains(d.Limit, limit) || (limit == "") != (d.Limit == "") {
				t.Errorf("%s: unpaged %d of %s, limit %q; want %d of %s, %q", name, d.Unpaged, d.Covered.length(), d.Limit, unpaged, covered, limit)
			}
		})
	}
	f("all of it", 24*time.Hour, nil, minutes, minutes*time.Minute, "")
	f("a part, and what fires since before", time.Hour, nil, 60+16, time.Hour, "")
	f("nothing in it", 0, nil, 0, 0, "")
	f("time is up at the third look", 24*time.Hour, func(n int) float64 { return []float64{0.01, 0.09, 1}[n-1] }, 95, 95*time.Minute, "time for a replay is up")
	// At a hundredth of the time for each message the rest of the time suffices
	// for 68 messages, of which a quarter is not counted on.
	f("the latest of what is too much", 24*time.Hour, func(n int) float64 { return 0.32 * float64(n) }, 51, 51*time.Minute, "more than can be replayed")
}

// TestNumbersExplainedBeforeTheWindow: what the log says of an alert in the window
// is a number, which stands for the alert since before.
func TestNumbersExplainedBeforeTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := written(t, 0)
		defer log.Close()
		a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "severity", Value: "critical"}}}
		a.Fingerprint = a.Labels.Fingerprint()
		for _, b := range []*ingest.Batch{
			{Source: "test", Dictionary: 7, First: 3, Runs: []uint32{0, 1}, Alerts: []alert.Alert{a}},
			{Source: "test", Dictionary: 7, First: 4, Runs: []uint32{1}, Repeats: []alert.Repeat{{Number: 3}}},
		} {
			if err := log.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		now := time.Now()
		d, err := Run(t.Context(), Options{Log: log, Begin: begin, Window: Span{now.Add(-11 * time.Minute), now}})
		if err != nil || d.Unpaged != 1 || d.Messages != 1 {
			t.Errorf("%v, %d messages: %s", err, d.Messages, summary(d))
		}
	})
}
