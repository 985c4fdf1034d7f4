package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
)

const sendTimeout = 5 * time.Second

// page sends one alert to its receivers. One that no receiver took stays
// watched and is tried again at the next look.
func (g *Guard) page(ctx context.Context, w *watched, others int) {
	reached, _ := g.send(ctx, &w.alert, others)
	if len(reached) == 0 {
		return
	}
	g.mu.Lock()
	delete(g.waiting, w.alert.Fingerprint)
	g.mu.Unlock()
	g.opts.Logger.Error("the guard has paged: nobody had decided about a critical alert in time",
		zap.Stringer("fingerprint", w.alert.Fingerprint), zap.Uint64("seq", w.seq), zap.Strings("receivers", reached))
	g.opts.Sent(ctx, w.alert.Fingerprint, reached)
}

// PageNow pages for an alert that could not be put into the log, while its
// sender waits. It succeeds when each receiver that the routes lead to has it,
// and returns those that have.
func (g *Guard) PageNow(ctx context.Context, a *alert.Alert) (reached []string, err error) {
	return g.send(ctx, a, 0)
}

// send brings an alert to its receivers and returns those that took it.
func (g *Guard) send(ctx context.Context, a *alert.Alert, others int) (reached []string, err error) {
	for _, route := range g.route.Load().match(nil, a.Labels) {
		receiver := route.Receiver
		if !g.mayPage(receiver) {
			err = errors.Join(err, fmt.Errorf("guard: %d raw pages went to receiver %s within a minute; this one waits", PagesPerMinute, receiver))
			continue
		}
		sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
		failed := g.opts.Send(sendCtx, receiver, route.pageKey(a), a, others)
		cancel()
		if failed != nil {
			g.opts.Logger.Error("the guard could not page", zap.String("receiver", receiver), zap.Stringer("fingerprint", a.Fingerprint), zap.Error(failed))
			err = errors.Join(err, failed)
			g.pace.Lock()
			took := g.sent[receiver] // it did not go out: give back its place
			g.sent[receiver] = took[:max(0, len(took)-1)]
			g.pace.Unlock()
			continue
		}
		reached = append(reached, receiver)
	}
	if len(reached) > 0 {
		g.paged.Add(1)
	}
	return reached, err
}

// mayPage keeps to PagesPerMinute: it takes one of them, or says that there is
// none left.
func (g *Guard) mayPage(receiver string) bool {
	g.pace.Lock()
	defer g.pace.Unlock()
	recent := slices.DeleteFunc(g.sent[receiver], func(t time.Time) bool { return time.Since(t) >= time.Minute })
	may := len(recent) < PagesPerMinute
	if may {
		recent = append(recent, time.Now())
	}
	g.sent[receiver] = recent
	return may
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
