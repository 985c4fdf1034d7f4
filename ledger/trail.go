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

	byAlert    index // where in rows the latest one is, counted from 1
	byIncident index
}

// trailRow says how many rows before it the one before of the same alert and
// incident came, no more than the ring holds; 0 is none.
type trailRow struct {
	row                     correlate.Row
	alertBack, incidentBack uint32
}

func newTrail(limit int) Trail {
	if limit == 0 {
		limit = DefaultTrailRows
	}
	return Trail{
		limit: max(limit, 0),
		next:  1,
	}
}

// Alert returns the rows of an alert that are kept, the oldest first, and
// whether older ones of it may have been overwritten.
func (t *Trail) Alert(fp alert.Fingerprint) (rows []correlate.Row, older bool) {
	rows, broken := t.chain(t.latestOfAlert(fp), func(r *trailRow) uint32 { return r.alertBack })
	whole := len(rows) > 0 && rows[0].Action == correlate.Delivered && rows[0].Verdict == dedupe.First
	return rows, broken || t.Overwritten() > 0 && !whole
}

// Incident returns the rows of an incident that are kept, those of its alerts
// and its notifications among them, the oldest first, and whether older ones
// of it may have been overwritten.
func (t *Trail) Incident(id uint64) (rows []correlate.Row, older bool) {
	rows, broken := t.chain(t.latestOfIncident(id), func(r *trailRow) uint32 { return r.incidentBack })
	whole := slices.ContainsFunc(rows, func(r correlate.Row) bool { return r.Action == correlate.IncidentOpened })
	return rows, broken || t.Overwritten() > 0 && !whole
}

// Overwritten is how many rows had to make room since the books were opened.
func (t *Trail) Overwritten() uint64 { return t.next - 1 - uint64(t.rows.Len()) }

// chain follows the links from pos. It is broken where a link leads to a row
// that was overwritten. A chain whose latest row had gone starts anew and
// tells nothing of what was before.
func (t *Trail) chain(pos uint64, back func(*trailRow) uint32) (rows []correlate.Row, broken bool) {
	for pos != 0 && t.keeps(pos) {
		r := t.at(pos)
		rows = append(rows, r.row)
		n := back(r)
		if n == 0 {
			pos = 0
			break
		}
		pos -= uint64(n)
	}
	slices.Reverse(rows)
	return rows, pos != 0
}

func (t *Trail) keeps(pos uint64) bool { return pos > t.Overwritten() && pos < t.next }

func (t *Trail) at(pos uint64) *trailRow { return t.rows.At(t.number(pos) - 1) }

// number is where in rows a position is, counted from 1.
func (t *Trail) number(pos uint64) uint32 { return uint32((pos-1)%uint64(t.limit)) + 1 }

// back is how many rows before the next one the latest with a number came, 0 for
// no number.
func (t *Trail) back(number uint32) uint32 {
	if number == 0 {
		return 0
	}
	next := t.number(t.next)
	if next <= number { // it is of the round before
		next += uint32(t.limit)
	}
	return next - number
}

func (t *Trail) latestOfAlert(fp alert.Fingerprint) uint64 {
	return t.latest(t.byAlert.get(tagOf(uint64(fp)), t.isOfAlert(fp)))
}

func (t *Trail) latestOfIncident(id uint64) uint64 {
	return t.latest(t.byIncident.get(tagOf(id), t.isOfIncident(id)))
}

// latest is the position with a number, 0 for no number.
func (t *Trail) latest(number uint32) uint64 {
	if number == 0 {
		return 0
	}
	return t.next - uint64(t.back(number))
}

func (t *Trail) isOfAlert(fp alert.Fingerprint) func(uint32) bool {
	return func(number uint32) bool { return t.rows.At(number-1).row.Fingerprint == fp }
}

func (t *Trail) isOfIncident(id uint64) func(uint32) bool {
	return func(number uint32) bool { return t.rows.At(number-1).row.Incident == id }
}

// joinAlert makes the next row the latest of an alert and returns how many rows
// before it the one that was came, 0 for none.
func (t *Trail) joinAlert(fp alert.Fingerprint) (back uint32) {
	return t.back(t.byAlert.set(tagOf(uint64(fp)), t.number(t.next), t.isOfAlert(fp)))
}

func (t *Trail) joinIncident(id uint64) (back uint32) {
	return t.back(t.byIncident.set(tagOf(id), t.number(t.next), t.isOfIncident(id)))
}

func (t *Trail) add(r *correlate.Row) {
	if t.limit == 0 {
		return
	}
	if t.rows.Len() == t.limit {
		t.forget(t.next - uint64(t.limit))
	} else {
		t.rows.Add()
	}
	tr := t.at(t.next)
	*tr = trailRow{row: *r}
	if r.Fingerprint != 0 {
		tr.alertBack = t.joinAlert(r.Fingerprint)
	}
	if r.Incident != 0 {
		tr.incidentBack = t.joinIncident(r.Incident)
	}
	t.next++
}

// forget drops the heads of chains that end with the row at pos, so that the
// indexes never hold more than the ring.
func (t *Trail) forget(pos uint64) {
	r := &t.at(pos).row
	t.byAlert.remove(tagOf(uint64(r.Fingerprint)), t.number(pos))
	t.byIncident.remove(tagOf(r.Incident), t.number(pos))
}
