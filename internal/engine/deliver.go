package engine

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// maxReceipts bounds the receipts that wait for the log. A sink that reports
// more waits; nothing is forgotten.
const maxReceipts = 1024

// Report takes a sink's receipt, to be written to the log. It waits when many
// are waiting already.
func (e *Engine) Report(r correlate.Receipt) {
	select {
	case e.receipts <- r:
	case <-e.done:
		// Unwritten: the notification is delivered again in the next life, under
		// the same key.
	}
}

// writeReceipts writes receipts to the log, those that wait together in one
// message.
func (e *Engine) writeReceipts(ctx context.Context) {
	for {
		select {
		case r := <-e.receipts:
			events := e.waitingReceipts([]frame.Event{receiptEvent(r)})
			if e.append(ctx, events...) != nil {
				e.unwritten = events
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// waitingReceipts appends what waits now.
func (e *Engine) waitingReceipts(events []frame.Event) []frame.Event {
	for len(events) < maxReceipts {
		select {
		case r := <-e.receipts:
			events = append(events, receiptEvent(r))
		default:
			return events
		}
	}
	return events
}

func receiptEvent(r correlate.Receipt) frame.Event {
	return frame.Event{Kind: frame.Receipt, Receipt: &r}
}

// deliver hands on what the outbox holds, in order, but for what was delivered
// before. Records older than the log are passed over: whether they were
// delivered stood in what the log no longer has.
func (e *Engine) deliver(ctx context.Context, delivered map[notificationID]bool) {
	from, err := e.opts.Stream.Outbox(ctx)
	for err != nil {
		e.log.Error("reading the outbox", zap.Error(err))
		if sleep(ctx, retryDelay) != nil {
			return
		}
		from, err = e.opts.Stream.Outbox(ctx)
	}
	reader, err := e.opts.Stream.ReadOutbox(ctx, from.First)
	if err != nil {
		e.log.Error("reading the outbox", zap.Error(err))
		return
	}
	stop := context.AfterFunc(ctx, reader.Close)
	defer stop()
	for {
		m, err := reader.Next()
		if errors.Is(err, stream.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			e.log.Warn("reading the outbox", zap.Error(err))
			if sleep(ctx, retryDelay) != nil {
				return
			}
			continue
		}
		e.deliverRecord(ctx, &m, delivered)
	}
}

func (e *Engine) deliverRecord(ctx context.Context, m *stream.Message, delivered map[notificationID]bool) {
	_, c, err := frame.DecodeCommit(m.Data)
	if err != nil {
		e.stats.Faults.Add(1)
		e.log.Error("the outbox is damaged", zap.Uint64("seq", m.Seq), zap.Error(err))
		return
	}
	if m.At < e.floor {
		return
	}
	for i := range c.Outputs {
		n := &c.Outputs[i]
		if delivered[notificationID{n.Incident, n.Revision}] {
			continue
		}
		e.stats.Delivered.Add(1)
		e.opts.Deliver(ctx, n, m.Seq <= e.inherited)
	}
}
