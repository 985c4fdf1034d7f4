package node

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/guard"
	"github.com/winnowhq/winnow/internal/guard/kept"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/internal/ladder"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// postMany posts alerts that page nobody.
func (s *site) postMany(n int) {
	s.t.Helper()
	var many []sample
	for i := range n {
		many = append(many, sample{name: "Many", pod: fmt.Sprint(i), severity: "none"})
	}
	s.post(many...)
}

// TestBeyondMaxAlertsIsPagedRaw brings a critical for which the core has no room:
// it is paged as it came, once, it is closed, and people hear of the limit.
func TestBeyondMaxAlertsIsPagedRaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newToldSite(t, stream.Options{}, fmt.Sprintf("  max_alerts: %d\n", correlate.LeastMaxAlerts))
		s.postMany(correlate.LeastMaxAlerts)
		time.Sleep(10 * time.Second)
		down := sample{name: "Down", pod: "1", severity: "critical"}
		for range 3 { // its sender repeats it
			s.post(down, sample{name: "Info", pod: "1", severity: "info"})
			time.Sleep(10 * time.Second)
			wantOpen(s, "Down")
		}
		if got := s.events(); got != "trigger" {
			t.Errorf("the pager has heard %q", got)
		}
		if p.when("limit_reached raised").IsZero() || p.when("critical_unheard raised").IsZero() {
			t.Errorf("people have heard %v", p.heard)
		}
		s.has(`winnow_limit_reached_total{limit="alerts"} 6`)
		s.has(`winnow_ledger_dispositions{disposition="quarantined"} 6`)
		s.report()
		down.resolved = true
		s.post(down)
		time.Sleep(time.Minute)
		wantOpen(s, "")
		time.Sleep(limitOver)
		if p.when("limit_reached over").IsZero() {
			t.Errorf("people have heard %v", p.heard)
		}
		s.report()
		s.stop()
	})
}

func critical(i int) *alert.Alert {
	a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: fmt.Sprint(i)}, {Name: "severity", Value: "critical"}}}
	a.Fingerprint = a.Labels.Fingerprint()
	return &a
}

// TestRawPagesAreBounded: one more goes out all the same, for nobody asks the
// list before, and is counted.
func TestRawPagesAreBounded(t *testing.T) {
	r := &rawPages{}
	if err := r.owe([]alert.Alert{*critical(0)}, 1); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < maxRawPages; i++ {
		if !r.add(zap.NewNop(), pager.Page{Alert: critical(i), Receiver: "oncall", Key: fmt.Sprint(i)}) {
			t.Fatalf("raw page %d of %d is not remembered", i+1, maxRawPages)
		}
	}
	if r.add(zap.NewNop(), pager.Page{Alert: critical(-1), Receiver: "oncall", Key: "more"}) {
		t.Error("a raw page too many is remembered")
	}
	if err := r.owe([]alert.Alert{*critical(-2), *critical(-3)}, 2); err == nil {
		t.Error("two are owed beyond the limit")
	}
	if n := r.turnedAway.Load(); n != 3 || len(r.pages) != maxRawPages {
		t.Errorf("%d are remembered, %d turned away", len(r.pages), n)
	}
	if !r.add(zap.NewNop(), pager.Page{Alert: critical(0), Receiver: "oncall", Key: "0"}) {
		t.Error("one that was owed and has been sent takes more room than before")
	}
}

// TestForwardedAreBounded: one more is accepted all the same, and may be handed
// on again.
func TestForwardedAreBounded(t *testing.T) {
	f := &forward{node: &Node{log: zap.NewNop()}, sent: map[alert.Fingerprint]time.Time{}, later: &later{}}
	keep := func(i int) {
		if a := critical(i); !f.keep(&ingest.Batch{}, a, []string{"oncall"}, nil) {
			t.Fatalf("alert %d was handed on and is refused", i)
		}
	}
	for i := range maxForwarded + 1 {
		keep(i)
	}
	if len(f.sent) != maxForwarded || f.handed(critical(maxForwarded).Fingerprint) || f.forgotten.Load() != 1 {
		t.Errorf("%d are remembered, %d not", len(f.sent), f.forgotten.Load())
	}
	for k := range f.sent {
		f.sent[k] = time.Now().Add(-forwardMemory)
	}
	if keep(maxForwarded); !f.handed(critical(maxForwarded).Fingerprint) {
		t.Error("the old ones did not make room")
	}
}

