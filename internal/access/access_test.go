package access

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/winnowhq/winnow/ingest"
)

// hashOf is a bcrypt hash that costs nearly nothing.
func hashOf(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func configOf(t *testing.T, text string) Config {
	t.Helper()
	var c Config
	if err := yaml.Load([]byte(text), &c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// newGate returns a gate with a web configuration file and a configuration in
// force.
func newGate(t *testing.T, web, config string) *Gate {
	t.Helper()
	o := Options{Registerer: prometheus.NewRegistry()}
	if web != "" {
		o.WebConfigFile = write(t, t.TempDir(), "web.yml", web)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := g.Prepare(configOf(t, config), ingest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g.Enforce(r)
	return g
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func certificate(sans ...string) func(*http.Request) {
	return func(r *http.Request) {
		leaf := &x509.Certificate{DNSNames: sans}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	}
}

// ask sends a request through the guard of a scope.
func ask(g *Gate, scope ingest.Scope, method string, with ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://winnow.example/x", nil)
	for _, f := range with {
		f(r)
	}
	w := httptest.NewRecorder()
	g.Guard(scope, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })).ServeHTTP(w, r)
	return w
}

func TestRolesAndScopes(t *testing.T) {
	dir := t.TempDir()
	g := newGate(t, fmt.Sprintf("basic_auth_users: {vera: '%s', rita: '%s', ada: '%s'}", hashOf(t, "v"), hashOf(t, "r"), hashOf(t, "a")), `
users: [{name: rita, role: responder}, {name: ada, role: admin}]
tokens:
  - {name: prometheus, role: viewer, token_sha256: `+fmt.Sprintf("%x", sha256.Sum256([]byte("scrape")))+`}
  - {name: old, role: admin, token_file: `+write(t, dir, "token", "deploy\n")+`}
  - {name: new, role: admin, token: deploy2}
`)
	f := func(who string, codes [4]int, with ...func(*http.Request)) {
		t.Helper()
		for i, scope := range []ingest.Scope{ScopeOpen, ScopeRead, ScopeAct, ScopeAdmin} {
			w := ask(g, scope, "POST", with...)
			if w.Code != codes[i] || (w.Body.String() == "served") != (w.Code == 200) || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%s, scope %s: %d %q %v, want %d", who, scope, w.Code, w.Body, w.Header(), codes[i])
			}
		}
	}
	nobody, viewer, responder, admin := [4]int{200, 401, 401, 401}, [4]int{200, 200, 403, 403}, [4]int{200, 200, 200, 403}, [4]int{200, 200, 200, 200}
	f("nobody", nobody)
	f("a user without a role", viewer, basic("vera", "v"))
	f("a responder", responder, basic("rita", "r"))
	f("an admin", admin, basic("ada", "a"))
	f("a wrong password", nobody, basic("ada", "b"))
	f("the password of another", nobody, basic("ada", "r"))
	f("no password", nobody, basic("ada", ""))
	f("a user who is not there", nobody, basic("eve", "a"))
	f("no user", nobody, basic("", ""))
	f("a token by its digest", viewer, header("Authorization", "Bearer scrape"))
	f("a token in a file", admin, header("Authorization", "bearer deploy"))
	f("a second token at the same time", admin, header("Authorization", "Bearer deploy2"))
	f("a wrong token", nobody, header("Authorization", "Bearer deploy3"))
	f("no token", nobody, header("Authorization", "Bearer "))
	f("another scheme", nobody, header("Authorization", "Token deploy"))
	f("the name of a token", nobody, header("Authorization", "Bearer prometheus"))
	f("a certificate that nobody asked for", nobody, certificate("ada"))
	f("again, from memory", admin, basic("ada", "a"))
	f("again a wrong one", nobody, basic("ada", "b"))
}

// TestCertificates: the role of a certificate, and of what is sent beside it.
func TestCertificates(t *testing.T) {
	pki := newPKI(t)
	g := newGate(t, pki.webConfig("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem", "basic_auth_users: {ada: '"+hashOf(t, "a")+"'}"), `
users: [{name: ada, role: responder}]
certificates: [{san: prometheus.example, role: viewer}, {san: ops.example, role: admin}]`)
	f := func(what string, want Caller, with ...func(*http.Request)) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		for _, f := range with {
			f(r)
		}
		if got, err := g.Caller(r); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", what, got, err, want)
		}
	}
	f("none", Caller{})
	f("one", Caller{"prometheus.example", Viewer}, certificate("prometheus.example"))
	f("another", Caller{}, certificate("grafana.example"))
	f("two names: the higher role", Caller{"ops.example", Admin}, certificate("prometheus.example", "ops.example"))
	f("a user beside it: the higher role", Caller{"ada", Responder}, certificate("prometheus.example"), basic("ada", "a"))
	f("a user beside it: the higher role", Caller{"ops.example", Admin}, certificate("ops.example"), basic("ada", "a"))
	f("a wrong password beside it", Caller{"prometheus.example", Viewer}, certificate("prometheus.example"), basic("ada", "b"))
	f("shown, not verified", Caller{}, certificate("ops.example"), func(r *http.Request) { r.TLS.VerifiedChains = nil })
}

// TestNobodyIsNamed: everybody may do everything, as on loopback without a word
// about access.
func TestNobodyIsNamed(t *testing.T) {
	g := newGate(t, "", "{}")
	for _, scope := range []ingest.Scope{ScopeOpen, ScopeRead, ScopeAct, ScopeAdmin, ingest.ScopeIngest} {
		if w := ask(g, scope, "POST"); w.Code != 200 {
			t.Errorf("scope %s: %d", scope, w.Code)
		}
	}
	if g.TLS() != nil {
		t.Error("TLS without a certificate")
	}
}

func TestBeforeRulesAreInForceNobodyPasses(t *testing.T) {
	g, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if w := ask(g, ScopeRead, "GET"); w.Code != 503 {
		t.Errorf("%d", w.Code)
	}
}

func TestAScopeWithoutARulePanics(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "access: no rule for the scope silence" {
			t.Errorf("recovered %s", got)
		}
	}()
	ask(newGate(t, "", "{}"), "silence", "GET")
}

