package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
)

// maxDecided bounds what a replay keeps for an outbox that has lost a part.
const maxDecided = 4096

// keepDecided keeps what the replay has decided again and the outbox should
// hold, until it is known whether it does.
func (e *Engine) keepDecided(seq uint64, outputs []correlate.Notification) {
	if seq > e.owner.committed.input || seq > e.owner.resumeSeq {
		return
	}
	if e.decided == nil {
		e.decided = map[notificationID][]byte{}
	}
	if len(e.decided)+len(outputs) > maxDecided {
		e.stillUndelivered()
	}
	for i := range outputs {
		n := &outputs[i]
		record, err := frame.AppendCommit(nil, 0, &frame.Commit{Input: seq, At: e.owner.shard.now, Outputs: outputs[i : i+1]})
		if err != nil || len(e.decided) >= maxDecided {
			e.undecided++ // then the outbox is the only place
			continue
		}
		e.decided[notificationID{n.Incident, n.Revision}] = record
	}
}

// stillUndelivered forgets what has its last receipt and returns the rest.
func (e *Engine) stillUndelivered() map[notificationID][]byte {
	for id := range e.decided { // order: each by itself
		if _, ok := e.owner.shard.undelivered[id]; !ok {
			delete(e.decided, id)
		}
	}
	return e.decided
}

// deliverLost hands on what was decided and committed, was not delivered, and is
// not in the outbox any more.
func (e *Engine) deliverLost(ctx context.Context, r *Redelivery, decided map[notificationID][]byte) {
	ids := make([]notificationID, 0, len(decided))
	for id := range decided {
		if _, ok := r.undelivered[id]; ok {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, notificationID.compare)
	if e.undecided > 0 && len(ids) > 0 {
		e.fault("the outbox is damaged", fmt.Errorf("beside what is handed on as a replay decides it, %d notifications were too many to keep: what it has lost of them is forgotten", e.undecided))
	}
	for _, id := range ids {
		_, c, err := frame.DecodeCommit(decided[id])
		e.fault("the outbox is damaged", errors.Join(fmt.Errorf("notification %d of %s is missing; it is handed on as a replay decides it", id.revision, correlate.IncidentName(id.incident)), err))
		if err == nil {
			e.stats.Delivered.Add(1)
			e.opts.Deliver(ctx, &Delivery{Notification: &c.Outputs[0], Again: true, Answered: r.answered[id]})
		}
	}
}
