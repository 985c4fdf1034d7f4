package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/ladder"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

func TestMain(m *testing.M) {
	ats.Register() // see internal/stream
	os.Exit(m.Run())
}

func TestWebhookToPager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "Slow", pod: "a", severity: "warning"}, sample{name: "Slow", pod: "b", severity: "warning"})
		time.Sleep(time.Minute)
		if got := s.events(); got != "trigger" {
			t.Fatalf("pager heard %q", got)
		}
		e := s.pager.Events()[0]
		if raw, _ := json.Marshal(e); !strings.Contains(string(raw), "https://runbooks.test/Slow") {
			t.Errorf("no runbook in what the pager got: %s", raw)
		}
		s.post(sample{name: "Slow", pod: "c", severity: "critical"}) // escalates: a page of its own
		time.Sleep(5 * time.Minute)
		if got := s.events(); got != "trigger trigger" || s.pager.Events()[1].Key == e.Key {
			t.Fatalf("pager heard %q, keys %q and %q", got, e.Key, s.pager.Events()[1].Key)
		}
		s.post(sample{name: "Slow", pod: "a", resolved: true, severity: "warning"}, sample{name: "Slow", pod: "b", resolved: true, severity: "warning"}, sample{name: "Slow", pod: "c", resolved: true, severity: "critical"})
		time.Sleep(5 * time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("still open at the pager: %v", open)
		}
		r := s.report()
		if r.Onsets != 3 || r.Incidents != 1 || r.Pages != 2 {
			t.Errorf("onsets %d, incidents %d, pages %d; want 3, 1, 2", r.Onsets, r.Incidents, r.Pages)
		}
		if text := s.get("/api/v1/explain/INC-1"); !strings.Contains(text, "escalation") || !strings.Contains(text, "accepted by oncall/pagerduty[0]") {
			t.Errorf("explanation of the incident:\n%s", text)
		}
		if m := s.get("/metrics"); !strings.Contains(m, "winnow_ledger_deliveries_total 6") || !strings.Contains(m, "winnow_ledger_balanced 1") {
			t.Errorf("metrics:\n%s", m)
		}
		s.stop()
	})
}

func TestReloadOverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "Slow", pod: "a", severity: "warning"})
		time.Sleep(time.Minute)
		reload := func() int {
			rec := httptest.NewRecorder()
			s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/-/reload", nil))
			return rec.Code
		}
		good := s.text
		s.text = strings.Replace(good, "receiver: oncall", "receiver: oncal", 1)
		if code := reload(); code != http.StatusInternalServerError {
			t.Errorf("a broken configuration answers %d", code)
		}
		if !strings.Contains(s.get("/metrics"), "winnow_config_last_reload_successful 0") {
			t.Error("the metric does not say that the reload failed")
		}
		s.text = strings.Replace(good, "group_interval: 5m", "group_interval: 1m", 1)
		if code := reload(); code != http.StatusOK {
			t.Errorf("a sound configuration answers %d", code)
		}
		s.post(sample{name: "Slow", pod: "a", resolved: true, severity: "warning"})
		time.Sleep(6 * time.Minute)
		if got := s.events(); got != "trigger resolve" {
			t.Errorf("pager heard %q", got)
		}
		s.stop()
	})
}

// TestRemovedReceiverHearsOfTheEnd reloads without the receiver that was called.
func TestRemovedReceiverHearsOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		s.text = strings.ReplaceAll(s.text, "oncall", "others")
		if err := s.node.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		s.post(sample{name: "A", pod: "1", severity: "critical", resolved: true})
		time.Sleep(10 * time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("it is over, and %v stand open", open)
		}
		if m := s.get("/metrics"); !strings.Contains(m, `winnow_sink_attempts_total{integration="pagerduty[0]",outcome="accepted",receiver="oncall"} 2`) {
			t.Error("the receiver that is gone did not hear of the end")
		}
		s.stop()
	})
}

// hang keeps the core from doing anything until the returned function is called.
func (s *site) hang() (release func()) {
	stop := make(chan struct{})
	hanging := make(chan struct{})
	go s.node.Engine().Query(context.Background(), func(*engine.Shard) { close(hanging); <-stop })
	<-hanging
	return func() { close(stop) }
}

