package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks"
)

// TestNobodyHearsTheOlderAfterTheNewer: an update that one integration had not
// taken yet went out again after a start to another one too, which by then had
// taken the update after it.
func TestNobodyHearsTheOlderAfterTheNewer(t *testing.T) {
	p := testPolicy()
	p.Receivers[0].FiringOnly = true
	s, err := NewShard(p)
	if err != nil {
		t.Fatal(err)
	}
	at := alert.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	o := NewOwner(nil, 0, 0)
	o.Restore(s, nil, &stream.Extent{First: 1})
	var records []*frame.Commit
	seq := uint64(0)
	apply := func(after time.Duration, e frame.Event) {
		seq++
		at = at.Add(after)
		m := message(t, seq, at, e)
		outputs, broke := o.Try(&m)
		if broke != nil {
			t.Fatal(broke)
		}
		c, err := o.Next(seq, outputs)
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			return
		}
		b, err := o.Encode(c, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		_, kept, err := frame.DecodeCommit(b)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, kept)
		o.Written(c, uint64(len(records)))
	}
	says := func(status alert.Status, pod string) frame.Event {
		ls := alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: pod}}
		return frame.Event{Kind: frame.Alerts, Source: "test", Alerts: []alert.Alert{{Labels: ls, Status: status}}}
	}
	receipt := func(revision uint32, kind correlate.Kind, integration string, last bool) frame.Event {
		return frame.Event{Kind: frame.Receipt, Receipt: &correlate.Receipt{
			Incident: 1, Revision: revision, Kind: kind, Receiver: "oncall", Integration: integration, Outcome: correlate.Accepted, Last: last, At: at, Generation: "g",
		}}
	}
	apply(0, frame.Event{Kind: frame.Policy, Policy: p, PolicyHash: "p1"})
	apply(time.Second, says(alert.Firing, "a"))
	apply(time.Minute, receipt(1, correlate.Page, "pagerduty[0]", false))
	apply(0, receipt(1, correlate.Page, "webhook[1]", true))
	apply(0, says(alert.Firing, "b"))
	apply(6*time.Minute, frame.Event{Kind: frame.Tick})
	apply(0, receipt(2, correlate.Update, "pagerduty[0]", false)) // the webhook hangs
	apply(0, says(alert.Resolved, "b"))
	apply(6*time.Minute, frame.Event{Kind: frame.Tick})
	apply(0, receipt(3, correlate.Update, "pagerduty[0]", true)) // the webhook wants none of it

	next := NewOwner(records[len(records)-1], uint64(len(records)), uint64(len(records)))
	next.Restore(s, nil, &stream.Extent{First: 1, Last: seq})
	next.Announced(seq + 1)
	again := next.Redelivery()
	taken := sinks.Answer{Receiver: "oncall", Integration: "pagerduty[0]", Generation: "g"}
	var got []string
	for i, c := range records {
		for _, d := range again.Take(uint64(i+1), c) {
			got = append(got, fmt.Sprintf("%s %s class %d again %t overtaken %t", d.ID(), d.Kind, d.Class, d.Again, d.Overtaken))
			if !slices.Contains(d.Answered, taken) {
				t.Errorf("%s: %v has taken it, or a newer one, and nobody says so: %v", d.ID(), taken, d.Answered)
			}
		}
	}
	if got, want := fmt.Sprint(got), fmt.Sprintf("[INC-1/2 update class %d again true overtaken false]", correlate.FiringOnly); got != want {
		t.Errorf("delivered %s, want %s", got, want)
	}
}

// TestWhatNamesACriticalIsDeliveredAgain: of an update that went on in another
// one, because it had no room for all criticals, only the other one went out
// after a start.
func TestWhatNamesACriticalIsDeliveredAgain(t *testing.T) {
	critical := func(pod string) correlate.Member {
		ls := alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: pod}, {Name: "severity", Value: "critical"}}
		return correlate.Member{Labels: ls, Fingerprint: ls.Fingerprint(), New: true}
	}
	update := func(revision uint32, omitted int, members ...correlate.Member) correlate.Notification {
		return correlate.Notification{
			Incident: 1, Revision: revision, Kind: correlate.Update, Class: correlate.WantsResolved,
			Alerts: members, Firing: len(members) + omitted, Omitted: omitted,
		}
	}
	f := func(want string, outputs ...correlate.Notification) {
		t.Helper()
		r := Redelivery{inherited: 1, undelivered: map[notificationID]uint64{}}
		for i := range outputs {
			r.undelivered[notificationID{1, outputs[i].Revision}] = 9
		}
		var got []uint32
		for _, d := range r.Take(1, &frame.Commit{Input: 9, Outputs: outputs}) {
			if !d.Overtaken {
				got = append(got, d.Revision)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("delivered %v, want %s", got, want)
		}
	}
	f("[2 3]", update(2, 1, critical("a")), update(3, 1, critical("b")))
	f("[3]", update(2, 1, critical("a")), update(3, 0, critical("a"), critical("b")))
	f("[3]", update(2, 1, critical("a")), update(3, 1, critical("a")))
}

