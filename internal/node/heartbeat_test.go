package node

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// service is a dead-man service that writes down what it hears.
type service struct {
	mu    sync.Mutex
	heard []string
}

func (s *service) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
}

// since returns what was heard since the last call.
func (s *service) since() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.heard
	s.heard = nil
	return out
}

// newHeartSite is a site whose node tells a service that it works.
func newHeartSite(t *testing.T, log stream.Options) (*site, *service) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "heartbeat.url")
	if err := os.WriteFile(file, []byte("http://heartbeat.test/token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, log: log, dir: t.TempDir(), pager: sinktest.NewPagerDuty()}
	s.text = settings + fmt.Sprintf("winnow: {heartbeat: {urls: [{url_file: %s}]}}\n", file)
	outside := &service{}
	s.network = sinktest.NewNetwork(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "heartbeat.test" {
			outside.ServeHTTP(w, r)
			return
		}
		s.pager.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.network.Close() })
	s.start()
	return s, outside
}

// wantFail holds that the service heard of the failure, once, and of nothing
// else after it.
func wantFail(t *testing.T, heard []string, reason string) {
	t.Helper()
	fails := 0
	for i, h := range heard {
		if !strings.HasPrefix(h, "POST /token/fail ") {
			if fails > 0 {
				t.Errorf("a beat after the failure: %v", heard[i:])
			}
			continue
		}
		if fails++; !strings.Contains(h, reason) {
			t.Errorf("the service heard %q, want %q in it", h, reason)
		}
	}
	if fails != 1 {
		t.Errorf("%d failures were told, want one: %v", fails, heard)
	}
}

// wantBeats holds that there were beats, and nothing but.
func wantBeats(t *testing.T, heard []string, atLeast int) {
	t.Helper()
	for _, h := range heard {
		if h != "GET /token" {
			t.Errorf("the service heard %q", h)
		}
	}
	if len(heard) < atLeast {
		t.Errorf("%d beats, want %d at least", len(heard), atLeast)
	}
}

func TestHeartBeatsOnProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, outside := newHeartSite(t, stream.Options{})
		time.Sleep(10 * time.Minute)
		wantBeats(t, outside.since(), 10)

		release := s.hang()
		time.Sleep(2 * time.Minute)
		wantFail(t, outside.since(), "degraded to L3")
		release()
		time.Sleep(5 * time.Minute)
		wantBeats(t, outside.since(), 2)

		s.pager.Script(sinktest.Response{Status: http.StatusForbidden})
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(2 * time.Minute)
		wantFail(t, outside.since(), "oncall/pagerduty[0] refuses pages for good")
		s.post(sample{name: "B", pod: "1", severity: "critical"})
		time.Sleep(5 * time.Minute)
		wantBeats(t, outside.since(), 3)
		if got := s.report().Deliveries; got != 2 {
			t.Errorf("the canaries are in the books: %d deliveries", got)
		}
		m := s.get("/metrics")
		for _, want := range []string{"winnow_canary_last_success_age_seconds ", "winnow_canary_latency_seconds "} {
			if !strings.Contains(m, want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
		s.stop()
	})
}

func TestNoHeartbeatOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Uint64
		free.Store(50)
		s, outside := newHeartSite(t, stream.Options{Space: func(string) (uint64, uint64, error) { return free.Load() << 24, 100 << 24, nil }})
		time.Sleep(3 * time.Minute)
		wantBeats(t, outside.since(), 3)
		free.Store(15)
		time.Sleep(time.Minute)
		wantFail(t, outside.since(), "15 % of the disk is free")
		free.Store(50)
		time.Sleep(time.Minute)
		wantBeats(t, outside.since(), 1)
		s.stop()
	})
}

// TestCanaryTellsThatTheLogTakesNothing: the door itself is on the way.
func TestCanaryTellsThatTheLogTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, outside := newHeartSite(t, stream.Options{})
		time.Sleep(3 * time.Minute)
		wantBeats(t, outside.since(), 3)
		s.node.canary.Out("of another life") // proves nothing
		ok := s.node.prove(time.Now())
		stale := s.node.prove(time.Now().Add(2 * time.Minute))
		if !ok.OK || stale.OK || !strings.Contains(stale.Why, "no canary has come through for") {
			t.Errorf("now %+v, two minutes later %+v", ok, stale)
		}
		s.stop()
	})
}

// TestNobodyElseSingsLikeTheCanary: its door takes what its own key has signed.
func TestNobodyElseSingsLikeTheCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		rec := httptest.NewRecorder()
		s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/ingest/winnow", strings.NewReader(`[{"labels":{"alertname":"A"}}]`)))
		if rec.Code != http.StatusUnauthorized {
			t.Errorf("an unsigned alert is answered %d", rec.Code)
		}
		s.stop()
	})
}
