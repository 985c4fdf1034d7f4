package sinks

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// wrapped is one of Alertmanager's integrations.
type wrapped struct {
	name         string
	kind         string // "pagerduty"
	sendResolved bool
	retry403     bool
	inert        *inert
	ground

	build  func() (in notify.Integration, conf reflect.Value, err error)
	tmpl   *template.Template
	secret *redactor
	log    *zap.Logger

	mu      sync.Mutex
	free    []*lane
	first   *lane // owns the transport that all lanes share
	threads map[string]*nflog.Store
}

// keyedKinds are the integrations that hand the group's key to the provider as
// the identity of an incident.
var keyedKinds = map[string]bool{"pagerduty": true, "opsgenie": true, "victorops": true, "incidentio": true, "jira": true}

// maxThreads bounds the messages that Slack may still be asked to update. One
// that was forgotten is followed by a new message.
const maxThreads = 4096

func (w *wrapped) Name() string       { return w.name }
func (w *wrapped) SendResolved() bool { return w.sendResolved }
func (w *wrapped) Keyed() bool        { return keyedKinds[w.kind] }

func (w *wrapped) Send(ctx context.Context, m *Message) error {
	n := m.Notification
	fail := func(e *Error) error {
		e.Err = fmt.Errorf("%s: send %s: %w", w.name, n.ID(), errors.New(w.secret.error(e.Err)))
		return e
	}
	l, err := w.take()
	if err != nil {
		return fail(&Error{Err: err})
	}
	alerts := w.alerts(m)
	ctx = w.context(ctx, m, alerts)
	alerts = w.fit(ctx, l, alerts)
	l.begin(ctx)
	retry, err := l.integration.Notify(ctx, alerts...)
	seen := l.end()
	w.give(l)
	if err != nil {
		return fail(classify(failure{err: err, retry: retry, seen: seen, watched: l.client != nil, retry403: w.retry403}))
	}
	if n.Kind == correlate.Resolve {
		w.forget(m.Key)
	}
	return nil
}

// take returns a lane that nobody uses. A lane whose attempt never returns is
// never given back; the dispatcher bounds how many there can be.
func (w *wrapped) take() (*lane, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := len(w.free); k > 0 {
		l := w.free[k-1]
		w.free = w.free[:k-1]
		return l, nil
	}
	in, conf, err := w.build()
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	if w.first == nil {
		w.first = newLane(in, conf, nil)
		return w.first, nil
	}
	return newLane(in, conf, w.first.base), nil
}

func (w *wrapped) give(l *lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free = append(w.free, l)
}

// thread is where an integration keeps what it must know to change a message
// it has sent.
func (w *wrapped) thread(key string) *nflog.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.threads[key]; ok {
		return s
	}
	for old := range w.threads {
		if len(w.threads) < maxThreads {
			break
		}
		delete(w.threads, old)
	}
	s := nflog.NewStore(nil)
	w.threads[key] = s
	return s
}

func (w *wrapped) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.threads, key)
}

// alerts converts the members, with what the look-ups found added where the
// alerts say nothing themselves.
func (w *wrapped) alerts(m *Message) []*amalert.Alert {
	n := m.Notification
	over := n.Kind == correlate.Resolve
	out := make([]*amalert.Alert, 0, len(n.Alerts))
	firing := false
	for i := range n.Alerts {
		ended := over || n.Alerts[i].Resolved()
		if ended && !w.sendResolved {
			continue
		}
		firing = firing || !ended
		out = append(out, w.convert(m, &n.Alerts[i], ended))
	}
	if !over && !firing && n.Firing > 0 && len(n.Alerts) > 0 {
		// None that fires is listed. Without one the notifiers would take the
		// incident for resolved and close it.
		out = append(out, w.convert(m, &n.Alerts[0], false))
	}
	return out
}

