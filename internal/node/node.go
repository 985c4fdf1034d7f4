// Package node puts a whole Winnow together: log, engine, enrichers, sinks and
// web server, from one configuration. It decides the order in which they start
// and stop, and nothing else.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commoncfg "github.com/prometheus/common/config"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/access"
	"github.com/winnowhq/winnow/internal/canary"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/guard"
	"github.com/winnowhq/winnow/internal/guard/desk"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/internal/heartbeat"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/internal/web"
	"github.com/winnowhq/winnow/sinks"
)

// Options of a Node.
type Options struct {
	// Load reads the configuration, at the start and at each reload.
	Load func() (*config.Config, error)

	// Stream says where the log is. Its Logger is filled in.
	Stream stream.Options

	// SnapshotDir is where snapshots of the state are kept; none when empty.
	SnapshotDir string

	// KeepFile is where the settings by which incidents were opened are kept,
	// secrets included, until those are over; in memory only when empty.
	KeepFile string

	// RawFile is where pages that went out past the core are remembered until
	// their end is told; in memory only when empty.
	RawFile string

	// ReplayFile is where signed requests that were admitted are remembered while
	// they could be sent once more; in memory only when empty.
	ReplayFile string

	// Probe, for tests, is called with each event of the log before it is applied,
	// and may break the core.
	Probe func(*frame.Event)

	// ExternalURL is where people find this Winnow; pages link to it.
	ExternalURL *url.URL
	Version     string

	// Access decides who may call what. Nil lets everybody do everything.
	Access *access.Gate

	Stdout     io.Writer // of stdout sinks; os.Stdout when nil
	Logger     *zap.Logger
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer

	// HTTP is applied to every integration that speaks HTTP.
	HTTP []commoncfg.HTTPClientOption

	// Seams for tests: the engine's, and by what self-alerts go out.
	point     func(engine.Point, *stream.Message)
	selfAlert *http.Client
}

// stopTimeout bounds each step of stopping.
const stopTimeout = 10 * time.Second

// Node is a running Winnow.
type Node struct {
	opts     Options
	log      *zap.Logger
	current  atomic.Pointer[config.Config]
	stream   *stream.Stream
	engine   *engine.Engine // nil while another process owns the shard, as is guard
	sinks    *sinks.Dispatcher
	delivery *delivery
	web      *web.Server
	replays  *ingest.Replays // outlives a reload
	spoken   ingest.Dictionaries
	desk     *desk.Desk
	guard    *guard.Guard
	pager    *pager.Pager
	raw      *rawPages
	forward  *forward
	alarm    *selfalert.Raiser
	keep     *sinks.Keep
	steps    *steps
	canary   *canary.Canary
	heart    *heartbeat.Heart
	begun    time.Time

	receivers atomic.Pointer[sinks.Receivers]
	retired   []string // of them, those no longer configured, the longest gone first; guarded by reloading

	// Guarded by delivery.mu.
	quiet      map[string]bool        // sources that are silent
	unreadable map[string][]time.Time // when sources last sent what cannot be read

	reloading  sync.Mutex
	previewing sync.Mutex // a preview takes the memory of two shards
	cancel     context.CancelFunc
	watchers   sync.WaitGroup
	owns       chan struct{} // closed once engine and guard are there
	ready      chan struct{}
	ended      chan struct{}
	err        error // of the engine, once ended is closed
}

