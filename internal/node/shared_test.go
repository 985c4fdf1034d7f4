package node

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// besideHost runs f in a bubble with the server of others, which is closed as
// stopIdle stops a node.
func besideHost(t *testing.T, f func(t *testing.T, host *stream.Stream)) {
	synctest.Test(t, func(t *testing.T) {
		host, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		f(t, host)
		time.Sleep(time.Second)
		host.Close()
	})
}

// newSiteBeside is one process of several on a log, when it owns the shard.
func newSiteBeside(t *testing.T, host *stream.Stream, pager *sinktest.PagerDuty) (*site, *cut) {
	t.Helper()
	s, line := newStandby(t, host, pager)
	<-s.node.Ready()
	return s, line
}

// newStandby is one that may have to wait for that.
func newStandby(t *testing.T, host *stream.Stream, pager *sinktest.PagerDuty) (*site, *cut) {
	t.Helper()
	line := &cut{open: true}
	s := &site{t: t, dir: t.TempDir(), text: settings, pager: pager, kept: true, log: stream.Options{Beside: host, Line: func(c net.Conn) net.Conn { line.Conn = c; return line }}}
	s.network = sinktest.NewNetwork(pager)
	t.Cleanup(func() { s.network.Close() })
	s.launch()
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
	besideHost(t, func(t *testing.T, host *stream.Stream) {
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
	})
}

// TestBothSidesOfAPartitionPage: what a process that is cut off has accepted is
// paged by it, whether the log has it or not, and by the other side as well where
// that has it; when the two meet again it is one incident, which is closed.
func TestBothSidesOfAPartitionPage(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
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
	})
}

// TestOvertakenProcessEnds also where it has nothing to commit.
func TestOvertakenProcessEnds(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
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
	})
}

// TestWhatWentPastTheLogIsHandedOver: a process that has paged what the log did
// not take, and that somebody has seen the page of, is stopped before it has put
// that into the log. Whoever comes after it knows of the alert.
func TestWhatWentPastTheLogIsHandedOver(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
		a, line := newSiteBeside(t, host, sinktest.NewPagerDuty())
		time.Sleep(10*time.Second + 300*time.Millisecond)
		past := alert.Alert{Status: alert.Firing, Labels: alert.Labels{{Name: "alertname", Value: "PastTheLog"}, {Name: "severity", Value: "critical"}}}
		past.Fingerprint = past.Labels.Fingerprint()
		a.node.forward.later.add(handedOn(&ingest.Batch{Source: "test"}, &past, []string{"oncall"})...)
		line.off() // as while the servers elect a leader
		time.AfterFunc(9*time.Second, func() { line.heal(t) })
		a.stop()
		b, _ := newSiteBeside(t, host, a.pager)
		if r := b.books(); r.Onsets != 1 {
			t.Errorf("the next process knows of %d alerts, want 1", r.Onsets)
		}
		time.Sleep(300 * time.Millisecond)
		b.stop()
	})
}

