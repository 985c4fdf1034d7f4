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

// span is a run of messages, both ends included.
type span struct{ from, to uint64 }

// maxSpans bounds what is known of what was lost. With more, the last one
// reaches over what lies between: rather one alert too many than one too few.
const maxSpans = 256

func addSpan(spans []span, s span) []span {
	if n := len(spans); n > 0 && (n == maxSpans || spans[n-1].to+1 == s.from) {
		spans[n-1].to = max(spans[n-1].to, s.to)
		return spans
	}
	return append(spans, s)
}

func contains(spans []span, seq uint64) bool {
	for _, s := range spans {
		if s.from <= seq && seq <= s.to {
			return true
		}
	}
	return false
}

// meetWitness compares log and outbox with what the witness knows of them.
func (e *Engine) meetWitness(held *stream.Extent) {
	if e.opts.SnapshotDir == "" {
		return
	}
	var faults []error
	e.witness, faults = openWitness(e.opts.SnapshotDir)
	for _, f := range faults {
		e.fault("a witness is damaged", fmt.Errorf("%w: %w", ErrSnapshot, f))
	}
	knows := e.witness.reach
	if knows.applied > held.Last {
		if e.owner.padTo == 0 { // else it is named already
			e.fault("the log has lost its end", fmt.Errorf("it ends at message %d, the witness knows %d", held.Last, knows.applied))
		}
		e.owner.padTo = max(e.owner.padTo, knows.applied)
		e.lost = addSpan(e.lost, span{held.Last + 1, knows.applied})
	}
	if knows.committed > e.owner.committed.input {
		// The replay decides again what is gone, under the same keys; what has a
		// last receipt is not handed on again.
		e.fault("the outbox has lost its end", fmt.Errorf("it ends with what message %d decided, the witness knows %d", e.owner.committed.input, knows.committed))
	}
	if e.owner.readFrom > 1 && e.snapshotSeq+1 < e.owner.readFrom {
		e.lost = addSpan(e.lost, span{e.snapshotSeq + 1, e.owner.readFrom - 1})
	}
}

// beginWitness starts the file for what comes after message seq. Without one
// everything goes on; a log that loses a part then takes it along.
func (e *Engine) beginWitness(seq uint64) {
	if e.witness == nil {
		return
	}
	if err := e.witness.begin(seq); err != nil {
		e.fault("nothing is witnessed", fmt.Errorf("%w: %w", ErrSnapshot, err))
	}
}

// bearWitness remembers what the message that was applied last has begun and
// ended. What an earlier life remembered is not remembered again.
func (e *Engine) bearWitness(m *stream.Message) {
	if e.owner.shard.lost != nil {
		e.lose()
	}
	if e.witness == nil || m.Seq <= e.witness.reach.applied {
		return
	}
	w, shard := e.witness, e.owner.shard
	w.reach.applied = m.Seq
	w.segment.Reset()
	message := false
	inFull := shard.inFull
	for i := range shard.out.Rows {
		for len(inFull) > 0 && i >= inFull[0].to {
			inFull = inFull[1:]
		}
		r := &shard.out.Rows[i]
		began := r.Action == correlate.Delivered && r.Now == correlate.Pending
		switch {
		case r.Severity < alert.Error || !began && r.Action != correlate.Ended:
		case began && len(inFull) > 0 && i >= inFull[0].from:
			message = true
		default:
			shard.Core.EachAlert(r.Fingerprint, shard.now, w.remember)
		}
	}
	var err error
	if message {
		err = w.append(recordMessage, m.Seq, shard.now, m.Data)
	}
	if !w.segment.Empty() {
		err = errors.Join(err, w.add(m.Seq, shard.now))
	}
	if err == nil {
		err = w.write()
	}
	if err != nil {
		e.fault("not everything is witnessed", fmt.Errorf("%w: %w", ErrSnapshot, err))
	}
}

func (w *witness) remember(source string, validity time.Duration, a *alert.Alert) {
	w.one[0] = *a
	w.segment.AddAlerts(source, validity, w.one[:])
	w.one[0] = alert.Alert{}
}

// committedUpTo remembers that the outbox holds what message seq has decided.
func (e *Engine) committedUpTo(seq uint64) {
	if e.witness == nil || seq <= e.witness.reach.committed {
		return
	}
	e.witness.reach.committed = seq
	if err := e.witness.write(); err != nil {
		e.fault("not everything is witnessed", fmt.Errorf("%w: %w", ErrSnapshot, err))
	}
}

// lose takes note of the messages that the shard found missing.
func (e *Engine) lose() {
	for _, s := range e.owner.shard.lost {
		e.lost = addSpan(e.lost, s)
	}
	e.owner.shard.lost = nil
}

// recall writes to the log again what was lost from it as far as the witness
// knows: what began and what ended. What the rest of the log knows already is a
// repeat there.
// Until it has succeeded no snapshot is written: the next life would miss
// nothing then.
func (e *Engine) recall(ctx context.Context) {
	if len(e.lost) == 0 || e.witness == nil || time.Now().Before(e.recallAfter) {
		return
	}
	alerts, err := e.witness.standing(e.lost)
	if err != nil {
		e.log.Warn("what is left of a damaged witness is used", zap.Error(err))
	}
	for len(alerts) > 0 {
		n := min(len(alerts), recalledTogether)
		var events []frame.Event
		for _, r := range alerts[:n] {
			events = append(events, frame.Event{Kind: frame.Alerts, Source: r.source, Validity: r.validity, Alerts: []alert.Alert{r.alert}})
		}
		if _, err := e.opts.Stream.AppendEvents(ctx, events...); err != nil {
			e.recallAfter = time.Now().Add(recallDelay)
			e.fault("alerts that the log has lost cannot be written to it again", err)
			return
		}
		e.stats.Recalled.Add(uint64(n))
		e.log.Warn("alerts that the log had lost are in it again", zap.Int("alerts", n))
		alerts = alerts[n:]
	}
	e.lost = nil
}

const (
	recalledTogether = 128 // alerts in one message at most
	recallDelay      = 10 * time.Second
)
