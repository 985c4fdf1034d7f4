//go:build e2e && cluster

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// natsServers is how many servers the cluster has, and each stream replicas.
const natsServers = 3

// natsBinary builds nats-server as go.mod has it.
var natsBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "nats-server")
	_, err := programs.Capture(context.Background(), "../..", "go", "build", "-o", path, "github.com/nats-io/nats-server/v2")
	return path, err
})

// bus is a cluster of nats-servers. What one says to another, and each Winnow to
// each of them, goes over wires.
type bus struct {
	t       testing.TB
	binary  string
	servers [natsServers]*natsServer
	routes  [natsServers][natsServers]*wire // from one to another; nil to itself
}

type natsServer struct {
	*program
	config               string // path
	client, peer, health string // addresses
}

func newBus(t testing.TB) *bus {
	t.Helper()
	binary, err := natsBinary()
	if err != nil {
		t.Fatal("build nats-server: ", err)
	}
	b := &bus{t: t, binary: binary}
	for i := range b.servers {
		b.servers[i] = &natsServer{client: fixedAddress(t), peer: fixedAddress(t), health: fixedAddress(t)}
	}
	dir := t.TempDir()
	for i, s := range b.servers {
		var others []string
		for j, o := range b.servers {
			if i != j {
				b.routes[i][j] = newWire(t, o.peer)
				others = append(others, fmt.Sprintf("%q", "nats://"+b.routes[i][j].address))
			}
		}
		s.config = filepath.Join(dir, fmt.Sprintf("n%d.conf", i))
		// Nobody is told by what address a server is reached without its wire.
		text := fmt.Sprintf(`server_name: n%d
listen: %q
http: %q
jetstream { store_dir: %q, max_file_store: 4GB, sync_interval: always }
cluster { name: winnow, listen: %q, advertise: "127.0.0.1:1", no_advertise: true, pool_size: -1, routes: [%s] }
`, i, s.client, s.health, filepath.Join(dir, fmt.Sprintf("n%d", i)), s.peer, strings.Join(others, ", "))
		if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		b.start(i)
	}
	t.Cleanup(func() {
		for _, s := range b.servers {
			s.end(t)
		}
	})
	b.well()
	return b
}

func (b *bus) start(i int) {
	b.t.Helper()
	p, err := run(fmt.Sprint("nats-server ", i), b.binary, "-c", b.servers[i].config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.servers[i].program = p
}

// kill ends a server as kill -9 does.
func (b *bus) kill(i int) {
	b.t.Helper()
	b.servers[i].signal(b.t, syscall.SIGKILL)
}

// well waits until each server says that it is.
func (b *bus) well() {
	b.t.Helper()
	for i, s := range b.servers {
		programs.Eventually(b.t, patience, fmt.Sprintf("nats-server %d is well", i), func() error {
			_, err := programs.Get(context.Background(), "http://"+s.health+"/healthz")
			return err
		})
	}
}

// apart cuts the wires between one server and the others, or heals them.
func (b *bus) apart(i int, how state) {
	for j := range b.servers {
		if i != j {
			b.routes[i][j].set(how)
			b.routes[j][i].set(how)
		}
	}
}

// wire is a line to an address, over which nothing gets while it is cut.
type wire struct {
	address string
	to      string

	mu      sync.Mutex
	state   state
	changed chan struct{} // closed when state changes
	open    map[net.Conn]bool
}

// state is what becomes of what is sent over a wire.
type state uint8

const (
	intact state = iota
	cut          // connections are gone, and none can be made
	mute         // nothing arrives, and nobody is told; what was sent comes when it is intact again
)

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: l.Addr().String(), to: to, changed: make(chan struct{}), open: map[net.Conn]bool{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	t.Cleanup(func() { l.Close(); w.set(cut) })
	return w
}

func (w *wire) set(s state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = s
	close(w.changed)
	w.changed = make(chan struct{})
	if s == cut {
		for c := range w.open { // order: all of them
			c.Close()
		}
	}
}

// passes waits while the wire is mute; false when it is cut.
func (w *wire) passes() bool {
	for {
		w.mu.Lock()
		s, changed := w.state, w.changed
		w.mu.Unlock()
		if s != mute {
			return s == intact
		}
		<-changed
	}
}

func (w *wire) serve(in net.Conn) {
	defer w.close(in)
	if !w.keep(in) || !w.passes() {
		return
	}
	out, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer w.close(out)
	if !w.keep(out) {
		return
	}
	done := make(chan struct{})
	go func() { w.copy(in, out); in.Close(); close(done) }()
	w.copy(out, in)
	out.Close()
	<-done
}

// keep has a connection closed when the wire is cut; false when it is.
func (w *wire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[c] = true
	return w.state != cut
}

func (w *wire) close(c net.Conn) {
	w.mu.Lock()
	delete(w.open, c)
	w.mu.Unlock()
	c.Close()
}

func (w *wire) copy(to, from net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !w.passes() {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
