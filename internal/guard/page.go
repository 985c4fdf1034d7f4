package guard

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/internal/guard/kept"
	"github.com/winnowhq/winnow/internal/guard/pager"
)

// maxExtra bounds the alerts beyond MaxWatched that a look takes along.
const maxExtra = 64

// beyond takes an alert for which there is no room: it is paged at the next look
// or, where there are too many of these, counted in a page. The caller holds g.mu.
func (g *Guard) beyond(a *kept.Firing, seq uint64) {
	g.turnedAway.Add(1)
	if len(g.extra) < maxExtra {
		g.extra = append(g.extra, &watched{Alert: a.Keep(), seq: seq, pageBy: time.Since(g.began), extra: true})
		return
	}
	for _, receiver := range g.pager.Receivers(a.Alert()) {
		g.uncounted[receiver]++
	}
}

// maxSending bounds what a receiver is sent at a look. More do not go out.
const maxSending = pager.PerMinute

// dispatch pages each receiver by itself: one that hangs keeps its own pages
// waiting, and nobody else's. It does not wait for them. What failed least often
// goes first, so that what is never taken keeps nothing else from being tried.
func (g *Guard) dispatch(ctx context.Context, overdue []*watched) {
	type page struct {
		*watched
		way pager.Way
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	lanes := map[string][]page{}
	for _, w := range overdue {
		for _, way := range g.waysOf(w) {
			switch {
			case !g.busy[way.Receiver] && !w.tried[way].took:
				lanes[way.Receiver] = append(lanes[way.Receiver], page{w, way})
			case w.extra && !w.tried[way].took:
				g.uncounted[way.Receiver]++
			}
		}
	}
	for receiver, pages := range lanes { // order: side by side
		slices.SortStableFunc(pages, func(a, b page) int { return cmp.Compare(a.tried[a.way].failed, b.tried[b.way].failed) })
		g.busy[receiver] = true
		uncounted := g.uncounted[receiver]
		g.sending.Go(func() {
			var wg sync.WaitGroup
			var took atomic.Bool
			for i, p := range pages[:min(len(pages), maxSending)] { // the rest at a later look
				wg.Go(func() {
					if g.page(ctx, p.watched, p.way, len(pages)-i-1+uncounted) {
						took.Store(true)
					}
				})
			}
			wg.Wait()
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.busy, receiver)
			if took.Load() { // with the number of all behind it
				g.uncounted[receiver] -= uncounted
			}
			for i, p := range pages {
				if p.extra && !p.tried[p.way].took && (i < maxSending || !took.Load()) {
					g.uncounted[receiver]++
				}
			}
		})
	}
}

// waysOf finds them once for each tree. The caller holds g.mu.
func (g *Guard) waysOf(w *watched) []pager.Way {
	if w.paging == nil {
		w.paging = &paging{tried: map[pager.Way]attempt{}}
	}
	if r := g.pager.Route(); w.route != r {
		w.route, w.ways = r, g.pager.Ways(w.Unpack())
	}
	return w.ways
}

// page sends one alert on one way. It is let go when it has been tried on all of
// its ways and somebody took it; until then the others are tried again.
func (g *Guard) page(ctx context.Context, w *watched, way pager.Way, others int) (took bool) {
	err := g.pager.Send(ctx, w.Unpack(), way, others, true)
	g.mu.Lock()
	at := w.tried[way]
	if at.took = err == nil; err != nil && !errors.Is(err, pager.ErrPace) {
		at.failed++
	}
	w.tried[way] = at
	reached, left := 0, 0
	for _, each := range g.waysOf(w) {
		switch at := w.tried[each]; {
		case at.took:
			reached++
		case at.failed == 0:
			left++
		}
	}
	if reached > 0 && left == 0 && g.waiting[w.Fingerprint] == w {
		delete(g.waiting, w.Fingerprint)
	}
	g.mu.Unlock()
	if err != nil {
		return false
	}
	if reached == 1 {
		g.paged.Add(1)
	}
	g.opts.Logger.Error("the guard has paged: nobody had decided about a critical alert in time",
		zap.Stringer("fingerprint", w.Fingerprint), zap.Uint64("seq", w.seq), zap.String("receiver", way.Receiver))
	return true
}

// sortByDue puts first what has waited longest; criticals first among equals.
func sortByDue(ws []*watched) {
	slices.SortFunc(ws, func(a, b *watched) int {
		return cmp.Or(
			cmp.Compare(a.pageBy, b.pageBy),
			cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(a.Fingerprint, b.Fingerprint),
		)
	})
}
