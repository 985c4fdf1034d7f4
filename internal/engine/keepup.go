package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// KeepUp writes snapshots of a shared log while another process owns its shard, so
// that this one replays little when it takes over. It returns when ctx ends. Of
// the options it looks at Stream, Policy, SnapshotDir, Hold and Logger.
func KeepUp(ctx context.Context, o Options) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.SnapshotDir == "" {
		return
	}
	e := &Engine{opts: o, log: o.Logger}
	for wait := snapshotPoll; sleep(ctx, wait) == nil; wait = snapshotInterval {
		if o.Hold != nil && o.Hold() {
			continue
		}
		if err := e.keepUp(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("no snapshot while standing by; taking over replays the log since the last one", zap.Error(err))
		}
	}
}

// keepUp writes one snapshot, if the log has grown enough for it. It stops at what
// the outbox has: what comes behind it the owner may have applied and may die
// before it is committed, and then it is the next life's to decide.
func (e *Engine) keepUp(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil { // the owner gives such a message up, as this process would
			err = fmt.Errorf("the core breaks on a message: %v", r)
		}
	}()
	c, _, _, err := e.opts.Stream.LastCommit(ctx)
	if err != nil || c == nil {
		return err
	}
	held, err := e.opts.Stream.Log(ctx)
	if err != nil {
		return err
	}
	d := snapshots{e.opts.SnapshotDir}
	newest, _, err := d.newest()
	if err != nil && !errors.Is(err, errNoSnapshot) {
		return err
	}
	known := held.First - 1
	if newest != nil {
		known = newest.seq
	}
	if c.Input < known+snapshotMessages || c.Input > held.Last {
		return nil
	}
	if e.poisoned, err = loadPoison(e.opts.SnapshotDir); err != nil {
		return err
	}
	began := time.Now()
	s, err := e.shardAt(ctx, c.Input)
	if err != nil {
		return err
	}
	if err := d.save(s); err != nil {
		return err
	}
	e.log.Debug("snapshot written while standing by", zap.Uint64("seq", s.seq), zap.Duration("took", time.Since(began)))
	return nil
}
