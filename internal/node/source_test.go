package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/stream"
)

// prometheus sends alerts as a Prometheus does: each is believed for four
// minutes, and one that has ended says so.
func (s *site) prometheus(ended bool, names ...string) {
	s.t.Helper()
	type wire struct {
		Labels           map[string]string `json:"labels"`
		StartsAt, EndsAt time.Time
	}
	var body []wire
	for _, name := range names {
		w := wire{map[string]string{"alertname": name, "cluster": "eu", "pod": "1", "severity": "critical"}, time.Now(), time.Now().Add(4 * time.Minute)}
		if name == "Watchdog" {
			w.Labels["severity"] = "none"
		}
		if ended {
			w.EndsAt = time.Now()
		}
		body = append(body, w)
	}
	s.body("/api/v2/alerts", body)
	s.sent += uint64(len(names)) - 1
}

// body posts one as JSON, of one alert.
func (s *site) body(path string, v any) {
	s.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(b)))
	if rec.Code/100 != 2 {
		s.t.Errorf("%s answers %d: %s", path, rec.Code, rec.Body)
	}
	s.sent++
}

// TestDeadPrometheusResolvesNothing holds from end to end that nobody is told
// that all is well because a Prometheus has died: what it vouched for runs out,
// at once for all, also over a crash; people hear that it is silent, once, within
// three minutes. When it is back, what it does not speak of is over.
func TestDeadPrometheusResolvesNothing(t *testing.T) {
	const alerts, within = 40, 3 * time.Minute
	var names []string
	for i := range alerts {
		names = append(names, fmt.Sprint("Down", i))
	}
	speak := func(s *site, names ...string) {
		s.prometheus(false, append(names, "Watchdog")...)
		time.Sleep(time.Minute)
	}
	synctest.Test(t, func(t *testing.T) {
		s, p := newToldSite(t, stream.Options{}, "  ingest: {sources: {prometheus: {silent_after: 2m}}}\n")
		for range 5 {
			speak(s, names...)
		}
		if got := len(s.pager.Open()); got != alerts {
			t.Fatalf("%d incidents are open, want %d", got, alerts)
		}
		died := time.Now().Add(-time.Minute)
		time.Sleep(within - time.Minute)
		if p.when("source_silent raised").IsZero() {
			t.Errorf("%s after the source was heard last, people heard %v", within, p.heard)
		}
		time.Sleep(30 * time.Minute) // all ends have passed
		s.crash()
		time.Sleep(30 * time.Minute)
		if got := strings.Count(s.events(), "resolve"); got != 0 || len(s.pager.Open()) != alerts {
			t.Errorf("%s after the source died, %d resolves were sent, and %d incidents are open", time.Since(died), got, len(s.pager.Open()))
		}
		if got := len(s.pager.Incidents()); got != alerts {
			t.Errorf("%d incidents were opened, want %d", got, alerts)
		}
		for range 8 {
			speak(s, names[:30]...)
		}
		s.prometheus(true, names[29]) // an end that it names is one
		for range 16 {
			speak(s, names[:29]...)
		}
		if got := len(s.pager.Open()); got != 29 {
			t.Errorf("the source is back and speaks of 29 alerts, and %d incidents are open", got)
		}
		if p.when("source_silent over").IsZero() {
			t.Errorf("people heard %v", p.heard)
		}
		s.report()
		s.stop()
	})
}
