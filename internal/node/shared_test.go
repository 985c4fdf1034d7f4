package node

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/guard"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// cut is a line to the log's server on which nothing gets through for a while:
// not for longer than a few minutes, or the server gives it up.
type cut struct {
	net.Conn
	mu   sync.Mutex
	open bool
	held []byte
}

func (c *cut) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *cut) off() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
}

func (c *cut) heal(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
	if _, err := c.Conn.Write(c.held); err != nil {
		t.Error(err)
	}
}

// newHost is the server of others.
func newHost(t *testing.T) *stream.Stream {
	t.Helper()
	host, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// newSiteBeside is one process of several on a log. It pages at a pager of its
// own unless it is given another's.
func newSiteBeside(t *testing.T, host *stream.Stream, pager *sinktest.PagerDuty) (*site, *cut) {
	t.Helper()
	line := &cut{open: true}
	s := &site{t: t, dir: t.TempDir(), text: settings, pager: pager, kept: true, log: stream.Options{Beside: host, Line: func(c net.Conn) net.Conn { line.Conn = c; return line }}}
	s.network = sinktest.NewNetwork(pager)
	t.Cleanup(func() { s.network.Close() })
	s.start()
	return s, line
}

// wantFenced waits until a process has ended because another has taken over.
func (s *site) wantFenced() {
	s.t.Helper()
	<-s.node.Done()
	if err := stopIdle(s.node); !errors.Is(err, stream.ErrFenced) {
		s.t.Errorf("the process that was overtaken ended with %v", err)
	}
}

// TestOvertakenProcessSendsNothing: pages wait in its queues when it is cut off
// from the log, another takes over and pages, and its own provider is well again.
func TestOvertakenProcessSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t)
		a, line := newSiteBeside(t, host, sinktest.NewPagerDuty())
		a.pager.Always(sinktest.Response{Status: http.StatusServiceUnavailable})
		a.post(sample{name: "A", pod: "1", severity: "critical"}, sample{name: "B", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		line.off()
		b, _ := newSiteBeside(t, host, sinktest.NewPagerDuty())
		a.pager.Always(sinktest.Response{})
		b.post(sample{name: "A", pod: "1", severity: "critical", resolved: true})
		time.Sleep(3 * time.Minute)
		if got := a.events(); got != "" {
			t.Errorf("the process that was overtaken told its pager %q", got)
		}
		line.heal(t)
		a.wantFenced()
		time.Sleep(10 * time.Minute)
		if got := a.events(); got != "" {
			t.Errorf("once it was back it told its pager %q", got)
		}
		if got := b.events(); got != "trigger trigger resolve" {
			t.Errorf("the other told its pager %q", got)
		}
		time.Sleep(300 * time.Millisecond)
		b.stop()
		host.Close()
	})
}

// TestBothSidesOfAPartitionPage: what a process that is cut off has accepted is
// paged by it, whether the log has it or not, and by the other side as well where
// that has it; when the two meet again it is one incident, which is closed.
func TestBothSidesOfAPartitionPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t)
		a, line := newSiteBeside(t, host, sinktest.NewPagerDuty())
		a.post(sample{name: "InTheLog", pod: "1", severity: "critical"})
		line.off() // before group_wait is over
		posted := time.Now()
		b, _ := newSiteBeside(t, host, a.pager)
		a.post(sample{name: "PastTheLog", pod: "1", severity: "critical"})
		a.post(sample{name: "OnBothSides", pod: "1", severity: "critical"})
		b.post(sample{name: "OnBothSides", pod: "1", severity: "critical"})
		time.Sleep(3 * time.Minute)
		var names []string
		for _, e := range a.pager.Events() {
			if e.At.Sub(posted) > guard.CriticalWithin+20*time.Second || e.Action != "trigger" {
				t.Errorf("%s of %s after %v", e.Action, e.Summary, e.At.Sub(posted))
			}
			names = append(names, e.Key)
		}
		slices.Sort(names)
		if distinct := len(slices.Compact(slices.Clone(names))); len(names) != 5 || distinct != 3 {
			t.Errorf("paged were %q, want two of the three by both sides", names)
		}
		line.heal(t)
		a.wantFenced()
		time.Sleep(10 * time.Minute)
		if n := len(a.pager.Open()); n != 3 {
			t.Errorf("%d incidents are open, want 3", n)
		}
		for _, name := range []string{"InTheLog", "PastTheLog", "OnBothSides"} {
			b.post(sample{name: name, pod: "1", severity: "critical", resolved: true})
		}
		time.Sleep(10 * time.Minute)
		if open := a.pager.Open(); len(open) != 0 || len(a.pager.Incidents()) != 3 || len(a.pager.Phantoms()) != 0 {
			t.Errorf("of %d incidents, want 3, %v stand open, phantoms %v", len(a.pager.Incidents()), open, a.pager.Phantoms())
		}
		time.Sleep(300 * time.Millisecond)
		b.stop()
		host.Close()
	})
}

// TestOvertakenProcessEnds also where it has nothing to commit.
func TestOvertakenProcessEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t)
		a, line := newSiteBeside(t, host, sinktest.NewPagerDuty())
		line.off()
		other, err := stream.Open(t.Context(), stream.Options{Beside: host})
		if err == nil {
			err = other.Take(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		line.heal(t)
		select {
		case <-a.node.Done():
			a.wantFenced()
		case <-time.After(5 * time.Second):
			t.Fatal("it goes on")
		}
		time.Sleep(300 * time.Millisecond)
		other.Close()
		host.Close()
	})
}

// TestWhatWentPastTheLogIsHandedOver: a process that has paged what the log did
// not take, and that somebody has seen the page of, is stopped before it has put
// that into the log. Whoever comes after it knows of the alert.
func TestWhatWentPastTheLogIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t)
		a, _ := newSiteBeside(t, host, sinktest.NewPagerDuty())
		time.Sleep(10*time.Second + 300*time.Millisecond)
		past := alert.Alert{Status: alert.Firing, Labels: alert.Labels{{Name: "alertname", Value: "PastTheLog"}, {Name: "severity", Value: "critical"}}}
		past.Fingerprint = past.Labels.Fingerprint()
		a.node.forward.later.add(handedOn(&ingest.Batch{Source: "test"}, &past, []string{"oncall"})...)
		a.stop()
		b, _ := newSiteBeside(t, host, a.pager)
		if r := b.books(); r.Onsets != 1 {
			t.Errorf("the next process knows of %d alerts, want 1", r.Onsets)
		}
		time.Sleep(300 * time.Millisecond)
		b.stop()
		host.Close()
	})
}