// Start opens the log and begins to work. It returns as soon as alerts can be
// accepted; Ready is closed once the past has been caught up with. Where another
// process owns the shard this one only accepts alerts, until it takes over.
func Start(ctx context.Context, o Options) (*Node, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Registerer == nil {
		reg := prometheus.NewRegistry()
		o.Registerer, o.Gatherer = reg, reg
	}
	if o.Access == nil {
		gate, err := access.New(access.Options{Registerer: o.Registerer})
		if err != nil {
			return nil, err
		}
		o.Access = gate
	}
	n := &Node{opts: o, log: o.Logger, begun: time.Now(), replays: ingest.NewReplays(), owns: make(chan struct{}), ready: make(chan struct{}), ended: make(chan struct{}), quiet: map[string]bool{}, unreadable: map[string][]time.Time{}}
	if err := n.start(ctx); err != nil {
		if n.stream != nil {
			err = errors.Join(err, n.stream.Close())
		}
		_ = n.replays.Close()
		if n.alarm != nil {
			n.alarm.Close()
		}
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) (err error) {
	c, err := n.opts.Load()
	if err != nil {
		return err
	}
	n.current.Store(c)
	rules, err := n.opts.Access.Prepare(c.Winnow.Access, c.Winnow.Ingest)
	if err != nil {
		return err
	}
	n.alarm = selfalert.New(selfalert.Options{
		Config: c.Winnow.SelfAlert, Client: n.opts.selfAlert, Logger: n.log, Registerer: n.opts.Registerer, Source: n.opts.ExternalURL.Host,
	})
	if err := n.newCanary(); err != nil {
		return err
	}
	n.openKeep()
	parts, err := n.build(c)
	if err != nil {
		return err
	}
	if err := n.openLog(ctx); err != nil {
		return err
	}
	n.sinks = sinks.NewDispatcher(sinks.Options{
		Receipt: n.receipt, Keep: n.keep, Elsewhere: n.elsewhere, Stranded: n.stranded, May: n.stream.May, Logger: n.log, Registerer: n.opts.Registerer,
	})
	n.setReceivers(parts.receivers)
	n.steps = newSteps(n)
	n.delivery = newDelivery(n.sinks, parts.enrich, n.steps.noLookUps)
	n.desk = desk.New(time.Now())
	route := guardRoute(&c.Policy.Route)
	n.openBeside()
	n.pager = pager.New(pager.Options{Send: n.sendRaw, Sent: n.sentRaw, Aliases: &n.desk.Aliases, Logger: n.log}, &route)
	n.forward = newForward(n, n.stream)
	doors, err := n.doors(c)
	if err != nil {
		return err
	}
	n.web = web.New(web.Options{
		Stream: n.stream, Registerer: n.opts.Registerer, Gatherer: n.opts.Gatherer,
		Access: n.opts.Access, Reload: n.reloadAs, Preview: n.previewText, Version: n.opts.Version, Logger: n.log,
		Ladder: n.steps.status, Shed: n.steps.shed,
	})
	n.opts.Access.Enforce(rules)
	n.web.Configure(c, doors.Routes())
	return n.begin(ctx)
}

func (n *Node) openLog(ctx context.Context) (err error) {
	n.opts.Stream.Logger = n.log
	if n.stream, err = stream.Open(ctx, n.opts.Stream); err == nil {
		n.registerStorage()
	}
	return err
}

// begin has the doors take alerts, and the node own its shard: at once, or when
// whoever does has gone.
func (n *Node) begin(start context.Context) error {
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.WithoutCancel(start))
	took, err := n.stream.TryTake(start)
	if took {
		err = n.own(start, ctx)
	}
	if err != nil {
		n.cancel()
		return err
	}
	n.watchers.Go(func() { n.forward.run(ctx) })
	if !took {
		go n.standBy(ctx)
	}
	return nil
}

// own makes what only the owner of the shard has, within the time that start has,
// and runs it until ctx ends.
func (n *Node) own(start, ctx context.Context) (err error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	c := n.current.Load()
	n.engine, err = engine.New(start, engine.Options{
		Stream: n.stream, Policy: &c.Policy, PolicyHash: c.Hash, SnapshotDir: n.opts.SnapshotDir,
		Deliver: n.delivery.take, Desk: n.desk, Logger: n.log,
		Poisoned: n.poisoned,
		Beyond:   n.beyond,
		Silent:   n.silent,
		Standing: n.sinks.Stands,
		Fault:    n.fault,

		Unexplained: n.spoken.Renew,
		Hold:        n.steps.holdsSnapshots,
		Point:       n.opts.point,
		Probe:       n.opts.Probe,
	})
	if err != nil {
		return err
	}
	n.guard = guard.New(guard.Options{Read: n.stream.ReadLogSince, Desk: n.desk, Pager: n.pager, Ended: n.rawEnded, Logger: n.log})
	n.payOwed()
	n.web.Attach(n.engine)
	close(n.owns)
	n.run(ctx)
	return nil
}

// openBeside reads what the life before has left beside the log: the raw pages
// that are owed their end, and the signed requests that were admitted. The folder
// is ours by then.
func (n *Node) openBeside() {
	n.openRaw()
	if n.opts.ReplayFile == "" {
		return
	}
	var err error
	if n.replays, err = ingest.OpenReplays(n.opts.ReplayFile, time.Now()); err != nil {
		n.log.Error("signed requests of the life before may be admitted once more", zap.Error(err))
	}
}

