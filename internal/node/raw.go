package node

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/sinks"
)

// guardRoute is the routing tree as the guard has it.
func guardRoute(r *correlate.Route) pager.Route {
	g := pager.Route{ID: r.ID, Key: r.Key, Matchers: r.Matchers, Continue: r.Continue, Receiver: r.Receiver, GroupBy: r.GroupBy, GroupByAll: r.GroupByAll}
	for i := range r.Routes {
		g.Routes = append(g.Routes, guardRoute(&r.Routes[i]))
	}
	return g
}

// sendRaw brings one alert to all that stands behind a receiver, past log, core
// and queues. It succeeds when one of the integrations took it: somebody has
// been told then. A receiver with nobody behind it has nobody to tell.
func (n *Node) sendRaw(ctx context.Context, p pager.Page, others int) error {
	if err := n.mayPageRaw(ctx, p.Logged); err != nil {
		return err
	}
	a, receiver, key := p.Alert, p.Receiver, p.Key
	m := &correlate.Notification{
		Kind: correlate.Page, Reason: correlate.FirstNotification, Class: correlate.WantsResolved | correlate.FiringOnly,
		Receiver: receiver, GroupKey: key, Keys: []string{key}, GroupLabels: a.Labels, At: alert.TimeOf(time.Now()),
		Opened: a.StartsAt, Severity: a.Labels.Severity(), Firing: 1 + others, Omitted: others,
		Alerts: []correlate.Member{{
			Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
			GeneratorURL: a.GeneratorURL, Deliveries: 1, New: true,
		}},
	}
	message := &sinks.Message{
		Notification: m, Key: key, Page: true,
		Context: degraded("sent as it came: nobody had decided about it in time"),
	}
	return n.sendAny(ctx, receiver, message, 0)
}

