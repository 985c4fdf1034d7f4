package sinks

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// TestQueue plays scripts against a queue. A step is one of
//
//	p1 e2 u3 r4    page, escalation, update, resolve with that revision (2:p1 of incident 2)
//	>              the head is being sent
//	ok 503 ?? 400  it was accepted, refused for now, perhaps taken, refused for good
//
// and the result is what left the queue, then what is in it. An item that must
// page has a "!", with the revision of the page whose place it took, one that may be known to the provider a "?".
func TestQueue(t *testing.T) {
	f := func(script, left, stays string) {
		t.Helper()
		gotLeft, gotStays := play(t, script, true)
		if gotLeft != left || gotStays != stays {
			t.Errorf("%s:\n left  %q\n want  %q\n stays %q\n want  %q", script, gotLeft, left, gotStays, stays)
		}
	}
	f("p1", "", "p1!")
	f("p1 > ok", "p1 accepted", "")
	f("p1 > 400", "p1 failed", "")
	f("p1 > 503", "", "p1!")
	f("p1 > ??", "", "p1!?")

	// The newest state wins.
	f("u2 u3", "u2 superseded", "u3")
	f("u2 u3 u4", "u2 superseded, u3 superseded", "u4")
	f("u3 u2", "u2 superseded", "u3")
	f("u3 u3", "u3 superseded", "u3")
	f("u2 e3", "u2 superseded", "e3!")

	// An update in place of a page nobody got is the page, whose receipt waits.
	f("p1 u2", "", "u2!1")
	f("p1 u2 > ok", "p1 superseded, u2 accepted", "")
	f("p1 u2 > 400", "p1 superseded, u2 failed", "")
	f("p1 u2 u3", "u2 superseded", "u3!1")
	f("p1 u2 u3 > ok", "u2 superseded, p1 superseded, u3 accepted", "")
	f("p1 u2 p3", "p1 superseded, u2 superseded", "p3!")
	f("p1 u2 p3 u4 > ok", "p1 superseded, u2 superseded, p3 superseded, u4 accepted", "")
	f("p1 > u2 503", "", "u2!1")
	f("p1 u2 p3 u4 u5", "p1 superseded, u2 superseded, u4 superseded", "u5!3")
	f("p1 > u2 503 > ok", "p1 superseded, u2 accepted", "")
	f("p1 > u2 ok", "p1 accepted", "u2")
	f("p1 > u2 400", "p1 failed", "u2")

	// Page and resolve collapse when nobody can have got the page.
	f("p1 r2", "p1 superseded, r2 skipped", "")
	f("p1 u2 r3", "p1 superseded, u2 superseded, r3 skipped", "")
	f("p1 e2 r3", "p1 superseded, e2 superseded, r3 skipped", "")
	f("p1 > 503 r2", "p1 superseded, r2 skipped", "")
	f("p1 > r2 503", "p1 superseded, r2 skipped", "")
	f("p1 > r2 400", "p1 failed, r2 skipped", "")

	// Otherwise the resolve is sent, and after the page.
	f("p1 > r2", "", "p1! r2")
	f("p1 > r2 ok", "p1 accepted", "r2")
	f("p1 > r2 ??", "p1 superseded", "r2?")
	f("p1 > ?? r2", "p1 superseded", "r2?")
	f("p1 > ?? > 503 r2", "p1 superseded", "r2?")
	f("p1 > ?? u2 r3", "p1 superseded, u2 superseded", "r3?")
	f("p1 > r2 ?? > ok", "p1 superseded, r2 accepted", "")
	f("p1 > ok r2", "p1 accepted", "r2")
	f("u2 r3", "u2 superseded", "r3")
	f("e2 r3", "e2 superseded", "r3") // what came before it was accepted
	f("p1 > ?? > r2 400", "p1 failed", "r2?")

	// A resolve that was not sent leaves the provider's incident open, so the
	// next resolve is not the end of something unheard of.
	f("r2 p3 r4", "r2 superseded, p3 superseded", "r4")
	f("r2 > p3 ok r4", "r2 accepted, p3 superseded, r4 skipped", "")
	f("r2 > p3 503 r4", "r2 superseded, p3 superseded", "r4")

	// Incidents of one group keep their order; one never takes another's place.
	f("r2 2:p1", "", "r2 2:p1!")
	f("r2 2:p1 2:r2", "2:p1 superseded, 2:r2 skipped", "r2")
	f("u2 2:p1 r3", "u2 superseded", "r3 2:p1!")
	f("r2 > 2:p1 503", "", "r2 2:p1!")
	f("p1 2:p1 3:p1", "", "p1! 2:p1! 3:p1!")
}

// TestQueueFiringOnly is TestQueue for an integration that wants no resolves.
func TestQueueFiringOnly(t *testing.T) {
	f := func(script, left, stays string) {
		t.Helper()
		gotLeft, gotStays := play(t, script, false)
		if gotLeft != left || gotStays != stays {
			t.Errorf("%s:\n left  %q\n want  %q\n stays %q\n want  %q", script, gotLeft, left, gotStays, stays)
		}
	}
	f("r2", "r2 skipped", "")
	f("p1 r2", "p1 superseded, r2 skipped", "")
	f("p1 > r2 ok", "p1 accepted", "r2.")
	f("p1 > r2 503", "p1 superseded, r2 skipped", "")
	f("p1 > ?? r2", "p1 superseded, r2 skipped", "")
}