// TestHungCoreSwallowsNoCritical holds that the guard pages what the core does
// not, within 75 s, and that the core adopts those pages when it is back.
func TestHungCoreSwallowsNoCritical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		release := s.hang()
		for i := range 12 {
			s.post(sample{name: fmt.Sprint("Critical", i%5), pod: fmt.Sprint(i), severity: "critical"}, sample{name: "Slow", pod: fmt.Sprint(i), severity: "warning"})
		}
		time.Sleep(ladder.LagBypass - time.Second)
		if got := s.events(); got != "" {
			t.Errorf("pager heard %q before its time", got)
		}
		time.Sleep(5 * time.Second)
		if open, events := s.pager.Open(), s.pager.Events(); len(open) != 5 || len(events) != 12 {
			t.Errorf("%d of 12 criticals paged within 20 s, in %d of 5 groups", len(events), len(open))
		}
		if m := s.node.alarm.Raised(); !slices.Contains(m, selfalert.CriticalUnheard) {
			t.Errorf("self-alerts %v", m)
		}
		before := len(s.pager.Incidents())
		release()
		time.Sleep(10 * time.Minute)
		if opened := len(s.pager.Incidents()) - before; opened != 1 { // that of the warnings
			t.Errorf("%d incidents opened when the core was back, want 1: %v", opened, s.events())
		}
		for i := range 12 {
			s.post(sample{name: fmt.Sprint("Critical", i%5), pod: fmt.Sprint(i), severity: "critical", resolved: true}, sample{name: "Slow", pod: fmt.Sprint(i), severity: "warning", resolved: true})
		}
		time.Sleep(10 * time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("all is resolved, and %v stand open", open)
		}
		if r := s.report(); r.SwallowedCriticals != 0 {
			t.Errorf("%d swallowed criticals", r.SwallowedCriticals)
		}
		s.stop()
	})
}

func TestGuardIsQuietWhileTheCoreWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.text = strings.Replace(s.text, "group_wait: 30s", "group_wait: 3m", 1) // longer than the guard waits by itself
		if err := s.node.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(2 * time.Minute)
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(10 * time.Minute)
		if n := s.node.guard.Paged(); n != 0 || s.events() != "trigger" {
			t.Errorf("the guard paged %d times, the pager heard %q", n, s.events())
		}
		s.stop()
	})
}

func TestRefusedPageGoesToTheFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.text = strings.Replace(s.text, "receivers:", "winnow: {fallback_receiver: second}\nreceivers:\n  - {name: second, pagerduty_configs: [{routing_key: 00000000000000000000000000000000, url: 'http://pagerduty.test/v2/enqueue'}]}", 1)
		if err := s.node.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.pager.Script(sinktest.Response{Status: http.StatusForbidden})
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(40 * time.Second)
		if open := s.pager.Open(); len(open) != 1 {
			t.Fatalf("open at the fallback: %v", open)
		}
		if m := s.node.alarm.Raised(); !slices.Contains(m, selfalert.SinkFailed) {
			t.Errorf("self-alerts %v", m)
		}
		s.post(sample{name: "A", pod: "1", severity: "critical", resolved: true})
		time.Sleep(6 * time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("it is over, and %v stand open", open)
		}
		s.stop()
	})
}

// TestFullLogHandsCriticalsOn holds that a critical reaches somebody, or its
// sender hears that it did not, when nothing can be written any more.
func TestFullLogHandsCriticalsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiteWith(t, stream.Options{MaxBytes: 96 << 10})
		try := func(a sample) int {
			rec := httptest.NewRecorder()
			body := fmt.Sprintf(`[{"labels":{"alertname":%q,"cluster":"eu","pod":%q,"severity":%q}}]`, a.name, a.pod, a.severity)
			s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", strings.NewReader(body)))
			return rec.Code
		}
		rng := rand.New(rand.NewPCG(1, 1))
		full := false
		for i := range 2000 {
			if full = try(sample{name: "Filler", pod: fmt.Sprintf("%d-%x-%x-%x-%x", i, rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()), severity: "warning"}) == http.StatusServiceUnavailable; full {
				break
			}
		}
		if !full {
			t.Fatal("the log never filled up")
		}
		before := len(s.pager.Incidents())
		if code := try(sample{name: "Down", pod: "1", severity: "critical"}); code != http.StatusOK {
			t.Errorf("a critical that was paged is answered %d", code)
		}
		if code := try(sample{name: "Down", pod: "1", severity: "critical"}); code != http.StatusOK {
			t.Errorf("sent again it is answered %d", code)
		}
		if n := len(s.pager.Incidents()) - before; n != 1 {
			t.Errorf("%d incidents at the pager, want 1", n)
		}
		s.pager.Script(sinktest.Response{Status: http.StatusInternalServerError})
		if code := try(sample{name: "Down", pod: "2", severity: "critical"}); code != http.StatusServiceUnavailable {
			t.Errorf("a critical that nobody took is answered %d", code)
		}
		if !slices.Contains(s.node.alarm.Raised(), selfalert.LogUnavailable) {
			t.Error("no self-alert says so")
		}
		if err := stopIdle(s.node); err == nil {
			t.Log("the full log took the last words after all")
		}
	})
}

