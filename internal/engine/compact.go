package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/ledger"
)

// A snapshot is due after snapshotInterval, if the log has grown by
// snapshotMessages at least, and whenever it has grown by snapshotBacklog.
const (
	snapshotInterval = 5 * time.Minute
	snapshotMessages = 200
	snapshotBacklog  = 100_000
	snapshotPoll     = 10 * time.Second
)

// mark is what the live shard is known by at a message, to be compared with a
// replay that has come to the same one.
type mark struct {
	seq, incidents uint64
	live, groups   int
	standing       int
	totals         ledger.Totals
}

func (s *Shard) mark() mark {
	return mark{s.seq, s.Core.Opened(), s.Core.Live(), s.Core.Groups(), len(s.standing), s.Ledger.Totals()}
}

// takeSnapshots writes snapshots without stopping the shard: a second one is
// made of the last snapshot, replays the log since, and is written in the live
// one's place. So each snapshot also proves, while running, that a replay comes
// out where the live shard is.
func (e *Engine) takeSnapshots(ctx context.Context) {
	last := time.Now()
	for sleep(ctx, snapshotPoll) == nil {
		if e.opts.Hold != nil && e.opts.Hold() {
			continue
		}
		var m mark
		if e.Query(ctx, func(s *Shard) { m = mark{seq: s.seq} }) != nil {
			return
		}
		grown := m.seq - min(m.seq, e.snapshotSeq)
		if grown < snapshotBacklog && (grown < snapshotMessages || time.Since(last) < snapshotInterval) {
			continue
		}
		if e.Query(ctx, func(s *Shard) { m = s.mark() }) != nil {
			return
		}
		if err := e.snapshot(ctx, m); err != nil && ctx.Err() == nil {
			e.fault("no snapshot could be written; the older ones stay", fmt.Errorf("%w: %w", ErrSnapshot, err))
		}
		last = time.Now()
	}
}

// snapshot replays up to the mark and writes what comes out.
func (e *Engine) snapshot(ctx context.Context, m mark) error {
	began := time.Now()
	s, err := e.shardAt(ctx, m.seq)
	if err != nil {
		return err
	}
	if got := s.mark(); got != m {
		return fmt.Errorf("a replay up to message %d comes out elsewhere than the live shard: %+v, live %+v", m.seq, got, m)
	}
	if err := (snapshots{e.opts.SnapshotDir}).save(s); err != nil {
		return err
	}
	e.snapshotSeq = m.seq
	e.stats.Snapshots.Add(1)
	e.log.Debug("snapshot written", zap.Uint64("seq", m.seq), zap.Duration("took", time.Since(began)))
	return nil
}

// shardAt makes a shard as it was after message seq: of the newest snapshot, if
// that is not beyond it, and of the log since.
func (e *Engine) shardAt(ctx context.Context, seq uint64) (*Shard, error) {
	s, faults, err := snapshots{e.opts.SnapshotDir}.newest()
	for _, f := range faults {
		e.fault("a snapshot is damaged", fmt.Errorf("%w: %w", ErrSnapshot, f))
	}
	if err != nil && !errors.Is(err, errNoSnapshot) {
		return nil, err
	}
	if s == nil || s.seq > seq {
		held, err := e.opts.Stream.Log(ctx)
		if err != nil {
			return nil, err
		}
		if s, err = NewShard(e.opts.Policy); err != nil {
			return nil, err
		}
		s.poison = e.poisoned.list()
		return s, e.replay(ctx, s, held.First, seq)
	}
	s.poison = e.poisoned.list()
	return s, e.replay(ctx, s, s.seq+1, seq)
}

// replay feeds s with the messages from one to another.
func (e *Engine) replay(ctx context.Context, s *Shard, from, to uint64) error {
	if from > to {
		return nil
	}
	r, err := e.opts.Stream.ReadLog(ctx, from)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, r.Close)
	defer stop()
	defer r.Close()
	var m stream.Message
	for m.Seq < to {
		if m, err = r.Next(); err != nil {
			return err
		}
		if m.Seq <= to {
			s.Apply(&m)
		}
	}
	return nil
}

// lastSnapshot writes the live shard itself: when the engine stops, so that the
// next life is ready at once, and when it has started without any.
func (e *Engine) lastSnapshot() {
	if e.opts.SnapshotDir == "" || e.owner.shard.seq == e.snapshotSeq {
		return
	}
	if err := (snapshots{e.opts.SnapshotDir}).save(e.owner.shard); err != nil && !errors.Is(err, os.ErrExist) {
		e.log.Error("no snapshot could be written; a start replays the log", zap.Error(err))
		return
	}
	e.snapshotSeq = e.owner.shard.seq
}
