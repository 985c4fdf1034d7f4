package ingest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v4"
)

func configOf(t *testing.T, text string) Config {
	t.Helper()
	var c Config
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	c.Defaults()
	return c
}

func TestConfigDefaults(t *testing.T) {
	c := configOf(t, `{}`)
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Deadline != DefaultDeadline || c.Limits != testLimits() {
		t.Errorf("%+v", c)
	}
	c = configOf(t, `{deadline: 3s, limits: {labels: 100}}`)
	if c.Deadline != 3*time.Second || c.Limits.Labels != 100 || c.Limits.Annotations != DefaultAnnotations {
		t.Errorf("%+v", c)
	}
}

func TestConfigValidate(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		c := configOf(t, text)
		got := "ok"
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	f(`sources: {alertmanager: {tokens: [{token: abc}, {token_file: /run/t}], basic_users: [{username: u, password: p}]}}`, "ok")
	f(`sources: {prometheus: {resolve_after: 0s}}`, "ok")
	f(`deadline: -1s`, "deadline: -1s is not a time span above 0")
	f(`sources: {nagios: {}}`, `sources: there is no source "nagios"; there are alertmanager, prometheus`)
	f(`sources: {prometheus: {tokens: [{}]}}`, "sources: prometheus: tokens[0]: want exactly one of token, token_file, token_sha256")
	f(`sources: {prometheus: {tokens: [{token: a, token_file: b}]}}`, "sources: prometheus: tokens[0]: want exactly one of token, token_file, token_sha256")
	f(`sources: {prometheus: {tokens: [{token: <secret>}]}}`, "sources: prometheus: tokens[0]: token is what Winnow prints in place of a secret: write the secret itself")
	f(`sources: {prometheus: {basic_users: [{username: "a:b", password: p}]}}`, `sources: prometheus: basic_users[0]: username: "a:b" is empty or holds a colon`)
	f(`sources: {prometheus: {basic_users: [{username: u}]}}`, "sources: prometheus: basic_users[0]: want exactly one of password, password_file, password_sha256")
	f(`sources: {prometheus: {tokens: [{token_sha256: abc}]}}`, "sources: prometheus: tokens[0]: token_sha256 is not a SHA-256 in 64 hexadecimal digits")
	f(`sources: {prometheus: {hmac: [{secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}, {scheme: grafana, secret_file: f, timestamp_header: X-Time}]}}`, "ok")
	f(`sources: {prometheus: {hmac: [{secret: short}]}}`, "sources: prometheus: hmac[0]: the secret is not whsec_ and 24 to 64 bytes in base64, as Standard Webhooks has it")
	f(`sources: {prometheus: {hmac: [{secret_file: f, header: X-Signature}]}}`, "sources: prometheus: hmac[0]: header and timestamp_header go with scheme: grafana; Standard Webhooks has headers of its own")
	f(`sources: {prometheus: {hmac: [{scheme: grafana, secret: s}]}}`, "sources: prometheus: hmac[0]: timestamp_header is empty: set it here and in Grafana's contact point, or a recorded request could be sent again at any time")
	f(`sources: {prometheus: {hmac: [{scheme: github, secret: s}]}}`, `sources: prometheus: hmac[0]: scheme: "github" is not standard or grafana`)
	f(`sources: {prometheus: {hmac: [{scheme: grafana, secret: s, timestamp_header: "a b"}]}}`, `sources: prometheus: hmac[0]: "a b" is no name of a header`)
	f(`sources: {prometheus: {hmac: [{}]}}`, "sources: prometheus: hmac[0]: want exactly one of secret, secret_file")
	f(`sources: {prometheus: {client_sans: [a, ""]}}`, "sources: prometheus: client_sans[1]: is empty: remove it")
	f(`sources: {prometheus: {tokens: [`+strings.Repeat("{token: t}, ", 65)+`]}}`, "sources: prometheus: 65 credentials of one kind: at most 64 are compared")
	f(`sources: {prometheus: {resolve_after: -5m}}`, "sources: prometheus: resolve_after: -5m0s is below 0")
	f(`limits: {labels: 3}`, "limits: labels: 3 is not between 16 and 256")
	f(`limits: {alert_bytes: 1000000}`, "limits: alert_bytes: 1000000 is not between 16384 and 262144")
	f(`limits: {in_flight_bytes: 1000000}`, "limits: in_flight_bytes: 1000000 is below 134217728")
	f(`limits: {body_bytes: 10, gzip_ratio: -1}`, "limits: body_bytes: 10 is below 1048576\nlimits: gzip_ratio: -1 is below 1")
}

func TestOpenSources(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		c := configOf(t, text)
		if got := strings.Join(c.Open(), " "); got != want {
			t.Errorf("%s: open %q, want %q", text, got, want)
		}
	}
	f(`{}`, "alertmanager prometheus")
	f(`sources: {alertmanager: {tokens: [{token: abc}]}}`, "prometheus")
	f(`sources: {alertmanager: {basic_users: [{username: u, password: p}]}, prometheus: {resolve_after: 1h}}`, "prometheus")
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const hidden = "hunter2hunter2"
	c := configOf(t, `sources: {alertmanager: {tokens: [{token: `+hidden+`}, {token_sha256: `+hidden+`}],
  basic_users: [{username: u, password: `+hidden+`}, {username: v, password_sha256: `+hidden+`}], hmac: [{secret: `+hidden+`}]}}`)
	secret := c.Sources["alertmanager"].Tokens[0].Token
	if string(secret) != hidden {
		t.Fatalf("the secret was not read")
	}
	f := func(what, text string) {
		t.Helper()
		if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) || !strings.Contains(text, redacted) {
			t.Errorf("%s: %s", what, text)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%U"} {
		f(verb, fmt.Sprintf(verb, secret))
		f(verb+" of the configuration", fmt.Sprintf(verb, c))
	}
	y, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	f("yaml", string(y))
	j, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	f("json", strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(j)))

	entry, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zap.Field{
		zap.Any("secret", secret), zap.Stringer("secret", secret), zap.Reflect("config", c),
	})
	if err != nil {
		t.Fatal(err)
	}
	f("zap", strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(entry.String()))
}
