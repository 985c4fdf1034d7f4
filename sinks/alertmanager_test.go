package sinks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/webhook"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// posted is what one of Alertmanager's webhooks gets for a message.
func posted(t *testing.T, conf string, m *Message) webhook.Message {
	t.Helper()
	p := newProvider(t)
	var got webhook.Message
	p.set(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(b, &got)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err := p.build(t, conf).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return got
}

const hook = `webhook_configs: [{url: "URL/"}]`

func TestWhatAlertmanagersIntegrationsGet(t *testing.T) {
	f := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	n := note(correlate.Page, 42, 1, func(n *correlate.Notification) {
		n.Receiver = "team-X.page"
		n.RouteLabels = alert.Labels{
			{Name: "channel", Value: "#{{ .GroupLabels.service }}"}, {Name: "twice", Value: `{{ routeLabels "channel" }}!`}, {Name: "broken", Value: "{{ .Nope.Nope }}"},
		}
		n.Alerts = append(n.Alerts, correlate.Member{
			Labels:      alert.Labels{{Name: "alertname", Value: "Other"}},
			Annotations: alert.Labels{{Name: "owner", Value: "its own"}, {Name: "runbook_url", Value: "https://its.own"}},
			StartsAt:    n.At.Add(-time.Hour), EndsAt: n.At.Add(-time.Minute), Deliveries: 2,
		})
		n.Resolved = 1
	})
	m := posted(t, hook, &Message{Notification: n, Key: "the key", Page: true, Context: enrich.Context{Runbook: "https://run.book", Owner: "payments"}})
	f("group key", m.GroupKey, "the key")
	f("receiver", m.Receiver, `team-X\.page`)
	f("status", m.Status, "firing")
	f("reason", m.NotificationReason, "first notification")
	f("group labels", m.GroupLabels, "service=checkout")
	f("route labels", m.RouteLabels, "channel=#checkout, deliveries=5, incident=INC-42, twice=#checkout!")
	f("external URL", m.ExternalURL, "http://winnow.example")
	f("alerts", len(m.Alerts), 2)
	f("annotations", m.Alerts[0].Annotations, "owner=payments, runbook_url=https://run.book, summary=p99 is over 2 s")
	f("its own annotations", m.Alerts[1].Annotations, "owner=its own, runbook_url=https://its.own")
	f("states", m.Alerts[0].Status+" "+m.Alerts[1].Status, "firing resolved")
	f("starts", m.Alerts[0].StartsAt.Equal(n.Alerts[0].StartsAt.Std()), true)
	f("end of what fires", m.Alerts[0].EndsAt.IsZero(), true)
	f("end of what is over", m.Alerts[1].EndsAt.Equal(n.Alerts[1].EndsAt.Std()), true)

	// With nothing looked up, the alerts are what Alertmanager would send.
	m = posted(t, hook, &Message{Notification: n, Key: "k"})
	f("annotations", m.Alerts[0].Annotations, "summary=p99 is over 2 s")

	// An integration that wants no resolves gets what fires.
	m = posted(t, `webhook_configs: [{url: "URL/", send_resolved: false}]`, &Message{Notification: n, Key: "k"})
	f("firing only", len(m.Alerts), 1)
}

// TestAlertStates: whether an incident is over is for the notification to say,
// not for the machine's clock or the list's length.
func TestAlertStates(t *testing.T) {
	f := func(what string, n *correlate.Notification, want string) {
		t.Helper()
		got := posted(t, hook, &Message{Notification: n, Key: "k"}).Status
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	f("page", note(correlate.Page, 1, 1), "firing")
	f("resolve", note(correlate.Resolve, 1, 2), "resolved")
	f("resolve that ends in this machine's future", note(correlate.Resolve, 1, 2, func(n *correlate.Notification) {
		n.At = n.At.Add(time.Hour)
		n.Alerts[0].EndsAt = n.At
	}), "resolved")
	f("resolve of an alert without an end", note(correlate.Resolve, 1, 2, func(n *correlate.Notification) { n.Alerts[0].EndsAt = 0 }), "resolved")
	f("update that lists none of what fires", note(correlate.Update, 1, 2, func(n *correlate.Notification) {
		n.Alerts[0].EndsAt = n.At.Add(-time.Minute)
		n.Omitted = 1
	}), "firing")
}

func TestReasons(t *testing.T) {
	f := func(kind correlate.Kind, r correlate.Reason, page bool, want notify.NotifyReason) {
		t.Helper()
		got := reasonOf(&Message{Page: page, Notification: &correlate.Notification{Kind: kind, Reason: r}})
		if got != want {
			t.Errorf("%s, %s: %s, want %s", kind, r, got, want)
		}
	}
	f(correlate.Page, correlate.FirstNotification, true, notify.ReasonFirstNotification)
	f(correlate.Page, correlate.Escalation, true, notify.ReasonNewAlertsInGroup)
	f(correlate.Update, correlate.NewAlerts, false, notify.ReasonNewAlertsInGroup)
	f(correlate.Update, correlate.NewAlerts, true, notify.ReasonFirstNotification) // in place of the page
	f(correlate.Update, correlate.SomeResolved, false, notify.ReasonNewResolvedAlerts)
	f(correlate.Resolve, correlate.AllResolved, false, notify.ReasonAllAlertsResolved)
	f(correlate.Update, correlate.RepeatInterval, false, notify.ReasonRepeatIntervalElapsed)
	f(correlate.Update, 0, false, notify.ReasonUnknown)
}

// TestThreads: what Slack must know to change its message is kept for the
// incident, and no longer.
func TestThreads(t *testing.T) {
	p := newProvider(t)
	in := p.build(t, hook).(*wrapped)
	p.status(200, "")
	in.thread("g").SetStr("threadTs", "1.2")
	if err := send(t, in); err != nil {
		t.Fatal(err)
	}
	if ts, _ := in.thread("g").GetStr("threadTs"); ts != "1.2" {
		t.Errorf("after a page: %q", ts)
	}
	if err := in.Send(t.Context(), &Message{Notification: note(correlate.Resolve, 1, 2), Key: "g"}); err != nil {
		t.Fatal(err)
	}
	if ts, _ := in.thread("g").GetStr("threadTs"); ts != "" {
		t.Errorf("after the resolve: %q", ts)
	}
	for i := range 2 * maxThreads {
		in.thread(fmt.Sprint(i))
	}
	if n := len(in.threads); n > maxThreads {
		t.Errorf("%d threads kept", n)
	}
}
