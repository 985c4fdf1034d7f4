package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// maxReceipts bounds the receipts that wait for the log. A sink that reports
// more waits; nothing is forgotten.
const maxReceipts = 1024

// Report takes a sink's receipt, to be written to the log, and calls noted once
// it is there, if that is in this life. It waits when many are waiting already.
func (e *Engine) Report(r correlate.Receipt, noted func()) {
	select {
	case e.receipts <- receipt{r, noted}:
	case <-e.done:
		// Unwritten: the notification is delivered again in the next life, under
		// the same key.
	}
}

// receipt is one that waits for the log.
type receipt struct {
	correlate.Receipt
	noted func()
}

// writeReceipts writes receipts to the log, those that wait together in one
// message.
func (e *Engine) writeReceipts(ctx context.Context) {
	for {
		select {
		case r := <-e.receipts:
			e.pass(ReceiptsWait, nil)
			batch := e.waitingReceipts([]receipt{r})
			if e.append(ctx, receiptEvents(batch)...) != nil {
				e.unwritten = batch
				return
			}
			for i := range batch {
				batch[i].noted()
			}
			e.pass(ReceiptsWritten, nil)
		case <-ctx.Done():
			return
		}
	}
}

// waitingReceipts appends what waits now.
func (e *Engine) waitingReceipts(batch []receipt) []receipt {
	for len(batch) < maxReceipts {
		select {
		case r := <-e.receipts:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

func receiptEvents(batch []receipt) []frame.Event {
	events := make([]frame.Event, len(batch))
	for i := range batch {
		events[i] = frame.Event{Kind: frame.Receipt, Receipt: &batch[i].Receipt}
	}
	return events
}

// deliver hands on what the outbox holds, in order. Of what earlier lives have
// written that is only what is undelivered. What they had decided and the outbox
// does not hold any more is handed on as the replay has decided it again.
func (e *Engine) deliver(ctx context.Context, undelivered *Redelivery, decided map[notificationID][]byte) {
	var reader *stream.Reader
	var reached uint64 // of the outbox
	for {
		from, err := e.deliverFrom(ctx, undelivered)
		if err == nil {
			reached = from - 1
			reader, err = e.opts.Stream.ReadOutbox(ctx, from)
		}
		if err == nil {
			break
		}
		e.log.Error("reading the outbox", zap.Error(err))
		if sleep(ctx, retryDelay) != nil {
			return
		}
	}
	stop := context.AfterFunc(ctx, reader.Close)
	defer stop()
	for {
		if decided != nil && reached >= undelivered.inherited {
			e.deliverLost(ctx, undelivered, decided)
			decided = nil
		}
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
		e.deliverRecord(ctx, &m, undelivered, decided)
		reached = m.Seq
	}
}

// deliverFrom finds the first record that may hold something to deliver.
func (e *Engine) deliverFrom(ctx context.Context, undelivered *Redelivery) (uint64, error) {
	input, last := undelivered.From()
	if input == 0 {
		return last + 1, nil
	}
	return e.opts.Stream.FindCommit(ctx, input, last)
}

func (e *Engine) deliverRecord(ctx context.Context, m *stream.Message, undelivered *Redelivery, decided map[notificationID][]byte) {
	_, c, err := frame.DecodeCommit(m.Data)
	if err != nil {
		e.fault("the outbox is damaged", fmt.Errorf("record %d: %w", m.Seq, err))
		c = nil
	}
	e.pass(RecordRead, nil)
	if c != nil {
		for i := range c.Outputs {
			delete(decided, notificationID{c.Outputs[i].Incident, c.Outputs[i].Revision})
		}
	}
	for _, d := range undelivered.Take(m.Seq, c) {
		if d.Overtaken {
			e.Report(d.OvertakenReceipt(alert.TimeOf(time.Now())), func() {})
			continue
		}
		e.stats.Delivered.Add(1)
		e.opts.Deliver(ctx, &d)
		e.pass(HandedOn, nil)
	}
}