// TestNoUpdateDoesForAPage: a page that nobody had got was dropped two crashes
// later. After the first, an update of its incident left its place to a newer
// one; after the second that update was done with, and taken for what had come
// after the page.
func TestNoUpdateDoesForAPage(t *testing.T) {
	outputs := []correlate.Notification{
		{Incident: 1, Revision: 1, Kind: correlate.Page, Class: correlate.WantsResolved},
		{Incident: 1, Revision: 2, Kind: correlate.Update, Class: correlate.WantsResolved},
		{Incident: 1, Revision: 3, Kind: correlate.Update, Class: correlate.WantsResolved},
	}
	r := Redelivery{inherited: 1, undelivered: map[notificationID]uint64{{1, 1}: 9, {1, 3}: 9}, revisions: map[uint64]uint32{1: 3}}
	var got []string
	for _, d := range r.Take(1, &frame.Commit{Input: 9, Outputs: outputs}) {
		got = append(got, fmt.Sprintf("%s %s overtaken %t", d.ID(), d.Kind, d.Overtaken))
	}
	if want := "[INC-1/1 page overtaken false INC-1/3 update overtaken false]"; fmt.Sprint(got) != want {
		t.Errorf("delivered %v, want %s", got, want)
	}
}

// TestAnswersOutliveALife holds who has taken what waits for others: through a
// snapshot, for whoever has a newer one as well, and no longer than anybody
// waits. What was refused or superseded is no answer.
func TestAnswersOutliveALife(t *testing.T) {
	s := &Shard{undelivered: map[notificationID]uint64{{1, 1}: 7, {1, 2}: 8, {2, 1}: 8}, answered: answers{}, standing: standing{}, current: testPolicy()}
	if err := s.begin(testPolicy()); err != nil {
		t.Fatal(err)
	}
	receipt := func(incident uint64, revision uint32, integration string, o correlate.Outcome, last bool) {
		t.Helper()
		e := frame.Event{Kind: frame.Receipt, Receipt: &correlate.Receipt{Incident: incident, Revision: revision, Kind: correlate.Page, Receiver: "oncall", Integration: integration, Outcome: o, Last: last, Generation: "g"}}
		if err := s.apply(&e); err != nil {
			t.Fatal(err)
		}
	}
	receipt(1, 1, "a[0]", correlate.Accepted, false)
	receipt(1, 1, "a[0]", correlate.Accepted, false)
	receipt(1, 1, "b[1]", correlate.Superseded, false)
	receipt(1, 2, "b[1]", correlate.Accepted, false)
	receipt(2, 1, "a[0]", correlate.Failed, false)
	receipt(3, 1, "a[0]", correlate.Accepted, false) // nothing of it waits
	f := func(s *Shard, want string) {
		t.Helper()
		s, err := DecodeSnapshot(encoded(t, s))
		if err != nil {
			t.Fatal(err)
		}
		o := Owner{shard: s, inherited: 1}
		r := o.Redelivery()
		var got []string
		for _, d := range r.Take(1, &frame.Commit{Input: 7, Outputs: []correlate.Notification{{Incident: 1, Revision: 1, Class: correlate.WantsResolved}}}) {
			got = append(got, d.ID())
			for _, a := range d.Answered {
				got = append(got, a.Integration)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("delivered again, and answered by: %v, want %s", got, want)
		}
	}
	f(s, "[INC-1/1 a[0]]")
	r := Redelivery{inherited: 2, undelivered: s.undelivered, answered: s.answered}
	r.Take(1, &frame.Commit{Input: 7, Outputs: []correlate.Notification{{Incident: 1, Revision: 1, Class: correlate.WantsResolved}}})
	out := r.Take(2, &frame.Commit{Input: 8, Outputs: []correlate.Notification{{Incident: 1, Revision: 2, Kind: correlate.Update, Class: correlate.WantsResolved}, {Incident: 2, Revision: 1, Class: correlate.WantsResolved}}})
	if len(out) != 3 || len(out[0].Answered) != 2 || len(out[1].Answered) != 1 || len(out[2].Answered) != 0 {
		t.Errorf("a page that b has an update of, the update, and a page that was refused: %+v", out)
	}
	receipt(1, 1, "c[2]", correlate.Accepted, true)
	receipt(1, 2, "c[2]", correlate.Accepted, true)
	if len(s.answered) != 0 {
		t.Errorf("nothing waits, and %v is remembered", s.answered)
	}
}

// TestRefusedNameIsSentAgain: a page that was refused, and had not come to the
// fallback, was not sent again to whom had taken the update after it, although
// that had no room for the critical that it named.
func TestRefusedNameIsSentAgain(t *testing.T) {
	ls := alert.Labels{{Name: "alertname", Value: "A"}, {Name: "severity", Value: "critical"}}
	named := correlate.Member{Labels: ls, Fingerprint: ls.Fingerprint(), New: true}
	f := func(want int, newer ...correlate.Member) {
		t.Helper()
		r := Redelivery{
			inherited: 1, undelivered: map[notificationID]uint64{{1, 1}: 9, {1, 2}: 9},
			answered: answers{{1, 2}: {{Receiver: "oncall", Integration: "a[0]"}}},
		}
		out := r.Take(1, &frame.Commit{Input: 9, Outputs: []correlate.Notification{
			{Incident: 1, Revision: 1, Kind: correlate.Page, Class: correlate.WantsResolved, Alerts: []correlate.Member{named}},
			{Incident: 1, Revision: 2, Kind: correlate.Update, Class: correlate.WantsResolved, Alerts: newer, Omitted: 1},
		}})
		if len(out) != 2 || len(out[0].Answered) != want || len(out[1].Answered) != 1 {
			t.Errorf("delivered %+v, want %d that must not get the page", out, want)
		}
	}
	f(0)
	f(1, named)
}
