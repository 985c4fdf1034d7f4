package sinks

import (
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// item is a notification on its way to one integration.
type item struct {
	n       *correlate.Notification
	c       enrich.Context
	receipt *countdown // nil for one that asks for no receipt: see Dispatcher.Deliver

	attempts uint32
	// page: it, or one whose place it took, is a page that nobody has got.
	page bool
	// owed is a page whose place it took, while nobody has got either: the page's
	// receipt waits for it. If the process died between, the next life would know
	// of an update only, which calls nobody.
	owed *item
	// fresh: before it, and those whose place it took, the provider knew
	// nothing of the incident, or that it is over.
	fresh bool
	// unknown: an attempt for it, or for one whose place it took, may have
	// arrived.
	unknown bool
	// again: an earlier life may have sent it, or one whose place it took, by
	// other settings.
	again bool
	// redelivered: an attempt for it, and no other, may have arrived, in this
	// life or one before.
	redelivered bool
	// elsewhere: if there is no room for it, somebody else is told. crowded: there
	// was none.
	elsewhere, crowded bool
	// quiet: there is nothing to say (any more).
	quiet bool
	// resolved counts the keys that a resolve has closed already, and closed the
	// places that it has done with.
	resolved uint32
	closed   int
	// generation is that of the integration that took it.
	generation string
	// heldUntil is when it stops waiting for abandoned calls.
	heldUntil time.Time
	// since is when it, or one whose place it took, began to wait for a slot.
	since time.Time
}

// newItem is n on its way to an integration that wants to hear of ends, or not.
func newItem(ends bool, n *correlate.Notification, c enrich.Context, again bool) *item {
	return &item{
		n: n, c: c,
		page:    n.Kind == correlate.Page,
		fresh:   n.Kind == correlate.Page && n.Reason == correlate.FirstNotification,
		unknown: again && n.Kind != correlate.Resolve || n.Raw,
		again:   again, redelivered: again,
		quiet: !ends && !fires(n),
	}
}

// fires reports whether anything in n still fires.
func fires(n *correlate.Notification) bool {
	return n.Kind != correlate.Resolve && (n.Firing > 0 || slices.ContainsFunc(n.Alerts, func(m correlate.Member) bool { return !m.Resolved() }))
}

// supersede makes it the newest state of its incident in place of old, which
// was not accepted, and adds to out what has ended by that.
func (it *item) supersede(old *item, out []ending) []ending {
	it.fresh, it.since = old.fresh, old.since
	if it.n.Kind != correlate.Resolve {
		it.heldUntil = old.heldUntil // a resolve has more to wait for
	}
	it.unknown = it.unknown || old.unknown
	it.again = it.again || old.again
	it.page = it.page || old.page && it.n.Kind != correlate.Resolve
	it.settleResolve()
	left := old.ends(correlate.Superseded, nil)
	page := slices.IndexFunc(left, func(e ending) bool { return e.it.n.Kind == correlate.Page })
	if page >= 0 && it.n.Kind == correlate.Update {
		if it.owed != nil {
			out = append(out, ending{it.owed, correlate.Superseded, nil})
		}
		it.owed = left[page].it
		left = slices.Delete(left, page, page+1)
	}
	return append(out, left...)
}

// ends is how an item leaves its queue: with the page whose place it took.
func (it *item) ends(o correlate.Outcome, err error) []ending {
	var out []ending
	if it.owed != nil {
		out = append(out, ending{it.owed, correlate.Superseded, nil})
	}
	return append(out, ending{it, o, err})
}

// instead is the revision of the page whose place it took, 0 if it took none.
func (it *item) instead() uint32 {
	if it.owed == nil {
		return 0
	}
	return it.owed.n.Revision
}

// Outlasts reports whether old must be sent although newer has come: it names a
// critical or an error that is new and for which newer has no room, or it closes
// what newer does not speak of.
func Outlasts(old, newer *correlate.Notification) bool {
	if old.Kind == correlate.Resolve {
		return slices.ContainsFunc(old.Keys, func(key string) bool { return !slices.Contains(newer.Keys, key) })
	}
	if newer.Omitted == 0 || newer.Kind == correlate.Resolve {
		return false
	}
	listed := make(map[alert.Fingerprint]bool, len(newer.Alerts))
	for i := range newer.Alerts {
		listed[newer.Alerts[i].Fingerprint] = true
	}
	return slices.ContainsFunc(old.Alerts, func(m correlate.Member) bool {
		return mustBeNamed(&m) && !listed[m.Fingerprint]
	})
}

// settleResolve silences a resolve of which nobody has heard the beginning. If
// some attempt at the page may have arrived, the resolve goes out all the same:
// at worst it closes nothing.
func (it *item) settleResolve() {
	if it.n.Kind == correlate.Resolve && it.fresh && !it.unknown {
		it.quiet = true
	}
}

// ending is an item that leaves a queue, with its outcome.
type ending struct {
	it      *item
	outcome correlate.Outcome
	err     error
}

// queue is what one integration has still to be told about one group, oldest
// first, at most one waiting item an incident, and before it those whose names
// it has no room for. It is pure: its target holds the lock, the clock and the
// worker.
type queue struct {
	key   string
	items []*item
	busy  bool // items[0] is being sent and stays where it is

	failures int       // of the current head in a row
	next     time.Time // no attempt before

	wake chan struct{} // tells the worker to look again
}

// maxWaiting bounds the items of one group that wait for one integration. One
// more counts as failed, where its caller tells somebody else then, and waits all
// the same where it does not; none of those that wait is dropped for it.
const maxWaiting = 64

// add puts it where it belongs and returns what leaves the queue for it.
func (q *queue) add(it *item) []ending {
	var out []ending
	at := -1
	for i := 0; i < len(q.items); i++ {
		old := q.items[i]
		switch {
		case old.n.Incident != it.n.Incident:
		case old.n.Revision >= it.n.Revision:
			return append(out, it.ends(correlate.Superseded, nil)...)
		case i == 0 && q.busy, Outlasts(old.n, it.n):
		default:
			out = it.supersede(old, out)
			q.items = slices.Delete(q.items, i, i+1)
			at = i
			i--
		}
	}
	behind := q.busy && len(q.items) > 0 && q.items[0].n.Incident == it.n.Incident
	switch {
	case it.quiet && !behind:
		return append(out, it.ends(correlate.Skipped, nil)...)
	case at >= 0: // in the place of what it superseded: another incident's trigger must not slip in between
		q.items = slices.Insert(q.items, at, it)
	default:
		it.crowded = it.crowded || len(q.items) >= maxWaiting
		if it.crowded && it.elsewhere {
			return append(out, it.ends(correlate.Failed, errTooMany)...)
		}
		q.items = append(q.items, it)
	}
	return out
}

// settle says what becomes of the head, whose attempt ended with e, nil for
// success, and of what stands behind it.
func (q *queue) settle(e *Error, now time.Time, wait time.Duration) []ending {
	q.busy = false
	head := q.items[0]
	if e == nil {
		q.drop()
		return head.ends(correlate.Accepted, nil)
	}
	head.unknown = head.unknown || e.Unknown
	head.redelivered = head.redelivered || e.Unknown
	i := q.behind()
	if !e.Retry {
		out := head.ends(correlate.Failed, e)
		if i > 0 {
			// The provider knows no more of the incident than before the head.
			next := q.items[i]
			next.fresh, next.unknown = head.fresh, next.unknown || head.unknown
			next.settleResolve()
			out = q.hush(out, i)
		}
		q.drop()
		return out
	}
	q.failures++
	q.next = now.Add(wait)
	if i < 0 || Outlasts(head.n, q.items[i].n) {
		return nil
	}
	newer := q.items[i]
	out := newer.supersede(head, nil)
	q.items = slices.Delete(q.items, i, i+1)
	q.items[0] = newer
	return q.hush(out, 0)
}

// drop removes the head and forgets its failures.
func (q *queue) drop() {
	q.items = slices.Delete(q.items, 0, 1)
	q.failures, q.next = 0, time.Time{}
}

// hush lets the item at i leave if it has nothing to say.
func (q *queue) hush(out []ending, i int) []ending {
	if it := q.items[i]; it.quiet {
		q.items = slices.Delete(q.items, i, i+1)
		out = append(out, it.ends(correlate.Skipped, nil)...)
	}
	return out
}

// behind returns the index of the item that waits for the head to end, because
// it is of the same incident, -1 if none does.
func (q *queue) behind() int {
	for i := 1; i < len(q.items); i++ {
		if q.items[i].n.Incident == q.items[0].n.Incident {
			return i
		}
	}
	return -1
}

// notify wakes the worker.
func (q *queue) notify() {
	select {
	case q.wake <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}
