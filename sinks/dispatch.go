package sinks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// Options of a Dispatcher. Only Receipt is required; zero means the default.
type Options struct {
	// Receipt is told what became of each notification: one call for each
	// integration that its class addresses, the last one marked Last. Calls come
	// one at a time, in order, and never from within Deliver. While the callback
	// blocks nothing is lost, but Deliver waits once 65,536 receipts do. It calls
	// noted once the receipt outlives the process, or never: until then a provider
	// that cannot tell a repeat gets its next message up to half a second later.
	Receipt func(r correlate.Receipt, noted func())

	// Keep remembers by which settings incidents were opened. Nil: an incident is
	// told of by those that are in force.
	Keep *Keep
	// Elsewhere reports whether somebody else is told of what fails here for want
	// of room. Where nobody is, it waits all the same; nil is nobody. It must
	// return at once.
	Elsewhere func(n *correlate.Notification) bool
	// Stranded is told of an incident that stands where nothing of it is taken any
	// more, so that the settings in force took it over: somebody has to close it
	// there by hand. It may be nil, and must return at once.
	Stranded func(n *correlate.Notification, integration string, err error)
	// May, when there is one, is asked right before each call whether this process
	// may still send. What it may not send waits. It must return at once.
	May func() bool

	Logger     *zap.Logger
	Registerer prometheus.Registerer

	// Timeout is how long one attempt may take; 10 s.
	Timeout time.Duration
	// Concurrency bounds the attempts under way at one integration; 8.
	Concurrency int
	// MaxAbandoned bounds the calls to one integration that are past their
	// deadline and have not returned; 32. At the bound no further call is made
	// until one returns.
	MaxAbandoned int
	// MaxGroups bounds the groups with something to tell one integration; 16,384.
	// A notification of one more group fails at once, where somebody else is told
	// then.
	MaxGroups int
	// Jitter returns numbers in [0,1) that spread retries.
	Jitter func() float64
}

// Retries wait 1 to 2 s after the first failure, then twice as long each time,
// up to 30 to 60 s, for as long as it takes.
const (
	firstBackoff = 2 * time.Second
	maxBackoff   = time.Minute

	// mayAgain is the pause before it is asked again whether this process may send.
	mayAgain = 250 * time.Millisecond

	// abandonAfter is what a call gets to return in once its context has ended.
	abandonAfter = 250 * time.Millisecond
	// maxHold is how long a resolve waits for abandoned calls of its group: one
	// of them may be the page, and a page that arrives after its resolve opens
	// an incident that nobody closes. A page waits as long for an abandoned resolve
	// where both are known by the same key: it would close the page's incident.
	maxHold = time.Minute
)

// Dispatcher brings notifications to integrations: in order for each group, at
// most one at a time, and for as long as it takes. A newer notification takes
// the place of older ones of its incident that were not accepted yet.
type Dispatcher struct {
	opts     Options
	metrics  *metrics
	receipts *receipts
	held     *held
	ctx      context.Context // of all attempts
	cancel   context.CancelFunc
	stop     chan struct{} // no further attempt once it is closed
	workers  sync.WaitGroup

	turnedAway atomic.Uint64

	mu        sync.Mutex
	receivers Receivers
	targets   map[targetID]*target
	closed    bool
}

type targetID struct{ receiver, integration string }

// NewDispatcher returns a Dispatcher without receivers. Close ends it.
func NewDispatcher(opts Options) *Dispatcher {
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 8
	}
	if opts.MaxAbandoned <= 0 {
		opts.MaxAbandoned = 32
	}
	if opts.MaxGroups <= 0 {
		opts.MaxGroups = 16 << 10
	}
	if opts.Jitter == nil {
		opts.Jitter = rand.Float64
	}
	d := &Dispatcher{
		opts: opts, metrics: newMetrics(opts.Registerer), receipts: newReceipts(opts.Receipt),
		held: newHeld(), stop: make(chan struct{}), targets: map[targetID]*target{},
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Set puts receivers in force, at the start and at each reload. An attempt
// under way ends with the integration it began with; what waits is sent by the
// new integration of the same receiver and name, at once, and fails where there
// is none. What is told of an incident that stands already goes to where it
// stands, whatever is in force (see Keep).
func (d *Dispatcher) Set(r Receivers) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.receivers = r
	current := map[targetID]bool{}
	for receiver, ins := range r {
		for _, in := range ins {
			id := targetID{receiver, in.Name()}
			current[id] = true
			t := d.targets[id]
			if t == nil {
				t = newTarget(d, id)
				d.targets[id] = t
			}
			t.replace(in)
		}
	}
	for id, t := range d.targets {
		if !current[id] && t.replace(nil) {
			delete(d.targets, id)
		}
	}
}

// Deliver takes a notification on and returns. Notifications of one incident
// must come in order of their revisions, each once for each life of the
// process. After Close it does nothing.
//
// Nothing waits in it but for the callback (see Options.Receipt). What is
// queued is bounded: one notification for each incident and integration, 64
// incidents a group, MaxGroups groups, and where nobody else is told by the
// incidents that there are.
func (d *Dispatcher) Deliver(n *correlate.Notification, c enrich.Context) {
	d.deliver(n, c, false, nil)
}

