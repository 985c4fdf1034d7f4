package node

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
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
	s := &site{t: t, log: stream.Options{URL: srv.ClientURL()}, dir: t.TempDir(), pager: sinktest.NewPagerDuty()}
	s.text = strings.NewReplacer("group_wait: 30s", "group_wait: 0s", "group_interval: 5m", "group_interval: 1s").Replace(settings)
	s.network = sinktest.NewNetwork(s.pager)
	t.Cleanup(func() { s.network.Close() })
	s.start()
	post := func(name, severity string, over bool) int {
		end := ""
		if over {
			end = fmt.Sprintf(`,"endsAt":%q`, time.Now().Format(time.RFC3339Nano))
		}
		body := fmt.Sprintf(`[{"labels":{"alertname":%q,"cluster":"eu","severity":%q}%s}]`, name, severity, end)
		rec := httptest.NewRecorder()
		s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", strings.NewReader(body)))
		return rec.Code
	}
	until := func(what string, f func() bool) {
		t.Helper()
		for begun := time.Now(); !f(); time.Sleep(20 * time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatalf("not within a minute: %s", what)
			}
		}
	}
	if code := post("Before", "critical", false); code != http.StatusOK {
		t.Fatalf("with a bus that is well an alert is answered %d", code)
	}
	until("it is paged", func() bool { return paged(s.pager.Events(), "Before") })

	srv.Shutdown()
	srv.WaitForShutdown()
	for i := range 5 {
		if code := post(fmt.Sprint("Warning", i), "warning", false); code != http.StatusServiceUnavailable {
			t.Errorf("without a bus a warning is answered %d", code)
		}
		name := fmt.Sprint("During", i)
		if code := post(name, "critical", false); code != http.StatusOK || !paged(s.pager.Events(), name) {
			t.Errorf("without a bus a critical is answered %d, and paged: %v", code, paged(s.pager.Events(), name))
		}
	}
	s.pager.Script(sinktest.Response{Status: http.StatusInternalServerError})
	if code := post("Nobody", "critical", false); code != http.StatusServiceUnavailable {
		t.Errorf("a critical that nobody took is answered %d", code)
	}
	if !slices.Contains(s.node.alarm.Raised(), selfalert.LogUnavailable) {
		t.Error("nobody was told that the log takes nothing")
	}

	startBus(t, store, port)
	until("the log takes warnings again", func() bool { return post("Warning0", "warning", false) == http.StatusOK })
	for i := range 5 { // as senders do
		for _, severity := range []string{"warning", "critical"} {
			name := map[string]string{"warning": "Warning", "critical": "During"}[severity] + fmt.Sprint(i)
			until(name+" is accepted", func() bool { return post(name, severity, false) == http.StatusOK })
			until(name+" is paged", func() bool { return paged(s.pager.Events(), name) })
		}
	}
	for _, name := range []string{"Before", "During0", "During1", "During2", "During3", "During4"} {
		if n := len(slices.DeleteFunc(s.pager.Incidents(), func(i sinktest.Incident) bool { return !isOf(i.Summary, name) })); n != 1 {
			t.Errorf("%d incidents of %s, want one", n, name)
		}
		until(name+" ends", func() bool { return post(name, "critical", true) == http.StatusOK })
	}
	for i := range 5 {
		until("a warning ends", func() bool { return post(fmt.Sprint("Warning", i), "warning", true) == http.StatusOK })
	}
	until("nothing stands open", func() bool { return len(s.pager.Open()) == 0 })
	if p := s.pager.Phantoms(); len(p) > 0 {
		t.Errorf("phantom incidents: %v", p)
	}
	if !strings.Contains(s.get("/metrics"), "winnow_ledger_balanced 1\n") {
		t.Error("the books do not balance")
	}
	s.stop()
}