// sendAny brings a message to all that stands behind a receiver and succeeds
// when one of them took it. Without a timeout the context's deadline holds.
func (n *Node) sendAny(ctx context.Context, receiver string, message *sinks.Message, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	integrations := (*n.receivers.Load())[receiver]
	answers := make(chan error, len(integrations))
	for _, in := range integrations {
		go func() { answers <- in.Send(ctx, message) }()
	}
	var errs []error
	for range integrations {
		select {
		case err := <-answers:
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	return errors.Join(errs...)
}

// sentRaw tells people that the guard had to page, and the core that it did.
func (n *Node) sentRaw(ctx context.Context, p pager.Page) {
	kept := n.raw.add(n.log, p)
	if !p.Logged {
		return
	}
	n.alarm.Raise(selfalert.CriticalUnheard, p.Alert.Fingerprint.String())
	e := bypassed(p.Alert.Fingerprint, p.Receiver)
	_, err := n.stream.AppendEvents(ctx, e)
	switch {
	case err == nil:
		n.rawNoted(p.Alert.Fingerprint, p.Receiver, p.Key)
	case kept: // closeRaw tries again
		n.log.Error("a raw page is not in the log yet", zap.Stringer("fingerprint", p.Alert.Fingerprint), zap.Error(err))
	case !n.forward.later.add(e):
		n.log.Error("a raw page is not in the log; its end is told past the core", zap.Stringer("fingerprint", p.Alert.Fingerprint), zap.Error(err))
	}
}

// bypassed tells the core that a receiver got an alert's raw page.
func bypassed(f alert.Fingerprint, receiver string) frame.Event {
	return frame.Event{Kind: frame.Bypass, Bypass: &frame.Bypassed{Fingerprint: f, Receiver: receiver}}
}

const (
	// rawStands is how long a raw page stands when nothing is heard of its alert
	// any more: as long as Alertmanager's alerts are believed.
	rawStands = 48 * time.Hour
	// rawSettles is what the core gets to apply an end before it is asked.
	rawSettles = 10 * time.Second
	rawLook    = 5 * time.Second
)

func (n *Node) openRaw() {
	n.raw = &rawPages{path: n.opts.RawFile}
	if n.opts.RawFile == "" {
		return
	}
	if err := n.raw.read(); err != nil {
		n.log.Error("what was paged past the core before this start may have to be closed by hand", zap.Error(err))
		n.alarm.Raise(selfalert.SinkFailed, err.Error())
	}
}

// payOwed has the guard page what a life before this one owed.
func (n *Node) payOwed() {
	for _, p := range n.raw.list() {
		if p.Owed > 0 {
			n.guard.Force(&alert.Alert{Fingerprint: p.Fingerprint, Status: alert.Firing, Labels: p.Labels, Annotations: p.Annotations, GeneratorURL: p.GeneratorURL, StartsAt: p.StartsAt}, p.Owed)
		}
	}
}

// rawEnded notes that an alert's end is in the log.
func (n *Node) rawEnded(f alert.Fingerprint) {
	if err := n.raw.ended(f); err != nil {
		n.log.Error("the end of a raw page is remembered until the process ends only", zap.Stringer("fingerprint", f), zap.Error(err))
	}
}

// rawNoted notes that the log has it that a page was sent.
func (n *Node) rawNoted(f alert.Fingerprint, receiver, key string) {
	n.raw.mu.Lock()
	defer n.raw.mu.Unlock()
	for i := range n.raw.pages {
		if p := &n.raw.pages[i]; p.same(f, receiver, key) {
			p.Unnoted = false
		}
	}
	if err := n.raw.write(); err != nil {
		n.log.Error("a later life will note a raw page in the log once more", zap.Stringer("fingerprint", f), zap.Error(err))
	}
}

// closeRaw looks after the ends of raw pages: the core does where it knows the
// alert, and what it never gets to know is closed from here.
func (n *Node) closeRaw(ctx context.Context) {
	every(ctx, rawLook, func() {
		for _, p := range n.raw.list() {
			if n.stream.May() { // else another process looks after what the log knows
				n.tend(ctx, &p)
			}
		}
	})
}

// tend has the log know of a page, and forgets it once its end is looked after.
func (n *Node) tend(ctx context.Context, p *rawPage) {
	if p.Unnoted {
		if _, err := n.stream.AppendEvents(ctx, bypassed(p.Fingerprint, p.Receiver)); err != nil {
			return // the core would not know of it
		}
		n.rawNoted(p.Fingerprint, p.Receiver, p.Key)
	}
	done, err := time.Since(p.At) >= rawStands, error(nil)
	if p.Owed == 0 {
		done, err = n.closePage(ctx, p)
	}
	if err != nil {
		n.log.Error("the end of a raw page could not be told", zap.String("receiver", p.Receiver), zap.Stringer("fingerprint", p.Fingerprint), zap.Error(err))
	}
	if !done {
		return
	}
	if err := n.raw.drop(p); err != nil {
		n.log.Error("the list of raw pages cannot be written", zap.Error(err))
	}
}

// closePage reports whether somebody else looks after the end of a page, or it
// has been told.
func (n *Node) closePage(ctx context.Context, p *rawPage) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, rawLook)
	defer cancel()
	var stands, member bool
	if n.engine.Query(ctx, func(s *engine.Shard) { stands, member = s.Core.Stands(p.Receiver, p.Key, p.Fingerprint) }) != nil {
		return false, nil // a core that hangs may have paged under the key
	}
	over := !p.Ended.IsZero() && time.Since(p.Ended) >= rawSettles || time.Since(p.At) >= rawStands
	if member || over && stands || !over {
		return member || over, nil
	}
	for _, other := range n.raw.list() {
		if other.Receiver == p.Receiver && other.Key == p.Key && other.Fingerprint != p.Fingerprint && other.Ended.IsZero() {
			return true, nil // it stands under the same key, and closes it
		}
	}
	now := alert.TimeOf(time.Now())
	message := &sinks.Message{Key: p.Key, Context: enrich.Context{}, Notification: &correlate.Notification{
		Kind: correlate.Resolve, Reason: correlate.AllResolved, Class: correlate.WantsResolved, Receiver: p.Receiver,
		GroupKey: p.Key, Keys: []string{p.Key}, GroupLabels: p.Labels, At: now, Opened: p.StartsAt, Severity: p.Labels.Severity(), Resolved: 1,
		Alerts: []correlate.Member{{Fingerprint: p.Fingerprint, Labels: p.Labels, Annotations: p.Annotations, StartsAt: p.StartsAt, EndsAt: now, Deliveries: 1}},
	}}
	var errs []error
	for _, in := range (*n.receivers.Load())[p.Receiver] {
		if !in.SendResolved() {
			continue
		}
		err := in.Send(ctx, message)
		if e, ok := errors.AsType[*sinks.Error](err); ok && !e.Retry {
			n.alarm.Raise(selfalert.SinkFailed, byHand(0, p.Receiver, in.Name())+": "+err.Error())
			continue
		}
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	return err == nil, err
}
