package engine

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// commit writes the outputs of message seq to the outbox, less what an earlier
// life has written of them.
func (e *Engine) commit(ctx context.Context, seq uint64, outputs []correlate.Notification) error {
	for {
		c, err := e.owner.Next(seq, outputs)
		if c == nil || err != nil {
			return err
		}
		if err := e.write(ctx, c); err != nil {
			return err
		}
		if c.Partial > 0 {
			e.pass(CommittedPart, nil)
		}
	}
}

// take counts how many of the outputs fit a record of so many bytes; at least one.
func take(outputs []correlate.Notification, limit int) int {
	size := 0
	for i := range outputs {
		n := &outputs[i]
		for j := range n.Alerts {
			m := &n.Alerts[j]
			for k := range m.Labels {
				size += len(m.Labels[k].Name) + len(m.Labels[k].Value) + 24
			}
			for k := range m.Annotations {
				size += len(m.Annotations[k].Name) + len(m.Annotations[k].Value) + 24
			}
			size += 128
		}
		if size += 512; size > limit && i > 0 {
			return i
		}
	}
	return len(outputs)
}

// write commits one record. It goes on trying until the outbox has it, or
// another process owns the shard: what is not committed must not be acted on,
// and what comes after it must wait.
func (e *Engine) write(ctx context.Context, c *frame.Commit) error {
	record, err := e.owner.Encode(c, e.opts.Stream.MaxRecord())
	if err != nil {
		return err
	}
	for {
		// A stop lets what is under way end: it has a deadline of its own.
		underWay := context.WithoutCancel(ctx)
		seq, err := e.opts.Stream.Commit(underWay, record, e.owner.After())
		if err == nil {
			e.owner.Written(c, seq)
			e.stats.Commits.Add(1)
			return nil
		}
		if errors.Is(err, stream.ErrFenced) {
			last, counter, seq, lastErr := e.opts.Stream.LastCommit(underWay)
			if errors.Is(lastErr, frame.ErrCorrupt) {
				return err // what cannot be read is not ours
			}
			if lastErr == nil {
				switch e.owner.Fenced(c, last, counter) {
				case OurRecord:
					e.owner.Written(c, seq)
					return nil
				case NoRecord:
					continue
				case TheirRecord:
					return err
				}
			}
		}
		e.log.Error("the outbox takes no commit", zap.Error(err))
		if sleep(ctx, retryDelay) != nil {
			return fmt.Errorf("engine: stopped before the outbox took a commit: %w", err)
		}
	}
}

// annotated is how many alerts of a list that is too long keep their annotations.
const annotated = 20

// strip drops the annotations of all alerts of a list but the first: a name is
// worth more. It reports false when there is nothing to drop.
func strip(outputs []correlate.Notification) (dropped bool) {
	for i := range outputs {
		alerts := outputs[i].Alerts
		for j := annotated; j < len(alerts); j++ {
			m := &alerts[j]
			dropped = dropped || m.Annotations != nil || m.GeneratorURL != ""
			m.Annotations, m.GeneratorURL = nil, ""
		}
	}
	return dropped
}

// shorten halves the longest list of alerts. It reports false when none can be
// shortened any more.
func shorten(outputs []correlate.Notification) bool {
	longest := 0
	for i := range outputs {
		if len(outputs[i].Alerts) > len(outputs[longest].Alerts) {
			longest = i
		}
	}
	n := &outputs[longest]
	if len(n.Alerts) < 2 {
		return false
	}
	keep := len(n.Alerts) / 2
	n.Omitted += len(n.Alerts) - keep
	n.Alerts = n.Alerts[:keep]
	return true
}
