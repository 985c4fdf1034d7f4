package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
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

// closeIdle closes the server's Stream when what is under way is through: a server
// that is stopped sleeps with a lock held, and in a bubble no sleep ends while
// somebody waits for a lock.
func closeIdle(host *Stream) {
	time.Sleep(time.Second)
	host.Close()
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
		defer closeIdle(host)
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
		time.Sleep(tenureEvery / 3) // not in the middle of a renewal
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
			defer closeIdle(host)
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
			defer closeIdle(host)
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
		defer closeIdle(host)
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
		defer closeIdle(host)
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

// TestReaderWaitsForServers: while none answers it goes on trying, and soon reads
// on once one does.
func TestReaderWaitsForServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := open(t, t.TempDir())
		defer closeIdle(host)
		s, line := beside(t, host)
		r, err := s.ReadLog(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		line.freeze()
		time.AfterFunc(time.Minute, func() {
			if err := host.Append(t.Context(), batch("test", "a")); err != nil {
				t.Error(err)
			}
			if err := line.thaw(); err != nil {
				t.Error(err)
			}
		})
		begun := time.Now()
		if m, err := r.Next(); err != nil || m.Seq != 1 || time.Since(begun) > time.Minute+askTimeout+reconnectWait {
			t.Errorf("message %d after %v: %v", m.Seq, time.Since(begun), err)
		}
		r.Close()
		s.Close()
	})
}

// TestProcessesAppendSideBySide: each frame of one may find that the other's has
// come before it, any number of times. Nothing is turned away for that, the
// numbers of the frames have no gap, and their times do not go back, though the
// clocks of the two differ.
func TestProcessesAppendSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := open(t, t.TempDir())
		defer closeIdle(host)
		const processes, senders, each = 3, 8, 25
		var open []*Stream
		var wg sync.WaitGroup
		for i := range processes {
			ahead := &settable{begun: time.Now(), set: time.Duration(i) * time.Hour}
			s, err := Open(t.Context(), Options{Beside: host, Clock: ahead.tell})
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, s)
			for range senders {
				wg.Go(func() {
					for range each {
						if err := s.Append(t.Context(), batch("test", "a")); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		all, last := headers(t, open[0])
		for i := 1; i < len(all); i++ {
			if all[i].Counter != all[i-1].Counter+1 || all[i].At < all[i-1].At || all[i].Step != 0 {
				t.Fatalf("frame %d of %s, with a step of %s, behind frame %d of %s", all[i].Counter, all[i].At, all[i].Step, all[i-1].Counter, all[i-1].At)
			}
		}
		for i, s := range open {
			if now := s.Now(last); now < all[len(all)-1].At && s.writer.stored.Load() == last {
				t.Errorf("for process %d it is %s, before the last frame's %s", i, now, all[len(all)-1].At)
			}
			s.Close()
		}
	})
}

// lag is a line on which each write takes a while.
type lag struct {
	net.Conn
	queue chan []byte
}

func lagging(by time.Duration) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn {
		l := &lag{c, make(chan []byte, 1024)}
		go func() {
			for p := range l.queue {
				time.Sleep(by)
				_, _ = l.Conn.Write(p) // a line that is closed says so to who reads
			}
		}()
		return l
	}
}

func (l *lag) Write(p []byte) (int, error) {
	l.queue <- slices.Clone(p)
	return len(p), nil
}

func (l *lag) Close() error {
	close(l.queue)
	return l.Conn.Close()
}

// TestBusyProcessLetsOthersIn: who has just stored a frame knows what to store the
// next one behind, and would be first again, as long as there is anything.
func TestBusyProcessLetsOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := open(t, t.TempDir())
		defer closeIdle(host)
		process := func(lag time.Duration) *Stream {
			s, err := Open(t.Context(), Options{Beside: host, Line: lagging(lag)})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		busy, other := process(2*time.Millisecond), process(3*time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := busy.Append(t.Context(), batch("test", "a")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 20 {
			begun := time.Now()
			if err := other.Append(t.Context(), batch("test", "b")); err != nil || time.Since(begun) > publishTimeout/2 {
				t.Errorf("an append beside a busy process ended after %v: %v", time.Since(begun), err)
			}
		}
		cancel()
		wg.Wait()
		busy.Close()
		other.Close()
	})
}
