// Package engine runs a shard: it reads the log in order, lets the core decide,
// and commits what was decided to the outbox before anybody acts on it.
//
// It is the only owner of the shard's state and the only place where time
// passes: when something is due it publishes a tick, and acts when the tick
// comes back in sequence. It never decides anything itself.
package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks"
)

// Options of an Engine.
type Options struct {
	Stream *stream.Stream

	// Policy that the present configuration makes, and the name of its text.
	Policy     *correlate.Policy
	PolicyHash string

	// SnapshotDir is where snapshots are kept; none are when it is empty.
	SnapshotDir string

	// Deliver takes each notification once it is committed, in order, from one
	// goroutine. It must not wait for a provider.
	Deliver func(context.Context, *Delivery)

	// Poisoned is told of a message that breaks the core each time, when it is
	// given up; again, if a crash comes right then. Its alerts are for somebody
	// else to page.
	Poisoned func(m *stream.Message, err error)

	// Silent is told when a source falls silent and when it is heard again.
	Silent func(source string, silent bool)

	// Unexplained is told when deliveries name alerts by numbers of which the
	// explanation is lost. Whoever writes the log should write in full again.
	Unexplained func()
	// Standing, when there is one, is told where incidents stand, once, before
	// anything is delivered.
	Standing func([]sinks.Held)

	// Desk, when there is one, is told of each alert of paging class that waits
	// for its page, and of each that does so no longer.
	Desk Desk

	// Hold, when there is one, says whether snapshots are to wait.
	Hold func() bool

	// Beyond, when there is one, is given the alerts of a message of this life for
	// which there was no room: they are to be paged as they came.
	Beyond func(alerts []alert.Alert, seq uint64)

	// Probe, for tests, is called with each event before it is applied, and may
	// break the core.
	Probe func(*frame.Event)

	// Fault, when there is one, is told what is wrong with log, outbox or
	// snapshots.
	Fault func(error)

	// Point, when there is one, is told of each Point that is passed. It is for
	// tests: it may hold up the goroutine that passes, and at MessageRead panic as
	// a core that breaks.
	Point func(p Point, m *stream.Message)

	Logger *zap.Logger
}

// A Desk is what watches that pages go out in time. Its methods return at once.
type Desk interface {
	Pending(f alert.Fingerprint, until time.Time) // on the monotonic clock
	Settled(f alert.Fingerprint)
	Applied(seq uint64)
	Alias(group, key string)
	ForgetAliases()
}

const (
	// tickSpacing keeps timers that are due close together to one tick.
	tickSpacing = 50 * time.Millisecond

	// retryDelay is the pause after the log or the outbox did not answer.
	retryDelay = 500 * time.Millisecond

	// lastWordsTimeout bounds what is written to the log when the engine stops.
	lastWordsTimeout = 5 * time.Second

	// fetched bounds the messages read ahead of the core.
	fetched = 64
)

// Engine owns one shard.
type Engine struct {
	opts  Options
	log   *zap.Logger
	owner *Owner // its shard belongs to loop

	queries  chan query
	receipts chan receipt

	// unwritten is what writeReceipts left when it was stopped.
	unwritten []receipt

	ready chan struct{}
	done  chan struct{} // closed when Run has returned

	witness *witness // nil without a folder for it
	lost    []span   // messages that the log does not hold
	// decided holds what the replay has decided again and has no last receipt,
	// for when the outbox has lost its record.
	decided   map[notificationID][]byte
	undecided int // beyond maxDecided
	// recallAfter is when the next try may be to write their alerts again.
	recallAfter time.Time

	aliased     *correlate.Policy // whose groups the desk knows the aliases of
	poisoned    *poisoned
	snapshotSeq uint64 // of the newest snapshot

	replaced *correlate.Policy // in force before this life, if its own is another

	stats Stats
}

// Stats are counters of an engine, safe to read at any time.
type Stats struct {
	Messages  atomic.Uint64 // of the log applied
	Ticks     atomic.Uint64 // published
	Commits   atomic.Uint64 // written
	Faults    atomic.Uint64 // messages missing or unreadable
	Applied   atomic.Uint64 // sequence of the message applied last
	Delivered atomic.Uint64 // notifications handed to the sinks
	Snapshots atomic.Uint64 // written by replay while running
	Breaks    atomic.Uint64 // panics of the core
	Recalled  atomic.Uint64 // alerts that were lost from the log and are in it again
	Beyond    atomic.Uint64 // deliveries of alerts for which there was no room, in this life
	Silences  atomic.Uint64 // refused, because there were too many
}

type query struct {
	f    func(*Shard)
	done chan struct{}
}

