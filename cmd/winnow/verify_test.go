package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// verified runs the command and returns what it prints and its exit code.
func verified(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	c := root()
	c.SetArgs(append([]string{"verify"}, args...))
	c.SetOut(&b)
	if err := c.ExecuteContext(t.Context()); err != nil {
		code = exitCode(err)
		fmt.Fprintln(&b, err)
	}
	return b.String(), code
}

// lived is the storage path of a node that has paged and was stopped.
func lived(t *testing.T, natsURL string) string {
	t.Helper()
	dir := t.TempDir()
	f := serveFlags{listen: "127.0.0.1:0", storagePath: dir, natsURL: natsURL, replicas: 1, maxBytes: 1 << 30, maxAge: time.Hour,
		configFile: writeFile(t, filepath.Join(t.TempDir(), "winnow.yml"), "route: {receiver: r, group_wait: 0s}\nreceivers: [{name: r, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}]\n")}
	n, err := start(t, &f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		rec := httptest.NewRecorder()
		body := fmt.Sprintf(`[{"labels":{"alertname":"A%d","severity":"critical"}}]`, i)
		n.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", strings.NewReader(body)))
		if rec.Code != http.StatusOK {
			t.Fatal(rec.Code)
		}
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestVerify(t *testing.T) {
	dir := lived(t, "")
	if out, code := verified(t, "--storage.path", dir); code != 0 || !strings.HasPrefix(out, "verify: log=1-") || !strings.HasSuffix(out, " found=0\n") {
		t.Errorf("a whole store: exit code %d\n%s", code, out)
	}
	block := filepath.Join(dir, "jetstream", "$G", "streams", "WINNOW_LOG", "msgs", "1.blk")
	b, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	writeFile(t, block, string(b))
	out, code := verified(t, "--storage.path", dir)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 1 || len(lines) != 3 || !strings.Contains(lines[0], block+" at byte ") || !strings.HasSuffix(lines[1], " found=1") || !strings.HasPrefix(lines[2], "1 place ") {
		t.Errorf("a flipped bit: exit code %d\n%s", code, out)
	}
	if out, code := verified(t, "--storage.path", t.TempDir()); code != 1 || !strings.Contains(out, "no store in --storage.path") {
		t.Errorf("no store: exit code %d\n%s", code, out)
	}
	if out, code := verified(t, "--nats.url", "nats://192.0.2.1:4222"); code != 2 || !strings.Contains(out, "--nats.allow-insecure") {
		t.Errorf("a server on the network, without TLS: exit code %d\n%s", code, out)
	}
}

func TestVerifyACluster(t *testing.T) {
	srv, _ := startBus(t, t.TempDir(), -1)
	if out, code := verified(t, "--nats.url", srv.ClientURL()); code != 1 || !strings.Contains(out, "stream not found") {
		t.Errorf("no streams: exit code %d\n%s", code, out)
	}
	dir := lived(t, srv.ClientURL())
	if out, code := verified(t, "--nats.url", srv.ClientURL(), "--storage.path", dir); code != 0 || !strings.HasSuffix(out, " found=0\n") {
		t.Errorf("a whole store: exit code %d\n%s", code, out)
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("winnow.log.0", []byte("from elsewhere"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if out, code := verified(t, "--nats.url", srv.ClientURL(), "--storage.path", dir); code != 1 || !strings.Contains(out, "is damaged (stream WINNOW_LOG: corrupt data") {
		t.Errorf("a message that is no frame: exit code %d\n%s", code, out)
	}
}
