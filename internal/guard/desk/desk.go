// Package desk has what the guard is told by the engine: how far it has come, and
// which pages are due when. It never decides anything, and nothing in it waits for
// the guard, nor the guard for the engine.
package desk

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/guard/pager"
)

// Desk is where the engine says it. Its methods are safe for concurrent use.
type Desk struct {
	pager.Aliases
	applied atomic.Uint64

	began time.Time // pending counts from it

	// pending is when pages are due. It has no pointers: with a million alerts that
	// are pending the collector would follow each.
	mu      sync.Mutex
	pending map[alert.Fingerprint]time.Duration
}

// New returns an empty one that begins at a time of the monotonic clock.
func New(began time.Time) *Desk {
	return &Desk{began: began, pending: map[alert.Fingerprint]time.Duration{}}
}

// Applied says that all alerts of the log up to message seq have a disposition,
// be it that their page is pending.
func (d *Desk) Applied(seq uint64) { d.applied.Store(seq) }

// Pending says that an alert's page is due at a time, which has to be one of the
// monotonic clock: the machine's may be set.
func (d *Desk) Pending(f alert.Fingerprint, until time.Time) {
	d.mu.Lock()
	d.pending[f] = until.Sub(d.began)
	d.mu.Unlock()
}

// Settled says that an alert is pending no longer.
func (d *Desk) Settled(f alert.Fingerprint) {
	d.mu.Lock()
	delete(d.pending, f)
	d.mu.Unlock()
}

// Standing says what is known of an alert that came with message seq: nothing
// yet, or that it is settled, or until when it is pending.
func (d *Desk) Standing(f alert.Fingerprint, seq uint64) (known bool, until time.Time) {
	if d.applied.Load() < seq {
		return false, time.Time{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if after, ok := d.pending[f]; ok {
		return true, d.began.Add(after)
	}
	return true, time.Time{}
}
