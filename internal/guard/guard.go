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
	"github.com/winnowhq/winnow/internal/guard/desk"
	"github.com/winnowhq/winnow/internal/guard/kept"
	"github.com/winnowhq/winnow/internal/guard/pager"
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
	// MaxWatched bounds the alerts that are watched. One more is not: it is paged
	// at once, or at least counted in a page (see beyond).
	MaxWatched = 1 << 17
	look       = time.Second
)

// Options of a Guard.
type Options struct {
	// Read reads the log from where it stood at a time.
	Read func(ctx context.Context, since time.Time) (*stream.Reader, error)
	Desk *desk.Desk

	// Pager sends what is overdue.
	Pager *pager.Pager
	// Ended, when there is one, is told of each alert whose end is in the log.
	Ended func(f alert.Fingerprint)

	Logger *zap.Logger
}

// watched is an alert whose disposition is awaited.
type watched struct {
	*kept.Alert
	seq     uint64
	pageBy  time.Duration // since the guard began
	seen    time.Duration // when the guard first read of it, in the same way
	forced  bool          // whatever the desk says
	extra   bool          // beyond MaxWatched: there is one look at it
	overdue bool          // at the last look
	*paging               // nil before it is to be paged
}

// paging is what few alerts come to.
type paging struct {
	route *pager.Route // that ways are by
	ways  []pager.Way
	tried map[pager.Way]attempt
}

// attempt is what came of sending an alert on one of its ways.
type attempt struct {
	failed int // times
	took   bool
}

// Guard watches one log. Its methods are safe for concurrent use.
type Guard struct {
	opts       Options
	began      time.Time
	pager      *pager.Pager
	paged      atomic.Uint64
	turnedAway atomic.Uint64

	bypass atomic.Bool  // see Bypass
	looked atomic.Int64 // when it last looked at the desk, in Unix nanoseconds

	mu        sync.Mutex
	waiting   map[alert.Fingerprint]*watched
	alerts    *kept.Alerts
	left      []*watched      // overdue, and still not paged a look later
	extra     []*watched      // beyond MaxWatched
	uncounted map[string]int  // beyond them, and in no page yet, by receiver
	busy      map[string]bool // receivers that are being paged
	sending   sync.WaitGroup
}

// New returns a guard; Run has it watch.
func New(o Options) *Guard {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Guard{opts: o, began: time.Now(), pager: o.Pager, waiting: map[alert.Fingerprint]*watched{}, alerts: kept.New(0), uncounted: map[string]int{}, busy: map[string]bool{}}
}

// Force has an alert paged at the next look, whatever is known of it.
func (g *Guard) Force(a *alert.Alert, seq uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.alerts.Firing(a)
	g.await(&f, watched{seq: seq, pageBy: time.Since(g.began), forced: true})
}

// await has a looked at as w until it is settled, or once where there is no room.
func (g *Guard) await(a *kept.Firing, w watched) {
	if g.waiting[a.Fingerprint] == nil && len(g.waiting) >= MaxWatched {
		g.beyond(a, w.seq)
		return
	}
	own := w
	own.Alert = a.Keep()
	g.waiting[a.Fingerprint] = &own
}

// Paged counts the alerts that the guard has paged.
func (g *Guard) Paged() uint64 { return g.paged.Load() }

// TurnedAway counts the alerts that were not watched for want of room.
func (g *Guard) TurnedAway() uint64 { return g.turnedAway.Load() }

// Run watches until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { g.read(ctx) })
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(look):
			g.inspect(ctx, time.Now())
			g.looked.Store(time.Now().UnixNano())
		}
	}
	wg.Wait()
	g.sending.Wait()
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
	d := frame.Decoder{Only: func(s alert.Severity, status alert.Status) bool {
		return s >= alert.Error || status == alert.Resolved // what was forced may be of any severity
	}}
	alerts := kept.New(MaxWatched)
	for {
		m, err := r.Next()
		if err != nil {
			return since, err
		}
		since = m.At.Std()
		// A frame that cannot be read is named by the engine.
		_, _ = d.Decode(m.Data, func(e *frame.Event) error {
			alerts.Each(e, func(a *kept.Firing) { g.watch(a, m.Seq, since) }, g.ended)
			return nil
		})
	}
}

// ended lets go of an alert that is over: there is nothing to act on.
func (g *Guard) ended(f alert.Fingerprint) {
	g.mu.Lock()
	delete(g.waiting, f)
	g.mu.Unlock()
	if g.opts.Ended != nil {
		g.opts.Ended(f)
	}
}

// watch takes an alert that fires.
func (g *Guard) watch(a *kept.Firing, seq uint64, accepted time.Time) {
	var within time.Duration
	switch a.Severity {
	case alert.Critical:
		within = CriticalWithin
	case alert.Error:
		within = ErrorWithin
	default:
		return
	}
	if known, until := g.opts.Desk.Standing(a.Fingerprint, seq); known && until.IsZero() {
		return // the engine is ahead of us
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.waiting[a.Fingerprint]; w != nil {
		w.seq = seq // sent again; its time runs from the first
		return
	}
	now := time.Now()
	// How long ago it was accepted, as far as the clock can be believed: it may
	// have been set since.
	ago := min(max(now.Sub(accepted), 0), within-grace)
	seen := now.Sub(g.began)
	g.await(a, watched{seq: seq, pageBy: seen + within - ago, seen: seen})
}

// inspect lets go of what is settled and pages what is overdue.
func (g *Guard) inspect(ctx context.Context, now time.Time) {
	var overdue []*watched
	g.mu.Lock()
	g.left = nil
	for f, w := range g.waiting { // order: sorted below
		known, until := g.opts.Desk.Standing(f, w.seq)
		if known && until.IsZero() && !w.forced {
			delete(g.waiting, f)
			continue
		}
		before := w.overdue
		if w.overdue = g.due(w, known, until, now); w.overdue {
			overdue = append(overdue, w)
			if before {
				g.left = append(g.left, w)
			}
		}
	}
	overdue = append(overdue, g.extra...)
	g.extra = nil
	sortByDue(g.left)
	g.mu.Unlock()
	sortByDue(overdue)
	g.dispatch(ctx, overdue)
}