// run starts what goes on until Stop.
func (n *Node) run(ctx context.Context) {
	n.watchers.Go(func() { n.guard.Run(ctx) })
	n.watchers.Go(func() { n.watchBooks(ctx) })
	n.watchers.Go(func() { n.reviewStart(ctx) })
	n.watchers.Go(func() { n.sweep(ctx) })
	n.watchers.Go(func() { every(ctx, time.Second, n.lookForLate) })
	n.watchers.Go(func() { n.watchDisk(ctx) })
	n.watchers.Go(func() { n.watchTenure(ctx) })
	n.watchers.Go(func() { n.steps.run(ctx) })
	n.watchers.Go(func() { n.closeRaw(ctx) })
	reached := newLimits(n)
	n.watchers.Go(func() { reached.watch(ctx) })
	n.watchers.Go(func() { n.sing(ctx) })
	n.watchers.Go(func() { n.heart.Run(ctx) })
	n.watchers.Go(func() {
		select {
		case <-n.engine.Ready():
			close(n.ready)
		case <-ctx.Done():
		}
	})
	go func() {
		defer close(n.ended)
		n.err = errors.Join(n.engine.Run(ctx), n.stream.Broken(), n.overtaken())
	}()
}

// maxRetired bounds the receivers that stay though the configuration has them no
// longer. The one that has been gone for longest goes; what stands open there is
// told by the settings that are kept of it.
const maxRetired = 256

// setReceivers puts receivers in force. One that the configuration has no longer
// stays until the next start: somebody may wait there for the end of what he was
// called for.
func (n *Node) setReceivers(r sinks.Receivers) {
	if old := n.receivers.Load(); old != nil {
		for _, name := range slices.Sorted(maps.Keys(*old)) {
			if name != correlate.CanaryReceiver && !slices.Contains(n.retired, name) {
				n.retired = append(n.retired, name)
			}
		}
		n.retired = slices.DeleteFunc(n.retired, func(name string) bool { _, configured := r[name]; return configured })
		if over := len(n.retired) - maxRetired; over > 0 {
			n.log.Warn("receivers that were removed long ago are forgotten", zap.Strings("receivers", n.retired[:over]))
			n.retired = n.retired[over:]
		}
		for _, name := range n.retired {
			r[name] = (*old)[name]
		}
	}
	r[correlate.CanaryReceiver] = []sinks.Integration{canarySink{n.canary}}
	n.receivers.Store(&r)
	n.sinks.Set(r)
}

// parts is what a configuration makes beside the policy.
type parts struct {
	receivers sinks.Receivers
	enrich    *enrich.Pipeline
}

func (n *Node) build(c *config.Config) (parts, error) {
	receivers, err := sinks.Build(c.Alertmanager, c.Winnow.Sinks, sinks.BuildOptions{
		ExternalURL: n.opts.ExternalURL, Stdout: n.opts.Stdout, Logger: n.log, HTTP: n.opts.HTTP, Keep: n.keep,
	})
	if err != nil {
		return parts{}, err
	}
	pipeline, err := enrich.New(c.Winnow.Enrich, enrich.Options{Registerer: n.opts.Registerer, Logger: n.log})
	if err != nil {
		return parts{}, err
	}
	return parts{receivers, pipeline}, nil
}

func (n *Node) doors(c *config.Config) (*ingest.Doors, error) {
	return ingest.New(n.forward, ingest.Options{
		Config: c.Winnow.Ingest, Now: time.Now, Replays: n.replays, Dictionaries: n.dictionaries(), Registerer: n.opts.Registerer, Logger: n.log, OnQuarantine: n.quarantined, Own: n.ownDoor(),
	})
}

// Handler serves everything that this node has to say.
func (n *Node) Handler() http.Handler { return n.web }

// Ready is closed once this node owns the shard and the log has been replayed.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Done is closed when the node has ended by itself; Err then says why.
func (n *Node) Done() <-chan struct{} { return n.ended }

// Err is why the engine ended.
func (n *Node) Err() error { return n.err }

// Engine is the node's engine, once it owns the shard.
func (n *Node) Engine() *engine.Engine { return n.engine }

// Stop ends the node in order: what is under way at the sinks may end and is
// written to the log, then the engine stops, then the log closes. Requests must
// have ended before. What is not delivered is delivered by the next life, or by
// another process on the same log.
func (n *Node) Stop() error {
	n.delivery.close()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := n.sinks.Close(ctx)
	n.cancel()
	<-n.ended
	n.watchers.Wait()
	n.handOver()
	n.alarm.Close()
	n.delivery.pipeline.Load().Close()
	return errors.Join(err, n.err, n.replays.Close(), wrap("close the log", n.stream.Close()))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// every calls f each time that so much time has passed, until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f()
		}
	}
}
