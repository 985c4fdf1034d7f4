package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// Run applies the log until ctx ends or the shard is lost to another process.
// It returns nil when ctx ended and all that was read is committed.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.done)
	defer e.witness.close()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	reader, err := e.opts.Stream.ReadLog(ctx, e.owner.readFrom)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it began
		}
		return err
	}
	if e.opts.Desk != nil {
		e.owner.shard.Core.EachPending(alert.Error, e.pending())
	}
	messages := make(chan stream.Message, fetched)
	wg.Go(func() { e.read(ctx, reader, messages) })
	wg.Go(func() { <-ctx.Done(); reader.Close() })
	wg.Go(func() { e.writeReceipts(ctx) })
	ticks := make(chan struct{}, 1)
	wg.Go(func() { e.writeTicks(ctx, ticks) })

	err = e.loop(ctx, messages, ticks, &wg)
	cancel()
	wg.Wait()
	if err == nil {
		e.lastWords()
		e.lastSnapshot()
	}
	return err
}

// append writes events to the log, trying until it succeeds or ctx ends.
func (e *Engine) append(ctx context.Context, events ...frame.Event) error {
	for {
		_, err := e.opts.Stream.AppendEvents(ctx, events...)
		if err == nil {
			return nil
		}
		e.log.Error("writing to the log", zap.Error(err))
		if err := sleep(ctx, retryDelay); err != nil {
			return err
		}
	}
}

// lastWords writes what waits to be written, and that listening ends here.
func (e *Engine) lastWords() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWordsTimeout)
	defer cancel()
	events := receiptEvents(e.waitingReceipts(e.unwritten))
	if err := e.append(ctx, append(events, frame.Event{Kind: frame.Stop})...); err != nil {
		e.log.Error("stopping without a last word in the log", zap.Error(err))
	}
	e.pass(StopWritten, nil)
}