// TestStandbyAcceptsAlerts holds that a process that waits takes alerts, which the
// owner pages for; that it pages itself, and only then, for a critical that it
// cannot put into the log; and that it takes over where the owner has stopped.
func TestStandbyAcceptsAlerts(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
		a, _ := newSiteBeside(t, host, sinktest.NewPagerDuty())
		b, line := newStandby(t, host, sinktest.NewPagerDuty())
		c, _ := newStandby(t, host, b.pager)
		var all []sample
		for i := range 3 {
			s := sample{name: "ByTheStandby", pod: fmt.Sprint(i), severity: "critical"}
			all = append(all, s)
			b.post(s)
			a.post(s)
			b.post(all...)
			c.post(all...)
		}
		time.Sleep(time.Minute)
		if got := a.events(); got != "trigger" {
			t.Errorf("the owner told its pager %q", got)
		}
		if a.node.dictionaries() != nil || b.node.dictionaries() != nil {
			t.Error("the doors name repeats by numbers, of which the core keeps those of two processes")
		}
		if m := b.get("/metrics"); !strings.Contains(m, "winnow_owner 0\n") || strings.Contains(m, "winnow_engine") {
			t.Error("the metrics do not say that it stands by")
		}
		if r := a.books(); !r.Balanced || r.Deliveries != a.sent+b.sent+c.sent || r.Dispositions["quarantined"] != 0 {
			t.Errorf("of %d deliveries the owner knows %d, by disposition %v", a.sent+b.sent+c.sent, r.Deliveries, r.Dispositions)
		}
		for _, path := range []string{"/-/ready", "/api/v1/report"} {
			rec := httptest.NewRecorder()
			if b.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil)); rec.Code != http.StatusServiceUnavailable {
				t.Errorf("%s answers %d", path, rec.Code)
			}
		}
		b.text = strings.Replace(b.text, "group_interval: 5m", "group_interval: 1m", 1)
		if err := b.node.Reload(t.Context()); err != nil {
			t.Errorf("reload: %v", err)
		}
		line.off()
		b.post(sample{name: "PastTheLog", pod: "1", severity: "critical"})
		time.Sleep(2 * time.Minute)
		if got := b.events(); got != "trigger" {
			t.Errorf("the one that waits told its pager %q", got)
		}
		line.heal(t)
		time.Sleep(2 * time.Minute)
		if r := a.books(); r.Onsets != 4 {
			t.Errorf("the owner knows of %d alerts, want 4", r.Onsets)
		}
		time.Sleep(300 * time.Millisecond)
		c.stop()
		a.stop()
		<-b.node.Ready()
		if !strings.Contains(b.get("/metrics"), "winnow_owner 1\n") {
			t.Error("the metrics do not say that it has taken over")
		}
		b.post(sample{name: "PastTheLog", pod: "1", severity: "critical", resolved: true})
		time.Sleep(10 * time.Minute)
		if open := b.pager.Open(); len(open) != 0 || b.events() != "trigger resolve" {
			t.Errorf("of what it has told %q, %v stand open", b.events(), open)
		}
		time.Sleep(300 * time.Millisecond)
		b.stop()
	})
}

// TestStandbyStops also while it waits.
func TestStandbyStops(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
		a, _ := newSiteBeside(t, host, sinktest.NewPagerDuty())
		b, _ := newStandby(t, host, a.pager)
		time.Sleep(time.Minute + 300*time.Millisecond)
		b.stop()
		a.stop()
	})
}

// TestTakeoverIsTriedAgain: what keeps a standby from taking over is over in time,
// and it goes on; or it is not, and another process may do without waiting.
func TestTakeoverIsTriedAgain(t *testing.T) {
	for _, mended := range []bool{true, false} {
		besideHost(t, func(t *testing.T, host *stream.Stream) {
			a, _ := newSiteBeside(t, host, sinktest.NewPagerDuty())
			b, _ := newStandby(t, host, a.pager)
			time.Sleep(300 * time.Millisecond)
			inTheWay := filepath.Join(b.dir, "snapshots")
			if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			a.stop()
			time.Sleep(takeOverPatience / 2)
			if mended {
				if err := os.Remove(inTheWay); err != nil {
					t.Fatal(err)
				}
				<-b.node.Ready()
				time.Sleep(300 * time.Millisecond)
				b.stop()
				return
			}
			<-b.node.Done()
			if err := stopIdle(b.node); err == nil || errors.Is(err, stream.ErrFenced) {
				t.Errorf("it could not take over and ended with %v", err)
			}
			c, _ := newStandby(t, host, a.pager)
			select {
			case <-c.node.Ready():
			case <-time.After(time.Second):
				t.Error("another process has to wait for a lapse")
			}
			time.Sleep(300 * time.Millisecond)
			c.stop()
		})
	}
}
