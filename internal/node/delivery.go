package node

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
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
	quit     chan struct{}
	done     sync.WaitGroup

	mu       sync.Mutex
	inFlight map[string]*flight // by ID of their notification
	fallen   map[uint64]string  // incidents of which something is on its way to a fallback, to that
	refusing map[string]bool    // integrations that refused what they got last
}

type turn struct {
	n     *correlate.Notification
	again bool
	found chan enrich.Context // has room for one
}

func newDelivery(d *sinks.Dispatcher, p *enrich.Pipeline) *delivery {
	v := &delivery{sinks: d, turns: make(chan turn, maxEnriching), quit: make(chan struct{}), inFlight: map[string]*flight{}, fallen: map[uint64]string{}, refusing: map[string]bool{}}
	v.pipeline.Store(p)
	v.done.Go(v.run)
	return v
}

// take is the engine's Deliver. After close it does nothing: what it is given
// then gets no receipt, and so is delivered by the next life.
func (v *delivery) take(ctx context.Context, n *correlate.Notification, again bool) {
	t := turn{n, again, make(chan enrich.Context, 1)}
	p := v.pipeline.Load()
	go func() { t.found <- p.Run(ctx, n) }()
	select {
	case v.turns <- t:
	case <-v.quit:
	}
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
	v.remember(t.n)
	if t.n.Kind == correlate.Resolve {
		v.closeFallback(t.n, c)
	}
	if t.again {
		v.sinks.Redeliver(t.n, c)
	} else {
		v.sinks.Deliver(t.n, c)
	}
}

// close ends handing on. What waits is left to the next life.
func (v *delivery) close() {
	close(v.quit)
	v.done.Wait()
}
