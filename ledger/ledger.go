// Package ledger keeps the accounts: what came in, what became of it, and what
// that cost in delay and in criticals nobody heard of.
//
// It is a fold over the rows that correlate emits and the receipts of the sinks,
// in their order, and it is pure: no clock, goroutine, lock, log or I/O, so the
// same rows give the same books. Only Render, Markdown, Explain and AppendState
// write, to the writer they are given. What becomes of an alert it takes from the
// rows, but for one thing that receipts alone can say: that it was over before
// anybody took its page. It never repairs the books: a row that does not fit
// leaves them out of balance, for all to see.
package ledger

import (
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// Limits of the books. Totals are exact whatever the limits; only what is
// listed or broken down is bounded.
const (
	// MaxDims bounds the combinations that are counted apart. What has a
	// higher number is counted together, as source, rule and service "(other)".
	MaxDims = 1 << 18

	// MaxEpisodes bounds the open episodes whose length is measured. Critical
	// ones do not count towards it: they are followed to their end, however
	// many correlate lets live.
	MaxEpisodes = 1 << 20

	// MaxIncidents bounds the incidents whose receipts are told apart. Of one
	// that was pushed out, a receipt that comes twice counts twice.
	MaxIncidents = 1 << 16

	// MaxListed bounds each list of criticals in a report; the latest stay.
	MaxListed = 100

	// SelfResolved is the length under which an episode ended by itself, as
	// far as a person can tell.
	SelfResolved = 5 * time.Minute
)

// Options of a Ledger. The zero value works.
type Options struct {
	// TrailRows bounds the trail; 0 means DefaultTrailRows, less means none.
	TrailRows int
}

// Ledger is the books. It is for one goroutine at a time.
type Ledger struct {
	dims func(uint32) correlate.Dim

	total counts
	byDim []counts // by number, grown to the highest seen
	other counts   // of numbers from MaxDims on, and of pages whose alert is not known

	incidents uint64
	raw       uint64 // pages past the core
	delays    [alert.Critical + 1]histogram
	hours     hours
	episodes  episodes
	receipts  receipts
	trail     Trail

	unconfirmed unconfirmed

	since, until alert.Time // of the rows seen

	touched uint32 // keeps touch from being left out
}

// New opens empty books. dims tells what a row's Dim stands for; it is called
// when a report is made, with numbers that rows have carried.
func New(dims func(uint32) correlate.Dim, opts Options) *Ledger {
	return &Ledger{
		dims:     dims,
		receipts: newReceipts(),
		trail:    newTrail(opts.TrailRows),

		unconfirmed: newUnconfirmed(),
	}
}

// Trail is the rows themselves, as far back as they are kept.
func (l *Ledger) Trail() *Trail { return &l.trail }

// counts is what is counted for all and for each dimension alike.
type counts struct {
	deliveries    uint64
	onsets        uint64
	reopened      uint64
	notifications uint64
	pages         uint64
	dispositions  [correlate.NumDispositions]uint64
}

// accounted is the sum over all dispositions. NoDisposition is none: a delivery
// that was given none is missing from the sum, which is how it is found.
func (c *counts) accounted() uint64 {
	var n uint64
	for d := correlate.NoDisposition + 1; d < correlate.NumDispositions; d++ {
		n += c.dispositions[d]
	}
	return n
}

func (c *counts) balanced() bool { return c.deliveries == c.accounted() }

// suppressed is what nobody was told of, for a reason other than that it was
// known or over. What shared a storm's page is not among it: somebody was told,
// if only how many there are.
func (c *counts) suppressed() uint64 {
	d := &c.dispositions
	return d[correlate.Held] + d[correlate.Flapping] + d[correlate.Silenced] + d[correlate.Inhibited] + d[correlate.Muted] +
		d[correlate.ResolvedBeforePage] + d[correlate.BelowThreshold]
}

func (c *counts) pending() uint64 {
	return c.dispositions[correlate.Pending] + c.dispositions[correlate.Held]
}

func (c *counts) add(o *counts) {
	c.deliveries += o.deliveries
	c.onsets += o.onsets
	c.reopened += o.reopened
	c.notifications += o.notifications
	c.pages += o.pages
	for d := range o.dispositions {
		c.dispositions[d] += o.dispositions[d]
	}
}

// Totals are the books in one line.
type Totals struct {
	Deliveries    uint64 // E: alerts as sent, re-sends included
	Onsets        uint64 // O: distinct alert × episode
	Incidents     uint64 // I
	Notifications uint64 // N: accepted by an integration
	Pages         uint64 // P: notifications that interrupt somebody, accepted by at least one

	Dispositions [correlate.NumDispositions]uint64
	Pending      uint64 // not yet decided for good: pending or held
	Balanced     bool   // of all and of each source; see Report.BySource for which

	SwallowedCriticals     uint64
	CriticalBelowThreshold uint64
}

// Totals costs a step for each dimension, each open critical episode and each
// that is over and in doubt.
func (l *Ledger) Totals() Totals {
	swallowed, below := l.standing(l.until)
	t := Totals{
		Deliveries:    l.total.deliveries,
		Onsets:        l.total.onsets,
		Incidents:     l.incidents,
		Notifications: l.total.notifications,
		Pages:         l.total.pages,
		Dispositions:  l.total.dispositions,
		Pending:       l.total.pending(),

		SwallowedCriticals:     l.episodes.swallowed.n + swallowed,
		CriticalBelowThreshold: l.episodes.belowThreshold.n + below,
	}
	t.Balanced = l.balanced()
	return t
}

// balanced holds every source to its own books, so that a surplus of one never
// hides a gap of another.
func (l *Ledger) balanced() bool {
	if !l.total.balanced() {
		return false
	}
	for _, s := range l.grouped(func(d correlate.Dim) string { return d.Source }) {
		if !s.counts.balanced() {
			return false
		}
	}
	return true
}
