package sinks

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
)

var (
	errTooMany       = fmt.Errorf("not sent: %d notifications of its group wait already", maxWaiting)
	errTooManyGroups = errors.New("not sent: as many groups as may wait do so already")
	errMayNot        = errors.New("not sent: another process may be sending in place of this one")
	errRemoved       = errors.New("not sent: the integration was removed from the configuration before it took the notification")
)

// target is one integration of one receiver, across reloads. Each group with
// something to tell it has a queue and a worker, and neither when it has not.
type target struct {
	d     *Dispatcher
	id    targetID
	slots slots

	mu        sync.Mutex
	in        Integration // nil once a reload has removed it
	queues    map[string]*queue
	notBefore time.Time          // as the provider asked
	abandoned int                // calls past their deadline that have not returned
	orphans   map[string]orphans // of these, by group
}

// orphans are abandoned calls of one group, and how many of them close something.
type orphans struct{ calls, ends int }

func newTarget(d *Dispatcher, id targetID) *target {
	return &target{d: d, id: id, slots: slots{free: d.opts.Concurrency}, queues: map[string]*queue{}, orphans: map[string]orphans{}}
}

// replace puts in in force, nil for none, and reports whether nothing waits.
func (t *target) replace(in Integration) (idle bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in = in
	if in != nil {
		t.slots.set(!in.Keyed())
	}
	for _, q := range t.queues {
		q.failures, q.next = 0, time.Time{} // the reload may be the cure
		q.notify()
	}
	return len(t.queues) == 0
}

// wantsEnds reports whether the end of an incident is worth a message there. An
// integration that is gone is told of what it was told before.
func (t *target) wantsEnds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.in == nil || t.in.SendResolved()
}

// push queues an item and sees to it that a worker looks after it.
func (t *target) push(it *item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.d.metrics.queued.WithLabelValues(t.id.receiver, t.id.integration).Inc()
	defer func() {
		if it.crowded {
			t.d.turnedAway.Add(1)
		}
	}()
	if q, ok := t.queues[it.n.GroupKey]; ok {
		t.finish(q.add(it), nil)
		q.notify()
		return
	}
	if it.crowded = len(t.queues) >= t.d.opts.MaxGroups; it.crowded && it.elsewhere {
		t.finish([]ending{{it, correlate.Failed, errTooManyGroups}}, nil)
		return
	}
	q := &queue{key: it.n.GroupKey, wake: make(chan struct{}, 1)}
	t.finish(q.add(it), nil)
	if len(q.items) > 0 {
		t.queues[q.key] = q
		t.d.workers.Go(func() { t.work(q) })
	}
}

// over tells a target that hears of no resolves that an incident has ended, so
// that it need not page for it any more.
func (t *target) over(n *correlate.Notification) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q, ok := t.queues[n.GroupKey]; ok {
		t.finish(q.add(&item{n: n, quiet: true}), nil)
		q.notify()
	}
}

// finish reports what left the queue, and has noted called once none of it can
// be lost any more, if it is not nil. The caller holds t.mu.
func (t *target) finish(ends []ending, noted func()) {
	if noted == nil {
		noted = func() {}
	}
	last := len(ends) - 1
	for last >= 0 && ends[last].it.receipt == nil {
		last--
	}
	if last < 0 {
		noted()
	}
	for i, e := range ends {
		if e.it.receipt == nil {
			continue
		}
		t.d.metrics.queued.WithLabelValues(t.id.receiver, t.id.integration).Dec()
		rc := receiptOf(e.it.n, t.id.integration, e.outcome)
		if e.it.page && rc.Kind == correlate.Update {
			rc.Kind, rc.Page = correlate.Page, e.it.instead() // it took the place of one, and called somebody
		}
		rc.Attempts = e.it.attempts
		if e.outcome == correlate.Accepted {
			rc.Generation = e.it.generation
		}
		if e.it.n.Kind == correlate.Resolve && e.outcome != correlate.Superseded {
			t.d.held.over(e.it.n.Incident, t.id)
		}
		if e.err != nil {
			rc.Error = e.err.Error()
			t.d.opts.Logger.Error("a notification could not be sent", zap.String("receiver", t.id.receiver),
				zap.String("integration", t.id.integration), zap.String("notification", e.it.n.ID()), zap.String("error", rc.Error))
		}
		if e.outcome == correlate.Accepted {
			t.d.metrics.latency.WithLabelValues(t.id.receiver, t.id.integration).Observe(rc.At.Sub(e.it.n.At).Seconds())
		}
		then := func() {}
		if i == last {
			then = noted // receipts are noted in their order
		}
		t.d.receipts.add(e.it.receipt, rc, then)
	}
}

