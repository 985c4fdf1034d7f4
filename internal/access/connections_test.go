package access

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestConnections: each step is a connection and its new state; what is closed
// for it stands behind.
func TestConnections(t *testing.T) {
	states := map[string]http.ConnState{"new": http.StateNew, "active": http.StateActive, "idle": http.StateIdle, "closed": http.StateClosed, "hijacked": http.StateHijacked}
	f := func(story string) {
		t.Helper()
		c := NewConnections(3, prometheus.NewRegistry())
		conns := map[string]*testConn{}
		for step := range strings.SplitSeq(story, ", ") {
			step, want, _ := strings.Cut(step, " > ")
			name, state, _ := strings.Cut(step, " ")
			if conns[name] == nil {
				conns[name] = &testConn{}
			}
			c.State(conns[name], states[state])
			got := ""
			for n, conn := range conns {
				if conn.closed {
					got, conn.closed = n, false
				}
			}
			if got != want {
				t.Errorf("%s: after %s %q is closed, want %q", story, step, got, want)
			}
			if c.count() > 3 {
				t.Errorf("%s: %d connections", story, c.count())
			}
		}
	}
	f("a new, b new, c new")
	f("a new, b new, c new, d new > a, e new > b")
	f("a new, b new, c new, a active, d new > b")
	f("a new, b new, c new, a active, a idle, d new > b, e new > c, f new > a")
	f("a new, b new, c new, a active, b active, c active, d new > d")
	f("a new, b new, c new, a active, b active, c active, d new > d, b idle, e new > b")
	f("a new, b new, c new, b closed, d new, e new > a")
	f("a new, b new, c new, b active, b hijacked, d new, e new > a")
	f("a new, b new, c new, d new > a, a active, a closed, e new > b")
	f("a new, b new, c new, d new > a, a idle, e new > b, f new > c, g new > d")
}

func TestConnectionsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := NewConnections(2, reg)
	for range 5 {
		c.State(&testConn{}, http.StateNew)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		got[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
	}
	if got["winnow_access_connections_closed_total"] != 3 || got["winnow_access_connections"] != 2 {
		t.Errorf("%v", got)
	}
}

func TestTheLimitLeavesFilesForTheLog(t *testing.T) {
	if c := NewConnections(0, nil); c.limit <= 0 || c.limit > MaxConnections || c.limit > openFiles()/2 {
		t.Errorf("%d connections of %d files", c.limit, openFiles())
	}
}

type testConn struct {
	net.Conn
	closed bool
}

func (c *testConn) Close() error {
	c.closed = true
	return nil
}
