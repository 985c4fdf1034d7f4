package node

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/sinks"
)

// maxEnriching bounds the notifications that are being enriched. When it is
// reached the engine's delivery waits; an enricher has a deadline, so it does
// not wait long.
const maxEnriching = 64

// delivery puts each notification's context to it and hands both to the sinks,
// in the order in which the notifications came: look-ups run side by side, what
// they find is passed on in turn.
type delivery struct {
	pipeline atomic.Pointer[enrich.Pipeline]
	sinks    *sinks.Dispatcher
	turns    chan turn
	degraded func() string // why there are no look-ups now; empty when there are
	lookUps  atomic.Uint64 // made
	late     atomic.Uint64 // of them, those with an enricher that was late or failed
	quit     chan struct{}
	done     sync.WaitGroup

	handing sync.Mutex // held while notifications are handed to the sinks, so that they come in order; before mu
	waiting string     // the page that waits for too long, in words; guarded by handing

	mu       sync.Mutex
	inFlight map[string]*flight // by ID of their notification
	fallen   map[uint64]string  // incidents of which something is on its way to a fallback, to that
	refusing map[string]bool    // integrations that refused what they got last
}

type turn struct {
	*engine.Delivery
	found chan enrich.Context // has room for one
}

func newDelivery(d *sinks.Dispatcher, p *enrich.Pipeline, degraded func() string) *delivery {
	v := &delivery{sinks: d, degraded: degraded, turns: make(chan turn, maxEnriching), quit: make(chan struct{}), inFlight: map[string]*flight{}, fallen: map[uint64]string{}, refusing: map[string]bool{}}
	v.pipeline.Store(p)
	v.done.Go(v.run)
	return v
}

// take is the engine's Deliver. After close it does nothing: what it is given
// then gets no receipt, and so is delivered by the next life.
func (v *delivery) take(ctx context.Context, d *engine.Delivery) {
	t := turn{d, make(chan enrich.Context, 1)}
	if why := v.degraded(); why != "" {
		t.found <- degraded("sent without look-ups: " + why)
	} else {
		p := v.pipeline.Load()
		go func() {
			c := p.Run(ctx, d.Notification)
			v.lookUps.Add(1)
			if len(c.Failed) > 0 {
				v.late.Add(1)
			}
			t.found <- c
		}()
	}
	select {
	case v.turns <- t:
	case <-v.quit:
	}
}

// degraded is the context of what goes out as less than usual.
func degraded(note string) enrich.Context {
	return enrich.Context{Degraded: note, Notes: []string{note}}
}

func (v *delivery) run() {
	for {
		select {
		case t := <-v.turns:
			v.hand(t)
		case <-v.quit:
			return
		}
	}
}

func (v *delivery) hand(t turn) {
	c := <-t.found
	v.handing.Lock()
	defer v.handing.Unlock()
	v.remember(t.Delivery)
	if t.Kind == correlate.Resolve {
		v.closeFallback(t.Delivery, c)
	}
	v.pass(t.Delivery, t.Notification, c)
}

// pass hands on a notification, or what a fallback gets of it.
func (v *delivery) pass(d *engine.Delivery, n *correlate.Notification, c enrich.Context) {
	if d.Again {
		v.sinks.Redeliver(n, c, d.Answered)
	} else {
		v.sinks.Deliver(n, c)
	}
}

// close ends handing on. What waits is left to the next life.
func (v *delivery) close() {
	close(v.quit)
	v.done.Wait()
}
