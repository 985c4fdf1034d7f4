package sinks

import (
	"sync"

	"github.com/winnowhq/winnow/correlate"
)

// maxReceipts bounds the receipts that wait for the callback. Above it Deliver
// waits for the callback; workers never do.
const maxReceipts = 64 << 10

// receipts hands receipts to the callback, one at a time and in order.
type receipts struct {
	out func(r correlate.Receipt, noted func())

	mu      sync.Mutex
	moved   sync.Cond // waiting or closed has changed
	queue   []report
	waiting int // in queue, and those that run has taken but not handed on
	closed  bool
	done    chan struct{}
}

// report is a receipt, and what to call once it cannot be lost any more.
type report struct {
	receipt correlate.Receipt
	noted   func()
}

// countdown knows how many receipts of a notification are still to come.
type countdown struct{ left int } // guarded by receipts.mu

func newReceipts(out func(r correlate.Receipt, noted func())) *receipts {
	r := &receipts{out: out, done: make(chan struct{})}
	r.moved.L = &r.mu
	go r.run()
	return r
}

func (r *receipts) run() {
	defer close(r.done)
	for {
		r.mu.Lock()
		for len(r.queue) == 0 && !r.closed {
			r.moved.Wait()
		}
		batch := r.queue
		r.queue = nil
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			r.out(batch[i].receipt, batch[i].noted)
			r.mu.Lock()
			r.waiting--
			r.moved.Broadcast()
			r.mu.Unlock()
		}
	}
}

// wait blocks while the callback is too far behind.
func (r *receipts) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.waiting >= maxReceipts && !r.closed {
		r.moved.Wait()
	}
}

// add queues a receipt and marks the last one of its notification.
func (r *receipts) add(c *countdown, rc correlate.Receipt, noted func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	c.left--
	rc.Last = c.left == 0
	r.queue = append(r.queue, report{rc, noted})
	r.waiting++
	r.moved.Broadcast()
}

// close takes no more receipts and lets the callback see those that wait.
func (r *receipts) close() {
	r.mu.Lock()
	r.closed = true
	r.moved.Broadcast()
	r.mu.Unlock()
}