// TestDigestsAreBounded: of one more, people are told to close it by hand.
func TestDigestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newToldSite(t, stream.Options{}, "")
		d := &s.node.steps.digests
		release := s.hang()
		many := func(name string) {
			for i := range 2 * pager.PerMinute {
				s.post(sample{name: name, pod: fmt.Sprint(i), severity: "critical"})
			}
		}
		many("A")
		time.Sleep(ladder.LagBypass + 20*time.Second)
		for len(d.open) < maxDigestsOpen {
			d.open = append(d.open, *digest("oncall", []*kept.Alert{kept.New(0).Pack(critical(1))}, time.Now()))
		}
		for i := range guard.MaxWatched {
			d.told[alert.Fingerprint(i)] = true
		}
		many("B")
		time.Sleep(2 * digestEvery)
		if n := len(d.told); n > 4*pager.PerMinute {
			t.Errorf("%d alerts are kept that a digest told of, though few wait", n)
		}
		if n := d.left.Load(); n == 0 || len(d.open) != maxDigestsOpen {
			t.Errorf("%d digests are to be closed, %d left open", len(d.open), n)
		}
		if p.when("sink_failed raised").IsZero() || p.when("limit_reached raised").IsZero() {
			t.Errorf("people have heard %v", p.heard)
		}
		d.open = nil
		release()
		s.stop()
	})
}

// TestMoreThanFewPagesFallBack: a refused page beyond the 4,096th that was under
// way had no fallback.
func TestMoreThanFewPagesFallBack(t *testing.T) {
	v := &delivery{inFlight: map[string]*flight{}, fallen: map[uint64]string{}}
	const many = 5000
	for i := range uint64(many) {
		v.remember(&engine.Delivery{Notification: &correlate.Notification{Incident: i + 1, Revision: 1}})
	}
	if len(v.inFlight) != many {
		t.Errorf("%d of %d notifications are remembered for a fallback", len(v.inFlight), many)
	}
}

// TestRemovedReceiversAreBounded reloads with another receiver each time. What
// was opened at the first is closed there, though it is forgotten.
func TestRemovedReceiversAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "Down", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		removed := make(sinks.Receivers)
		for i := range 2 * maxRetired {
			now := sinks.Receivers{"nobody": nil, fmt.Sprint("r", i): nil}
			s.node.setReceivers(now)
			removed = now
		}
		if n := len(removed); n != maxRetired+3 { // with the two that are configured, and the canary's
			t.Errorf("%d receivers are in force", n)
		}
		if _, ok := removed["oncall"]; ok {
			t.Fatal("the first is not forgotten")
		}
		s.post(sample{name: "Down", pod: "1", severity: "critical", resolved: true})
		time.Sleep(6 * time.Minute)
		wantOpen(s, "")
		s.stop()
	})
}

// TestRemovedIntegrationRefusesNoMore: sink_failed stood, and no heart beat, until
// the process ended, when a receiver that had refused was taken out.
func TestRemovedIntegrationRefusesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newToldSite(t, stream.Options{}, "")
		s.pager.Script(sinktest.Response{Status: http.StatusForbidden})
		s.post(sample{name: "Down", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		if p.when("sink_failed raised").IsZero() || s.node.refused() == "" {
			t.Fatal("the page was not refused")
		}
		s.reload("oncall", "others")
		time.Sleep(10 * time.Second)
		if p.when("sink_failed over").IsZero() || s.node.refused() != "" {
			t.Errorf("people have heard %v; %q refuses", p.heard, s.node.refused())
		}
		s.stop()
	})
}

// TestDeliveryWaitsForLookUps: as many notifications are enriched as may be. The
// engine waits with the next, and loses none.
func TestDeliveryWaitsForLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &delivery{turns: make(chan turn, maxEnriching), quit: make(chan struct{}), degraded: func() string { return "a test" }}
		taken := 0
		go func() {
			for range maxEnriching + 1 {
				v.take(t.Context(), &engine.Delivery{Notification: &correlate.Notification{}})
				taken++
			}
		}()
		if synctest.Wait(); taken != maxEnriching {
			t.Errorf("%d were taken", taken)
		}
		<-v.turns
		if synctest.Wait(); taken != maxEnriching+1 || len(v.turns) != maxEnriching {
			t.Errorf("%d were taken when there was room again", taken)
		}
	})
}

// TestLagBeyondItsMarks: the oldest mark stays, and by it the core is as far
// behind as it is.
func TestLagBeyondItsMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		release := s.hang()
		for i := range 2 * maxMarks {
			s.post(sample{name: "A", pod: fmt.Sprint(i), severity: "none"})
			time.Sleep(readEvery)
		}
		l := &s.node.steps.lag
		if n := len(l.marks); n != maxMarks {
			t.Errorf("%d marks", n)
		}
		if behind := l.read(t.Context(), time.Now()); behind < (2*maxMarks-5)*readEvery {
			t.Errorf("behind by %s", behind)
		}
		release()
		s.stop()
	})
}