// TestFullLogHandsOnWhatItKnewByNumber holds the same for an alert that the log
// has in full already, and whose sender repeats it.
func TestFullLogHandsOnWhatItKnewByNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiteWith(t, stream.Options{MaxBytes: 96 << 10})
		post := func(pod, severity string) int {
			rec := httptest.NewRecorder()
			body := fmt.Sprintf(`[{"annotations":{},"endsAt":%q,"startsAt":%q,"generatorURL":"http://p","labels":{"alertname":"Down","pod":%q,"severity":%q}}]`,
				time.Now().Add(4*time.Minute).Format(time.RFC3339), time.Now().Add(-time.Minute).Truncate(time.Hour).Format(time.RFC3339), pod, severity)
			s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", strings.NewReader(body)))
			return rec.Code
		}
		if code := post("known", "critical"); code != http.StatusOK {
			t.Fatal(code)
		}
		if code := post("known", "critical"); code != http.StatusOK {
			t.Fatal(code)
		}
		rng := rand.New(rand.NewPCG(2, 1))
		for i := range 3000 {
			if post(fmt.Sprintf("%d-%x-%x-%x-%x", i, rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()), "warning") == http.StatusServiceUnavailable {
				break
			}
		}
		before := len(s.pager.Events())
		if code := post("known", "critical"); code != http.StatusOK || len(s.pager.Events()) == before {
			t.Errorf("answered %d, and the pager heard %d events", code, len(s.pager.Events())-before)
		}
		if err := stopIdle(s.node); err == nil {
			t.Log("the full log took the last words after all")
		}
	})
}

// story posts a seeded mix for some hours and resolves everything in the end.
// At each of the given steps the node stops (even) or crashes (odd).
func (s *site) story(seed uint64, interruptions map[int]bool) {
	rng := rand.New(rand.NewPCG(seed, 3))
	names := []string{"Slow", "Errors", "NodeDown", "DiskFull", "CertExpiry"}
	severities := []string{"warning", "critical", "critical", "none", "warning"}
	live := map[sample]bool{}
	var order []sample
	for i := range 120 {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Second)
		k := rng.IntN(len(names))
		a := sample{name: names[k], pod: fmt.Sprint(rng.IntN(6)), severity: severities[k]}
		if live[a] && rng.IntN(2) == 0 {
			gone := a
			gone.resolved = true
			s.post(gone)
			delete(live, a)
		} else {
			s.post(a, a)
			if !live[a] {
				live[a] = true
				order = append(order, a)
			}
		}
		if crash, ok := interruptions[i]; ok {
			time.Sleep(time.Duration(rng.IntN(40)) * time.Second)
			if crash {
				s.crash()
			} else {
				s.stop()
				time.Sleep(time.Duration(rng.IntN(600)) * time.Second)
				s.start()
			}
		}
	}
	for _, a := range order {
		if live[a] {
			delete(live, a)
			a.resolved = true
			s.post(a)
		}
	}
	time.Sleep(2 * time.Hour)
}

func TestSameSeedSameBytes(t *testing.T) {
	run := func() string {
		var b strings.Builder
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			s.story(11, nil)
			s.report()
			for _, e := range s.pager.Events() {
				raw, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s\n", raw)
			}
			s.stop()
		})
		return b.String()
	}
	first := run()
	if strings.Count(first, "\n") < 20 {
		t.Fatalf("the pager heard only %d events: too few to prove anything", strings.Count(first, "\n"))
	}
	if again := run(); again != first {
		t.Errorf("the same seed gave the pager other bytes:\n%s\nthen\n%s", first, again)
	}
}

// TestInterruptedStories stops and crashes nodes in the middle of stories: what
// the pager is left with must be what it would have been without.
func TestInterruptedStories(t *testing.T) {
	crashes, stops := 0, 0
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			rng := rand.New(rand.NewPCG(seed, 4))
			at := map[int]bool{}
			for range 5 {
				crash := rng.IntN(2) == 0
				at[rng.IntN(110)] = crash
				if crash {
					crashes++
				} else {
					stops++
				}
			}
			s.story(seed, at)
			s.report()
			if open := s.pager.Open(); len(open) != 0 {
				t.Errorf("seed %d: all is resolved, and %d incidents are open at the pager: %v", seed, len(open), open)
			}
			if p := s.pager.Phantoms(); len(p) != 0 {
				t.Errorf("seed %d: phantom incidents: %v", seed, p)
			}
			s.stop()
		})
	}
	if crashes < 10 || stops < 10 {
		t.Errorf("only %d crashes and %d stops", crashes, stops)
	}
}