// TestPagesOfOtherSites: a browser sends what it knows of a user along with the
// request that another site's page makes.
func TestPagesOfOtherSites(t *testing.T) {
	g := newGate(t, "", "{}")
	f := func(what string, scope ingest.Scope, method string, code int, with ...func(*http.Request)) {
		t.Helper()
		if w := ask(g, scope, method, with...); w.Code != code {
			t.Errorf("%s: %d, want %d", what, w.Code, code)
		}
	}
	f("no browser", ScopeAdmin, "POST", 200)
	f("our own page", ScopeAdmin, "POST", 200, header("Sec-Fetch-Site", "same-origin"))
	f("our own page, an old browser", ScopeAdmin, "POST", 200, header("Origin", "http://winnow.example"))
	f("another site", ScopeAdmin, "POST", 403, header("Sec-Fetch-Site", "cross-site"))
	f("another subdomain", ScopeAct, "POST", 403, header("Sec-Fetch-Site", "same-site"))
	f("another site, an old browser", ScopeAct, "DELETE", 403, header("Origin", "http://evil.example"))
	f("a link from another site", ScopeRead, "GET", 200, header("Sec-Fetch-Site", "cross-site"))
	f("a sender that looks like a browser", ingest.ScopeIngest, "POST", 200, header("Sec-Fetch-Site", "cross-site"))
}

