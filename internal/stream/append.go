package stream

import (
	"context"
	"sync"

	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
)

// encoder is what one append needs; appends run side by side.
type encoder struct {
	segment frame.Segment
	bytes   []byte
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

var _ ingest.Log = (*Stream)(nil)

// Append makes a batch durable, as ingest.Log asks.
func (s *Stream) Append(ctx context.Context, b *ingest.Batch) error {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.segment.Reset()
	if b.Dictionary == 0 {
		e.segment.AddAlerts(b.Source, b.Validity, b.Alerts)
	} else {
		e.segment.AddDeliveries(&frame.Event{
			Source: b.Source, Validity: b.Validity, Alerts: b.Alerts,
			Dictionary: b.Dictionary, First: b.First, Repeats: b.Repeats, Runs: b.Runs,
		})
	}
	for i := range b.Quarantined {
		q := &b.Quarantined[i]
		err := e.segment.Add(&frame.Event{Kind: frame.Quarantine, Quarantine: &frame.Quarantined{
			Source: b.Source, Reason: q.Reason, Pointer: q.Pointer, Offset: q.Offset, Alerts: q.Alerts, Raw: q.Raw,
		}})
		if err != nil {
			return err
		}
	}
	if e.segment.Empty() {
		return nil
	}
	_, err := s.write(ctx, e, true, patient(b))
	return err
}

// crowd is from how many alerts in full on a batch may wait for company as repeats
// do. So many at a time are a storm, or a sender that begins: its next batch comes
// as soon as this one is answered.
const crowd = 32

// patient reports whether a batch may wait for company: it says nothing that has
// not been said before, or it is a crowd.
func patient(b *ingest.Batch) bool {
	return len(b.Quarantined) == 0 && (len(b.Alerts) == 0 || len(b.Alerts) >= crowd)
}

// NumberFrom has the next frame numbered counter at least: for a log that no
// longer holds the last one. Nothing may be appended at the same time.
func (s *Stream) NumberFrom(counter uint64) { s.writer.counter = max(s.writer.counter, counter) }

// Stored is the sequence of the message that was stored last by this process.
func (s *Stream) Stored() uint64 { return s.writer.stored.Load() }

// AppendEvents makes events durable, all in one message, and returns its
// sequence.
func (s *Stream) AppendEvents(ctx context.Context, events ...frame.Event) (uint64, error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.segment.Reset()
	for i := range events {
		if err := e.segment.Add(&events[i]); err != nil {
			return 0, err
		}
	}
	return s.write(ctx, e, false, false)
}

func (s *Stream) write(ctx context.Context, e *encoder, sender, patient bool) (uint64, error) {
	e.bytes = e.segment.Append(e.bytes[:0])
	return s.writer.write(ctx, e.bytes, sender, patient)
}
