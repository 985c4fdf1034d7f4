package ingest

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, `sources:
  prometheus: {tokens: [{token: old-token}, {token_file: `+file+`}]}
  alertmanager: {tokens: [{token: am-token}], basic_users: [{username: ops, password: "pass:word"}]}`)
	f := func(path, authorization string, code int, challenge ...string) {
		t.Helper()
		body := []byte(oneAlert)
		if strings.HasSuffix(path, "alertmanager") {
			body = []byte(`{"alerts":` + oneAlert + `}`)
		}
		w := b.post(path, body, "Authorization", authorization)
		if w.Code != code || !slices.Equal(w.Header().Values("WWW-Authenticate"), challenge) {
			t.Errorf("%s with %q: %d %q, want %d %q", path, authorization, w.Code, w.Header().Values("WWW-Authenticate"), code, challenge)
		}
	}
	basic := func(user, password string) string {
		r := httptest.NewRequest("POST", "/", nil)
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	bearer, both := []string{`Bearer realm="winnow"`}, []string{`Bearer realm="winnow"`, `Basic realm="winnow"`}
	f("/ingest/prometheus", "Bearer old-token", 200)
	f("/ingest/prometheus", "bearer from-file", 200)
	f("/api/v2/alerts", "Bearer old-token", 200)
	f("/ingest/prometheus", "", 401, bearer...)
	f("/api/v2/alerts", "", 401, bearer...)
	f("/ingest/prometheus", "Bearer", 401, bearer...)
	f("/ingest/prometheus", "Bearer old-toke", 401, bearer...)
	f("/ingest/prometheus", "Bearer old-token2", 401, bearer...)
	f("/ingest/prometheus", "Token old-token", 401, bearer...)
	f("/ingest/prometheus", "Bearer am-token", 401, bearer...) // of another source
	f("/ingest/prometheus", basic("old-token", ""), 401, bearer...)
	f("/ingest/alertmanager", "Bearer am-token", 200)
	f("/ingest/alertmanager", basic("ops", "pass:word"), 200)
	f("/ingest/alertmanager", basic("ops", "password"), 401, both...)
	f("/ingest/alertmanager", basic("ops:pass", "word"), 200) // the same bytes in the header
	f("/ingest/alertmanager", basic("root", "pass:word"), 401, both...)
	f("/ingest/alertmanager", "Bearer ops:pass:word", 401, both...)

	if alerts, _ := b.stored("prometheus"); alerts != 3 {
		t.Errorf("%d alerts of prometheus stored, want the 3 with credentials", alerts)
	}
	if got := b.metric("requests_total", "code=401", "source=prometheus"); got != 8 {
		t.Errorf("%v requests refused", got)
	}
}

// TestOneKindOfCredentialsClosesTheDoor: a source is open only without any.
func TestOneKindOfCredentialsClosesTheDoor(t *testing.T) {
	f := func(config string, code int) {
		t.Helper()
		b := newBench(t, config)
		if w := b.post("/ingest/prometheus", []byte(oneAlert)); w.Code != code {
			t.Errorf("%s: %d without credentials, want %d", config, w.Code, code)
		}
	}
	f(`{}`, 200)
	f(`sources: {prometheus: {tokens: [{token: t}]}}`, 401)
	f(`sources: {prometheus: {basic_users: [{username: u, password: p}]}}`, 401)
	f(`sources: {alertmanager: {tokens: [{token: t}]}}`, 200)
}

func TestARefusedBodyIsNotRead(t *testing.T) {
	b := newBench(t, `sources: {prometheus: {tokens: [{token: t}]}}`)
	body := &countingReader{r: strings.NewReader(oneAlert)}
	if w := b.do("POST", "/ingest/prometheus", body); w.Code != 401 || body.n != 0 {
		t.Errorf("%d after %d bytes of the body", w.Code, body.n)
	}
}

func TestSecretFilesMustBeReadable(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(file, want string) {
		t.Helper()
		_, err := New(memoryLog(func(context.Context, *Batch) error { return nil }), Options{
			Config: configOf(t, `sources: {prometheus: {tokens: [{token_file: `+file+`}]}}`), Now: time.Now,
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	f(empty, "ingest: sources: prometheus: tokens[0]: read secret: "+empty+" is empty")
	f("/does/not/exist", "ingest: sources: prometheus: tokens[0]: read secret: open /does/not/exist")
}
