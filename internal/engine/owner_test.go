package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
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
			Incident: 1, Revision: revision, Kind: kind, Receiver: "oncall", Integration: integration, Outcome: correlate.Accepted, Last: last, At: at,
		}}
	}
	apply(0, frame.Event{Kind: frame.Policy, Policy: p, PolicyHash: "p1"})
	apply(time.Second, says(alert.Firing, "a"))
	apply(time.Minute, receipt(1, correlate.Page, "pagerduty[0]", false))
	apply(0, receipt(1, correlate.Page, "webhook[1]", true))
	apply(0, says(alert.Firing, "b"))
	apply(6*time.Minute, receipt(2, correlate.Update, "pagerduty[0]", false)) // the webhook hangs
	apply(0, says(alert.Resolved, "b"))
	apply(6*time.Minute, frame.Event{Kind: frame.Tick})
	apply(0, receipt(3, correlate.Update, "pagerduty[0]", true)) // the webhook wants none of it

	next := NewOwner(records[len(records)-1], uint64(len(records)), uint64(len(records)))
	next.Restore(s, nil, &stream.Extent{First: 1, Last: seq})
	next.Announced(seq + 1)
	again := next.Redelivery()
	var got []string
	for i, c := range records {
		for _, d := range again.Take(uint64(i+1), c) {
			got = append(got, fmt.Sprintf("%s %s class %d again %t overtaken %t", d.ID(), d.Kind, d.Class, d.Again, d.Overtaken))
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