// Redeliver is Deliver for a notification that an earlier life of the process
// may have tried to send: its resolve is sent even if it is never accepted here.
// Integrations that are known to have taken it are passed over, unless by their
// settings of now it would go somewhere else.
func (d *Dispatcher) Redeliver(n *correlate.Notification, c enrich.Context, answered []Answer) {
	d.deliver(n, c, true, answered)
}

func (d *Dispatcher) deliver(n *correlate.Notification, c enrich.Context, again bool, answered []Answer) {
	d.receipts.wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	var addressed []*target
	for _, in := range d.receivers[n.Receiver] {
		id := targetID{n.Receiver, in.Name()}
		switch {
		case n.Class&classOf(in) != 0:
			addressed = append(addressed, d.targets[id])
		case n.Kind == correlate.Resolve:
			d.targets[id].over(n)
			d.held.over(n.Incident, id)
		}
	}
	addressed = append(addressed, d.gone(n)...)
	instead := correlate.Nobody
	if len(answered) > 0 {
		addressed = slices.DeleteFunc(addressed, func(t *target) bool {
			has := slices.Contains(answered, Answer{t.id.receiver, t.id.integration, t.goesBy(n.Incident)})
			if has {
				instead = t.id.integration
			}
			return has
		})
	}
	left := &countdown{left: len(addressed)}
	if len(addressed) == 0 {
		left.left = 1
		d.receipts.add(left, receiptOf(n, instead, correlate.Skipped), func() {})
		return
	}
	elsewhere := d.opts.Elsewhere != nil && d.opts.Elsewhere(n)
	for _, t := range addressed {
		it := newItem(t.wantsEnds(), n, c, again)
		it.receipt, it.elsewhere = left, elsewhere
		t.push(it)
	}
}

// gone returns the targets at which n's incident stands and that are in the
// configuration no longer. The caller holds d.mu.
func (d *Dispatcher) gone(n *correlate.Notification) (out []*target) {
	for _, id := range d.held.targets(n.Incident) {
		if id.receiver != n.Receiver || slices.ContainsFunc(d.receivers[n.Receiver], func(in Integration) bool { return in.Name() == id.integration }) {
			continue
		}
		t := d.targets[id]
		if t == nil {
			t = newTarget(d, id)
			d.targets[id] = t
		}
		out = append(out, t)
	}
	return out
}

// Stands has incidents that an earlier life of the process has told of: what
// comes of them goes to the same places.
func (d *Dispatcher) Stands(all []Held) {
	for _, h := range all {
		for _, generation := range h.Generations {
			d.held.told(h.Incident, targetID{h.Receiver, h.Integration}, generation)
		}
	}
}

// StandsAt lists the receivers that were told of an incident and not yet of its
// end.
func (d *Dispatcher) StandsAt(incident uint64) (receivers []string) {
	for _, id := range d.held.targets(incident) {
		if !slices.Contains(receivers, id.receiver) {
			receivers = append(receivers, id.receiver)
		}
	}
	return receivers
}

// TurnedAway counts the notifications for which a queue had no room: they failed,
// or wait beyond its bound.
func (d *Dispatcher) TurnedAway() uint64 { return d.turnedAway.Load() }

// Unremembered counts how often it was not noted where an incident stands, for
// want of room.
func (d *Dispatcher) Unremembered() uint64 { return d.held.turnedAway.Load() }

// Incidents lists those of which it is remembered where they stand.
func (d *Dispatcher) Incidents() []uint64 { return d.held.incidents() }

// Sweep forgets what is remembered of incidents that were not open at two sweeps
// in a row, and adds the generations that are still needed to those given.
func (d *Dispatcher) Sweep(open func(incident uint64) bool, needed map[string]bool) {
	d.held.sweep(open)
	d.held.generations(needed)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.targets { // order: a set
		t.mu.Lock()
		if in := t.in; in != nil && len(t.queues) > 0 {
			needed[generationOf(fixed(in))] = true
		}
		t.mu.Unlock()
	}
}

// Close ends the dispatcher: no new attempts are made, those under way may end
// until ctx does, and are cancelled then. What was not accepted gets no
// receipt: it is for the next life to redeliver. The error says whether
// attempts had to be cancelled.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.stop)
	}
	d.mu.Unlock()

	idle := make(chan struct{})
	go func() {
		d.workers.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = fmt.Errorf("close sinks: attempts were cancelled: %w", context.Cause(ctx))
	}
	d.cancel()
	<-idle
	d.receipts.close()
	select {
	case <-d.receipts.done:
	case <-ctx.Done():
		if err == nil {
			err = fmt.Errorf("close sinks: receipts were not taken: %w", context.Cause(ctx))
		}
	}
	return err
}

func (d *Dispatcher) may() bool { return d.opts.May == nil || d.opts.May() }

func receiptOf(n *correlate.Notification, integration string, o correlate.Outcome) correlate.Receipt {
	return correlate.Receipt{
		Incident: n.Incident, Revision: n.Revision, Kind: n.Kind, Receiver: n.Receiver,
		Integration: integration, Outcome: o, At: alert.TimeOf(time.Now()),
	}
}

// backoff is how long to wait after so many failures in a row.
func (d *Dispatcher) backoff(failures int) time.Duration {
	wait := maxBackoff
	if failures < 5 { // 2 s << 5 is over a minute
		wait = firstBackoff << failures
	}
	return wait/2 + time.Duration(d.opts.Jitter()*float64(wait/2))
}
