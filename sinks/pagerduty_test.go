package sinks

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/notify"
	commoncfg "github.com/prometheus/common/config"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// pager is a dispatcher with Alertmanager's PagerDuty integration before a
// PagerDuty, all in a bubble.
func pager(t *testing.T) (*desk, *sinktest.PagerDuty) {
	pd := sinktest.NewPagerDuty()
	net := sinktest.NewNetwork(pd)
	t.Cleanup(func() {
		if err := net.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait() // until the connections have ended
	})
	d := newDesk(t, func(o *Options) { o.Jitter = func() float64 { return .99 } })
	in := buildOne(t, `pagerduty_configs: [{url: "http://pagerduty.example/v2/enqueue", routing_key: r, severity: critical}]`,
		commoncfg.WithDialContextFunc(net.DialContext), commoncfg.WithKeepAlivesDisabled())
	d.Set(Receivers{"oncall": {in}})
	return d, pd
}

// wantIncidents compares what PagerDuty shows, as "g resolved 2 triggers".
func wantIncidents(t *testing.T, pd *sinktest.PagerDuty, want ...string) {
	t.Helper()
	names := map[string]string{}
	for _, key := range []string{"g", "g#2", "g#3"} {
		names[notify.Key(key).Hash()] = key
	}
	var got []string
	for _, i := range pd.Incidents() {
		got = append(got, fmt.Sprintf("%s %s %d triggers", names[i.Key], i.Status, i.Triggers))
	}
	equalLines(t, "incidents", got, want)
	if p := pd.Phantoms(); len(p) > 0 {
		t.Errorf("phantoms %+v", p)
	}
}

func TestPagerDuty(t *testing.T) {
	bubble(t, "page, update, escalation, resolve", func(t *testing.T) {
		d, pd := pager(t)
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Update, 1, 2))
		pd.Acknowledge(notify.Key("g").Hash())
		d.deliver(note(correlate.Page, 1, 3, escalation(2)))
		wantIncidents(t, pd, "g acknowledged 2 triggers", "g#2 triggered 1 triggers") // the second rings although the first is acknowledged
		d.deliver(note(correlate.Resolve, 1, 4, pages(2)))
		wantIncidents(t, pd, "g resolved 2 triggers", "g#2 resolved 1 triggers")
		e := pd.Events()[0]
		if e.Details["incident"] != "INC-1" || fmt.Sprint(e.Details["deliveries"]) != "3" || !strings.Contains(e.Summary, "checkout") {
			t.Errorf("event %+v", e)
		}
	})
	bubble(t, "the next incident of the group is none of the last", func(t *testing.T) {
		d, pd := pager(t)
		for i := range uint64(3) {
			d.deliver(note(correlate.Page, i+1, 1))
			d.deliver(note(correlate.Resolve, i+1, 2))
		}
		wantIncidents(t, pd, "g resolved 1 triggers", "g resolved 1 triggers", "g resolved 1 triggers")
	})
	bubble(t, "six hours of 500: one incident, then one resolve", func(t *testing.T) {
		d, pd := pager(t)
		for range 6 * 60 { // one attempt a minute, but for the first few
			pd.Script(sinktest.Response{Status: http.StatusInternalServerError})
		}
		d.deliver(note(correlate.Page, 1, 1))
		for i := range uint32(20) {
			time.Sleep(15 * time.Minute)
			d.deliver(note(correlate.Update, 1, i+2))
		}
		wantIncidents(t, pd)
		time.Sleep(time.Hour)
		wantIncidents(t, pd, "g triggered 1 triggers")
		d.deliver(note(correlate.Resolve, 1, 200))
		time.Sleep(time.Minute)
		wantIncidents(t, pd, "g resolved 1 triggers")
	})
	bubble(t, "429 is heeded", func(t *testing.T) {
		d, pd := pager(t)
		pd.Script(sinktest.Response{Status: 429, RetryAfter: "45"})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(44 * time.Second)
		wantIncidents(t, pd)
		time.Sleep(2 * time.Second)
		wantIncidents(t, pd, "g triggered 1 triggers")
	})
	bubble(t, "it took the page and the answer was lost: one incident, and it ends", func(t *testing.T) {
		d, pd := pager(t)
		pd.Script(sinktest.Response{Apply: true, Drop: true}, sinktest.Response{Status: 503})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Resolve, 1, 2))
		time.Sleep(time.Hour)
		wantIncidents(t, pd, "g resolved 1 triggers")
	})
	bubble(t, "it answers nothing: cut after ten seconds, and nothing is lost", func(t *testing.T) {
		d, pd := pager(t)
		pd.Script(sinktest.Response{Hang: true})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(10*time.Second + 2*time.Second)
		wantIncidents(t, pd, "g triggered 1 triggers")
		d.deliver(note(correlate.Resolve, 1, 2))
		wantIncidents(t, pd, "g resolved 1 triggers")
	})
	bubble(t, "refused and over before the next attempt: nobody hears of it", func(t *testing.T) {
		d, pd := pager(t)
		pd.Script(sinktest.Response{Status: 503})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Resolve, 1, 2))
		time.Sleep(time.Hour)
		wantIncidents(t, pd)
		d.wantReceipts("pagerduty[0] INC-1/1 page superseded", "pagerduty[0] INC-1/2 resolve skipped")
	})
	bubble(t, "a wrong key fails at once", func(t *testing.T) {
		d, pd := pager(t)
		pd.Script(sinktest.Response{Status: 401})
		d.Deliver(note(correlate.Page, 1, 1), enrich.Context{})
		time.Sleep(time.Second)
		wantIncidents(t, pd)
		d.wantReceipts("pagerduty[0] INC-1/1 page failed")
	})
}
