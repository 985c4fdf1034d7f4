package ledger

import (
	"math"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/paged"
	"github.com/winnowhq/winnow/internal/wire"
)

// rowShape is what few rows differ in: the eight small fields in the order of
// Row, and which of the others are there, low byte first.
type rowShape [10]byte

const (
	rowHasSeq uint16 = 1 << iota
	rowHasAlert
	rowLinksAlert // to the row before of the same alert
	rowHasIncident
	rowLinksIncident
	rowHasRevision
	rowHasDim
	rowHasCause
	rowHasUntil
	rowHasDelay
	rowHasAll = 1<<iota - 1
)

func (tr *trailRow) shape() rowShape {
	r := &tr.row
	var has uint16
	for _, f := range [...]struct {
		there bool
		bit   uint16
	}{
		{r.Seq != 0, rowHasSeq},
		{r.Fingerprint != 0, rowHasAlert}, {tr.alertBack != 0, rowLinksAlert},
		{r.Incident != 0, rowHasIncident}, {tr.incidentBack != 0, rowLinksIncident},
		{r.Revision != 0, rowHasRevision}, {r.Dim != 0, rowHasDim}, {r.Cause != "", rowHasCause},
		{r.Until != 0, rowHasUntil}, {r.Delay != 0, rowHasDelay},
	} {
		if f.there {
			has |= f.bit
		}
	}
	return rowShape{
		byte(r.Action), byte(r.Verdict), byte(r.Was), byte(r.Now), byte(r.Kind), byte(r.Reason), byte(r.Severity), byte(r.Paged),
		byte(has), byte(has >> 8),
	}
}

func readRowShape(r *wire.Reader) (shape rowShape) {
	for i := range shape {
		shape[i] = r.Byte()
	}
	if has := shape.has(); has > rowHasAll ||
		has&(rowHasAlert|rowLinksAlert) == rowLinksAlert || has&(rowHasIncident|rowLinksIncident) == rowLinksIncident {
		r.Fail("a row with fields %b", has)
	}
	return shape
}

func (s rowShape) has() uint16 { return uint16(s[8]) | uint16(s[9])<<8 }

// row has the small fields of the shape and nothing else.
func (s rowShape) row() correlate.Row {
	return correlate.Row{
		Action: correlate.Action(s[0]), Verdict: dedupe.Verdict(s[1]), Was: correlate.Disposition(s[2]), Now: correlate.Disposition(s[3]),
		Kind: correlate.Kind(s[4]), Reason: correlate.Reason(s[5]), Severity: alert.Severity(s[6]), Paged: alert.Severity(s[7]),
	}
}

// append writes the rows, the oldest first. The indexes follow from them.
func (t *Trail) append(s *stateWriter) {
	w := &trailWriter{stateWriter: s, overwritten: t.Overwritten(), shapes: map[rowShape]uint64{}}
	s.Uint(w.overwritten)
	s.Uint(uint64(t.rows.Len()))
	for pos := w.overwritten + 1; pos < t.next; pos++ {
		w.add(pos, t.at(pos))
	}
}

type trailWriter struct {
	*stateWriter
	overwritten uint64
	shapes      map[rowShape]uint64

	// Of the rows before.
	at  alert.Time
	seq uint64
}

func (w *trailWriter) add(pos uint64, tr *trailRow) {
	r := &tr.row
	if shape := tr.shape(); number(w.Writer, w.shapes, shape) {
		w.B = append(w.B, shape[:]...)
	}
	w.Int(int64(r.At - w.at))
	w.at = r.At
	if r.Seq != 0 {
		w.Int(int64(r.Seq - w.seq))
		w.seq = r.Seq
	}
	if !w.link(pos, tr.alertBack) && r.Fingerprint != 0 {
		w.Fixed(uint64(r.Fingerprint))
	}
	if !w.link(pos, tr.incidentBack) && r.Incident != 0 {
		w.Uint(r.Incident)
	}
	if r.Revision != 0 {
		w.Uint(uint64(r.Revision))
	}
	if r.Dim != 0 {
		w.Uint(uint64(r.Dim))
	}
	if r.Cause != "" {
		w.word(r.Cause)
	}
	if r.Until != 0 {
		w.Int(int64(r.Until - r.At))
	}
	if r.Delay != 0 {
		w.Int(int64(r.Delay))
	}
}

