package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// currentGolden is the snapshot that -update writes. A state that is written
// otherwise gets another name, and this one stays among those that must load.
const currentGolden = "v6"

// goldenAt is the message after which it was taken.
const goldenAt = 60

// loggedOfAll is a log that leaves something in every part of a state: numbers of
// two dictionaries with texts that have moved, alerts that are forgotten but for
// those, a storm, a raw page, a watched source, a silence, steps, generations. From
// version 3 on one of two integrations has taken a notification, from 4 on texts
// are alike, from 5 on an alert ends of which nobody has taken what names it.
func loggedOfAll(t testing.TB, version int) []stream.Message {
	t.Helper()
	p := testPolicy()
	p.Storm.NewGroups = 3
	p.Sources = []correlate.Source{{Name: "watched", SilentAfter: 10 * time.Minute}}
	p.Inhibit = []correlate.InhibitRule{{Source: equals(t, "severity", "critical"), Target: equals(t, "severity", "warning"), Equal: []string{"alertname"}}}
	at := alert.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	var out []stream.Message
	add := func(after time.Duration, e frame.Event) {
		at = at.Add(after)
		out = append(out, message(t, uint64(len(out)+1), at, e))
	}
	one := func(i int, text string) alert.Alert {
		ls := alert.Labels{{Name: "alertname", Value: fmt.Sprint("A", i%7)}, {Name: "pod", Value: fmt.Sprint("pod-", i)}, {Name: "severity", Value: []string{"warning", "critical", "error"}[i%3]}}
		if version >= 4 {
			text = fmt.Sprintf("Pod %d has not been well for ten minutes: %s", i, text)
		}
		return alert.Alert{Labels: ls, Fingerprint: ls.Fingerprint(), StartsAt: at, Annotations: alert.Labels{{Name: "summary", Value: text}}}
	}
	full := func(source string, dictionary uint64, first uint32, alerts ...alert.Alert) frame.Event {
		return frame.Event{Kind: frame.Deliveries, Source: source, Dictionary: dictionary, First: first, Runs: []uint32{0, uint32(len(alerts))}, Alerts: alerts}
	}
	repeats := func(source string, dictionary uint64, numbers ...uint32) frame.Event {
		e := frame.Event{Kind: frame.Deliveries, Source: source, Dictionary: dictionary, Runs: []uint32{uint32(len(numbers))}}
		for _, n := range numbers {
			e.Repeats = append(e.Repeats, alert.Repeat{Number: n})
		}
		return e
	}
	add(0, frame.Event{Kind: frame.Policy, Policy: p, PolicyHash: "p1"})
	add(time.Second, full("test", 7, 0, one(0, "a"), one(1, "a"), one(2, "a")))
	add(time.Second, full("watched", 7, 3, one(3, "a")))
	gone := one(50, "a")
	add(time.Second, full("test", 7, 4, gone))
	gone.Status, gone.EndsAt = alert.Resolved, at
	add(40*time.Second, frame.Event{Kind: frame.Alerts, Source: "test", Alerts: []alert.Alert{gone}})
	add(time.Minute, frame.Event{Kind: frame.Receipt, Receipt: &correlate.Receipt{
		Incident: 1, Revision: 1, Kind: correlate.Page, Receiver: "oncall", Integration: "test[0]", Outcome: correlate.Accepted, Last: true, At: at, Generation: "g1",
	}})
	if version >= 3 {
		add(0, frame.Event{Kind: frame.Receipt, Receipt: &correlate.Receipt{
			Incident: 2, Revision: 1, Kind: correlate.Page, Receiver: "oncall", Integration: "test[1]", Outcome: correlate.Accepted, At: at, Generation: "g2",
		}})
	}
	for i := range 75 {
		switch i % 10 {
		case 0:
			add(time.Minute, full("test", 7+uint64(i/40), uint32(10+i), one(4+i, "a"), one(5+i, "a"), one(1, "it is worse")))
		case 1, 2:
			add(time.Minute, repeats("test", 7, 0, 1, 2, 1))
		case 3:
			add(time.Minute, frame.Event{Kind: frame.Silence, Silence: &correlate.Silence{ID: fmt.Sprint("s", i), Matchers: []alert.Matchers{equals(t, "alertname", "A2")}, StartsAt: at, EndsAt: at.Add(time.Hour)}})
		case 4:
			raw := one(4+i-4, "a")
			add(time.Second, frame.Event{Kind: frame.Bypass, Bypass: &frame.Bypassed{Fingerprint: raw.Fingerprint, Receiver: "oncall"}})
		case 5:
			add(time.Minute, frame.Event{Kind: frame.Ladder, Ladder: &frame.Stepped{Level: uint8(i / 10), Cause: "the core is behind", At: at}})
		case 6:
			add(time.Second, frame.Event{Kind: frame.Quarantine, Quarantine: &frame.Quarantined{Source: "test", Reason: "no JSON", Alerts: 2}})
		case 7:
			add(3*time.Minute, frame.Event{Kind: frame.Tick})
		case 8:
			add(2*time.Minute, frame.Event{Kind: frame.Resume, From: at})
		case 9:
			add(time.Minute, repeats("test", 7, 3, 1, 4))
		}
	}
	if version >= 5 {
		over := one(35, "a")
		over.Status, over.EndsAt = alert.Resolved, at
		add(time.Minute, frame.Event{Kind: frame.Alerts, Source: "test", Alerts: []alert.Alert{over}})
		add(10*time.Minute, frame.Event{Kind: frame.Tick})
		for revision := uint32(3); revision <= 4; revision++ {
			add(time.Second, frame.Event{Kind: frame.Receipt, Receipt: &correlate.Receipt{
				Incident: 1, Revision: revision, Kind: correlate.Update, Receiver: "oncall", Integration: "test[0]", Outcome: correlate.Superseded, Last: true, At: at,
			}})
		}
	}
	return out
}

