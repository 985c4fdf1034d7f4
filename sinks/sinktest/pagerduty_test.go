package sinktest

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPagerDuty plays events, as "trigger k INC-1", and compares what a person
// would see.
func TestPagerDuty(t *testing.T) {
	f := func(events string, want ...string) {
		t.Helper()
		pd := NewPagerDuty()
		for e := range strings.SplitSeq(events, ", ") {
			var action, key, incident string
			_, _ = fmt.Sscan(e, &action, &key, &incident) // the incident may be missing
			if status := post(pd, action, key, incident); status != 202 {
				t.Fatalf("%s: %d", e, status)
			}
		}
		var got []string
		for _, i := range pd.Incidents() {
			s := fmt.Sprintf("%s %s %d", i.Key, i.Status, i.Triggers)
			if i.Phantom {
				s += " phantom"
			}
			got = append(got, s)
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: got %q, want %q", events, got, want)
		}
	}
	f("trigger k", "k triggered 1")
	f("trigger k, trigger k", "k triggered 2")
	f("trigger k, trigger l", "k triggered 1", "l triggered 1")
	f("trigger k, resolve k", "k resolved 1")
	f("trigger k, acknowledge k, trigger k", "k acknowledged 2")
	f("resolve k")
	f("resolve k, resolve k")
	f("trigger k INC-1, resolve k INC-1, trigger k INC-2", "k resolved 1", "k triggered 1")
	f("trigger k INC-1, resolve k INC-1, trigger k INC-1", "k resolved 1", "k triggered 1 phantom")
	f("resolve k INC-1, trigger k INC-1", "k triggered 1 phantom") // the resolve overtook it
	f("trigger k, resolve k, trigger k", "k resolved 1", "k triggered 1 phantom")
}

func post(pd *PagerDuty, action, key, incident string) int {
	return send(pd, fmt.Sprintf(`{"routing_key":"r","event_action":%q,"dedup_key":%q,"payload":{"summary":"s","source":"x","severity":"error","custom_details":{"incident":%q}}}`,
		action, key, incident)).Code
}

func send(pd *PagerDuty, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	pd.ServeHTTP(w, httptest.NewRequest("POST", "/v2/enqueue", strings.NewReader(body)))
	return w
}

func TestPagerDutyRefuses(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		pd := NewPagerDuty()
		w := send(pd, body)
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) || len(pd.Events()) != 0 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	const payload = `"payload":{"summary":"s","source":"x","severity":"error"}`
	f(`{`, "invalid JSON")
	f(`{"event_action":"trigger",`+payload+`}`, "routing_key")
	f(`{"routing_key":"r",`+payload+`}`, "event_action")
	f(`{"routing_key":"r","event_action":"resolve"}`, "dedup_key")
	f(`{"routing_key":"r","event_action":"trigger"}`, "payload")
	f(`{"routing_key":"r","event_action":"trigger","payload":{"source":"x","severity":"error"}}`, "summary")
	f(`{"routing_key":"r","event_action":"trigger","payload":{"summary":"s","severity":"error"}}`, "source")
	f(`{"routing_key":"r","event_action":"trigger","payload":{"summary":"s","source":"x","severity":"page"}}`, "severity")
	f(`{"routing_key":"r","event_action":"resolve","dedup_key":"`+strings.Repeat("k", 256)+`"}`, "dedup_key")
	f(strings.Repeat(" ", maxEventBytes+1), "too large")
}

func TestPagerDutyScript(t *testing.T) {
	pd := NewPagerDuty()
	pd.Script(Response{Status: 429, RetryAfter: "30", Body: "slow down"}, Response{Status: 500, Apply: true})
	const event = `{"routing_key":"r","event_action":"trigger","dedup_key":"k","payload":{"summary":"s","source":"x","severity":"error"}}`
	if w := send(pd, event); w.Code != 429 || w.Header().Get("Retry-After") != "30" || w.Body.String() != "slow down" || len(pd.Events()) != 0 {
		t.Errorf("first: %d %s", w.Code, w.Body)
	}
	if w := send(pd, event); w.Code != 500 || len(pd.Events()) != 1 {
		t.Errorf("second: %d", w.Code)
	}
	if w := send(pd, event); w.Code != 202 || len(pd.Incidents()) != 1 {
		t.Errorf("third: %d", w.Code)
	}
	pd.Always(Response{Status: 503})
	pd.Script(Response{Status: 502})
	for _, want := range []int{502, 503, 503} {
		if w := send(pd, event); w.Code != want || len(pd.Events()) != 2 {
			t.Errorf("down: %d, want %d", w.Code, want)
		}
	}
	if pd.Always(Response{}); send(pd, event).Code != 202 {
		t.Error("it is well again")
	}
}
