package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/internal/node"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// startBus starts a NATS server of somebody else's.
func startBus(t *testing.T, dir string, port int) (srv *server.Server, listens int) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(srv.Shutdown)
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the bus does not start")
	}
	return srv, srv.Addr().(*net.TCPAddr).Port
}

// TestBusOutOfReach takes the NATS server of others away and brings it back. What
// is accepted meanwhile has been handed on, and it goes on by itself. A bubble has
// no network, so this takes as long as it takes.
func TestBusOutOfReach(t *testing.T) {
	store := t.TempDir()
	srv, port := startBus(t, store, -1)
	pager := sinktest.NewPagerDuty()
	provider := httptest.NewServer(pager)
	t.Cleanup(provider.Close)
	dir := t.TempDir()
	f := &serveFlags{listen: "127.0.0.1:0", storagePath: dir, natsURL: srv.ClientURL(), replicas: 1, maxBytes: 1 << 30, maxAge: 24 * time.Hour,
		configFile: writeFile(t, filepath.Join(dir, "winnow.yml"), fmt.Sprintf(`
route: {receiver: oncall, group_by: [alertname], group_wait: 0s, group_interval: 1s}
receivers: [{name: oncall, pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef, url: "%s/v2/enqueue"}]}]
`, provider.URL))}
	o, err := f.options(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9099}, io.Discard, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	<-n.Ready()
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		n.Handler().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
		return rec
	}
	// paged counts the incidents that were opened for an alert of that name.
	paged := func(name string) (n int) {
		for _, i := range pager.Incidents() {
			if slices.Contains(strings.Fields(i.Summary), name) {
				n++
			}
		}
		return n
	}
	post := func(name, severity string, over bool) int {
		end := ""
		if over {
			end = fmt.Sprintf(`,"endsAt":%q`, time.Now().Format(time.RFC3339Nano))
		}
		body := fmt.Sprintf(`[{"labels":{"alertname":%q,"severity":%q}%s}]`, name, severity, end)
		return ask(http.MethodPost, "/api/v2/alerts", body).Code
	}
	until := func(what string, f func() bool) {
		t.Helper()
		programs.Eventually(t, time.Minute, what, func() error {
			if !f() {
				return errors.New("not yet")
			}
			return nil
		})
	}
	if code := post("Before", "critical", false); code != http.StatusOK {
		t.Fatalf("with a bus that is well an alert is answered %d", code)
	}
	until("it is paged", func() bool { return paged("Before") > 0 })

	srv.Shutdown()
	srv.WaitForShutdown()
	for i := range 5 {
		if code := post(fmt.Sprint("Warning", i), "warning", false); code != http.StatusServiceUnavailable {
			t.Errorf("without a bus a warning is answered %d", code)
		}
		name := fmt.Sprint("During", i)
		if code := post(name, "critical", false); code != http.StatusOK || paged(name) == 0 {
			t.Errorf("without a bus a critical is answered %d, and paged %d times", code, paged(name))
		}
	}
	pager.Script(sinktest.Response{Status: http.StatusInternalServerError})
	if code := post("Nobody", "critical", false); code != http.StatusServiceUnavailable {
		t.Errorf("a critical that nobody took is answered %d", code)
	}
	if !strings.Contains(ask(http.MethodGet, "/metrics", "").Body.String(), `winnow_self_alert_raised{cause="log_unavailable"} 1`) {
		t.Error("nobody was told that the log takes nothing")
	}

	startBus(t, store, port)
	until("the log takes warnings again", func() bool { return post("Warning0", "warning", false) == http.StatusOK })
	for i := range 5 { // as senders do
		for _, severity := range []string{"warning", "critical"} {
			name := map[string]string{"warning": "Warning", "critical": "During"}[severity] + fmt.Sprint(i)
			until(name+" is accepted", func() bool { return post(name, severity, false) == http.StatusOK })
			until(name+" is paged", func() bool { return paged(name) > 0 })
		}
	}
	for _, name := range []string{"Before", "During0", "During1", "During2", "During3", "During4"} {
		if n := paged(name); n != 1 {
			t.Errorf("%d incidents of %s, want one", n, name)
		}
		until(name+" ends", func() bool { return post(name, "critical", true) == http.StatusOK })
	}
	for i := range 5 {
		until("a warning ends", func() bool { return post(fmt.Sprint("Warning", i), "warning", true) == http.StatusOK })
	}
	until("nothing stands open", func() bool { return len(pager.Open()) == 0 })
	if p := pager.Phantoms(); len(p) > 0 {
		t.Errorf("phantom incidents: %v", p)
	}
	if !strings.Contains(ask(http.MethodGet, "/metrics", "").Body.String(), "winnow_ledger_balanced 1\n") {
		t.Error("the books do not balance")
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
}
