// Package guard pages raw what nobody has decided about in time.
//
// It reads the log by itself and knows of each alert of paging class by when it
// must have a disposition. What has none by then is sent as it came to the
// receiver that the routes lead to, whether the core hangs, panics or is not
// there. It shares no code with correlate; it never silences, groups or waits
// for anything else.
package guard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

const (
	// CriticalWithin is how long a critical alert may be without a disposition,
	// counted from when it was accepted.
	CriticalWithin = 60 * time.Second
	// ErrorWithin is the same for an alert of severity error. Others are not
	// guarded: they can wait for somebody to mend the core.
	ErrorWithin = 180 * time.Second
	// grace is what a pending page gets beyond the time it is due, and what the
	// core gets to catch up after a start.
	grace = 15 * time.Second
	// MaxWatched bounds the alerts that are watched. One more is paged at once.
	MaxWatched = 1 << 17
	// PagesPerMinute bounds the raw pages of one receiver. What comes beyond it
	// waits for the next minute; each is named in the page of the ones before.
	PagesPerMinute = 20
	look           = time.Second
	maxSending     = 16
)

// Route is a node of the routing tree, as much of it as leads to a receiver and
// tells by what key its provider knows a group.
type Route struct {
	Key        string
	Matchers   alert.Matchers
	Continue   bool
	Receiver   string
	GroupBy    []string // sorted
	GroupByAll bool
	Routes     []Route
}

// match appends the routes that ls takes.
func (r *Route) match(dst []*Route, ls alert.Labels) []*Route {
	if !r.Matchers.Matches(ls) {
		return dst
	}
	before := len(dst)
	for i := range r.Routes {
		n := len(dst)
		if dst = r.Routes[i].match(dst, ls); len(dst) > n && !r.Routes[i].Continue {
			break
		}
	}
	if len(dst) == before {
		dst = append(dst, r)
	}
	return dst
}

// pageKey is the key under which the core would page for a.
func (r *Route) pageKey(a *alert.Alert) string {
	group := a.Labels.AppendOnly(nil, r.GroupBy, r.GroupByAll)
	return alert.PageKey(r.Key+":"+group.String(), a.Labels.Severity())
}

// Options of a Guard.
type Options struct {
	// Read reads the log from where it stood at a time.
	Read func(ctx context.Context, since time.Time) (*stream.Reader, error)
	Desk *Desk

	// Send brings one alert to a receiver, under a key that its provider
	// deduplicates on. Others that wait behind it are named by their number
	// only. It has the context's deadline to do so.
	Send func(ctx context.Context, receiver, key string, a *alert.Alert, others int) error
	// Sent is told of each alert that was sent, so that the core learns of it.
	Sent func(ctx context.Context, f alert.Fingerprint, receivers []string)

	Logger *zap.Logger
}

// watched is an alert whose disposition is awaited.
type watched struct {
	alert  alert.Alert
	seq    uint64
	pageBy time.Time
	seen   time.Time // when the guard first read of it
	forced bool      // whatever the desk says
}

// Guard watches one log. Its methods are safe for concurrent use.
type Guard struct {
	opts  Options
	route atomic.Pointer[Route]
	paged atomic.Uint64

	bypass atomic.Bool  // see Bypass
	looked atomic.Int64 // when it last looked at the desk, in Unix nanoseconds

	mu      sync.Mutex
	left    []*watched // overdue, and still not paged at the last look
	waiting map[alert.Fingerprint]*watched
	pace    sync.Mutex
	sent    map[string][]time.Time // raw pages of the last minute, by receiver
}

// New returns a guard that routes by r.
func New(o Options, r *Route) *Guard {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	g := &Guard{opts: o, waiting: map[alert.Fingerprint]*watched{}, sent: map[string][]time.Time{}}
	g.SetRoute(r)
	return g
}

// SetRoute routes otherwise from now on.
func (g *Guard) SetRoute(r *Route) { g.route.Store(r) }

