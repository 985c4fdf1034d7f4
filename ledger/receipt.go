package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// maxAcceptances bounds what is kept of one incident to tell a receipt that
// comes twice; the latest stay.
const maxAcceptances = 64

// maxReceiptLead bounds how far a sink's clock may be ahead of the log.
const maxReceiptLead = time.Hour

// FoldReceipt enters what a sink reported: each integration that accepted is a
// notification; a page counts once, when the first integration has it or an
// update in its place. The same receipt counts once, however often it comes.
func (l *Ledger) FoldReceipt(r correlate.Receipt) {
	at := l.receiptTime(r.At)
	l.trail.add(&correlate.Row{
		At: at, Action: correlate.ReceiptReceived, Kind: r.Kind,
		Incident: r.Incident, Revision: r.Revision, Cause: receiptCause(&r),
	})
	l.confirm(&r, at)
	if r.Outcome != correlate.Accepted {
		return
	}
	inc := l.receipts.incident(r.Incident)
	if !inc.accept(acceptance{r.Revision, r.Receiver, r.Integration}) {
		return
	}
	// A page whose alert is not known still has its place in the breakdown.
	c := &l.other
	if inc.dimKnown {
		c = l.dim(inc.dim)
	}
	h := l.hours.at(at)
	l.total.notifications++
	c.notifications++
	if h != nil {
		h.notifications++
	}
	page := cmp.Or(r.Page, r.Revision)
	if r.Kind != correlate.Page || slices.Contains(inc.pages, page) {
		return
	}
	inc.pages = keepLatest(inc.pages, page)
	l.total.pages++
	c.pages++
	if h != nil {
		h.pages++
	}
}

// receiptTime is the sink's time where the log bears it out, and the log's
// otherwise: a provider's clock must not move the books.
func (l *Ledger) receiptTime(at alert.Time) alert.Time {
	if l.until != 0 && (at < l.until || at > l.until.Add(maxReceiptLead)) {
		return l.until
	}
	return at
}

// receiptCause puts into words what a Row has no field for.
func receiptCause(r *correlate.Receipt) string {
	cause := outcomeWords(r) + " " + r.Receiver
	if r.Integration != "" && r.Integration != correlate.Nobody {
		cause += "/" + r.Integration
	}
	if r.Page != 0 {
		cause += fmt.Sprintf(" in the place of %s/%d", correlate.IncidentName(r.Incident), r.Page)
	}
	if r.Error != "" {
		cause += ": " + r.Error
	}
	return cause
}

func outcomeWords(r *correlate.Receipt) string {
	switch r.Outcome {
	case correlate.Accepted:
		return "accepted by"
	case correlate.Failed:
		return "refused for good by"
	case correlate.Superseded:
		return "superseded by a newer one at"
	case correlate.Skipped:
		if r.Integration == correlate.Nobody {
			return "had nobody to go to at"
		}
		return "not needed by" // which wants no resolves, or was told nothing that could be over
	}
	return "reported by"
}

// receipts tells the receipts of recent incidents apart.
type receipts struct {
	byIncident map[uint64]*incident
	order      []uint64 // as they came, the oldest to go first
}

// incident is what is known of one for its receipts.
type incident struct {
	dim      uint32 // of the alert that set off its latest page
	dimKnown bool
	accepted []acceptance
	pages    []uint32 // revisions
}

type acceptance struct {
	revision              uint32
	receiver, integration string
}

func newReceipts() receipts { return receipts{byIncident: map[uint64]*incident{}} }

func (rs *receipts) incident(id uint64) *incident {
	if inc := rs.byIncident[id]; inc != nil {
		return inc
	}
	if len(rs.order) == MaxIncidents {
		delete(rs.byIncident, rs.order[0])
		rs.order = rs.order[1:]
	}
	inc := &incident{}
	rs.byIncident[id] = inc
	rs.order = append(rs.order, id)
	return inc
}

// accept reports whether a is new.
func (inc *incident) accept(a acceptance) bool {
	if slices.Contains(inc.accepted, a) {
		return false
	}
	inc.accepted = keepLatest(inc.accepted, a)
	return true
}

func keepLatest[T any](s []T, v T) []T {
	if len(s) == maxAcceptances {
		s = slices.Delete(s, 0, 1)
	}
	return append(s, v)
}