func TestHeadersOfAllAnswers(t *testing.T) {
	g := newGate(t, `http_server_config: {headers: {Strict-Transport-Security: max-age=31536000, X-Frame-Options: sameorigin}}`, "{}")
	f := func(name, want string) {
		t.Helper()
		h := http.Header{}
		g.Harden(h)
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f("X-Content-Type-Options", "nosniff")
	f("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	f("Referrer-Policy", "no-referrer")
	f("Strict-Transport-Security", "max-age=31536000") // configured
	f("X-Frame-Options", "sameorigin")                 // configured otherwise

	mine := http.Header{}
	g.Harden(mine)
	mine.Add("X-Content-Type-Options", "mine")
	mine.Set("Referrer-Policy", "mine")
	f("X-Content-Type-Options", "nosniff") // of one answer alone
	f("Referrer-Policy", "no-referrer")
}

func TestValidate(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		c, got := configOf(t, text), "ok"
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	f(`{}`, "ok")
	f(`{users: [{name: a, role: viewer}], tokens: [{name: a, role: admin, token: x}], certificates: [{san: a, role: responder}]}`, "ok")
	f(`users: [{role: viewer}]`, "access.users[0].name: is empty")
	f(`users: [{name: a, role: root}]`, `access.users[0].role: "root" is not viewer, responder or admin`)
	f(`users: [{name: a}]`, `access.users[0].role: "" is not viewer, responder or admin`)
	f(`users: [{name: a, role: admin}, {name: a, role: viewer}]`, `access.users[1].name: "a" is named twice`)
	f(`tokens: [{name: a, role: admin}]`, "access.tokens[0]: want exactly one of token, token_file, token_sha256")
	f(`tokens: [{name: a, role: admin, token_sha256: 12}]`, "access.tokens[0]: token_sha256 is not a SHA-256 in 64 hexadecimal digits")
	var many []string
	for i := range maxTokens + 1 {
		many = append(many, fmt.Sprintf("{name: t%d, role: viewer, token: x}", i))
	}
	f("tokens: ["+strings.Join(many, ", ")+"]", "access.tokens: 1025 of them; at most 1024 are compared")
	f(`certificates: [{role: admin}]`, "access.certificates[0].san: is empty")
}

// TestPrepare: what is refused at the start and at a reload, and what is said.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	pki := newPKI(t)
	withUser := "basic_auth_users: {ada: '" + hashOf(t, "a") + "'}"
	f := func(web, config, sources, exposed, want string) {
		t.Helper()
		o := Options{Exposed: exposed}
		if web != "" {
			o.WebConfigFile = write(t, dir, "web.yml", web)
		}
		var s ingest.Config
		if err := yaml.Load([]byte(sources), &s, yaml.WithKnownFields()); err != nil {
			t.Fatal(err)
		}
		got := "ok"
		g, err := New(o)
		if err == nil {
			_, err = g.Prepare(configOf(t, config), s)
		}
		if err != nil {
			got = strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		if got != want {
			t.Errorf("%s | %s | %s | %s:\n got %s\nwant %s", web, config, sources, exposed, got, want)
		}
	}
	const noVerification = "nobody verifies certificates: in --web.config.file, tls_server_config wants client_ca_file and client_auth_type VerifyClientCertIfGiven or RequireAndVerifyClientCert"
	f("", "{}", "{}", "", "ok")
	f("", `users: [{name: ada, role: admin}]`, "{}", "", `access: winnow.access.users[0].name: "ada" is not in basic_auth_users of --web.config.file, which holds the passwords`)
	f(withUser, `users: [{name: ada, role: admin}]`, "{}", "", "ok")
	f(withUser, `users: [{name: adda, role: admin}]`, "{}", "", `access: winnow.access.users[0].name: "adda" is not in basic_auth_users of --web.config.file, which holds the passwords`)
	f("", `tokens: [{name: x, role: admin, token_file: `+dir+`/gone}]`, "{}", "", "access: winnow.access.tokens[0]: read secret: open DIR/gone: no such file or directory")
	f("", `certificates: [{san: x, role: admin}]`, "{}", "", "access: winnow.access.certificates: "+noVerification)
	f("", "{}", `sources: {alertmanager: {client_sans: [x]}}`, "", "access: winnow.ingest.sources: alertmanager: client_sans: "+noVerification)
	f(pki.webConfig("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem", ""), "{}", `sources: {alertmanager: {client_sans: [x]}}`, "", "ok")
	f("basic_auth_users: {ada: plain}", "{}", "{}", "", `access: web configuration DIR/web.yml: basic_auth_users: the password of "ada" is no bcrypt hash: make one with htpasswd -nBC 10 ""`)

	var closed strings.Builder
	closed.WriteString("sources:\n")
	for _, s := range ingest.Sources() {
		closed.WriteString("  " + s.Name + ": {closed: true}\n")
	}
	names := strings.Join((&ingest.Config{}).Open(), ", ")
	const (
		mine    = "whoever reaches it may read and reload: name users in basic_auth_users of --web.config.file, or tokens under winnow.access"
		instead = "; or listen on 127.0.0.1, or say --web.allow-unauthenticated"
	)
	theirs := "whoever reaches it may send alerts as " + names + ": give these sources credentials under winnow.ingest.sources, or closed: true"
	f("", "{}", "{}", ":9099", "access: :9099 can be reached from other machines, and "+theirs+"; "+mine+instead)
	f(withUser, "{}", "{}", ":9099", "access: :9099 can be reached from other machines, and "+theirs+instead)
	f("", "{}", closed.String(), ":9099", "access: :9099 can be reached from other machines, and "+mine+instead)
	f("", `tokens: [{name: x, role: viewer, token: x}]`, closed.String(), ":9099", "ok")
	f(withUser, "{}", strings.Replace(closed.String(), "alertmanager: {closed: true}", "alertmanager: {tokens: [{token: x}]}", 1), ":9099", "ok")
}

// TestReload: what was opened at the start stays as closed as it was.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	pki := newPKI(t)
	file := write(t, dir, "web.yml", pki.webConfig("", "basic_auth_users: {ada: '"+hashOf(t, "a")+"'}"))
	g, err := New(Options{WebConfigFile: file})
	if err != nil {
		t.Fatal(err)
	}
	enforce := func() error {
		r, err := g.Prepare(Config{}, ingest.Config{})
		if err == nil {
			g.Enforce(r)
		}
		return err
	}
	f := func(what, user, password string, code int) {
		t.Helper()
		if w := ask(g, ScopeRead, "GET", basic(user, password)); w.Code != code {
			t.Errorf("%s: %s %s gets %d, want %d", what, user, password, w.Code, code)
		}
	}
	if err := enforce(); err != nil {
		t.Fatal(err)
	}
	f("at the start", "ada", "a", 200)
	write(t, dir, "web.yml", "basic_auth_users: {bob")
	f("a file that is being written", "ada", "a", 200)
	if enforce() == nil {
		t.Error("a broken file is in force")
	}
	f("a broken file", "ada", "a", 200)
	write(t, dir, "web.yml", "basic_auth_users: {bob: '"+hashOf(t, "b")+"'}")
	if err := enforce(); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("TLS goes away at a reload: %v", err)
	}
	f("TLS goes away", "ada", "a", 200)
	write(t, dir, "web.yml", pki.webConfig("", "basic_auth_users: {ada: '"+hashOf(t, "changed")+"'}"))
	if err := enforce(); err != nil {
		t.Fatal(err)
	}
	f("the old password is remembered, not believed", "ada", "a", 401)
	f("the new password", "ada", "changed", 200)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if enforce() == nil {
		t.Error("a file that is gone is in force")
	}
	f("the file is gone", "ada", "changed", 200)
}

