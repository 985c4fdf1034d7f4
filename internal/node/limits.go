package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/internal/selfalert"
)

const (
	limitsEvery = 5 * time.Second
	// limitOver is how long no limit is reached before that is over.
	limitOver = 10 * time.Minute
)

// limits tells people of limits that were reached where something is not done
// then that is done below. What happens at each is in docs/limits.md.
type limits struct {
	node *Node
	all  []limit
	last time.Time // that one was reached; zero when that is over
}

type limit struct {
	name    string
	reached func() uint64 // times, in this life
	told    uint64        // of them
}

func newLimits(n *Node) *limits {
	l := &limits{node: n, all: []limit{
		{name: "alerts", reached: n.engine.Stats().Beyond.Load},
		{name: "silences", reached: n.engine.Stats().Silences.Load},
		{name: "guard", reached: n.guard.TurnedAway},
		{name: "raw_pages", reached: n.raw.turnedAway.Load},
		{name: "digests", reached: n.steps.digests.left.Load},
		{name: "later", reached: n.forward.later.turnedAway.Load},
		{name: "forwarded", reached: n.forward.forgotten.Load},
		{name: "sink_queues", reached: n.sinks.TurnedAway},
		{name: "standing", reached: n.sinks.Unremembered},
	}}
	for _, each := range l.all {
		n.opts.Registerer.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "winnow_limit_reached_total", Help: "Times that there was no room for one more, by what there was too much of.",
			ConstLabels: prometheus.Labels{"limit": each.name},
		}, func() float64 { return float64(each.reached()) }))
	}
	return l
}

func (l *limits) watch(ctx context.Context) {
	every(ctx, limitsEvery, func() { l.look(time.Now()) })
}

func (l *limits) look(now time.Time) {
	var names []string
	for i := range l.all {
		each := &l.all[i]
		n := each.reached()
		if n == each.told {
			continue
		}
		l.node.log.Error("a limit was reached", zap.String("limit", each.name), zap.Uint64("times", n-each.told))
		names = append(names, fmt.Sprintf("%s, %d times", each.name, n-each.told))
		each.told = n
	}
	switch {
	case len(names) > 0:
		l.last = now
		l.node.alarm.Raise(selfalert.LimitReached, strings.Join(names, "; "))
	case !l.last.IsZero() && now.Sub(l.last) >= limitOver:
		l.last = time.Time{}
		l.node.alarm.Clear(selfalert.LimitReached)
	}
}