// link writes how far back the row before in the same chain is. It reports
// whether that row is kept: then it says whose chain it is.
func (w *trailWriter) link(pos uint64, back uint32) (kept bool) {
	if back != 0 {
		w.Uint(uint64(back))
	}
	return back != 0 && pos-uint64(back) > w.overwritten
}

func (t *Trail) load(s *stateReader) {
	overwritten := s.Uint()
	n := s.Count(2)
	// Only a full ring overwrites, and its size decides where each row is.
	if n > t.limit || overwritten > 0 && (n == 0 || n < t.limit) || overwritten > math.MaxInt64 {
		s.Fail("%d rows, %d overwritten, in a trail of %d rows: open the ledger with the TrailRows it was written with", n, overwritten, t.limit)
	}
	if n == 0 || s.Err() != nil {
		return
	}
	t.rows = paged.List[trailRow]{}
	t.rows.Grow(n)
	r := &trailReader{stateReader: s, trail: t, overwritten: overwritten}
	for t.next = overwritten + 1; t.next <= overwritten+uint64(n); t.next++ {
		if r.load(t.next, t.at(t.next)); s.Err() != nil {
			return
		}
	}
}

type trailReader struct {
	*stateReader
	trail       *Trail
	overwritten uint64
	shapes      []rowShape

	at  alert.Time
	seq uint64
}

// load reads the row at pos into tr and makes it the latest of its chains.
func (r *trailReader) load(pos uint64, tr *trailRow) {
	shape := numbered(r.Reader, &r.shapes, readRowShape)
	row, has := shape.row(), shape.has()
	r.at += alert.Time(r.Int())
	row.At = r.at
	if has&rowHasSeq != 0 {
		r.seq += uint64(r.Int())
		row.Seq = r.seq
	}
	if has&rowHasAlert != 0 {
		back, before := r.link(pos, has&rowLinksAlert != 0)
		if before != nil {
			row.Fingerprint = before.Fingerprint
		} else {
			row.Fingerprint = alert.Fingerprint(r.Fixed())
		}
		tr.alertBack = back
		r.joins(pos, back, row.Fingerprint != 0, r.trail.joinAlert(row.Fingerprint))
	}
	if has&rowHasIncident != 0 {
		back, before := r.link(pos, has&rowLinksIncident != 0)
		if before != nil {
			row.Incident = before.Incident
		} else {
			row.Incident = r.Uint()
		}
		tr.incidentBack = back
		r.joins(pos, back, row.Incident != 0, r.trail.joinIncident(row.Incident))
	}
	if has&rowHasRevision != 0 {
		row.Revision = r.Uint32()
	}
	if has&rowHasDim != 0 {
		row.Dim = r.Uint32()
	}
	if has&rowHasCause != 0 {
		row.Cause = r.word()
	}
	if has&rowHasUntil != 0 {
		row.Until = row.At + alert.Time(r.Int())
	}
	if has&rowHasDelay != 0 {
		row.Delay = time.Duration(r.Int())
	}
	tr.row = row
}

// link reads how far back the row before in the same chain is, 0 where there is
// none. before is that row if it is kept.
func (r *trailReader) link(pos uint64, linked bool) (back uint32, before *correlate.Row) {
	if !linked {
		return 0, nil
	}
	n := r.Uint()
	if n == 0 || n >= pos || n > uint64(r.trail.limit) {
		r.Fail("row %d links %d rows back", pos, n)
		return 0, nil
	}
	if older := pos - n; older > r.overwritten {
		before = &r.trail.at(older).row
	}
	return uint32(n), before
}

// joins wants the row at pos to link to the one that was the latest of its chain,
// unless that was overwritten.
func (r *trailReader) joins(pos uint64, back uint32, named bool, latest uint32) {
	if pos-uint64(back) <= r.overwritten {
		back = 0
	}
	if !named || latest != back {
		r.Fail("row %d links %d rows back, and the latest of its chain is %d back", pos, back, latest)
	}
}