// loop is the only place that touches the shard.
func (e *Engine) loop(ctx context.Context, messages <-chan stream.Message, ticks chan<- struct{}, wg *sync.WaitGroup) error {
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	caughtUp, asked := false, false
	for {
		if caughtUp && !asked {
			e.schedule(due)
		}
		select {
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			asked = false
			if err := e.step(ctx, &m); err != nil {
				return err
			}
			if caughtUp {
				e.recall(ctx)
			}
			if caughtUp || !e.owner.Live(m.Seq) {
				continue
			}
			caughtUp = true
			if err := e.caughtUp(ctx, wg); err != nil {
				if ctx.Err() != nil {
					return nil // the next life writes the policy
				}
				return err
			}
		case q := <-e.queries:
			q.f(e.owner.shard)
			close(q.done)
		case <-due.C:
			select {
			case ticks <- struct{}{}:
				asked = true // any message that comes now does for it
			default:
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// schedule sets the timer to what is due next.
func (e *Engine) schedule(due *time.Timer) {
	at, ok := e.owner.shard.Core.Next()
	if !ok {
		due.Stop()
		return
	}
	due.Reset(max(e.until(at), 0))
}

// until is how long it takes until the shard's clock shows a time, however the
// machine's clock is set meanwhile.
func (e *Engine) until(at alert.Time) time.Duration {
	return at.Sub(e.opts.Stream.Now(e.owner.shard.seq))
}

// step applies one message and commits what it decided.
func (e *Engine) step(ctx context.Context, m *stream.Message) error {
	outputs, err := e.apply(ctx, m)
	if err != nil {
		return err
	}
	e.pass(MessageApplied, m)
	e.bearWitness(m)
	e.pass(Witnessed, m)
	e.stats.Messages.Add(1)
	e.stats.Applied.Store(m.Seq)
	for _, f := range e.owner.shard.Faults() {
		e.fault("the log is damaged", f)
	}
	if e.owner.shard.takeUnexplained() > 0 && e.opts.Unexplained != nil {
		e.opts.Unexplained()
	}
	e.tellSilence(false)
	if len(outputs) > 0 {
		e.keepDecided(m.Seq, outputs)
		if err := e.commit(ctx, m.Seq, outputs); err != nil {
			return err
		}
		e.committedUpTo(m.Seq)
		e.pass(Committed, m)
	}
	e.tellDesk(m.Seq) // only now: a page that is not committed is not on its way
	if over := e.owner.shard.out.Beyond; len(over) > 0 && e.owner.Live(m.Seq) {
		e.stats.Beyond.Add(uint64(len(over)))
		if e.opts.Beyond != nil {
			e.opts.Beyond(over, m.Seq)
		}
	}
	return nil
}

// pending returns what tells the desk of an alert whose page is due at a time of
// the shard's. It reads the clocks once.
func (e *Engine) pending() func(f alert.Fingerprint, until alert.Time) {
	now, shard := time.Now(), e.opts.Stream.Now(e.owner.shard.seq)
	return func(f alert.Fingerprint, until alert.Time) { e.opts.Desk.Pending(f, now.Add(until.Sub(shard))) }
}

// tellDesk passes on what the message has changed for alerts of paging class.
func (e *Engine) tellDesk(seq uint64) {
	if e.opts.Desk == nil {
		return
	}
	var pending func(alert.Fingerprint, alert.Time)
	for i := range e.owner.shard.out.Rows {
		r := &e.owner.shard.out.Rows[i]
		switch {
		case r.Severity < alert.Error || r.Action != correlate.Delivered && r.Action != correlate.Moved:
		case r.Now == correlate.Pending:
			if pending == nil {
				pending = e.pending()
			}
			pending(r.Fingerprint, r.Until)
		case r.Action == correlate.Moved:
			e.opts.Desk.Settled(r.Fingerprint)
		}
	}
	if e.aliased != e.owner.shard.current { // another policy, or another shard: other groups
		e.aliased = e.owner.shard.current
		e.opts.Desk.ForgetAliases()
		e.owner.shard.Core.EachAlias(e.opts.Desk.Alias)
	}
	for _, a := range e.owner.shard.out.Aliases {
		e.opts.Desk.Alias(a.Group, a.Key)
	}
	e.opts.Desk.Applied(seq)
}

// tellSilence passes on which sources have fallen silent or spoken; during a
// replay it says nothing, and what stands at its end is asked for with all.
func (e *Engine) tellSilence(all bool) {
	if e.opts.Silent == nil {
		return
	}
	if all {
		for _, name := range e.owner.shard.Core.SilentSources() {
			e.opts.Silent(name, true)
		}
		return
	}
	if e.owner.shard.seq <= e.owner.resumeSeq {
		return
	}
	for i := range e.owner.shard.out.Rows {
		if r := &e.owner.shard.out.Rows[i]; r.Action == correlate.SourceSilent || r.Action == correlate.SourceHeard {
			e.opts.Silent(r.Cause, r.Action == correlate.SourceSilent)
		}
	}
}

// caughtUp begins the live part of an engine's life.
func (e *Engine) caughtUp(ctx context.Context, wg *sync.WaitGroup) error {
	e.pass(CaughtUp, nil)
	if e.owner.PolicyDue(e.opts.PolicyHash) {
		e.replaced = e.owner.shard.current
		ev := frame.Event{Kind: frame.Policy, Policy: e.opts.Policy, PolicyHash: e.opts.PolicyHash}
		if _, err := e.opts.Stream.AppendEvents(ctx, ev); err != nil {
			return fmt.Errorf("engine: write the policy to the log: %w", err)
		}
	}
	e.pass(PolicyWritten, nil)
	e.recall(ctx)
	e.tellSilence(true)
	if e.opts.Standing != nil {
		e.opts.Standing(e.owner.shard.Standing())
	}
	again := e.owner.Redelivery()
	decided := e.stillUndelivered()
	wg.Go(func() { e.deliver(ctx, &again, decided) })
	if e.opts.SnapshotDir != "" {
		if e.snapshotSeq == 0 {
			e.lastSnapshot() // what the log will have dropped by then cannot be replayed again
		}
		wg.Go(func() { e.takeSnapshots(ctx) })
	}
	close(e.ready)
	return nil
}

// read passes messages on until ctx ends. What the broker does not answer is
// asked for again.
func (e *Engine) read(ctx context.Context, r *stream.Reader, to chan<- stream.Message) {
	defer close(to)
	for {
		m, err := r.Next()
		switch {
		case errors.Is(err, stream.ErrClosed) || ctx.Err() != nil:
			return
		case err != nil:
			e.log.Warn("reading the log", zap.Error(err))
			if sleep(ctx, retryDelay) != nil {
				return
			}
			continue
		}
		select {
		case to <- m:
		case <-ctx.Done():
			return
		}
	}
}

// writeTicks publishes a tick whenever it is asked to.
func (e *Engine) writeTicks(ctx context.Context, ask <-chan struct{}) {
	for {
		select {
		case <-ask:
		case <-ctx.Done():
			return
		}
		e.pass(TickDue, nil)
		if e.append(ctx, frame.Event{Kind: frame.Tick}) != nil {
			return
		}
		e.pass(TickWritten, nil)
		e.stats.Ticks.Add(1)
		if sleep(ctx, tickSpacing) != nil {
			return
		}
	}
}
