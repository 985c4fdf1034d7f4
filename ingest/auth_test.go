package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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
  prometheus: {tokens: [{token: old-token}, {token_file: `+file+`}, {token_sha256: `+sha256Of("hashed-token")+`}]}
  alertmanager: {tokens: [{token: am-token}], basic_users: [{username: ops, password: "pass:word"}, {username: hashed, password_sha256: `+sha256Of("p4")+`}]}`)
	f := func(path, authorization string, code int) {
		t.Helper()
		w := b.post(path, bodyFor(path), "Authorization", authorization)
		challenges := 0
		if code == http.StatusUnauthorized {
			challenges = 2
		}
		if w.Code != code || len(w.Header().Values("WWW-Authenticate")) != challenges {
			t.Errorf("%s with %q: %d %q, want %d", path, authorization, w.Code, w.Header().Values("WWW-Authenticate"), code)
		}
	}
	f("/ingest/prometheus", "Bearer old-token", 200)
	f("/ingest/prometheus", "bearer from-file", 200)
	f("/ingest/prometheus", "Bearer hashed-token", 200)
	f("/api/v2/alerts", "Bearer old-token", 200)
	f("/ingest/prometheus", "", 401)
	f("/api/v2/alerts", "", 401)
	f("/ingest/prometheus", "Bearer", 401)
	f("/ingest/prometheus", "Bearer old-toke", 401)
	f("/ingest/prometheus", "Bearer old-token2", 401)
	f("/ingest/prometheus", "Token old-token", 401)
	f("/ingest/prometheus", "Bearer "+sha256Of("hashed-token"), 401) // what is at rest opens nothing
	f("/ingest/prometheus", "Bearer am-token", 401)                  // of another source
	f("/ingest/prometheus", basic("old-token", ""), 401)
	f("/ingest/alertmanager", "Bearer am-token", 200)
	f("/ingest/alertmanager", basic("ops", "pass:word"), 200)
	f("/ingest/alertmanager", basic("hashed", "p4"), 200)
	f("/ingest/alertmanager", basic("hashed", sha256Of("p4")), 401)
	f("/ingest/alertmanager", basic("hashed", "pass:word"), 401) // of another user
	f("/ingest/alertmanager", basic("ops", "password"), 401)
	f("/ingest/alertmanager", basic("ops:pass", "word"), 200) // the same bytes in the header
	f("/ingest/alertmanager", basic("root", "pass:word"), 401)
	f("/ingest/alertmanager", "Bearer ops:pass:word", 401)

	if alerts, _ := b.stored("prometheus"); alerts != 4 {
		t.Errorf("%d alerts of prometheus stored, want the 4 with credentials", alerts)
	}
	if got := b.metric("requests_total", "code=401", "source=prometheus"); got != 9 {
		t.Errorf("%v requests refused", got)
	}
	if got := b.metric("refused_total", "reason=credentials", "source=prometheus"); got != 9 {
		t.Errorf("%v requests refused for their credentials", got)
	}
}

func basic(user, password string) string {
	r := httptest.NewRequest("POST", "/", nil)
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func sha256Of(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// bodyFor is an alert in the form of the source at path.
func bodyFor(path string) []byte {
	if strings.HasSuffix(path, "alertmanager") {
		return []byte(`{"alerts":` + oneAlert + `}`)
	}
	return []byte(oneAlert)
}

// TestRefusalsAreAllAlike: nothing in an answer tells which sources there are,
// which credentials they have, or what was wrong.
func TestRefusalsAreAllAlike(t *testing.T) {
	var config strings.Builder
	config.WriteString("sources:\n  prometheus: {tokens: [{token: t}]}\n")
	for _, source := range Sources() {
		if source.Name != "prometheus" {
			config.WriteString("  " + source.Name + ": {closed: true}\n")
		}
	}
	b := newBench(t, config.String())
	want := b.post("/ingest/prometheus", nil)
	f := func(path string, header ...string) {
		t.Helper()
		w := b.post(path, bodyFor(path), header...)
		if w.Code != 401 || w.Body.String() != want.Body.String() || !maps.EqualFunc(w.Header(), want.Header(), slices.Equal) {
			t.Errorf("%s: %d %q %v, want %d %q %v", path, w.Code, w.Body, w.Header(), want.Code, want.Body, want.Header())
		}
	}
	f("/ingest/prometheus", "Authorization", "Bearer wrong")
	f("/ingest/prometheus", "Authorization", basic("u", "p"))
	f("/ingest/alertmanager", "Authorization", "Bearer t")
	f("/ingest/nagios")
	f("/ingest/nagios", "Authorization", "Bearer t")
	if got := b.metric("requests_total", "code=401", "source=unknown"); got != 2 {
		t.Errorf("%v requests of unknown sources", got)
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
	f(`sources: {prometheus: {hmac: [{scheme: grafana, secret: s, timestamp_header: T}]}}`, 401)
	f(`sources: {prometheus: {client_sans: [am.example]}}`, 401)
	f(`sources: {prometheus: {closed: true}}`, 401)
	f(`sources: {alertmanager: {tokens: [{token: t}]}}`, 200)
}

// TestClientCertificates: what counts is a certificate that the listener has
// verified, and one of its subject alternative names.
func TestClientCertificates(t *testing.T) {
	b := newBench(t, `sources: {prometheus: {client_sans: [am.example, ops@example.com, 10.0.0.7, "spiffe://prod/am"], tokens: [{token: t}]}}`)
	f := func(what string, state *tls.ConnectionState, code int, header ...string) {
		t.Helper()
		r := httptest.NewRequest("POST", "/ingest/prometheus", strings.NewReader(oneAlert))
		r.TLS = state
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		b.mux.ServeHTTP(w, r)
		if w.Code != code {
			t.Errorf("%s: %d, want %d", what, w.Code, code)
		}
	}
	shown := func(c *x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
	}
	verified := func(c *x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
	}
	am := &x509.Certificate{DNSNames: []string{"x.example", "am.example"}}
	f("its name", verified(am), 200)
	f("its address", verified(&x509.Certificate{EmailAddresses: []string{"ops@example.com"}}), 200)
	f("its IP", verified(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(10, 0, 0, 7)}}), 200)
	f("its URI", verified(&x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "prod", Path: "/am"}}}), 200)
	f("another name", verified(&x509.Certificate{DNSNames: []string{"am.example.evil"}}), 401)
	f("a name as the subject", verified(&x509.Certificate{Subject: pkix.Name{CommonName: "am.example"}}), 401)
	f("not verified", shown(am), 401)
	f("TLS without a certificate", &tls.ConnectionState{}, 401)
	f("no TLS", nil, 401)
	f("the token instead", verified(&x509.Certificate{}), 200, "Authorization", "Bearer t")
	f("a wrong token beside it", verified(am), 200, "Authorization", "Bearer wrong")
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