// Force has an alert paged at the next look, whatever is known of it.
func (g *Guard) Force(a *alert.Alert, seq uint64) {
	g.mu.Lock()
	g.waiting[a.Fingerprint] = &watched{alert: a.Clone(), seq: seq, pageBy: time.Now(), forced: true}
	g.mu.Unlock()
}

// Paged counts the alerts that the guard has paged.
func (g *Guard) Paged() uint64 { return g.paged.Load() }

// Run watches until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { g.read(ctx) })
	for {
		t := time.NewTimer(look)
		select {
		case <-ctx.Done():
			t.Stop()
			wg.Wait()
			return
		case <-t.C:
			g.inspect(ctx, time.Now())
			g.looked.Store(time.Now().UnixNano())
		}
	}
}

// read follows the log from a little before now, so that what was accepted just
// before a crash is watched too.
func (g *Guard) read(ctx context.Context) {
	since := time.Now().Add(-ErrorWithin - grace)
	for ctx.Err() == nil {
		r, err := g.opts.Read(ctx, since)
		if err == nil {
			stop := context.AfterFunc(ctx, r.Close)
			since, err = g.follow(ctx, r, since)
			stop()
			r.Close()
		}
		if ctx.Err() != nil {
			return
		}
		g.opts.Logger.Error("the guard cannot read the log", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(look):
		}
	}
}

func (g *Guard) follow(ctx context.Context, r *stream.Reader, since time.Time) (time.Time, error) {
	var d frame.Decoder
	speller := frame.NewSpeller(MaxWatched, func(a *alert.Alert) bool { return a.Labels.Severity() >= alert.Error })
	for {
		m, err := r.Next()
		if err != nil {
			return since, err
		}
		since = m.At.Std()
		// A frame that cannot be read is named by the engine.
		_, _ = d.Decode(m.Data, func(e *frame.Event) error {
			speller.Each(e, func(a *alert.Alert) { g.watch(a, m.Seq, since) })
			return nil
		})
	}
}

func (g *Guard) watch(a *alert.Alert, seq uint64, accepted time.Time) {
	if a.Status == alert.Resolved { // it is over: nothing to act on
		g.mu.Lock()
		delete(g.waiting, a.Fingerprint)
		g.mu.Unlock()
		return
	}
	var within time.Duration
	switch a.Labels.Severity() {
	case alert.Critical:
		within = CriticalWithin
	case alert.Error:
		within = ErrorWithin
	default:
		return
	}
	if known, until := g.opts.Desk.standing(a.Fingerprint, seq); known && until == 0 {
		return // the engine is ahead of us
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.waiting[a.Fingerprint]; w != nil {
		w.seq = seq // sent again; its time runs from the first
		return
	}
	pageBy := accepted.Add(within)
	if earliest := time.Now().Add(grace); pageBy.Before(earliest) {
		pageBy = earliest
	}
	if len(g.waiting) >= MaxWatched {
		pageBy = time.Now()
	}
	g.waiting[a.Fingerprint] = &watched{alert: a.Clone(), seq: seq, pageBy: pageBy, seen: time.Now()}
}

// inspect lets go of what is settled and pages what is overdue.
func (g *Guard) inspect(ctx context.Context, now time.Time) {
	var overdue []*watched
	g.mu.Lock()
	for f, w := range g.waiting {
		known, until := g.opts.Desk.standing(f, w.seq)
		switch {
		case w.forced:
			overdue = append(overdue, w)
		case known && until == 0:
			delete(g.waiting, f)
		case known:
			if due := until.Std().Add(g.patience()); !due.Before(now) {
				w.pageBy = due
				continue
			}
			overdue = append(overdue, w)
		case g.due(w, now):
			overdue = append(overdue, w)
		}
	}
	g.mu.Unlock()
	sortByDue(overdue)
	var wg sync.WaitGroup
	places := make(chan struct{}, maxSending) // one receiver that hangs delays no other
	for i, w := range overdue {
		places <- struct{}{}
		wg.Go(func() { g.page(ctx, w, len(overdue)-i-1); <-places })
	}
	wg.Wait()
	g.leave(overdue)
}
