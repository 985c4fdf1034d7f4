package node

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/internal/selfalert"
)

const (
	// LowSpace is the free share of the log's disk at which people are told, and
	// enoughSpace the one at which that is over.
	LowSpace    = 0.15
	enoughSpace = 0.17

	diskEvery = 10 * time.Second

	// tellTimeout bounds how long a process that has to end waits until people
	// have been told why. Criticals are handed on past the log meanwhile.
	tellTimeout = 10 * time.Second
)

// registerStorage exports what is known of the log's disk.
func (n *Node) registerStorage() {
	n.opts.Registerer.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "winnow_storage_free_ratio", Help: "Free share of the disk that the log is on; 1 with a NATS cluster, whose disks are not ours.",
		}, func() float64 { return n.stream.Space().FreeRatio() }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "winnow_storage_restarts_total", Help: "Times that the embedded NATS server was started anew in place, after it had taken nothing.",
		}, func() float64 { return float64(n.stream.Restarts()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "winnow_owner", Help: "1 when this process owns the shard and may send, 0 while it stands by or cannot know.",
		}, func() float64 {
			if n.standsBy() || !n.stream.May() {
				return 0
			}
			return 1
		}),
	)
}

// watchDisk tells people of a disk that is nearly full. When a write of the log
// has failed otherwise than for want of room it tells them too and ends the
// node: nobody knows what the disk holds, and the next life begins with what it
// really does.
func (n *Node) watchDisk(ctx context.Context) {
	t := time.NewTicker(diskEvery)
	defer t.Stop()
	for {
		n.lookAtDisk()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-n.stream.Broke():
			err := n.stream.Broken()
			n.forward.down.Store(true)
			n.alarm.Raise(selfalert.DiskFailed, err.Error())
			tellCtx, cancel := context.WithTimeout(ctx, tellTimeout)
			n.alarm.Told(tellCtx)
			cancel()
			n.log.Error("ending: start Winnow again once the disk is well", zap.Error(err))
			n.cancel()
			return
		}
	}
}

func (n *Node) lookAtDisk() {
	switch free := n.stream.Space().FreeRatio(); {
	case free <= LowSpace:
		n.alarm.Raise(selfalert.DiskLow, fmt.Sprintf("%.0f %% of the disk of %s is free", 100*free, n.opts.Stream.Dir))
	case free >= enoughSpace:
		n.alarm.Clear(selfalert.DiskLow)
	}
}
