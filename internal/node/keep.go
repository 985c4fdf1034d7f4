package node

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/sinks"
)

// openKeep reads by which settings incidents were opened before this life.
func (n *Node) openKeep() {
	if n.opts.KeepFile == "" {
		n.keep = sinks.NewKeep()
		return
	}
	var err error
	if n.keep, err = sinks.OpenKeep(n.opts.KeepFile); err != nil {
		n.log.Error("incidents of before may have to be closed by hand", zap.Error(err))
		n.alarm.Raise(selfalert.SinkFailed, err.Error())
	}
}

// stranded tells people of an incident that nobody can close but they.
func (n *Node) stranded(sent *correlate.Notification, integration string, err error) {
	n.alarm.Raise(selfalert.SinkFailed, byHand(sent.Incident, sent.Receiver, integration)+", where it was opened by settings of before: "+err.Error())
}

func byHand(incident uint64, receiver, integration string) string {
	return "close " + correlate.IncidentName(incident) + " by hand at " + receiver + "/" + integration
}

const sweepEvery = 30 * time.Second

// sweep forgets the settings by which nothing stands open any more.
func (n *Node) sweep(ctx context.Context) {
	select {
	case <-n.engine.Ready(): // before, nobody knows what stands open
	case <-ctx.Done():
		return
	}
	every(ctx, sweepEvery, func() { n.sweepOnce(ctx) })
}

func (n *Node) sweepOnce(ctx context.Context) {
	open, needed := map[uint64]bool{}, map[string]bool{}
	ctx, cancel := context.WithTimeout(ctx, sweepEvery)
	defer cancel()
	remembered := n.sinks.Incidents()
	err := n.engine.Query(ctx, func(s *engine.Shard) {
		for _, h := range s.Standing() {
			open[h.Incident] = true
			for _, generation := range h.Generations {
				needed[generation] = true
			}
		}
	})
	if err == nil && slices.ContainsFunc(remembered, func(incident uint64) bool { return !open[incident] }) {
		// Their receipts may not be in the log yet.
		err = n.engine.Query(ctx, func(s *engine.Shard) {
			for _, in := range s.Core.Incidents() {
				open[in.Incident] = true
			}
		})
	}
	if err != nil {
		return // a core that hangs is looked after by others
	}
	n.sinks.Sweep(func(incident uint64) bool { return open[incident] }, needed)
	if err := n.keep.Retain(func(generation string) bool { return needed[generation] }); err != nil {
		n.log.Error("settings of before could not be removed from disk", zap.Error(err))
	}
}
