package guard

import (
	"time"

	"github.com/winnowhq/winnow/alert"
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

// due reports whether an alert that nothing is known of has to be paged.
func (g *Guard) due(w *watched, now time.Time) bool {
	return !w.pageBy.After(now) || g.bypass.Load() && now.Sub(w.seen) >= bypassWithin
}

// patience is what a pending page gets beyond the time it is due.
func (g *Guard) patience() time.Duration {
	if g.bypass.Load() {
		return bypassWithin
	}
	return grace
}

// leave notes what could not be paged at this look.
func (g *Guard) leave(overdue []*watched) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = g.left[:0]
	for _, w := range overdue {
		if g.waiting[w.alert.Fingerprint] == w {
			g.left = append(g.left, w)
		}
	}
}

// Waiting lists what should have been paged and has not been, by the receivers
// that it should have gone to: there were too many, or nobody took it.
func (g *Guard) Waiting() map[string][]*alert.Alert {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string][]*alert.Alert{}
	for _, w := range g.left {
		for _, r := range g.route.Load().match(nil, w.alert.Labels) {
			out[r.Receiver] = append(out[r.Receiver], &w.alert)
		}
	}
	return out
}
