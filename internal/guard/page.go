package guard

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

const sendTimeout = 5 * time.Second

// page sends one alert to its receivers. One that no receiver took stays
// watched and is tried again at the next look.
func (g *Guard) page(ctx context.Context, w *watched, others int, now time.Time) {
	var reached []string
	for _, route := range g.route.Load().match(nil, w.alert.Labels) {
		receiver := route.Receiver
		if !g.mayPage(receiver, now) {
			continue
		}
		sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
		err := g.opts.Send(sendCtx, receiver, route.pageKey(&w.alert), &w.alert, others)
		cancel()
		if err != nil {
			g.opts.Logger.Error("the guard could not page", zap.String("receiver", receiver), zap.Stringer("fingerprint", w.alert.Fingerprint), zap.Error(err))
			continue
		}
		g.sent[receiver] = append(g.sent[receiver], now)
		reached = append(reached, receiver)
	}
	if len(reached) == 0 {
		return
	}
	g.paged.Add(1)
	g.mu.Lock()
	delete(g.waiting, w.alert.Fingerprint)
	g.mu.Unlock()
	g.opts.Logger.Error("the guard has paged: nobody had decided about a critical alert in time",
		zap.Stringer("fingerprint", w.alert.Fingerprint), zap.Uint64("seq", w.seq), zap.Strings("receivers", reached))
	g.opts.Sent(ctx, w.alert.Fingerprint, reached)
}

// mayPage keeps to PagesPerMinute.
func (g *Guard) mayPage(receiver string, now time.Time) bool {
	recent := slices.DeleteFunc(g.sent[receiver], func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	g.sent[receiver] = recent
	return len(recent) < PagesPerMinute
}

// sortByDue puts first what has waited longest; criticals first among equals.
func sortByDue(ws []*watched) {
	slices.SortFunc(ws, func(a, b *watched) int {
		return cmp.Or(
			a.pageBy.Compare(b.pageBy),
			cmp.Compare(b.alert.Labels.Severity(), a.alert.Labels.Severity()),
			cmp.Compare(a.alert.Fingerprint, b.alert.Fingerprint),
		)
	})
}
