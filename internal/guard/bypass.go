package guard

import (
	"time"

	"github.com/winnowhq/winnow/internal/guard/kept"
)

// bypassWithin is what a core in trouble gets, so that one which is well again
// is not overtaken.
const bypassWithin = 2 * time.Second

// Bypass says whether the core is known to be in trouble: what it has not
// decided about is paged without waiting for its deadline.
func (g *Guard) Bypass(on bool) { g.bypass.Store(on) }

// Looked is when the guard last looked at its desk; zero before the first time.
func (g *Guard) Looked() time.Time {
	if at := g.looked.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// due reports whether an alert has to be paged that is not settled: it is
// pending until then, or nothing is known of it.
func (g *Guard) due(w *watched, pending bool, until, now time.Time) bool {
	if w.forced {
		return true
	}
	at := now.Sub(g.began)
	if !pending {
		return w.pageBy <= at || g.bypass.Load() && at-w.seen >= bypassWithin
	}
	by := until.Add(g.patience())
	if by.Before(now) {
		return true
	}
	w.pageBy = by.Sub(g.began)
	return false
}

// patience is what a pending page gets beyond the time it is due.
func (g *Guard) patience() time.Duration {
	if g.bypass.Load() {
		return bypassWithin
	}
	return grace
}

// Waiting lists what should have been paged at the look before the last and has
// not been, by the receivers that have not got it: there were too many, or they
// took none.
func (g *Guard) Waiting() map[string][]*kept.Alert {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string][]*kept.Alert{}
	for _, w := range g.left {
		if g.waiting[w.Fingerprint] != w {
			continue
		}
		for _, way := range g.waysOf(w) {
			if !w.tried[way].took {
				out[way.Receiver] = append(out[way.Receiver], w.Alert)
			}
		}
	}
	return out
}
