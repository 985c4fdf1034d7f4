package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
)

// TestClockSetBackRevivesNothing: a start after the clock had been set back by
// more than the process was away took alerts that had ended for ones that fired
// when listening ended, and had them fire again. Nobody was told, and when their
// sender said that they fire nobody was told either.
func TestClockSetBackRevivesNothing(t *testing.T) {
	begins := alert.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	ls := alert.Labels{{Name: "alertname", Value: "A"}, {Name: "severity", Value: "critical"}}
	says := func(status alert.Status) frame.Event {
		return frame.Event{Kind: frame.Alerts, Source: "test", Alerts: []alert.Alert{{Labels: ls, Fingerprint: ls.Fingerprint(), Status: status}}}
	}
	s, err := NewShard(testPolicy())
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	var told []string
	apply := func(after time.Duration, e frame.Event) {
		seq++
		m := message(t, seq, begins.Add(after), e)
		for _, n := range s.Apply(&m) {
			told = append(told, fmt.Sprintf("%s %s", n.ID(), n.Kind))
		}
	}
	apply(0, frame.Event{Kind: frame.Policy, Policy: testPolicy(), PolicyHash: "p1"})
	apply(time.Hour, says(alert.Firing))
	apply(time.Hour+time.Minute, says(alert.Resolved))
	apply(time.Hour+20*time.Minute, frame.Event{Kind: frame.Tick})
	apply(10*time.Minute, frame.Event{Kind: frame.Tick}) // by the clock
	apply(12*time.Minute, frame.Event{Kind: frame.Resume, From: begins.Add(10 * time.Minute)})
	apply(13*time.Minute, says(alert.Firing))
	apply(2*time.Hour, says(alert.Resolved))
	apply(3*time.Hour, frame.Event{Kind: frame.Tick})
	if n := s.Core.Groups(); n != 0 {
		t.Errorf("%d groups are left", n)
	}
	if got, want := fmt.Sprint(told), "[INC-1/1 page INC-1/2 resolve INC-2/1 page INC-2/2 resolve]"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}
