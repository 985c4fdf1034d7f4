package sinks

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/webhook"
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
	hook         *webhook.WebhookConfig // of one whose payload is written here, else nil
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
	list := l.telling.of(w, m)
	p := w.payloadOf(l, m, list)
	var alerts []*amalert.Alert
	if p != nil {
		ctx = w.context(ctx, m, nil, nil) // whatever the notifier writes is replaced
	} else {
		alerts = asAlerts(list, n.At.Std())
		groupLabels := labelSet(w.groupLabels(n))
		ctx = w.context(ctx, m, groupLabels, w.routeLabels(n, groupLabels, alerts))
		alerts = w.fit(ctx, l, alerts)
	}
	l.begin(ctx, p)
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

// context hands the notifiers what they look for in a context.
func (w *wrapped) context(ctx context.Context, m *Message, groupLabels, routeLabels model.LabelSet) context.Context {
	n := m.Notification
	ctx = notify.WithReceiverName(ctx, n.Receiver)
	ctx = notify.WithGroupKey(ctx, m.Key)
	ctx = notify.WithGroupLabels(ctx, groupLabels)
	ctx = notify.WithRouteLabels(ctx, routeLabels)
	ctx = notify.WithRouteID(ctx, n.RouteID)
	ctx = notify.WithNow(ctx, n.At.Std())
	ctx = notify.WithNotificationReason(ctx, reasonOf(m))
	return notify.WithNflogStore(ctx, w.thread(m.Key))
}

// groupLabels has one more label in a storm. There is no other place where each
// default template says what people see first.
func (w *wrapped) groupLabels(n *correlate.Notification) alert.Labels {
	ls := w.inert.labels(n.GroupLabels)
	if n.Storm == nil {
		return ls
	}
	storm := alert.Label{Name: "storm", Value: "storm of " + plural(n.Storm.Joined, "alert")}
	others := slices.DeleteFunc(slices.Clone(ls), func(l alert.Label) bool { return l.Name == storm.Name })
	return appendWithMissing(nil, others, alert.Labels{storm})
}

// routeLabels renders the route's labels as Alertmanager does, and adds what a
// template may want of Winnow: incident and deliveries. They are route labels
// because no default template prints those, so that a payload is, byte for
// byte, what Alertmanager sends until a template asks for more.
func (w *wrapped) routeLabels(n *correlate.Notification, groupLabels model.LabelSet, alerts []*amalert.Alert) model.LabelSet {
	raw := labelSet(n.RouteLabels)
	out := make(model.LabelSet, len(raw)+2)
	if len(raw) > 0 {
		d := w.tmpl.Data(n.Receiver, groupLabels, raw, notify.ReasonUnknown.String(), alerts...)
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
	for _, l := range ownRouteLabels(n) {
		name := model.LabelName(l.Name)
		if _, ok := out[name]; !ok {
			out[name] = model.LabelValue(l.Value)
		}
	}
	return out
}

func ownRouteLabels(n *correlate.Notification) alert.Labels {
	return alert.Labels{
		{Name: "deliveries", Value: strconv.FormatUint(deliveries(n), 10)},
		{Name: "incident", Value: correlate.IncidentName(n.Incident)},
	}
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
