package ledger

import (
	"time"

	"github.com/winnowhq/winnow/correlate"
)

// Degradation is a time in which Winnow stood on one step of its ladder.
type Degradation struct {
	Level int       `json:"level"`
	Cause string    `json:"cause"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero: it still does
}

// Degraded lists when Winnow did less than all of its work, as far back as the
// trail goes; the latest MaxListed stay.
func (l *Ledger) Degraded() []Degradation {
	out := []Degradation{}
	for pos := l.trail.Overwritten() + 1; pos < l.trail.next; pos++ {
		r := &l.trail.at(pos).row
		if r.Action != correlate.Stepped {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Until.IsZero() {
			out[n-1].Until = r.Until.Std()
		}
		if r.Revision == 0 {
			continue
		}
		if len(out) == MaxListed {
			out = append(out[:0], out[1:]...)
		}
		out = append(out, Degradation{Level: int(r.Revision), Cause: r.Cause, Since: r.Until.Std()})
	}
	return out
}

// lasted says how long, up to a time if it still goes on.
func (d *Degradation) lasted(until time.Time) time.Duration {
	if !d.Until.IsZero() {
		until = d.Until
	}
	return max(until.Sub(d.Since), 0)
}

// degraded names what was so at the time of the rows.
func (e *explainer) degraded(rows []correlate.Row) {
	if len(rows) == 0 {
		return
	}
	first, last := rows[0].At.Std(), rows[len(rows)-1].At.Std()
	for _, d := range e.opts.Degraded {
		if d.Since.After(last) || !d.Until.IsZero() && d.Until.Before(first) {
			continue
		}
		until := "now"
		if !d.Until.IsZero() {
			until = d.Until.UTC().Format(secondLayout)
		}
		e.line("Winnow was degraded to L%d from %s until %s: %s.", d.Level, d.Since.UTC().Format(secondLayout), until, clean(d.Cause))
	}
}

func (p *printer) degraded(r *Report) {
	if len(r.Degraded) == 0 {
		return
	}
	p.title("Degraded")
	for i := range r.Degraded {
		d := &r.Degraded[i]
		still := ""
		if d.Until.IsZero() {
			still = ", still"
		}
		p.line("  %s  L%d  %s%s  %s", d.Since.UTC().Format(secondLayout), d.Level, seconds(d.lasted(r.Until).Seconds()), still, cell(d.Cause, p.opts.Width-36))
	}
}
