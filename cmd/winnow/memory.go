package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the heap may grow by before it is collected, where GOGC does not say.
// What lives long holds few pointers, so that to collect it costs little, and
// less room is worth more: half of what is alive, and of a large heap a tenth
// and what lets the collector rest for a while.
const (
	mostRoom  = 50 // percent
	roomBytes = 48 << 20
	roomShare = 10
	paceEvery = time.Second
)

// room is that, in percent of what is alive.
func room(live uint64) int {
	if live == 0 {
		return mostRoom
	}
	return int(min(mostRoom, 100*(roomBytes+live/roomShare)/live))
}

// pace keeps the collector to room until ctx ends.
func pace(ctx context.Context) {
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	now := mostRoom
	debug.SetGCPercent(now)
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(alive)
		if alive[0].Value.Kind() != metrics.KindUint64 {
			return
		}
		// It stops the world for a moment: not for a difference that nobody sees.
		if want := room(alive[0].Value.Uint64()); want < now-1 || want > now+1 {
			now = want
			debug.SetGCPercent(now)
		}
	}
}
