// Package pager sends single alerts straight to receivers, for whoever pages past
// the core. It decides where to and by what key, as the core would, with a copy of
// the core's rules and none of its code, and keeps to a pace. It never decides
// whether to page.
package pager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
)

// PerMinute bounds the raw pages of one receiver.
const PerMinute = 20

// sendTimeout bounds one attempt.
const sendTimeout = 5 * time.Second

// ErrPace is what Send wraps when a receiver has had its pages of this minute.
var ErrPace = errors.New("this one waits")

// Page is a raw page, to be sent or that its receiver took.
type Page struct {
	Alert         *alert.Alert
	Receiver, Key string
	Logged        bool // the alert is in the log
}

// Way is one way of an alert: to a receiver, under a key that its provider
// deduplicates on.
type Way struct{ Receiver, Key string }

// Options of a Pager. All but Logger are required.
type Options struct {
	// Send brings a page to its receiver. Others that wait behind it are named by
	// their number only. It has the context's deadline to do so.
	Send func(ctx context.Context, p Page, others int) error
	// Sent is told of each page that went out, so that its end will be told.
	Sent func(ctx context.Context, p Page)
	// Aliases is what the core has called groups.
	Aliases *Aliases

	Logger *zap.Logger
}

// Pager is safe for concurrent use.
type Pager struct {
	opts  Options
	route atomic.Pointer[Route]

	mu   sync.Mutex
	sent map[string][]time.Time // raw pages of the last minute, by receiver
}

// New returns a pager that routes by r.
func New(o Options, r *Route) *Pager {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	p := &Pager{opts: o, sent: map[string][]time.Time{}}
	p.SetRoute(r)
	return p
}

// SetRoute routes otherwise from now on.
func (p *Pager) SetRoute(r *Route) { p.route.Store(r) }

// Route is the tree in force.
func (p *Pager) Route() *Route { return p.route.Load() }

// Receivers lists that of each way of an alert.
func (p *Pager) Receivers(a *alert.Alert) (out []string) {
	routes := p.route.Load().Match(nil, a.Labels)
	if len(routes) == 1 { // there is no other way to compare its key with
		return []string{routes[0].Receiver}
	}
	for _, w := range p.ways(routes, a) {
		out = append(out, w.Receiver)
	}
	return out
}

// Ways lists where an alert goes, each way once.
func (p *Pager) Ways(a *alert.Alert) []Way {
	return p.ways(p.route.Load().Match(nil, a.Labels), a)
}

func (p *Pager) ways(routes []*Route, a *alert.Alert) (out []Way) {
	for _, r := range routes {
		if w := (Way{r.Receiver, r.PageKey(a, p.opts.Aliases.of)}); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// PageNow pages for an alert that could not be put into the log, while its
// sender waits. It succeeds when each receiver that the routes lead to has it,
// and returns those that have.
func (p *Pager) PageNow(ctx context.Context, a *alert.Alert) (reached []string, err error) {
	ways := p.Ways(a)
	errs := make([]error, len(ways))
	var wg sync.WaitGroup
	for i, w := range ways {
		wg.Go(func() { errs[i] = p.Send(ctx, a, w, 0, false) })
	}
	wg.Wait()
	for i, w := range ways {
		if errs[i] == nil {
			reached = append(reached, w.Receiver)
		}
	}
	return reached, errors.Join(errs...)
}

// Send brings an alert on one way, if the pace allows it.
func (p *Pager) Send(ctx context.Context, a *alert.Alert, w Way, others int, logged bool) error {
	if !p.may(w.Receiver) {
		return fmt.Errorf("%d raw pages went to receiver %s within a minute; %w", PerMinute, w.Receiver, ErrPace)
	}
	sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	page := Page{a, w.Receiver, w.Key, logged}
	if err := p.opts.Send(sendCtx, page, others); err != nil {
		p.opts.Logger.Error("a raw page could not be sent", zap.String("receiver", w.Receiver), zap.Stringer("fingerprint", a.Fingerprint), zap.Error(err))
		p.mu.Lock()
		took := p.sent[w.Receiver] // it did not go out: give back its place
		p.sent[w.Receiver] = took[:max(0, len(took)-1)]
		p.mu.Unlock()
		return err
	}
	p.opts.Sent(ctx, page)
	return nil
}

// may keeps to PerMinute: it takes one of them, or says that there is none left.
func (p *Pager) may(receiver string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	recent := slices.DeleteFunc(p.sent[receiver], func(t time.Time) bool { return time.Since(t) >= time.Minute })
	may := len(recent) < PerMinute
	if may {
		recent = append(recent, time.Now())
	}
	p.sent[receiver] = recent
	return may
}