func equals(t testing.TB, name, value string) alert.Matchers {
	t.Helper()
	m, err := alert.NewMatcher(name, alert.Equal, value)
	if err != nil {
		t.Fatal(err)
	}
	return alert.Matchers{m}
}

// TestSnapshotGoldenGoesOn holds that a snapshot of the state as it is written now
// loads, is written again as it was, and decides what follows as a shard does
// that has seen the whole log.
func TestSnapshotGoldenGoesOn(t *testing.T) {
	messages := loggedOfAll(t, 5)
	begun := func() *Shard { return fed(t, messages[:goldenAt]) }
	goldenHolds(t, begun())
	if *update {
		if err := os.WriteFile("testdata/"+currentGolden+".snapshot", encoded(t, begun()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	goesOn(t, currentGolden, begun(), messages[goldenAt:])
	if n := fed(t, messages).Ledger.Totals().Dispositions[correlate.ResolvedBeforePage]; n != 1 {
		t.Errorf("%d alerts have ended before anybody confirmed what names them, want 1", n)
	}
	for _, older := range []int{2, 3, 4, 5} { // what one has no part for was not in its log
		messages = loggedOfAll(t, older)
		goesOn(t, fmt.Sprint("v", older), begun(), messages[goldenAt:])
	}
}

// goldenHolds fails where a part of the state is empty, and so proves nothing.
func goldenHolds(t *testing.T, s *Shard) {
	t.Helper()
	storms := slices.ContainsFunc(s.Core.Incidents(), func(v correlate.IncidentView) bool { return v.Storm != nil })
	if len(s.Core.SilentSources()) == 0 || len(s.standing) == 0 || len(s.undelivered) == 0 || len(s.answered) == 0 || !storms || s.Ledger.Report(1).RawPages == 0 {
		t.Errorf("silent %v, standing %d, undelivered %d, answered %d, storms %t, %+v", s.Core.SilentSources(), len(s.standing), len(s.undelivered), len(s.answered), storms, s.Ledger.Totals())
	}
}

func goesOn(t *testing.T, name string, live *Shard, messages []stream.Message) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".snapshot")
	if err != nil {
		t.Fatal(err)
	}
	s, err := DecodeSnapshot(b)
	if err != nil {
		t.Fatal(err)
	}
	if name == currentGolden && !bytes.Equal(encoded(t, s), b) {
		t.Error("it is written otherwise now: name a new golden, and let this one go on loading")
	}
	if got, want := s.mark(), live.mark(); got != want {
		t.Errorf("%s: it holds %+v, want %+v", name, got, want)
	}
	decided := func(s *Shard, m *stream.Message) (out []string) {
		for _, n := range s.Apply(m) {
			out = append(out, fmt.Sprintf("%s %s %s %d of %v", n.ID(), n.Kind, n.Key(), n.Firing, n.Storm))
		}
		return out
	}
	outputs := 0
	for i := range messages {
		got, want := decided(s, &messages[i]), decided(live, &messages[i])
		if outputs += len(want); !slices.Equal(got, want) {
			t.Fatalf("%s, message %d: it decides %q, want %q", name, messages[i].Seq, got, want)
		}
	}
	if f := s.Faults(); len(f) > 0 {
		t.Fatal(errors.Join(f...))
	}
	if outputs == 0 || s.mark() != live.mark() {
		t.Errorf("%s: after %d notifications it holds %+v, want %+v", name, outputs, s.mark(), live.mark())
	}
}