func (w *wrapped) convert(m *Message, member *correlate.Member, ended bool) *amalert.Alert {
	n := m.Notification
	a := &amalert.Alert{
		Alert: model.Alert{
			Labels: labelSet(w.inert.labels(member.Labels)), Annotations: labelSet(w.inert.annotations(member.Annotations)),
			StartsAt: member.StartsAt.Std(), GeneratorURL: w.inert.link(member.GeneratorURL),
		},
		UpdatedAt: n.At.Std(),
	}
	if ended {
		a.EndsAt = member.EndsAt.Std()
		if member.EndsAt == 0 {
			a.EndsAt = n.At.Std()
		}
		// The notifiers compare it with the machine's clock, which may be behind
		// the log's: an end in the future would turn the resolve into a trigger.
		if now := time.Now(); !a.EndsAt.Before(now) {
			a.EndsAt = now.Add(-time.Millisecond)
		}
	}
	addMissing(a.Annotations, "runbook_url", w.inert.link(m.Context.Runbook))
	addMissing(a.Annotations, "owner", w.inert.label(m.Context.Owner))
	addMissing(a.Annotations, "winnow_note", w.inert.note(m.Context.Degraded))
	if m.Redelivered && w.kind == "webhook" { // a program reads it, and has no key to fold by
		addMissing(a.Annotations, "redelivered", "true")
	}
	return a
}

func addMissing(ls model.LabelSet, name model.LabelName, value string) {
	if _, ok := ls[name]; !ok && value != "" {
		ls[name] = model.LabelValue(value)
	}
}

// context hands the notifiers what they look for in a context.
func (w *wrapped) context(ctx context.Context, m *Message, alerts []*amalert.Alert) context.Context {
	n := m.Notification
	ctx = notify.WithReceiverName(ctx, n.Receiver)
	ctx = notify.WithGroupKey(ctx, m.Key)
	ctx = notify.WithGroupLabels(ctx, w.groupLabels(n))
	ctx = notify.WithRouteLabels(ctx, w.routeLabels(n, alerts))
	ctx = notify.WithRouteID(ctx, n.RouteID)
	ctx = notify.WithNow(ctx, n.At.Std())
	ctx = notify.WithNotificationReason(ctx, reasonOf(m))
	return notify.WithNflogStore(ctx, w.thread(m.Key))
}

// groupLabels has one more label in a storm. There is no other place where each
// default template says what people see first.
func (w *wrapped) groupLabels(n *correlate.Notification) model.LabelSet {
	ls := labelSet(w.inert.labels(n.GroupLabels))
	if n.Storm != nil {
		ls["storm"] = model.LabelValue("storm of " + plural(n.Storm.Joined, "alert"))
	}
	return ls
}

// routeLabels renders the route's labels as Alertmanager does, and adds what a
// template may want of Winnow: incident and deliveries. They are route labels
// because no default template prints those, so that a payload is, byte for
// byte, what Alertmanager sends until a template asks for more.
func (w *wrapped) routeLabels(n *correlate.Notification, alerts []*amalert.Alert) model.LabelSet {
	raw := labelSet(n.RouteLabels)
	out := make(model.LabelSet, len(raw)+2)
	if len(raw) > 0 {
		d := w.tmpl.Data(n.Receiver, w.groupLabels(n), raw, notify.ReasonUnknown.String(), alerts...)
		render := w.tmpl.RouteLabelRenderer(d)
		for name := range raw {
			v, err := render(string(name))
			if err != nil {
				w.log.Warn("a route label could not be rendered and is left out", zap.String("route", n.RouteID),
					zap.String("label", string(name)), zap.String("error", w.secret.error(err)))
				continue
			}
			out[name] = model.LabelValue(v)
		}
	}
	addMissing(out, "incident", correlate.IncidentName(n.Incident))
	addMissing(out, "deliveries", strconv.FormatUint(deliveries(n), 10))
	return out
}

func reasonOf(m *Message) notify.NotifyReason {
	if m.Page && m.Notification.Kind == correlate.Update {
		return notify.ReasonFirstNotification // it took the place of the page
	}
	switch m.Notification.Reason {
	case correlate.FirstNotification:
		return notify.ReasonFirstNotification
	case correlate.Escalation, correlate.NewAlerts:
		return notify.ReasonNewAlertsInGroup
	case correlate.SomeResolved:
		return notify.ReasonNewResolvedAlerts
	case correlate.AllResolved:
		return notify.ReasonAllAlertsResolved
	case correlate.RepeatInterval:
		return notify.ReasonRepeatIntervalElapsed
	}
	return notify.ReasonUnknown
}

func labelSet(ls alert.Labels) model.LabelSet {
	out := make(model.LabelSet, len(ls)+2)
	for i := range ls {
		out[model.LabelName(ls[i].Name)] = model.LabelValue(ls[i].Value)
	}
	return out
}
