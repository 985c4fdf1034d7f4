package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
)

const (
	// forwardTimeout bounds what a sender waits for a page beyond the log's own
	// time.
	forwardTimeout = 5 * time.Second

	// forwardMemory is how long an alert that was handed on is not handed on
	// again: its sender goes on sending it.
	forwardMemory = 10 * time.Minute

	// standstill is how long an append to a shared log takes only if this process
	// stood still meanwhile: another may have stored the alert's frame, paged and
	// heard its end by then.
	standstill = 5 * time.Second

	// maxForwarded bounds those that are remembered. One more may be paged
	// again, under the key that it has.
	maxForwarded = 16 << 10
)

// forward is the log as the doors see it. What the log does not take and must
// be acted on goes to people while its sender waits: the sender is told that it
// was accepted only when somebody has it. It is kept, and written to the log
// once that takes something again.
type forward struct {
	node  *Node
	log   ingest.Log
	later *later

	forgotten atomic.Uint64 // handed on and not remembered, for want of room

	down atomic.Bool // the last append failed, or the log says that the next will

	mu   sync.Mutex
	sent map[alert.Fingerprint]time.Time
}

func newForward(n *Node, log *stream.Stream) *forward {
	f := &forward{node: n, log: log, sent: map[alert.Fingerprint]time.Time{}}
	f.later = &later{write: log.AppendEvents}
	return f
}

// Append implements ingest.Log.
func (f *forward) Append(ctx context.Context, b *ingest.Batch) error {
	begun := time.Now()
	err := f.log.Append(ctx, b)
	if err == nil {
		f.recovered()
	}
	if err == nil || !errors.Is(err, ingest.ErrUnavailable) {
		return err
	}
	f.fail(err)
	if len(b.Repeats) > 0 || f.node.stream.Shared() && time.Since(begun) >= standstill {
		return err // it comes again in full
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forwardTimeout)
	defer cancel()
	all := len(b.Quarantined) == 0
	reached := make([][]string, len(b.Alerts))
	errs := make([]error, len(b.Alerts))
	var wg sync.WaitGroup
	for i := range b.Alerts {
		a := &b.Alerts[i]
		if a.Status == alert.Resolved || a.Labels.Severity() < alert.Error {
			all = false // it can wait for its sender to come again
			continue
		}
		if !f.handed(a.Fingerprint) { // one receiver that hangs delays no other
			wg.Go(func() { reached[i], errs[i] = f.node.pager.PageNow(ctx, a) })
		}
	}
	wg.Wait()
	for i := range b.Alerts { // in the order that the log will have
		all = f.keep(b, &b.Alerts[i], reached[i], errs[i]) && all
	}
	if all {
		return nil
	}
	return err
}

// fail tells people that the log takes nothing; the next append that succeeds
// says that it is over.
func (f *forward) fail(err error) {
	f.down.Store(true)
	f.node.alarm.Raise(selfalert.LogUnavailable, err.Error())
}

// recovered says that the log takes alerts.
func (f *forward) recovered() {
	if f.down.CompareAndSwap(true, false) {
		f.node.alarm.Clear(selfalert.LogUnavailable)
	}
}

// handed reports whether an alert has been handed on a short while ago.
func (f *forward) handed(of alert.Fingerprint) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.sent[of]
	return ok && time.Since(at) < forwardMemory
}

// keep remembers what was handed on of a batch, to whom, until it is in the log.
// It is false when somebody has not got it, or there is no room.
func (f *forward) keep(b *ingest.Batch, a *alert.Alert, receivers []string, err error) bool {
	now := time.Now()
	if len(receivers) > 0 && !f.later.add(handedOn(b, a, receivers)...) {
		f.node.log.Error("an alert was handed on past the log and there is no room to remember it; its sender is asked to come again", zap.Stringer("fingerprint", a.Fingerprint))
		return false
	}
	if err != nil {
		f.node.log.Error("the log takes nothing, and a critical alert could not be handed on", zap.Stringer("fingerprint", a.Fingerprint), zap.Error(err))
		return false
	}
	if len(receivers) == 0 {
		return true // nothing was to be handed on
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sent) >= maxForwarded {
		for k, at := range f.sent { // order: whichever are old go
			if now.Sub(at) >= forwardMemory {
				delete(f.sent, k)
			}
		}
	}
	if len(f.sent) >= maxForwarded {
		f.forgotten.Add(1)
		return true
	}
	f.sent[a.Fingerprint] = now
	return true
}
