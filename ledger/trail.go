package ledger

import (
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/paged"
)

// DefaultTrailRows is how many rows the trail keeps where nothing is said:
// about 27 MB of rows when it is full, and its indexes.
const DefaultTrailRows = 262_144

// Trail keeps the latest rows, plain repeats left out, chained by alert and by
// incident: a look-up costs as many steps as it returns rows. When it is full
// the oldest row makes room.
type Trail struct {
	limit int
	rows  paged.List[trailRow] // a ring once it is full
	next  uint64               // the position of the next row, counted from 1 for ever

	byAlert    map[alert.Fingerprint]uint64 // position of the latest row
	byIncident map[uint64]uint64
}

// trailRow links back to the row before it of the same alert and incident;
// 0 is none.
type trailRow struct {
	row                       correlate.Row
	olderAlert, olderIncident uint64
}

func newTrail(limit int) Trail {
	if limit == 0 {
		limit = DefaultTrailRows
	}
	return Trail{
		limit:      max(limit, 0),
		next:       1,
		byAlert:    map[alert.Fingerprint]uint64{},
		byIncident: map[uint64]uint64{},
	}
}

// Alert returns the rows of an alert that are kept, the oldest first, and
// whether older ones of it may have been overwritten.
func (t *Trail) Alert(fp alert.Fingerprint) (rows []correlate.Row, older bool) {
	rows, broken := t.chain(t.byAlert[fp], func(r *trailRow) uint64 { return r.olderAlert })
	whole := len(rows) > 0 && rows[0].Action == correlate.Delivered && rows[0].Verdict == dedupe.First
	return rows, broken || t.Overwritten() > 0 && !whole
}

// Incident returns the rows of an incident that are kept, those of its alerts
// and its notifications among them, the oldest first, and whether older ones
// of it may have been overwritten.
func (t *Trail) Incident(id uint64) (rows []correlate.Row, older bool) {
	rows, broken := t.chain(t.byIncident[id], func(r *trailRow) uint64 { return r.olderIncident })
	whole := slices.ContainsFunc(rows, func(r correlate.Row) bool { return r.Action == correlate.IncidentOpened })
	return rows, broken || t.Overwritten() > 0 && !whole
}

// Overwritten is how many rows had to make room since the books were opened.
func (t *Trail) Overwritten() uint64 { return t.next - 1 - uint64(t.rows.Len()) }

// chain follows the links from pos. It is broken where a link leads to a row
// that was overwritten. A chain whose latest row had gone starts anew and
// tells nothing of what was before.
func (t *Trail) chain(pos uint64, before func(*trailRow) uint64) (rows []correlate.Row, broken bool) {
	for pos != 0 && t.keeps(pos) {
		r := t.at(pos)
		rows = append(rows, r.row)
		pos = before(r)
	}
	slices.Reverse(rows)
	return rows, pos != 0
}

func (t *Trail) keeps(pos uint64) bool { return pos > t.Overwritten() && pos < t.next }

func (t *Trail) at(pos uint64) *trailRow { return t.rows.At(uint32((pos - 1) % uint64(t.limit))) }

func (t *Trail) add(r *correlate.Row) {
	if t.limit == 0 {
		return
	}
	tr := trailRow{row: *r}
	pos := t.next
	if t.rows.Len() == t.limit {
		t.forget(pos - uint64(t.limit))
	}
	if r.Fingerprint != 0 {
		tr.olderAlert = t.byAlert[r.Fingerprint]
		t.byAlert[r.Fingerprint] = pos
	}
	if r.Incident != 0 {
		tr.olderIncident = t.byIncident[r.Incident]
		t.byIncident[r.Incident] = pos
	}
	if t.rows.Len() < t.limit {
		t.rows.Add()
	}
	*t.at(pos) = tr
	t.next = pos + 1
}

// forget drops the heads of chains that end with the row at pos, so that the
// indexes never hold more than the ring.
func (t *Trail) forget(pos uint64) {
	r := &t.at(pos).row
	if t.byAlert[r.Fingerprint] == pos {
		delete(t.byAlert, r.Fingerprint)
	}
	if t.byIncident[r.Incident] == pos {
		delete(t.byIncident, r.Incident)
	}
}