// TestTLS serves real connections: certificates are those of the last reload,
// and names are asked for on resumed connections as well.
func TestTLS(t *testing.T) {
	pki := newPKI(t)
	dir := t.TempDir()
	config := func(options string) string { return write(t, dir, "web.yml", pki.webConfig(options, "")) }
	g, err := New(Options{WebConfigFile: config("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, client_allowed_sans: [am.example]")})
	if err != nil {
		t.Fatal(err)
	}
	enforce := func() {
		t.Helper()
		r, err := g.Prepare(Config{}, ingest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		g.Enforce(r)
	}
	enforce()
	addr := serveTLS(t, g)
	f := func(what string, as *client, options func(*tls.Config), want string) {
		t.Helper()
		if got := pki.get(t, addr, as, options); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	tls11 := func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	tls12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	am, other := pki.client(t, "am.example"), pki.client(t, "other.example")
	f("an allowed name", am, nil, "200 http/1.1")
	f("again", am, nil, "200 http/1.1 resumed")
	f("another name", other, nil, "refused")
	f("no certificate", nil, nil, "refused")
	f("of another authority", newPKI(t).client(t, "am.example"), nil, "refused")
	f("TLS 1.1", am, tls11, "refused")

	config("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, client_allowed_sans: [other.example], min_version: TLS13")
	f("written, not reloaded", am, nil, "200 http/1.1 resumed")
	enforce()
	f("a name that is no longer allowed, though the session could be resumed", am, nil, "refused")
	f("the name that is", other, nil, "200 http/1.1")
	f("TLS 1.2 where 1.3 is wanted", pki.client(t, "other.example"), tls12, "refused")
	config("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem, client_allowed_sans: [am.example]")
	enforce()
	f("none given", nil, nil, "200 http/1.1")
	f("given, and not allowed", pki.client(t, "other.example"), nil, "refused")
	f("given, and not allowed, resumed", other, nil, "refused")
	write(t, dir, "web.yml", pki.webConfig("", "http_server_config: {http2: true}"))
	enforce()
	f("HTTP/2, which has to be asked for", nil, nil, "200 h2")
}

// serveTLS answers with the protocol that was agreed on.
func serveTLS(t *testing.T, g *Gate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		TLSConfig: g.TLS(), ErrorLog: discard(),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.TLS.NegotiatedProtocol)
			if r.TLS.DidResume {
				_, _ = io.WriteString(w, " resumed")
			}
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-ended
	})
	return l.Addr().String()
}