// TestEndOfARawPageIsTold: people had been called past the core, and the core's
// own page and its resolve met in the queue. Nobody had got that page, so nobody
// was told of the end, and what stood at the provider stood for ever.
func TestEndOfARawPageIsTold(t *testing.T) {
	f := func(pageRaw, resolveRaw bool, want string) {
		t.Helper()
		q := &queue{wake: make(chan struct{}, 1)}
		p, r := note(correlate.Page, 1, 1), note(correlate.Resolve, 1, 2)
		p.Raw, r.Raw = pageRaw, resolveRaw
		ends := append(q.add(newItem(true, p, enrich.Context{}, false)), q.add(newItem(true, r, enrich.Context{}, false))...)
		var left []string
		for _, e := range ends {
			left = append(left, e.outcome.String())
		}
		if got := fmt.Sprint(left, len(q.items)); got != want {
			t.Errorf("left and waiting: %s, want %s", got, want)
		}
	}
	f(false, false, "[superseded skipped] 0")
	f(true, true, "[superseded] 1")
	f(true, false, "[superseded] 1") // its alert ended before the others
	f(false, true, "[superseded] 1") // the log knew of it after the page
}

func TestQueueIsBounded(t *testing.T) {
	q := &queue{wake: make(chan struct{}, 1)}
	for i := range maxWaiting {
		if left := q.add(newItem(true, note(correlate.Page, uint64(i+1), 1), enrich.Context{}, false)); left != nil {
			t.Fatalf("incident %d: %v left", i+1, left)
		}
	}
	more := newItem(true, note(correlate.Page, 1000, 1), enrich.Context{}, false)
	more.elsewhere = true
	left := q.add(more)
	if len(left) != 1 || left[0].outcome != correlate.Failed || left[0].err == nil {
		t.Errorf("one incident too many: %+v", left)
	}
	if left := q.add(newItem(true, note(correlate.Update, 1, 2), enrich.Context{}, false)); left != nil {
		t.Errorf("an update of an incident that waits: %+v", left)
	}
	if len(q.items) != maxWaiting {
		t.Errorf("%d wait", len(q.items))
	}
}

func play(t *testing.T, script string, wantsResolved bool) (left, stays string) {
	t.Helper()
	q := &queue{wake: make(chan struct{}, 1)}
	var ends []ending
	for step := range strings.FieldsSeq(script) {
		now := time.Unix(0, 0)
		switch step {
		case ">":
			q.busy = true
		case "ok":
			ends = append(ends, q.settle(nil, now, 0)...)
		case "503":
			ends = append(ends, q.settle(&Error{Retry: true}, now, time.Second)...)
		case "??":
			ends = append(ends, q.settle(&Error{Retry: true, Unknown: true}, now, time.Second)...)
		case "400":
			ends = append(ends, q.settle(&Error{}, now, 0)...)
		default:
			ends = append(ends, q.add(newItem(wantsResolved, parseNote(t, step), enrich.Context{}, false))...)
		}
	}
	var out, in []string
	for _, e := range ends {
		out = append(out, shortName(e.it.n)+" "+e.outcome.String())
	}
	for _, it := range q.items {
		s := shortName(it.n)
		if it.page {
			s += "!"
		}
		if n := it.instead(); n != 0 {
			s += fmt.Sprint(n)
		}
		if it.unknown {
			s += "?"
		}
		if it.quiet {
			s += "."
		}
		in = append(in, s)
	}
	return strings.Join(out, ", "), strings.Join(in, " ")
}

var shortKinds = map[byte]correlate.Kind{'p': correlate.Page, 'e': correlate.Page, 'u': correlate.Update, 'r': correlate.Resolve}

func parseNote(t *testing.T, s string) *correlate.Notification {
	t.Helper()
	incident, rest := uint64(1), s
	if before, after, ok := strings.Cut(s, ":"); ok {
		rest = after
		if _, err := fmt.Sscan(before, &incident); err != nil {
			t.Fatal(err)
		}
	}
	var revision uint32
	if _, err := fmt.Sscan(rest[1:], &revision); err != nil || shortKinds[rest[0]] == 0 {
		t.Fatalf("step %q: %v", s, err)
	}
	n := note(shortKinds[rest[0]], incident, revision)
	if rest[0] == 'e' {
		escalation(2)(n)
	}
	return n
}

func shortName(n *correlate.Notification) string {
	letter := n.Kind.String()[:1]
	if n.Reason == correlate.Escalation {
		letter = "e"
	}
	s := fmt.Sprintf("%s%d", letter, n.Revision)
	if n.Incident != 1 {
		s = fmt.Sprintf("%d:%s", n.Incident, s)
	}
	return s
}

// TestEndUnderAnotherKeyIsTold: an end takes the place of an older one only where
// it closes what that would have closed. An incident that was over, and for which
// the guard has paged since, ends under the key of that page alone.
func TestEndUnderAnotherKeyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		d := newDesk(t)
		pager := d.sink("a[0]", func(ctx context.Context, m *Message) error {
			if down.Load() {
				return refuse(ctx, m)
			}
			return nil
		})
		pager.keyed = true
		d.Set(Receivers{"oncall": {pager}})
		said := func(kind correlate.Kind, revision uint32, keys ...string) {
			n := note(kind, 1, revision)
			n.Keys = keys
			d.deliver(n)
		}
		said(correlate.Page, 1, "g#error")
		down.Store(true)
		said(correlate.Resolve, 2, "g#error")
		said(correlate.Resolve, 3, "g#critical")
		said(correlate.Resolve, 4, "g#critical", "g#other") // which closes all that the one before does
		down.Store(false)
		time.Sleep(time.Minute)
		d.wantSent("0s INC-1/1 page key g#error (page)", "0s INC-1/2 resolve key g#error", "1s INC-1/2 resolve key g#error", "1s INC-1/4 resolve key g#critical", "1s INC-1/4 resolve key g#other")
	})
}
