package main

import (
	"bytes"
	"context"
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

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/node"
)

const route = "route: {receiver: r}\nreceivers: [{name: r}]\n"

// closedConfig lets nobody do anything without a token.
func closedConfig() string {
	var text strings.Builder
	text.WriteString(route + "winnow:\n  access: {tokens: [{name: ops, role: admin, token: ops}]}\n  ingest:\n    sources:\n")
	for _, s := range ingest.Sources() {
		text.WriteString("      " + s.Name + ": {tokens: [{token: " + s.Name + "}]}\n")
	}
	return text.String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLoopback(t *testing.T) {
	f := func(address string, want bool) {
		t.Helper()
		if got := loopback(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	f("127.0.0.1:9099", true)
	f("127.1.2.3:9099", true)
	f("[::1]:9099", true)
	f("[::ffff:127.0.0.1]:9099", true)
	f("localhost:9099", true)
	f(":9099", false)
	f("0.0.0.0:9099", false)
	f("[::]:9099", false)
	f("10.0.0.7:9099", false)
	f("winnow.example:9099", false)
	f("localhost.example:9099", false)
	f("127.0.0.1", false)
}

// TestAnOpenListenerIsRefused: beyond loopback everything asks who calls, or
// somebody has said by name that it need not.
func TestAnOpenListenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	closed := writeFile(t, filepath.Join(dir, "closed.yml"), closedConfig())
	open := writeFile(t, filepath.Join(dir, "open.yml"), route)
	f := func(want string, args ...string) {
		t.Helper()
		f := serveFlags{listen: "127.0.0.1:0", storagePath: filepath.Join(t.TempDir(), "data"), maxBytes: 1 << 30, maxAge: time.Hour}
		for _, a := range args {
			name, value, _ := strings.Cut(a, "=")
			switch name {
			case "listen":
				f.listen = value
			case "config":
				f.configFile = value
			case "open":
				f.open = true
			}
		}
		got := "serves"
		if n, err := start(t, &f); err != nil {
			got = err.Error()
		} else if err := n.Stop(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%v: %s, want %s", args, got, want)
		}
	}
	f("serves")
	f("serves", "config="+open)
	f("access: --web.listen-address :0 can be reached from other machines", "listen=:0")
	f("may send alerts as alertmanager, ", "listen=:0", "config="+open)
	f("may read and reload", "listen=:0", "config="+open)
	f("serves", "listen=:0", "open")
	f("serves", "listen=:0", "config="+closed)
}

// start does what serve does, but for the connections, and waits for the log.
func start(t *testing.T, f *serveFlags) (*node.Node, error) {
	t.Helper()
	o, err := f.options(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9099}, io.Discard, zap.NewNop())
	if err != nil {
		return nil, err
	}
	n, err := node.Start(t.Context(), o)
	if err == nil {
		<-n.Ready()
	}
	return n, err
}

// TestAReloadOpensNothing: credentials follow the file, and a file that would
// let everybody in changes nothing.
func TestAReloadOpensNothing(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "winnow.yml"), closedConfig())
	n, err := start(t, &serveFlags{listen: ":0", configFile: file, storagePath: filepath.Join(dir, "data"), maxBytes: 1 << 30, maxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	f := func(what, method, path, token string, code int) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(`{"alerts":[]}`))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		n.Handler().ServeHTTP(w, r)
		if w.Code != code {
			t.Errorf("%s: %s %s as %s: %d, want %d", what, method, path, token, w.Code, code)
		}
	}
	reload := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return n.Reload(ctx)
	}
	f("at the start", "GET", "/api/v1/status", "ops", 200)
	f("at the start", "GET", "/api/v1/status", "", 401)
	f("at the start", "POST", "/ingest/alertmanager", "alertmanager", 200)
	f("at the start", "POST", "/ingest/alertmanager", "ops", 401)

	writeFile(t, file, route)
	if err := reload(); err == nil || !strings.Contains(err.Error(), "can be reached from other machines") {
		t.Errorf("a file without credentials is in force: %v", err)
	}
	f("a file without credentials", "GET", "/api/v1/status", "", 401)
	f("a file without credentials", "POST", "/ingest/alertmanager", "", 401)
	f("a file without credentials", "POST", "/ingest/alertmanager", "alertmanager", 200)

	writeFile(t, file, strings.ReplaceAll(closedConfig(), "token: ops", "token: changed"))
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	f("another token", "GET", "/api/v1/status", "ops", 401)
	f("another token", "GET", "/api/v1/status", "changed", 200)
}

