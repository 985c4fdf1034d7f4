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

// commitPoint is how far the outbox reaches: all outputs of the log up to and
// including message input, and the first partial outputs of the next message
// that has any.
type commitPoint struct {
	input   uint64
	partial int
}

// recordBytes is about how much a commit record may hold before packing; a
// message that decides more is committed in parts.
const recordBytes = 2 << 20

// commit writes the outputs of message seq to the outbox, less what an earlier
// life has written of them.
func (e *Engine) commit(ctx context.Context, seq uint64, outputs []correlate.Notification) error {
	if seq <= e.committed.input {
		return nil
	}
	done := e.committed.partial
	if done > len(outputs) {
		return fmt.Errorf("engine: message %d decides %d notifications, the outbox has %d of them: this program decides otherwise than the one that wrote them", seq, len(outputs), done)
	}
	for done < len(outputs) {
		n := take(outputs[done:])
		c := frame.Commit{Epoch: e.epoch, Input: seq, At: e.shard.now, Outputs: outputs[done : done+n]}
		if done += n; done < len(outputs) {
			c.Input, c.Partial = seq-1, done // seq is the next message then
		}
		if err := e.write(ctx, &c); err != nil {
			return err
		}
		if e.committed = (commitPoint{c.Input, c.Partial}); c.Partial > 0 {
			e.pass(CommittedPart, nil)
		}
	}
	return nil
}

// take counts how many of the outputs fit one record; at least one.
func take(outputs []correlate.Notification) int {
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
		if size += 512; size > recordBytes && i > 0 {
			return i
		}
	}
	return len(outputs)
}

// write commits one record. It goes on trying until the outbox has it, or
// another process owns the shard: what is not committed must not be acted on,
// and what comes after it must wait.
func (e *Engine) write(ctx context.Context, c *frame.Commit) error {
	record, err := e.encode(c)
	if err != nil {
		return err
	}
	for {
		seq, err := e.opts.Stream.Commit(ctx, record, e.outbox.seq)
		if err == nil {
			e.outbox.seq = seq
			e.outbox.counter++
			e.stats.Commits.Add(1)
			return nil
		}
		if errors.Is(err, stream.ErrFenced) {
			switch seq, found := e.stored(ctx, c); found {
			case ours:
				e.outbox.seq = seq
				e.outbox.counter++
				return nil
			case none:
				e.outbox.seq = 0 // all records have aged out, our last one too
				continue
			}
			return err
		}
		e.log.Error("the outbox takes no commit", zap.Error(err))
		if err := sleep(ctx, retryDelay); err != nil {
			return err
		}
	}
}

// finding is what stands at the end of the outbox.
type finding uint8

const (
	theirs finding = iota // another process's record, or it cannot be told
	ours                  // the record in question: written by a try whose answer was lost
	none                  // nothing
)

// stored looks at the newest record.
func (e *Engine) stored(ctx context.Context, c *frame.Commit) (uint64, finding) {
	last, counter, seq, err := e.opts.Stream.LastCommit(ctx)
	switch {
	case err != nil:
		return 0, theirs
	case last == nil && e.outbox.seq > 0:
		return 0, none
	case last != nil && last.Epoch == c.Epoch && last.Input == c.Input && last.Partial == c.Partial && counter == e.outbox.counter+1:
		return seq, ours
	}
	return 0, theirs
}

// encode packs c. A record that is too large for the server lists fewer alerts
// and counts the rest.
func (e *Engine) encode(c *frame.Commit) ([]byte, error) {
	for {
		record, err := frame.AppendCommit(nil, e.outbox.counter+1, c)
		if err != nil {
			return nil, fmt.Errorf("engine: commit: %w", err)
		}
		if len(record) <= e.opts.Stream.MaxRecord() || !shorten(c.Outputs) {
			return record, nil
		}
	}
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
