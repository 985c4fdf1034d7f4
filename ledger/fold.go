package ledger

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

// Fold enters one row. Rows come in the order of the log, one for each
// delivery; FoldRepeats enters plain repeats in bulk. A repeat allocates nothing.
//
// Receipts come through FoldReceipt, which knows their outcome; a row of one is
// passed over. Notified counts nothing either: a notification counts when a
// sink has accepted it.
func (l *Ledger) Fold(r *correlate.Row) {
	if r.Action == correlate.ReceiptReceived {
		return
	}
	if r.Action == correlate.ClockSet {
		l.setClock(r.Delay)
	}
	l.saw(r.At)
	switch r.Action {
	case correlate.Delivered:
		l.delivered(r)
	case correlate.Moved:
		l.moved(r)
	case correlate.PagedRaw:
		l.raw++
		l.hold(r.Fingerprint)
	case correlate.IncidentOpened:
		l.incidents++
		if h := l.hours.at(r.At); h != nil {
			h.incidents++
		}
	}
	if r.Action != correlate.Delivered || r.Now != correlate.Repeat {
		l.trail.add(r)
	}
	if r.Action == correlate.Ended { // what comes of that stands behind it in the trail
		l.ended(r)
	}
}

// FoldRepeats enters n deliveries of alerts that were known already.
func (l *Ledger) FoldRepeats(at alert.Time, dim uint32, n uint64) {
	if n == 0 {
		return
	}
	l.saw(at)
	c := l.dim(dim)
	l.total.deliveries += n
	c.deliveries += n
	l.total.dispositions[correlate.Repeat] += n
	c.dispositions[correlate.Repeat] += n
	if h := l.hours.at(at); h != nil {
		h.deliveries += n
	}
}

func (l *Ledger) delivered(r *correlate.Row) {
	c := l.dim(r.Dim)
	now := known(r.Now)
	l.total.deliveries++
	c.deliveries++
	l.total.dispositions[now]++
	c.dispositions[now]++
	h := l.hours.at(r.At)
	if h != nil {
		h.deliveries++
	}
	if r.Verdict != dedupe.First && r.Verdict != dedupe.Reopened {
		return
	}
	l.total.onsets++
	c.onsets++
	if h != nil {
		h.onsets++
	}
	if r.Verdict == dedupe.Reopened {
		l.total.reopened++
		c.reopened++
	}
	l.episodes.begin(r)
	l.reached(r)
}

func (l *Ledger) moved(r *correlate.Row) {
	was, now := known(r.Was), known(r.Now)
	l.shift(r.Dim, was, now)
	l.episodes.move(r)
	if was != now {
		l.reached(r)
	}
}

// shift takes a delivery from one disposition to another.
func (l *Ledger) shift(dim uint32, was, now correlate.Disposition) {
	c := l.dim(dim)
	// Nothing to move is a fault of the row. Left uncorrected it shows as an
	// imbalance for good; wrapping below zero would hide it in the sum.
	if c.dispositions[was] > 0 {
		c.dispositions[was]--
		l.total.dispositions[was]--
	}
	c.dispositions[now]++
	l.total.dispositions[now]++
}

// reached measures what the way to a person took.
func (l *Ledger) reached(r *correlate.Row) {
	if !heard(r.Now, r.Paged) {
		return
	}
	l.delays[min(r.Severity, alert.Critical)].add(r.Delay)
	if r.Now == correlate.Paged && r.Incident != 0 {
		inc := l.receipts.incident(r.Incident)
		inc.dim, inc.dimKnown = r.Dim, true
	}
}

// dim returns the counts of a number.
func (l *Ledger) dim(dim uint32) *counts {
	if int64(dim) < int64(len(l.byDim)) {
		return &l.byDim[dim]
	}
	if dim >= MaxDims {
		return &l.other
	}
	l.byDim = append(l.byDim, make([]counts, int(dim)+1-len(l.byDim))...)
	return &l.byDim[dim]
}

func (l *Ledger) saw(at alert.Time) {
	if l.since == 0 || at < l.since {
		l.since = at
	}
	l.until = max(l.until, at)
}

// known maps a number that is no disposition to none, so that it shows as an
// imbalance.
func known(d correlate.Disposition) correlate.Disposition {
	if d >= correlate.NumDispositions {
		return correlate.NoDisposition
	}
	return d
}
