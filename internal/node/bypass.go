package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
)

// Unreadable bodies of one source that come within this time, and how many of
// them, are worth a self-alert: one may be a slip of somebody's curl.
const (
	unreadableWithin = 5 * time.Minute
	unreadableMany   = 3
)

// quarantined notes that a source has sent something that cannot be read.
func (n *Node) quarantined(source string, _ *ingest.Result) {
	now := time.Now()
	n.delivery.mu.Lock()
	recent := slices.DeleteFunc(n.unreadable[source], func(t time.Time) bool { return now.Sub(t) >= unreadableWithin })
	recent = append(recent, now)
	n.unreadable[source] = recent[max(0, len(recent)-unreadableMany):]
	n.delivery.mu.Unlock()
	if len(recent) >= unreadableMany {
		n.alarm.Raise(selfalert.SourceUnreadable, source)
	}
}

// fault tells people what is wrong with log, outbox or snapshots.
func (n *Node) fault(err error) {
	cause := selfalert.LogDamaged
	if errors.Is(err, engine.ErrSnapshot) {
		cause = selfalert.SnapshotFailed
	}
	n.alarm.Raise(cause, err.Error())
}

// silent tells people of sources that have stopped sending.
func (n *Node) silent(source string, silent bool) {
	n.delivery.mu.Lock()
	defer n.delivery.mu.Unlock()
	if silent {
		n.quiet[source] = true
		n.alarm.Raise(selfalert.SourceSilent, source+": its alerts are kept as they stand until it is heard again")
		return
	}
	delete(n.quiet, source)
	if len(n.quiet) == 0 {
		n.alarm.Clear(selfalert.SourceSilent)
	}
}

// poisoned has the alerts of a message that breaks the core paged as they came.
func (n *Node) poisoned(m *stream.Message, broke error) {
	n.alarm.Raise(selfalert.CoreFailed, fmt.Sprintf("log message %d: %v", m.Seq, broke))
	var d frame.Decoder
	var owed []alert.Alert
	_, err := d.Decode(m.Data, func(e *frame.Event) error {
		for i := range e.Alerts {
			if a := e.Alerts[i].Clone(); a.Status == alert.Firing {
				owed = append(owed, a)
			}
		}
		return nil
	})
	n.pageAsTheyCame(owed, m.Seq)
	if err != nil {
		n.log.Error("a message that breaks the core cannot be read by others either", zap.Uint64("seq", m.Seq), zap.Error(err))
	}
}

// beyond has alerts paged that the core has no room for. Their senders repeat
// them, so one whose page stands is not paged again.
func (n *Node) beyond(alerts []alert.Alert, seq uint64) {
	n.pageAsTheyCame(slices.DeleteFunc(alerts, func(a alert.Alert) bool { return n.raw.stands(a.Fingerprint) }), seq)
}

// pageAsTheyCame has the guard page alerts of a log message about which the core
// decides nothing, those that can wait for somebody aside.
func (n *Node) pageAsTheyCame(alerts []alert.Alert, seq uint64) {
	alerts = slices.DeleteFunc(alerts, func(a alert.Alert) bool { return a.Labels.Severity().Rank() < alert.Warning })
	if err := n.raw.owe(alerts, seq); err != nil {
		n.log.Error("raw pages of a log message are owed until the process ends only", zap.Uint64("seq", seq), zap.Error(err))
	}
	for i := range alerts {
		n.guard.Force(&alerts[i], seq)
	}
}

const booksEvery = 30 * time.Second

// watchBooks looks after what must always hold.
func (n *Node) watchBooks(ctx context.Context) {
	every(ctx, booksEvery, func() {
		if err := n.stream.Health(); err != nil {
			n.forward.fail(err)
		}
		balanced := true
		queryCtx, cancel := context.WithTimeout(ctx, booksEvery)
		err := n.engine.Query(queryCtx, func(s *engine.Shard) { balanced = s.Ledger.Totals().Balanced })
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.alarm.Raise(selfalert.CoreFailed, "it has not answered for "+booksEvery.String())
		case !balanced:
			n.steps.unbalanced.Store(true)
			n.alarm.Raise(selfalert.BooksUnbalanced, "")
		default:
			n.steps.unbalanced.Store(false)
			n.alarm.Clear(selfalert.BooksUnbalanced)
			n.alarm.Clear(selfalert.CoreFailed)
		}
	})
}
