package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// beside opens one more Stream on a server, as another process would, and its
// line to it.
func beside(t *testing.T, host *Stream) (*Stream, *line) {
	t.Helper()
	l := &line{}
	s, err := Open(t.Context(), Options{Beside: host, Line: func(c net.Conn) net.Conn { l.Conn = c; return l }})
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

// taking has a process wait for the shard.
func taking(ctx context.Context, s *Stream) <-chan error {
	took := make(chan error, 1)
	go func() { took <- s.Take(ctx) }()
	return took
}

func isLost(s *Stream) bool {
	select {
	case <-s.Lost():
		return true
	default:
		return false
	}
}

// TestOneOfTwoProcessesMaySend holds that the second waits, and that it need not
// wait for a lapse where the first has stopped in order.
func TestOneOfTwoProcessesMaySend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := open(t, t.TempDir())
		defer host.Close()
		if !host.May() || host.Shared() || host.Take(t.Context()) != nil {
			t.Error("a log that is shared with nobody is not its own")
		}
		a, _ := beside(t, host)
		if a.May() {
			t.Error("a process may send before it owns the shard")
		}
		if err := a.Take(t.Context()); err != nil || !a.May() {
			t.Fatalf("the only process may not send: %v", err)
		}
		b, _ := beside(t, host)
		took := taking(t.Context(), b)
		time.Sleep(time.Hour)
		if !a.May() || b.May() || isLost(a) {
			t.Errorf("after an hour the first may send: %t, the second: %t", a.May(), b.May())
		}
		time.Sleep(tenureEvery / 3) // not in the middle of a renewal: see stopIdle in internal/node
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		begun := time.Now()
		if err := <-took; err != nil || !b.May() || time.Since(begun) > tenureLook {
			t.Errorf("the second may send %t, %v after the first has stopped: %v", b.May(), time.Since(begun), err)
		}
		c, _ := beside(t, host)
		ctx, cancel := context.WithCancel(t.Context())
		took = taking(ctx, c)
		time.Sleep(time.Minute)
		cancel()
		if err := <-took; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting ended with %v", err)
		}
		time.Sleep(tenureEvery / 3)
		c.Close()
		b.Close()
	})
}

// TestNoTwoMaySendAtOnce cuts the owner off, at each moment between two renewals:
// it stops sending before another begins to, that is at most 7 s later, and it
// learns so when it is back.
func TestNoTwoMaySendAtOnce(t *testing.T) {
	for after := time.Duration(0); after < tenureEvery; after += 130 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			host := open(t, t.TempDir())
			defer host.Close()
			a, line := beside(t, host)
			if err := a.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, _ := beside(t, host)
			took := taking(t.Context(), b)
			time.Sleep(10*time.Second + after)
			line.freeze()
			cut := time.Now()
			for !b.May() {
				if time.Sleep(10 * time.Millisecond); time.Since(cut) > 7*time.Second {
					t.Fatal("nobody has taken over within 7 s")
				}
			}
			if a.May() || isLost(a) || !a.CutOff() || b.CutOff() {
				t.Errorf("the one that is cut off may send: %t, and knows that it is: %t", a.May(), a.CutOff())
			}
			if err := <-took; err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := line.thaw(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-a.Lost():
			case <-time.After(2 * time.Second):
				t.Error("it has not learnt within 2 s that another has taken over")
			}
			if time.Sleep(time.Minute); a.May() || !b.May() || a.CutOff() {
				t.Error("once it is back, the first may send again")
			}
			time.Sleep(tenureEvery / 3)
			a.Close()
			b.Close()
		})
	}
}

// TestOwnerOutlivesItsServers takes the servers away from all, for less and for
// longer than a tenure: when they are back the owner goes on, if it is there.
func TestOwnerOutlivesItsServers(t *testing.T) {
	f := func(away time.Duration, gone bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			host := open(t, t.TempDir())
			defer host.Close()
			a, lineA := beside(t, host)
			if err := a.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, lineB := beside(t, host)
			took := taking(t.Context(), b)
			time.Sleep(time.Minute)
			lineA.freeze()
			lineB.freeze()
			time.Sleep(away)
			if b.May() || a.CutOff() != (away > tenureLapses) || b.CutOff() != a.CutOff() {
				t.Errorf("after %v without servers: the first is cut off %t, the second %t", away, a.CutOff(), b.CutOff())
			}
			if err := lineB.thaw(); err != nil {
				t.Fatal(err)
			}
			if time.Sleep(tenureEvery); !gone { // who waits has its answers a little sooner
				if err := lineA.thaw(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(tenureLapses + 2*tenureGrace)
			if a.May() == gone || b.May() != gone || isLost(a) {
				t.Errorf("after %v without servers the first may send: %t, the second: %t", away, a.May(), b.May())
			}
			if gone {
				if err := lineA.thaw(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(tenureEvery / 3)
			a.Close()
			b.Close()
			<-took
		})
	}
	f(time.Second, false)
	f(20*time.Second, false)
	f(20*time.Second, true)
}

// TestStandingStillIsNotBeingCutOff: who was stopped knows nothing of the servers.
func TestStandingStillIsNotBeingCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := open(t, t.TempDir())
		defer host.Close()
		s, _ := beside(t, host)
		f := func(took time.Duration, err error, cutOff bool) {
			t.Helper()
			if s.tenure.note(time.Now().Add(-took), err); s.CutOff() != cutOff {
				t.Errorf("after a try of %v that ended with %v it is cut off: %t", took, err, !cutOff)
			}
		}
		f(tenureTimeout, context.DeadlineExceeded, false)
		f(time.Minute, context.DeadlineExceeded, false)
		f(tenureTimeout, context.DeadlineExceeded, false)
		f(tenureTimeout, context.DeadlineExceeded, true)
		f(tenureTimeout, nil, false)
		s.Close()
	})
}

// TestReaderOutlivesItsConsumer: the server that had it is gone, or has forgotten
// it. Nothing is read twice and nothing is left out.
func TestReaderOutlivesItsConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := open(t, t.TempDir())
		defer host.Close()
		s, _ := beside(t, host)
		r, err := s.ReadLogSince(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for want := uint64(1); want <= 5; want++ {
			for name := range host.link.lg.ConsumerNames(t.Context()).Name() {
				if err := host.link.lg.DeleteConsumer(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Append(t.Context(), batch("test", fmt.Sprint(want))); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if m, err := r.Next(); err != nil || m.Seq != want || time.Since(begun) > readerExpiry {
				t.Fatalf("message %d after %v, want %d: %v", m.Seq, time.Since(begun), want, err)
			}
		}
		r.Close()
		s.Close()
	})
}
