package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/stream"
)

// say appends deliveries by number, and the alerts in full that explain them.
func (l *life) say(dictionary uint64, first uint32, full []string, numbers ...uint32) {
	l.t.Helper()
	b := &ingest.Batch{Source: "test", Dictionary: dictionary, First: first, Runs: []uint32{0, uint32(len(full)), uint32(len(numbers))}}
	for _, pod := range full {
		a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: pod}, {Name: "severity", Value: "critical"}}}
		a.Fingerprint = a.Labels.Fingerprint()
		b.Alerts = append(b.Alerts, a)
	}
	for _, n := range numbers {
		b.Repeats = append(b.Repeats, alert.Repeat{Number: n})
	}
	if err := l.stream.Append(l.t.Context(), b); err != nil {
		l.t.Fatal(err)
	}
}

// TestNumbersAreKnownAfterARestart goes on naming alerts by numbers that were
// explained in an earlier life, with a snapshot and without.
func TestNumbersAreKnownAfterARestart(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir, snaps := t.TempDir(), ""
			if snapshots {
				snaps = t.TempDir()
			}
			l := beginWith(t, dir, testPolicy(), "p1", snaps)
			l.say(7, 100, []string{"a", "b"}, 100, 101)
			time.Sleep(time.Minute)
			want(t, "page", l.seen(), "INC-1 page A/a,A/b")
			l.end()
			l = beginWith(t, dir, testPolicy(), "p1", snaps)
			l.say(7, 102, nil, 100, 101, 100)
			l.say(8, 0, []string{"a"}, 0)
			l.say(7, 102, nil, 101) // on its way when the dictionary was renewed
			time.Sleep(time.Minute)
			want(t, "after the restart", l.seen(), "")
			want(t, "accounts", l.balance(), "E=10 O=2 I=1 N=1 P=1 pending=0 swallowed=0")
			l.end()
		})
	}
}

// TestLostExplanationIsNamed holds that what is named by a number that nobody
// knows is accounted for, told, and asked for in full.
func TestLostExplanationIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		l := &life{t: t, stream: s, ended: make(chan error, 1)}
		asked, faults := 0, 0
		l.engine, err = New(t.Context(), Options{
			Stream: s, Policy: testPolicy(), PolicyHash: "p1", Deliver: l.deliver,
			Unexplained: func() { asked++ }, Fault: func(error) { faults++ },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		l.cancel = cancel
		go func() { l.ended <- l.engine.Run(ctx) }()
		<-l.engine.Ready()
		l.say(7, 0, []string{"a"}, 0, 5)
		time.Sleep(time.Minute)
		want(t, "page", l.seen(), "INC-1 page A/a")
		want(t, "accounts", l.balance(), "E=3 O=1 I=1 N=1 P=1 pending=0 swallowed=0")
		if got := fmt.Sprint(asked, faults); got != "1 1" {
			t.Errorf("asked and told %s times, want once each", got)
		}
		l.end()
	})
}
