package selfalert

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// place is where self-alerts arrive, without a network.
type place struct {
	mu     sync.Mutex
	got    []string
	status int
}

func (p *place) answer(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *place) RoundTrip(req *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status/100 == 2 {
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, err
		}
		if a, ok := m["event_action"]; ok {
			p.got = append(p.got, a.(string)+" "+m["dedup_key"].(string))
		} else {
			p.got = append(p.got, m["cause"].(string))
		}
	}
	return &http.Response{StatusCode: p.status, Status: http.StatusText(p.status), Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

func inBubble(t *testing.T, f func(t *testing.T, r *Raiser, p *place)) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("secret-routing-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := &place{status: 202}
		r := New(Options{Config: Config{PagerDuty: &PagerDuty{RoutingKeyFile: key}}, Client: &http.Client{Transport: p}, Source: "host"})
		f(t, r, p)
		r.Close()
	})
}

func want(t *testing.T, p *place, want string) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := strings.Join(p.got, ", "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestToldOnceAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Raiser, p *place) {
		for range 100 {
			r.Raise(LogDamaged, "message 7")
		}
		want(t, p, "trigger winnow/self/host/log_damaged")
		time.Sleep(2 * time.Minute)
		want(t, p, "trigger winnow/self/host/log_damaged")
		r.Raise(LogDamaged, "message 8")
		want(t, p, "trigger winnow/self/host/log_damaged, trigger winnow/self/host/log_damaged")
	})
}

func TestClearResolves(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Raiser, p *place) {
		r.Clear(SinkFailed) // it never stood
		r.Raise(SinkFailed, "")
		synctest.Wait()
		r.Clear(SinkFailed)
		r.Clear(SinkFailed)
		want(t, p, "trigger winnow/self/host/sink_failed, resolve winnow/self/host/sink_failed")
		if got := r.Raised(); len(got) != 0 {
			t.Errorf("still raised: %v", got)
		}
	})
}

func TestGoesOnTryingUntilHeard(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Raiser, p *place) {
		p.answer(500)
		r.Raise(LogUnavailable, "")
		time.Sleep(time.Hour)
		want(t, p, "")
		p.answer(202)
		time.Sleep(2 * tryAfter)
		want(t, p, "trigger winnow/self/host/log_unavailable")
	})
}

func TestAnotherSeverityIsToldAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Raiser, p *place) {
		r.RaiseAs(Degraded, "warning", "L1")
		synctest.Wait()
		r.RaiseAs(Degraded, "warning", "L2") // within the minute
		synctest.Wait()
		r.RaiseAs(Degraded, "critical", "L3")
		want(t, p, "trigger winnow/self/host/degraded, trigger winnow/self/host/degraded")
	})
}

func TestToldWaitsUntilPeopleKnow(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Raiser, p *place) {
		p.answer(500)
		begun := time.Now()
		r.Raise(DiskFailed, "")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r.Told(ctx)
		if waited := time.Since(begun); waited != 10*time.Second {
			t.Errorf("nobody knows, and it waited %s", waited)
		}
		p.answer(202)
		r.Told(t.Context())
		want(t, p, "trigger winnow/self/host/disk_failed")
	})
}

func TestErrorsHoldNoSecret(t *testing.T) {
	r := New(Options{Client: &http.Client{Transport: &place{status: 403}}})
	defer r.Close()
	for _, url := range []string{"https://example.test/token-1234", "://token-1234"} {
		if err := r.post(url, "webhook", 1); err == nil || strings.Contains(err.Error(), "token-1234") {
			t.Errorf("error %v", err)
		}
	}
}

func TestEveryCauseHasWords(t *testing.T) {
	for c := range NumCauses {
		if causes[c].name == "" || causes[c].summary == "" || causes[c].severity == "" {
			t.Errorf("cause %d has none", c)
		}
	}
}
