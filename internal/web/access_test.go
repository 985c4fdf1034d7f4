package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/access"
	"github.com/winnowhq/winnow/internal/config"
)

// newServer is a server that can refuse: nothing stands behind its routes but
// the reload.
func newServer(t *testing.T, text string) *Server {
	t.Helper()
	c, err := config.Parse("winnow.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	gate, err := access.New(access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := gate.Prepare(c.Winnow.Access, c.Winnow.Ingest)
	if err != nil {
		t.Fatal(err)
	}
	gate.Enforce(rules)
	doors, err := ingest.New(noLog{}, ingest.Options{Config: c.Winnow.Ingest, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	s := New(Options{
		Registerer: reg, Gatherer: reg, Access: gate,
		Reload: func(context.Context, bool) error { return nil },
	})
	s.Configure(c, doors.Routes())
	return s
}

type noLog struct{}

func (noLog) Append(context.Context, *ingest.Batch) error { return errors.New("there is no log") }

// guarded has a token for each role, and closes every source.
func guarded() string {
	var text strings.Builder
	text.WriteString(`route: {receiver: r}
receivers: [{name: r}]
winnow:
  access:
    tokens:
      - {name: viewer, role: viewer, token: viewer}
      - {name: responder, role: responder, token: responder}
      - {name: admin, role: admin, token: admin}
  ingest:
    sources:
`)
	for _, s := range ingest.Sources() {
		text.WriteString("      " + s.Name + ": {tokens: [{token: sender}]}\n")
	}
	return text.String()
}

func ask(s *Server, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// TestEveryRouteHasARule walks the table of routes. What asks nobody who they
// are is listed here, so that a new one is somebody's decision.
func TestEveryRouteHasARule(t *testing.T) {
	open := map[string]bool{"GET /-/healthy": true, "GET /-/ready": true, "GET /{$}": true}
	s := newServer(t, guarded())
	routes := s.Routes()
	if len(routes) < 9+len(ingest.Sources()) {
		t.Fatalf("%d routes: the table is not whole", len(routes))
	}
	for _, r := range routes {
		name := r.Method + " " + r.Pattern
		least, ok := access.Least(r.Scope)
		if !ok {
			t.Errorf("%s has the scope %q, for which there is no rule", name, r.Scope)
			continue
		}
		path := strings.NewReplacer("{$}", "", "{id}", "INC-1", "{source}", "nagios").Replace(r.Pattern)
		switch {
		case open[name]:
			if r.Scope != access.ScopeOpen {
				t.Errorf("%s has the scope %q", name, r.Scope)
			}
			continue
		case r.Scope == access.ScopeOpen:
			t.Errorf("%s asks nobody who they are: list it in this test if that is meant", name)
		case r.Method != http.MethodGet && r.Scope == access.ScopeRead:
			t.Errorf("%s changes something and wants only a viewer", name)
		}
		f := func(token string, code int) {
			t.Helper()
			if w := ask(s, r.Method, path, token); w.Code != code {
				t.Errorf("%s with %q: %d, want %d", name, token, w.Code, code)
			}
		}
		f("", 401)
		f("wrong", 401)
		if r.Scope == ingest.ScopeIngest {
			f("admin", 401) // who may reload may not send alerts
			continue
		}
		f("sender", 401)
		for _, role := range []access.Role{access.Viewer, access.Responder} {
			if below := map[access.Role]int{access.Viewer: 1, access.Responder: 2, access.Admin: 3}; below[role] < below[least] {
				f(string(role), 403)
			}
		}
	}
}

func TestAdminsReload(t *testing.T) {
	f := func(text, token string, code int, header ...string) {
		t.Helper()
		s := newServer(t, text)
		r := httptest.NewRequest("POST", "/-/reload", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != code {
			t.Errorf("%q %v: %d, want %d", token, header, w.Code, code)
		}
	}
	f(guarded(), "admin", 200)
	f(guarded(), "responder", 403)
	f(guarded(), "admin", 403, "Sec-Fetch-Site", "cross-site")
	f(config.DefaultText, "", 200) // nobody is named: this machine alone
	f(config.DefaultText, "", 403, "Origin", "http://evil.example")
}

// TestEveryAnswerIsHardened: served, refused, and not there.
func TestEveryAnswerIsHardened(t *testing.T) {
	s := newServer(t, guarded())
	for _, path := range []string{"/", "/metrics", "/nowhere", "/ingest/alertmanager"} {
		w := ask(s, "GET", path, "")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "deny", "Referrer-Policy": "no-referrer"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s (%d): %s: %q, want %q", path, w.Code, name, got, want)
			}
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
			t.Errorf("%s: %s", path, fmt.Sprintf("Content-Security-Policy: %q", csp))
		}
	}
}