// work sends what a queue holds and ends with it.
func (t *target) work(q *queue) {
	for {
		it, due := t.head(q)
		if it == nil {
			return
		}
		select {
		case <-t.d.stop:
			return
		default:
		}
		if wait := time.Until(due); wait > 0 {
			t.pause(q, wait)
			continue
		}
		t.attempt(q, it)
	}
}

// head returns what to send next and when, nil when the queue has ended.
func (t *target) head(q *queue) (*item, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(q.items) > 0 && q.items[0].quiet {
		t.finish(q.items[0].ends(correlate.Skipped, nil), nil)
		q.drop()
	}
	if len(q.items) == 0 {
		delete(t.queues, q.key)
		return nil, time.Time{}
	}
	it := q.items[0]
	due := later(q.next, t.notBefore)
	left := t.orphans[q.key]
	if it.n.Kind == correlate.Resolve && left.calls > 0 || left.ends > 0 && t.in != nil && t.in.Keyed() {
		if it.heldUntil.IsZero() {
			it.heldUntil = time.Now().Add(maxHold)
		}
		due = later(due, it.heldUntil)
	}
	return it, due
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (t *target) pause(q *queue, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.wake:
	case <-t.d.stop:
	}
}

// attempt waits for a slot and sends it, unless the queue changes meanwhile.
func (t *target) attempt(q *queue, it *item) {
	place := t.slots.enter(rank{it.page, it.n.Severity.Rank(), it.n.At})
	made := false
	defer func() { t.slots.leave(place, made) }()
	if !t.admitted(q, it, place) {
		return
	}
	t.mu.Lock()
	if len(q.items) == 0 || q.items[0] != it || time.Now().Before(later(q.next, t.notBefore)) {
		t.mu.Unlock()
		return
	}
	if !t.d.may() {
		t.notBefore = later(t.notBefore, time.Now().Add(mayAgain))
		t.mu.Unlock()
		return
	}
	q.busy, it.since = true, time.Time{}
	in := t.in
	t.mu.Unlock()
	made = true

	e := t.send(in, it)

	t.mu.Lock()
	defer t.mu.Unlock()
	it.attempts++
	now, wait := time.Now(), time.Duration(0)
	if e != nil && e.Retry {
		if wait = min(e.After, maxRetryAfter); wait > 0 {
			// The provider means all of us, so nobody tries before.
			t.notBefore = later(t.notBefore, now.Add(wait))
		} else {
			wait = t.d.backoff(q.failures)
		}
		t.d.opts.Logger.Warn("an attempt to notify failed", zap.String("receiver", t.id.receiver),
			zap.String("integration", t.id.integration), zap.String("notification", it.n.ID()),
			zap.Uint32("attempts", it.attempts), zap.Duration("wait", wait), zap.String("error", e.Error()))
	}
	t.finish(q.settle(e, now, wait), t.slots.settle)
}

