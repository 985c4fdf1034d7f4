package demo

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
)

func TestMain(m *testing.M) {
	ats.Register() // see internal/stream
	os.Exit(m.Run())
}

// pipes is a network in memory, so that a night takes no time: a bubble's clock
// moves only while nothing waits for a socket.
type pipes struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

func newPipes() *network {
	p := &pipes{listeners: map[string]*pipeListener{}}
	return &network{listen: p.listen, dial: p.dial}
}

func (p *pipes) listen() (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &pipeListener{addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1 + len(p.listeners)}, conns: make(chan net.Conn), closed: make(chan struct{})}
	p.listeners[l.addr.String()] = l
	return l, nil
}

func (p *pipes) dial(ctx context.Context, _, address string) (net.Conn, error) {
	p.mu.Lock()
	l := p.listeners[address]
	p.mu.Unlock()
	if l == nil {
		return nil, errors.New("nobody listens at " + address)
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeListener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l.addr }

// run plays a whole night in virtual time and returns what was printed.
func run(t *testing.T, o Options, cutAfter time.Duration) (out string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if cutAfter > 0 {
			time.AfterFunc(cutAfter, cancel)
		}
		var b bytes.Buffer
		o.Stdout, o.network = &b, newPipes()
		err = Run(ctx, o)
		out = b.String()
	})
	return out, err
}

func contains(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("the output has no %q:\n%s", w, out)
		}
	}
}

func TestTheNightEndsAsItMust(t *testing.T) {
	for seed, d := range []time.Duration{MinDuration, 20 * time.Second, 30 * time.Second, 90 * time.Second} {
		out, err := run(t, Options{Duration: d, Seed: uint64(seed), Headless: true, Assert: true}, 0)
		if err != nil {
			t.Errorf("seed %d in %s: %v\n%s", seed, d, err, out)
		}
		// What the night is meant to show has happened in it.
		contains(t, out, "checks hold", "grouped  ", "repeat  ", "silenced  ", "inhibited  ", "below_page_threshold  ", "reopened of",
			"Not paged because inhibited by KubeNodeNotReady", "Paged to identity", "PAGE INC-", "owner:     identity (tier 1)",
			"runbook:   https://runbooks.shop.example/blackboxsslcertificateexpired", "webhook_configs")
		if n := strings.Count(out, "\n"); n > 100 {
			t.Errorf("%d lines are too many to read", n)
		}
	}
}

func TestWhatIsShownLive(t *testing.T) {
	out, err := run(t, Options{Duration: MinDuration, Seed: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "   9s ", " alerts ", "payments 4.18.0 is rolled out", "[critical] EnvoyHighClusterUpstream5xxErrorRate  payments (tier 1)",
		"       PAGE INC-", "runbook:   https://runbooks.shop.example/blackboxsslcertificateexpired")
	if strings.Contains(out, "\x1b") || strings.Contains(out, "\r") {
		t.Error("plain output has escape sequences in it")
	}
}

func TestATerminalKeepsOneStatus(t *testing.T) {
	out, err := run(t, Options{Duration: MinDuration, Seed: 1, Terminal: true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.Lines(out) {
		// Of a line, what was wiped is gone.
		line = strings.TrimSpace(line[strings.LastIndex(line, "\r\x1b[K")+1:])
		if strings.Contains(line, " onsets ") && strings.Contains(line, " pages  noise ") {
			shown++
		}
		if n := len([]rune(line)); strings.Contains(line, " pages  noise ") && n > 90 {
			t.Errorf("a status of %d characters", n)
		}
	}
	if shown != 1 {
		t.Errorf("%d lines of status are left on the screen, want the last one", shown)
	}
}

func TestAnEarlyEndStillReports(t *testing.T) {
	out, err := run(t, Options{Duration: 30 * time.Second, Seed: 1, Assert: true}, 6*time.Second)
	if !errors.Is(err, ErrAssert) {
		t.Errorf("the error is %v", err)
	}
	contains(t, out, "Stopped early", "alerts became", "balanced", "assert: the demo was stopped before its end")
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	left := func(keep bool) int {
		if out, err := run(t, Options{Duration: MinDuration, Headless: true, Keep: keep}, time.Second); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		entries, err := os.ReadDir(os.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if n := left(false); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if n := left(true); n != 1 {
		t.Errorf("%d folders are kept, want the one of the log", n)
	}
}

func TestTooShortANight(t *testing.T) {
	if err := Run(t.Context(), Options{Duration: time.Second}); err == nil || !strings.Contains(err.Error(), "at least 10s") {
		t.Errorf("the error is %v", err)
	}
}
