package node

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/canary"
	"github.com/winnowhq/winnow/internal/heartbeat"
	"github.com/winnowhq/winnow/internal/ladder"
	"github.com/winnowhq/winnow/sinks"
)

// guardAlive is how long ago the guard may have looked at its desk: a look takes
// as long as the receivers that it pages.
const guardAlive = 60 * time.Second

// canarySink is where canaries come out.
type canarySink struct{ canary *canary.Canary }

func (canarySink) Name() string       { return "canary[0]" }
func (canarySink) SendResolved() bool { return false }
func (canarySink) Keyed() bool        { return true }

func (s canarySink) Send(_ context.Context, m *sinks.Message) error {
	for i := range m.Notification.Alerts {
		s.canary.Out(m.Notification.Alerts[i].Labels.Get(canary.IDLabel))
	}
	return nil
}

// newCanary makes the canary and the heart that beats on its proof.
func (n *Node) newCanary() error {
	n.canary = canary.New(canary.Options{Path: ingest.DoorOf(correlate.CanarySource), Logger: n.log, Registerer: n.opts.Registerer})
	client, err := commoncfg.NewClientFromConfig(commoncfg.HTTPClientConfig{FollowRedirects: false}, "heartbeat", n.opts.HTTP...)
	if err != nil {
		return err
	}
	n.heart = heartbeat.New(heartbeat.Options{
		Config: func() heartbeat.Config { return n.current.Load().Winnow.Heartbeat },
		Prove:  n.prove, Client: client, Logger: n.log,
	})
	return nil
}

// ownDoor is the door of the canary.
func (n *Node) ownDoor() *ingest.Own {
	return &ingest.Own{Name: correlate.CanarySource, Secret: ingest.Secret(n.canary.Secret())}
}

// sing sends canaries once the log has been replayed: before that none can come
// through.
func (n *Node) sing(ctx context.Context) {
	select {
	case <-n.engine.Ready():
		n.canary.Run(ctx, func() http.Handler { return n.web })
	case <-ctx.Done():
	}
}

// prove says whether Winnow does what it is there for.
func (n *Node) prove(now time.Time) heartbeat.Proof {
	proved, age := n.canary.Age(now)
	var why string
	switch {
	case age >= canary.Alive:
		why = fmt.Sprintf("no canary has come through for %s", age.Round(time.Second))
	case n.steps.at(ladder.L3):
		st := n.steps.status()
		why = "degraded to " + st.Level + ": " + st.Cause
	case n.steps.unbalanced.Load():
		why = "the books do not balance"
	case now.Sub(n.guard.Looked()) >= guardAlive && now.Sub(n.begun) >= guardAlive:
		why = "the guard does not look"
	case n.stream.Space().FreeRatio() <= LowSpace:
		why = fmt.Sprintf("%.0f %% of the disk is free", 100*n.stream.Space().FreeRatio())
	case n.refused() != "":
		why = n.refused() + " refuses pages for good"
	case !proved:
		return heartbeat.Proof{} // not yet; the age will tell
	}
	return heartbeat.Proof{OK: why == "", Why: why}
}

// refused names the integrations, other than the fallback's, that refused what
// they got last.
func (n *Node) refused() string {
	fallback := n.current.Load().Winnow.FallbackReceiver + "/"
	n.delivery.mu.Lock()
	defer n.delivery.mu.Unlock()
	var names []string
	for _, at := range slices.Sorted(maps.Keys(n.delivery.refusing)) {
		if fallback == "/" || !strings.HasPrefix(at, fallback) {
			names = append(names, at)
		}
	}
	return strings.Join(names, ", ")
}
