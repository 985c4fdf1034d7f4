package sim

import (
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// telling is a page or an update, with what the log has of its receipts.
type telling struct {
	n        *correlate.Notification
	answered bool // it did not only give its place to a newer one
	last     bool
}

// tellings are all that were decided.
func (w *world) tellings() (out []telling) {
	type id struct {
		incident uint64
		revision uint32
	}
	at := map[id]int{}
	for _, r := range w.outbox {
		for i := range r.commit.Outputs {
			if n := &r.commit.Outputs[i]; n.Kind != correlate.Resolve {
				at[id{n.Incident, n.Revision}] = len(out)
				out = append(out, telling{n: n})
			}
		}
	}
	for i := range w.heard {
		r := w.heard[i].ev.Receipt
		if r == nil || slices.Contains(w.poison, w.heard[i].seq) {
			continue
		}
		if k, ok := at[id{r.Incident, r.Revision}]; ok {
			out[k].answered = out[k].answered || r.Outcome != correlate.Superseded
			out[k].last = out[k].last || r.Last
		}
	}
	return out
}

// endOf is when the episode ended that a row speaks of.
func endOf(rows []correlate.Row, of *correlate.Row) alert.Time {
	for i := range rows {
		if r := &rows[i]; r.Action == correlate.Ended && r.At >= of.Until {
			return r.At
		}
	}
	return of.At
}

// heardOf holds the last word on each episode of an alert that is over: it counts
// as told only if the log knows of somebody who took, or refused, what names it,
// and as not told after all only if it knows of nobody.
func (w *world) heardOf(a *alert.Alert, rows []correlate.Row, all []telling) {
	var of []telling
	for i := range all {
		if names(all[i].n, a) {
			of = append(of, all[i])
		}
	}
	raw := slices.ContainsFunc(rows, func(r correlate.Row) bool { return r.Action == correlate.PagedRaw })
	fail := func(began alert.Time, why string) {
		panic(oracle("%s fired at %s, and %s", a.Labels, began.Std().Format(time.TimeOnly), why))
	}
	after := map[alert.Time]bool{} // of the episodes, by their beginning
	for i := range rows {
		if r := &rows[i]; r.Now == correlate.ResolvedBeforePage && (r.Was == correlate.Paged || r.Was == correlate.Grouped) {
			w.tally.unpaged++
			after[r.Until] = true
			if slices.ContainsFunc(of, func(t telling) bool {
				return t.n.At >= r.Until && t.n.At < endOf(rows, r) && (t.answered || !t.last)
			}) {
				fail(r.Until, "is said to have been told to nobody, and the log knows of an answer or waits for one")
			}
		}
	}
	var began alert.Time
	var now correlate.Disposition
	for i := range rows {
		switch r := &rows[i]; {
		case r.Action == correlate.Delivered && r.Now == correlate.Pending: // an onset
			began, now = r.At, r.Now
		case r.Action == correlate.Moved && r.Now != correlate.ResolvedBeforePage:
			now = r.Now
		case r.Action == correlate.Ended && (now == correlate.Paged || now == correlate.Grouped):
			// One that fired again stands in what was said of it before.
			if !after[began] && !raw && !slices.ContainsFunc(of, func(t telling) bool { return t.n.At <= r.At && (t.answered || !t.last) }) {
				fail(began, "is said to have been told, and the log knows of nobody")
			}
			now = correlate.NoDisposition
		}
	}
}
