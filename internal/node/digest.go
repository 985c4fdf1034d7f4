package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/guard"
	"github.com/winnowhq/winnow/internal/guard/kept"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/sinks"
)

const (
	digestEvery   = time.Minute // for one receiver
	digestTimeout = 5 * time.Second

	// maxDigestAlerts bounds the alerts that a digest lists; all are counted.
	maxDigestAlerts = 256
	// maxDigestNames bounds the names that its note counts.
	maxDigestNames = 40
	// maxDigestsOpen bounds the digests that are closed once nothing waits; one
	// more stays open at the provider until somebody closes it, and people are
	// told so.
	maxDigestsOpen = 1024
)

// digests tell of what the guard has to page and cannot page fast enough: one
// page a minute for a receiver, of what no digest has told yet.
type digests struct {
	node *Node
	told map[alert.Fingerprint]bool // guard.MaxWatched of them, and those of one more round
	last map[string]time.Time       // by receiver
	open []sinks.Message            // to be closed when nothing waits
	left atomic.Uint64              // beyond maxDigestsOpen
}

func (d *digests) look(ctx context.Context, now time.Time) {
	if !d.node.stream.May() {
		return
	}
	waiting := d.node.guard.Waiting()
	if len(waiting) == 0 {
		clear(d.told)
		d.close(ctx)
		return
	}
	if len(d.told) > guard.MaxWatched { // some of them wait no longer
		d.forget(waiting)
	}
	for _, receiver := range slices.Sorted(maps.Keys(waiting)) {
		alerts := waiting[receiver]
		news := slices.ContainsFunc(alerts, func(a *kept.Alert) bool { return !d.told[a.Fingerprint] })
		if last, ok := d.last[receiver]; !news || ok && now.Sub(last) < digestEvery {
			continue
		}
		d.last[receiver] = now
		m := digest(receiver, alerts, now)
		if err := d.node.sendAny(ctx, receiver, m, digestTimeout); err != nil {
			d.node.log.Error("a digest of what waits could not be sent", zap.String("receiver", receiver), zap.Int("alerts", len(alerts)), zap.Error(err))
			continue
		}
		for _, a := range alerts {
			d.told[a.Fingerprint] = true
		}
		if len(d.open) >= maxDigestsOpen {
			d.left.Add(1)
			d.node.alarm.Raise(selfalert.SinkFailed, "close a digest of "+now.UTC().Format(time.RFC3339)+" by hand at "+receiver)
			continue
		}
		d.open = append(d.open, *m)
	}
}

// forget keeps of what was told only what waits.
func (d *digests) forget(waiting map[string][]*kept.Alert) {
	told := map[alert.Fingerprint]bool{}
	for _, alerts := range waiting { // order: a set
		for _, a := range alerts {
			if d.told[a.Fingerprint] {
				told[a.Fingerprint] = true
			}
		}
	}
	d.told = told
}

// close says of each digest that what it told of waits no longer.
func (d *digests) close(ctx context.Context) {
	for len(d.open) > 0 {
		m := d.open[0]
		n := *m.Notification
		n.Kind, n.Firing, n.Resolved = correlate.Resolve, 0, n.Firing
		m.Notification, m.Page = &n, false
		if err := d.node.sendAny(ctx, n.Receiver, &m, digestTimeout); err != nil {
			d.node.log.Warn("a digest could not be closed; it is tried again", zap.String("receiver", n.Receiver), zap.Error(err))
			return
		}
		d.open = d.open[1:]
	}
}

// digest is a page of alerts that wait, the most severe first.
func digest(receiver string, alerts []*kept.Alert, now time.Time) *sinks.Message {
	alerts = slices.Clone(alerts)
	slices.SortStableFunc(alerts, func(a, b *kept.Alert) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Name(), b.Name()))
	})
	key := fmt.Sprintf("winnow/digest/%s/%d", receiver, now.Unix())
	n := &correlate.Notification{
		Kind: correlate.Page, Reason: correlate.FirstNotification, Class: correlate.WantsResolved | correlate.FiringOnly,
		Receiver: receiver, GroupKey: key, Keys: []string{key}, At: alert.TimeOf(now), Opened: alert.TimeOf(now),
		GroupLabels: alert.Labels{{Name: "alertname", Value: "WinnowDigest"}},
		Severity:    alerts[0].Severity, Firing: len(alerts), Omitted: max(0, len(alerts)-maxDigestAlerts),
	}
	for _, packed := range alerts[:min(len(alerts), maxDigestAlerts)] {
		a := packed.Unpack()
		n.Alerts = append(n.Alerts, correlate.Member{
			Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
			GeneratorURL: a.GeneratorURL, Deliveries: 1, New: true,
		})
	}
	note := fmt.Sprintf("%d alerts wait for a page of their own, nobody has decided about them in time: %s", len(alerts), names(alerts))
	return &sinks.Message{Notification: n, Key: key, Page: true, Context: degraded(note)}
}

// names counts by alertname, in the order of the alerts.
func names(alerts []*kept.Alert) string {
	count := map[string]int{}
	var order []string
	for _, a := range alerts {
		name := cmp.Or(a.Name(), "(no name)")
		if count[name]++; count[name] == 1 {
			order = append(order, name)
		}
	}
	var out []string
	for _, name := range order[:min(len(order), maxDigestNames)] {
		out = append(out, fmt.Sprintf("%d %s", count[name], name))
	}
	if more := len(order) - maxDigestNames; more > 0 {
		out = append(out, fmt.Sprintf("and %d names more", more))
	}
	return strings.Join(out, ", ")
}
