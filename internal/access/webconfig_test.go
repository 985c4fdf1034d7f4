package access

import (
	"strings"
	"testing"

	"github.com/prometheus/exporter-toolkit/web"
)

// TestWebConfigFormat compares with exporter-toolkit itself: what it takes is
// taken, what it refuses is refused, but for the cases that say otherwise.
func TestWebConfigFormat(t *testing.T) {
	pki := newPKI(t)
	const same, stricter = false, true
	f := func(text, want string, differs bool) {
		t.Helper()
		file := write(t, pki.dir, "web.yml", text)
		got := "ok"
		if _, err := loadWebConfig(file); err != nil {
			got = strings.ReplaceAll(err.Error(), pki.dir, "DIR")
			got = strings.TrimPrefix(got, "web configuration DIR/web.yml: ")
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
		if theirs := web.Validate(file) == nil; theirs != (got == "ok" || differs) {
			t.Errorf("%s: exporter-toolkit takes it: %v", text, theirs)
		}
	}
	hash := hashOf(t, "x")
	server := func(options string) string {
		return "tls_server_config: {cert_file: server.pem, key_file: server.key" + options + "}"
	}
	f("", "ok", same)
	f("# nothing\n", "ok", same)
	f("tls_server_config:\nbasic_auth_users:\n", "ok", same)
	f("tls_server_config: {}", "ok", same)
	f(server(""), "ok", same)
	f(server(", min_version: TLS13, max_version: TLS13, prefer_server_cipher_suites: false"), "ok", same)
	f(server(", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519, CurveP256]"), "ok", same)
	f(server(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, client_allowed_sans: [a]"), "ok", same)
	f(server(", client_auth_type: RequireAnyClientCert"), "ok", same)
	f(server("")+"\nhttp_server_config: {http2: false, headers: {X-Frame-Options: deny, Content-Security-Policy: x}}", "ok", same)
	f("basic_auth_users: {a: '"+hash+"', b: '"+hash+"'}", "ok", same)
	f("basic_auth_users: {a: '"+strings.Replace(hash, "$2a$", "$2y$", 1)+"'}", "ok", same) // htpasswd's

	f("basic_auth_user: {}", "yaml: construct errors: line 1: field basic_auth_user not found in type web.Config", same)
	f(server(", min_version: TLS9"), "yaml: construct errors: line 1: unknown TLS version: TLS9", same)
	f(server(", cipher_suites: [NONE]"), "yaml: construct errors: line 1: unknown cipher: NONE", same)
	f(server(", client_auth_type: Sometimes"), "tls_server_config: invalid ClientAuth: Sometimes", same)
	f(server(", client_ca_file: ca.pem"), "tls_server_config: client CA's have been configured without a Client Auth Policy", same)
	f("tls_server_config: {cert_file: server.pem}", "tls_server_config: missing one of key or key_file", same)
	f("tls_server_config: {cert_file: gone.pem, key_file: server.key}", "tls_server_config: failed to read cert_file (DIR/gone.pem): open DIR/gone.pem: no such file or directory", same)
	f("tls_server_config: {cert_file: ca.pem, key_file: server.key}", "tls_server_config: failed to load X509KeyPair: tls: private key does not match public key", same)
	f("http_server_config: {headers: {Server: x}}", `http_server_config: headers: "Server" cannot be set; Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection can`, same)
	f("http_server_config: {headers: {X-Frame-Options: allow}}", `http_server_config: headers: X-Frame-Options: "allow" is not deny or sameorigin`, same)
	f("basic_auth_users: {a: hunter2}", `basic_auth_users: the password of "a" is no bcrypt hash: make one with htpasswd -nBC 10 ""`, same)

	f("tls_server_config: {min_version: TLS13}", "tls_server_config: want cert_file and key_file", stricter) // is plain HTTP there
	f(server(", client_auth_type: RequireAnyClientCert, client_allowed_sans: [a]"),
		"tls_server_config: client_allowed_sans can be forged unless client_auth_type is VerifyClientCertIfGiven or RequireAndVerifyClientCert", stricter)
	f(server(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: server.key"), "tls_server_config: client_ca_file holds no certificate in PEM", stricter)
	f(server(", client_auth_type: RequireAndVerifyClientCert"), "tls_server_config: client_auth_type verifies certificates: want client_ca_file", stricter)
	f("rate_limit: {burst: 10, interval: 1s}", "rate_limit would answer alerts 429, after which their senders give up: remove it", stricter)
	f("basic_auth_users: {a: '"+strings.Replace(hash, "$04$", "$15$", 1)+"'}", `basic_auth_users: the hash of "a" has cost 15: at most 14, since one core checks them all`, stricter)
	f("basic_auth_users: {'a:b': '"+hash+"'}", `basic_auth_users: "a:b" is empty or holds a colon`, stricter)
	f("{}\n---\n{}", "more than one document", stricter)
}

func TestWebConfigErrorsShowNoSecret(t *testing.T) {
	f := func(text string) {
		t.Helper()
		_, err := parseWebConfig([]byte(text), t.TempDir())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
	f("basic_auth_users: hunter2")
	f("basic_auth_users: [hunter2]")
	f("basic_auth_users: {a: hunter2}")
	f("basic_auth_users: {a: *hunter2}")
	f("basic_auth_users: {a: 'hunter2")
	f("http_server_config: {http2: hunter2}")
	f("tls_server_config: {cert: hunter2, key: [hunter2]}")
	f("tls_server_config: {cert: hunter2, key: hunter2}")
	f("tls_server_config: {key: hunter2}")
}

func TestWebConfigIsBounded(t *testing.T) {
	file := write(t, t.TempDir(), "web.yml", strings.Repeat("#", maxWebConfigBytes+1))
	if _, err := loadWebConfig(file); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("%v", err)
	}
}