// admitted waits for a slot. There is none if the queue changes meanwhile.
func (t *target) admitted(q *queue, it *item, place *ticket) bool {
	select {
	case <-place.granted:
		return true
	default:
	}
	t.mu.Lock()
	if it.since.IsZero() {
		it.since = time.Now()
	}
	patience := time.NewTimer(time.Until(it.since.Add(doubtPatience)))
	t.mu.Unlock()
	defer patience.Stop()
	for {
		select {
		case <-place.granted:
			return true
		case <-patience.C:
			t.slots.press(place)
		case <-q.wake:
			return false
		case <-t.d.stop:
			return false
		}
	}
}

// call makes one call and waits for it no longer than its deadline, whether the
// integration heeds that or not.
func (t *target) call(in Integration, group string, m *Message) *Error {
	t.mu.Lock()
	hanging := t.abandoned
	t.mu.Unlock()
	if hanging >= t.d.opts.MaxAbandoned {
		return &Error{Retry: true, Err: fmt.Errorf("%s: %d calls have not returned: no more are made until one does", in.Name(), hanging)}
	}
	ctx, cancel := context.WithTimeoutCause(t.d.ctx, t.d.opts.Timeout,
		fmt.Errorf("%s: no answer within %s", in.Name(), t.d.opts.Timeout))
	defer cancel()

	result := make(chan error, 1)
	var returned, left bool // guarded by t.mu
	go func() {
		err := t.guard(ctx, in, m)
		t.mu.Lock()
		defer t.mu.Unlock()
		result <- err
		returned = true
		if left {
			t.orphaned(group, m, -1)
		}
	}()
	select {
	case err := <-result:
		return t.count(err)
	case <-ctx.Done():
	}
	grace := time.NewTimer(abandonAfter)
	defer grace.Stop()
	select {
	case err := <-result:
		return t.count(err)
	case <-grace.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if returned {
		return t.count(<-result)
	}
	left = true
	t.orphaned(group, m, 1)
	t.d.metrics.attempts.WithLabelValues(t.id.receiver, t.id.integration, attemptAbandoned).Inc()
	return &Error{Retry: true, Unknown: true, Err: context.Cause(ctx)}
}

// orphaned counts abandoned calls. The caller holds t.mu.
func (t *target) orphaned(group string, m *Message, by int) {
	t.abandoned += by
	t.d.metrics.abandoned.WithLabelValues(t.id.receiver, t.id.integration).Set(float64(t.abandoned))
	left := t.orphans[group]
	left.calls += by
	if m.Notification.Kind == correlate.Resolve {
		left.ends += by
	}
	t.orphans[group] = left
	if left.calls == 0 {
		delete(t.orphans, group)
	}
	if q, ok := t.queues[group]; ok && (left.calls == 0 || left.ends == 0) {
		q.notify()
	}
}

// count classifies the end of a call that returned.
func (t *target) count(err error) *Error {
	var e *Error
	outcome := attemptAccepted
	if err != nil {
		var ok bool
		if e, ok = errors.AsType[*Error](err); !ok {
			e = &Error{Retry: true, Unknown: true, Err: err}
		} else if error(e) != err {
			wrapped := *e
			wrapped.Err = err
			e = &wrapped
		}
		outcome = attemptFailed
		if e.Retry {
			outcome = attemptRetried
		}
	}
	t.d.metrics.attempts.WithLabelValues(t.id.receiver, t.id.integration, outcome).Inc()
	return e
}

// guard makes the call, if this process may, and turns a panic of an integration
// into an error that no retry mends.
// What it panicked with is not printed: it may hold a secret.
func (t *target) guard(ctx context.Context, in Integration, m *Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Unknown: true, Err: fmt.Errorf("%s: send %s: the integration panicked (%T)", in.Name(), m.Notification.ID(), r)}
			t.d.opts.Logger.Error("an integration panicked", zap.String("receiver", t.id.receiver),
				zap.String("integration", t.id.integration), zap.ByteString("stack", debug.Stack()))
		}
	}()
	if !t.d.may() { // this goroutine may have stood still since it was asked
		return &Error{Retry: true, After: mayAgain, Err: fmt.Errorf("%s: %w", in.Name(), errMayNot)}
	}
	return in.Send(ctx, m)
}
