package preview

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/stream"
)

// Options of a Run.
type Options struct {
	// Log is where the alerts stand. Required.
	Log *stream.Stream

	// Begin makes the two sides. It is called a second time when the replay has
	// to begin later than it did. Required.
	Begin func() (*Comparison, error)

	// Window is the part of the log that counts: what was stored in it.
	Window Span

	// Spent says how much of the time is used up that the replay may take: 1 when
	// all of it is. Nil sets no limit.
	Spent func() float64
}

const (
	// probeEvery is how many messages are replayed between two looks at the time.
	probeEvery = 32

	// probeShare of the time is spent before it is judged whether the rest
	// suffices, and spareShare of the rest is kept for a log that is denser
	// towards its end.
	probeShare = 0.1
	spareShare = 0.25
)

// lead is how far before the window a replay begins: within that time each alert
// that is repeated stands in the log in full, before it only as a number.
const lead = ingest.DictionaryAge + time.Minute

// Run replays the window and says what differs. What its time does not suffice
// for is left out at the beginning, since the latest alerts count most, and the
// Diff says what was covered. A log without a message in the window gives an
// empty Diff.
func Run(ctx context.Context, o Options) (*Diff, error) {
	if o.Spent == nil {
		o.Spent = func() float64 { return 0 }
	}
	held, err := o.Log.Log(ctx)
	if err != nil {
		return nil, err
	}
	c, err := o.Begin()
	if err != nil {
		return nil, err
	}
	limit := ""
	if held.First <= held.Last && !held.LastAt.Std().Before(o.Window.From) {
		c.Since(alert.TimeOf(o.Window.From))
		r, err := o.Log.ReadLogSince(ctx, o.Window.From.Add(-lead))
		if err != nil {
			return nil, err
		}
		p := pass{Options: o, c: c, last: held.Last}
		if err := p.run(ctx, r); err != nil {
			return nil, err
		}
		if p.skipTo > 0 {
			if p, err = p.again(ctx); err != nil {
				return nil, err
			}
		}
		if err := p.end(held.FirstAt.Std()); err != nil {
			return nil, err
		}
		c, limit = p.c, p.limit
	}
	d := c.Diff()
	d.Window, d.Limit = o.Window, limit
	return d, nil
}

// pass is one replay of the log up to a message.
type pass struct {
	Options
	c      *Comparison
	last   uint64
	late   bool   // it began later than the window
	cut    bool   // it ended before its last message
	skipTo uint64 // it has to begin again, there
	limit  string
}

// end lets the time since the last message pass, and says how much of the window
// was covered: silence before the first message and after the last one is too.
func (p *pass) end(logBegins time.Time) error {
	if !p.cut {
		if err := p.c.Elapse(alert.TimeOf(p.Window.To)); err != nil {
			return err
		}
	}
	if !p.late && logBegins.Before(p.Window.From) {
		p.c.from = alert.TimeOf(p.Window.From)
	}
	return nil
}

// again begins where the time that is left reaches the end of the log from.
func (p *pass) again(ctx context.Context) (pass, error) {
	c, err := p.Begin()
	if err != nil {
		return pass{}, err
	}
	r, err := p.Log.ReadLog(ctx, p.skipTo)
	if err != nil {
		return pass{}, err
	}
	next := pass{Options: p.Options, c: c, last: p.last, late: true, limit: "the log holds more than can be replayed in the time there is"}
	err = next.run(ctx, r)
	return next, err
}

func (p *pass) run(ctx context.Context, r *stream.Reader) error {
	stop := context.AfterFunc(ctx, r.Close)
	defer stop()
	defer r.Close()
	var m stream.Message
	for n, first := uint64(0), uint64(0); m.Seq < p.last; n++ {
		var err error
		switch m, err = r.Next(); {
		case ctx.Err() != nil:
			return fmt.Errorf("preview: replay of the log: %w", context.Cause(ctx))
		case errors.Is(err, stream.ErrClosed):
			return err
		case err != nil:
			return fmt.Errorf("preview: %w", err)
		}
		if n == 0 {
			first = m.Seq
		}
		if m.Seq > p.last || !m.At.Std().Before(p.Window.To) {
			return nil
		}
		more, err := p.c.Apply(&m)
		if err != nil {
			return err
		}
		if !more {
			p.cut = true
			if p.c.broke == "" {
				p.limit = fmt.Sprintf("either policy knows more than %d alerts at a time", maxLive)
			}
			return nil
		}
		if n%probeEvery == probeEvery-1 && p.over(m.Seq-first+1, p.last-first+1) {
			return nil
		}
	}
	return nil
}

// over reports whether a replay that has come so far of so many messages is to
// end, because time is up or will be.
func (p *pass) over(done, all uint64) bool {
	spent := p.Spent()
	if spent >= 1 {
		p.limit, p.cut = "the time for a replay is up", true
		return true
	}
	if p.late || spent < probeShare || spent*float64(all)/float64(done) <= 1 {
		return false
	}
	fits := uint64(float64(done) / spent * (1 - spent) * (1 - spareShare))
	p.skipTo = p.last + 1 - min(max(fits, 1), all)
	return true
}

// Between makes the two sides of policies that an engine's log is replayed
// under, with the silences that were set before.
func Between(e *engine.Engine, before, after *correlate.Policy, silences []correlate.Silence) (*Comparison, error) {
	was, err := e.Rehearsal(before)
	if err != nil {
		return nil, err
	}
	is, err := e.Rehearsal(after)
	if err != nil {
		return nil, err
	}
	c := New(was, is)
	for i := range silences {
		c.Silence(&silences[i])
	}
	return c, nil
}

// Same reports whether two policies decide alike because they say the same.
func Same(a, b *correlate.Policy) bool {
	one, errA := json.Marshal(a)
	other, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(one, other)
}

// Day is the window of a preview before a reload: the last 24 hours.
func Day(now time.Time) Span { return Span{now.Add(-24 * time.Hour), now} }