// TestCheckAgainstAServer: a file that is valid and dangerous fails the check, and
// only where it is checked against what has come in.
func TestCheckAgainstAServer(t *testing.T) {
	dir := t.TempDir()
	good := route + "winnow: {sinks: [{receiver: r, stdout: {}}]}\n"
	n, err := start(t, &serveFlags{
		listen: "127.0.0.1:0", configFile: writeFile(t, filepath.Join(dir, "winnow.yml"), strings.Replace(good, "{receiver: r}", "{receiver: r, group_wait: 0s}", 1)),
		storagePath: filepath.Join(dir, "data"), maxBytes: 1 << 30, maxAge: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(n.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	resp, err := http.Post(server.URL+"/api/v2/alerts", "application/json", strings.NewReader(`[{"labels":{"alertname":"Down","severity":"critical"}}]`))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	f := func(text, want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		c := checkCommand()
		c.SilenceErrors, c.SilenceUsage = true, true
		c.SetOut(&out)
		c.SetErr(&out)
		c.SetArgs(append(args, writeFile(t, filepath.Join(dir, "checked.yml"), text)))
		if err := c.ExecuteContext(t.Context()); err != nil {
			fmt.Fprint(&out, err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%v: %s, want %s", args, out.String(), want)
		}
	}
	f(route, "OK: 1 receivers")
	f(good, "it unpages no alert", "--against", server.URL)
	dangerous := strings.Replace(route, "{receiver: r}", "{receiver: r, group_wait: 0s}", 1)
	f(dangerous, `critical Down v1:`, "--against", server.URL)
	f(dangerous, `receiver "r" has nobody behind it`, "--against", server.URL)
	f(dangerous, "1 configuration file is not fit for use", "--against", server.URL)
	f(route, `server "nowhere": want a URL`, "--against", "nowhere")
}

// TestClientToken: the verbs that ask a server say who they are.
func TestClientToken(t *testing.T) {
	dir := t.TempDir()
	n, err := start(t, &serveFlags{
		listen: ":0", configFile: writeFile(t, filepath.Join(dir, "winnow.yml"), closedConfig()),
		storagePath: filepath.Join(dir, "data"), maxBytes: 1 << 30, maxAge: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(n.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	f := func(tokenFile, want string) {
		t.Helper()
		c := client{server: server.URL, tokenFile: tokenFile}
		got := "ok"
		if _, err := c.get(t.Context(), "/api/v1/status"); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", tokenFile, got, want)
		}
	}
	f(writeFile(t, filepath.Join(dir, "token"), "ops\n"), "ok")
	f(writeFile(t, filepath.Join(dir, "wrong"), "hunter2"), "401 Unauthorized")
	f("", "401 Unauthorized")
	f(filepath.Join(dir, "gone"), fmt.Sprintf("--server.token-file: open %s", filepath.Join(dir, "gone")))
}

// TestALogOnANetworkIsProtected: whoever can write to the log decides who is paged.
func TestALogOnANetworkIsProtected(t *testing.T) {
	f := func(url, creds string, open bool, want string) {
		t.Helper()
		err := (&serveFlags{natsURL: url, natsCreds: creds, natsOpen: open}).checkNATS()
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	f("nats://127.0.0.1:4222", "", false, "<nil>")
	f("nats://localhost:4222,nats://[::1]:4223", "", false, "<nil>")
	f("tls://a.example:4222, tls://b.example:4222", "winnow.creds", false, "<nil>")
	f("nats://a.example:4222", "winnow.creds", false, "without TLS")
	f("tls://a.example:4222,nats://10.0.0.7", "winnow.creds", false, "10.0.0.7 is reached without TLS")
	f("tls://a.example:4222", "", false, "without credentials")
	f("nats://winnow:hunter2@a.example:4222", "", false, "without TLS")
	f("nats://winnow:hunter2@a.example:x", "", false, "want nats://")
	f("a.example:4222", "", false, "want nats://")
	f("nats://a.example:4222", "", true, "<nil>")
}