// New returns an engine and writes to the log that listening goes on. Alerts
// may be appended from now on; Run applies them.
func New(ctx context.Context, o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	e := &Engine{
		opts: o, log: o.Logger, queries: make(chan query), receipts: make(chan receipt, maxReceipts),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	if err := e.recover(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// recover learns how far the life before this one came.
func (e *Engine) recover(ctx context.Context) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	e.owner.Probe = e.opts.Probe
	e.owner.RecordBytes = min(recordBytes, e.opts.Stream.MaxRecord())
	e.owner.before = func(m *stream.Message) { e.pass(MessageRead, m) }
	held, err := e.opts.Stream.Log(ctx)
	if err != nil {
		return err
	}
	for _, f := range e.opts.Stream.Faults() {
		e.fault("the store was damaged", f)
	}
	if err := e.restore(&held); err != nil {
		return err
	}
	e.meetWitness(&held)
	if err := e.announce(ctx, &held); err != nil {
		return err
	}
	e.beginWitness(e.owner.resumeSeq)
	return nil
}

// begin learns what the outbox holds. Where other processes are on the same log
// it claims the outbox: what the life before has not committed by then it never
// will, so that this one decides it.
func (e *Engine) begin(ctx context.Context) error {
	for {
		c, counter, seq, err := e.opts.Stream.LastCommit(ctx)
		if err != nil {
			return err
		}
		e.owner = NewOwner(c, counter, seq)
		if e.owner.Holder = e.opts.Stream.Holder(); !e.opts.Stream.Shared() {
			return nil
		}
		if !e.opts.Stream.May() {
			return fmt.Errorf("engine: claim the outbox: %w", stream.ErrFenced)
		}
		var at alert.Time
		if c != nil {
			at = c.At
		}
		switch err := e.write(ctx, e.owner.Claim(at)); {
		case err == nil:
			return nil
		case !errors.Is(err, stream.ErrFenced): // else the life before has just committed
			return err
		}
	}
}

// restore makes the shard of the newest snapshot, or a new one.
func (e *Engine) restore(held *stream.Extent) error {
	var err error
	if e.poisoned, err = loadPoison(e.opts.SnapshotDir); err != nil {
		e.fault("the list of messages that break the core cannot be read", err)
	}
	if e.opts.SnapshotDir != "" {
		if err := (snapshots{e.opts.SnapshotDir}).sweep(); err != nil {
			e.log.Warn("snapshots that were cut off are still there", zap.Error(err))
		}
	}
	shard, faults, err := snapshots{e.opts.SnapshotDir}.newest()
	for _, f := range faults {
		e.fault("a snapshot is damaged", fmt.Errorf("%w: %w", ErrSnapshot, f))
	}
	if err != nil && !errors.Is(err, errNoSnapshot) {
		return err
	}
	if shard == nil {
		if shard, err = NewShard(e.opts.Policy); err != nil {
			return err
		}
	}
	e.snapshotSeq = shard.seq
	if f := e.owner.Restore(shard, e.poisoned.list(), held); f != nil {
		e.fault(f.What, f.Err)
	}
	e.opts.Stream.NumberFrom(shard.counter + 1)
	return nil
}

// announce writes to the log that listening goes on, or how it begins.
func (e *Engine) announce(ctx context.Context, held *stream.Extent) error {
	first, f := e.owner.Announce(held, e.opts.Policy, e.opts.PolicyHash)
	if f != nil {
		e.fault(f.What, f.Err)
	}
	for {
		seq, err := e.opts.Stream.AppendEvents(ctx, first)
		if err != nil {
			return fmt.Errorf("engine: say in the log that listening goes on: %w", err)
		}
		if e.owner.Announced(seq) {
			e.pass(Resumed, nil)
			return nil
		}
		first = frame.Event{Kind: frame.Tick}
	}
}

func (e *Engine) fault(what string, err error) {
	e.stats.Faults.Add(1)
	e.log.Error(what, zap.Error(err))
	if e.opts.Fault != nil {
		e.opts.Fault(fmt.Errorf("%s: %w", what, err))
	}
}

// Ready is closed once the log has been replayed to where this life began.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Replaced is the policy that was in force before this life began, nil if that
// goes on. It is known once Ready is closed.
func (e *Engine) Replaced() *correlate.Policy { return e.replaced }

// Stats returns the engine's counters.
func (e *Engine) Stats() *Stats { return &e.stats }

// Query runs f on the shard between two messages. f must be quick and must keep
// nothing that belongs to the shard.
func (e *Engine) Query(ctx context.Context, f func(*Shard)) error {
	q := query{f, make(chan struct{})}
	select {
	case e.queries <- q:
		<-q.done
		return nil
	case <-e.done:
		return errors.New("engine: stopped")
	case <-ctx.Done():
		return fmt.Errorf("engine: busy: %w", ctx.Err())
	}
}

// ErrNotYet says that what was written to the log is there, and that the core
// had not come to it when the waiting ended.
var ErrNotYet = errors.New("engine: in the log, not yet applied")

// SetPolicy writes another policy to the log; it is in force when this returns.
// With ErrNotYet it will be.
func (e *Engine) SetPolicy(ctx context.Context, p *correlate.Policy, hash string) error {
	if _, err := correlate.NewCore(p); err != nil {
		return err // a policy in the log must be sound
	}
	seq, err := e.opts.Stream.AppendEvents(ctx, frame.Event{Kind: frame.Policy, Policy: p, PolicyHash: hash})
	if err != nil {
		return fmt.Errorf("engine: write the policy to the log: %w", err)
	}
	if err := e.Applied(ctx, seq); err != nil {
		return fmt.Errorf("%w: %w", ErrNotYet, err)
	}
	return nil
}

// ErrSilences says that there are as many silences as may be.
var ErrSilences = fmt.Errorf("engine: %d silences are listed already", correlate.MaxSilences)

// SetSilence writes a silence to the log; it is in force when this returns.
func (e *Engine) SetSilence(ctx context.Context, s *correlate.Silence) error {
	taken := true
	if err := e.Query(ctx, func(sh *Shard) { taken = sh.Core.TakesSilence(s.ID) }); err != nil {
		return err
	}
	if !taken {
		e.stats.Silences.Add(1)
		return ErrSilences
	}
	seq, err := e.opts.Stream.AppendEvents(ctx, frame.Event{Kind: frame.Silence, Silence: s})
	if err != nil {
		return fmt.Errorf("engine: write the silence to the log: %w", err)
	}
	return e.Applied(ctx, seq)
}

// Applied waits until the log has been applied up to seq.
func (e *Engine) Applied(ctx context.Context, seq uint64) error {
	for {
		var at uint64
		if err := e.Query(ctx, func(s *Shard) { at = s.seq }); err != nil {
			return err
		}
		if at >= seq {
			return nil
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
