package access

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// MaxConnections is how many connections a server keeps. The most that it may
// open of files is another bound: half of that, since the log needs files too.
const MaxConnections = 16384

// Connections bounds the connections of a server. At the limit a new one is
// taken and the one that has said nothing for longest is closed, so that those
// who only hold connections do not keep out those who send. It is safe for
// concurrent use.
type Connections struct {
	limit  int
	closed prometheus.Counter

	mu     sync.Mutex
	open   map[net.Conn]*list.Element // nil while it has a request
	silent list.List                  // of net.Conn, the longest silent first
}

// NewConnections bounds to limit connections; 0 is the most that is sound here.
// reg may be nil.
func NewConnections(limit int, reg prometheus.Registerer) *Connections {
	if limit == 0 {
		limit = min(MaxConnections, openFiles()/2)
	}
	c := &Connections{limit: limit, open: map[net.Conn]*list.Element{}}
	c.closed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "winnow_access_connections_closed_total", Help: "Connections closed to make room for a new one.",
	})
	connections := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "winnow_access_connections", Help: "Connections open.",
	}, func() float64 { return float64(c.count()) })
	if reg != nil {
		reg.MustRegister(c.closed, connections)
	}
	return c
}

func (c *Connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// State is for http.Server.ConnState.
func (c *Connections) State(conn net.Conn, state http.ConnState) {
	if victim := c.note(conn, state); victim != nil {
		c.closed.Inc()
		shut(victim)
	}
}

// note keeps the books and returns the connection to close, if there is one.
func (c *Connections) note(conn net.Conn, state http.ConnState) (victim net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, known := c.open[conn]
	if !known && state != http.StateNew { // it was closed to make room
		return nil
	}
	if at != nil {
		c.silent.Remove(at)
	}
	switch state {
	case http.StateNew:
		if len(c.open) >= c.limit {
			victim = conn // all others are at work
			if oldest := c.silent.Front(); oldest != nil {
				victim = c.silent.Remove(oldest).(net.Conn)
				delete(c.open, victim)
			}
		}
		if victim != conn {
			c.open[conn] = c.silent.PushBack(conn)
		}
	case http.StateActive:
		c.open[conn] = nil
	case http.StateIdle:
		c.open[conn] = c.silent.PushBack(conn)
	default:
		delete(c.open, conn)
	}
	return victim
}

// shut closes at once: the end of TLS would wait for the other side.
func shut(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}
