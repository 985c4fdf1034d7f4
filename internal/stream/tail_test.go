package stream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// TestTailAgainstList adds, doubts and begins at random. What the tail gives out
// is what was stored under that number; it says to wait only for what is next.
func TestTailAgainstList(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var tl tail
	stored := map[uint64]string{} // by sequence
	last, known := uint64(0), false
	given, waits := 0, 0
	for i := range 20_000 {
		switch rnd.IntN(100) {
		case 0:
			tl.doubt()
			known = false
		case 1: // one was stored that the tail has not heard of
			last++
			stored[last] = fmt.Sprint("unheard ", i)
			tl.begin(last)
			known = true
		case 2: // as after a restart that has lost some
			for range rnd.IntN(3) {
				if last > 0 {
					delete(stored, last)
					last--
				}
			}
			tl.begin(last)
			known = true
		case 3:
			tl.begin(last)
			known = true
		case 4:
			last += 2
			fallthrough
		default:
			last++
			data := fmt.Append(nil, "message ", i)
			stored[last] = string(data)
			tl.add(last, alert.Time(i), data)
			data[0] = '?'
			known = true
		}
		for _, seq := range []uint64{1, last - min(last, rnd.Uint64N(2*tailMessages)), last, last + 1, last + 2} {
			m, wait := tl.get(seq)
			switch {
			case m != nil && (m.Seq != seq || string(m.Data) != stored[seq]):
				t.Fatalf("message %d is %d %q, want %q", seq, m.Seq, m.Data, stored[seq])
			case (wait != nil) != (known && seq == last+1):
				t.Fatalf("to wait for %d behind %d: %v; the end is known: %v", seq, last, wait != nil, known)
			case m != nil:
				given++
			case wait != nil:
				waits++
			}
		}
	}
	if given < 10_000 || waits < 10_000 {
		t.Errorf("%d messages and %d waits: too few to show anything", given, waits)
	}
}

func TestTailIsBounded(t *testing.T) {
	var tl tail
	held := func(size int) (n int) {
		for seq := range uint64(3 * tailMessages) {
			tl.add(seq+1, 0, make([]byte, size))
		}
		for seq := range uint64(3 * tailMessages) {
			if m, _ := tl.get(seq + 1); m != nil {
				n++
			}
		}
		return n
	}
	if n := held(1); n != tailMessages {
		t.Errorf("%d small messages are held, want %d", n, tailMessages)
	}
	if n := held(tailBytes / 10); n != 10 {
		t.Errorf("%d large messages are held, want 10", n)
	}
}

// consumers is how many of a stream the server has.
func consumers(t *testing.T, s *Stream) int {
	t.Helper()
	info, err := s.link.lg.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Consumers
}

func mustAppend(t *testing.T, s *Stream, pod string) {
	t.Helper()
	if err := s.Append(t.Context(), batch("test", pod)); err != nil {
		t.Fatal(err)
	}
}

// next fails unless message seq comes within some time.
func next(t *testing.T, r *Reader, seq uint64) {
	t.Helper()
	late := time.AfterFunc(time.Minute, r.Close)
	defer late.Stop()
	if m, err := r.Next(); err != nil || m.Seq != seq {
		t.Fatalf("message %d %v, want %d", m.Seq, err, seq)
	}
}

// TestReadersTakeTheEnd: the server is asked for what is old, and for what a
// reader that was slow has missed, and has no consumer of who has caught up.
func TestReadersTakeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		defer s.Close()
		for i := range 3 {
			mustAppend(t, s, fmt.Sprint("old ", i))
		}
		s.logTail = tail{} // as after a start
		s.logTail.begin(3)
		r, err := s.ReadLog(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		seq := uint64(0)
		read := func(n int) {
			t.Helper()
			for range n {
				seq++
				next(t, r, seq)
			}
		}
		read(3)
		f := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if got := consumers(t, s); got != want {
				t.Errorf("%s: %d consumers, want %d", what, got, want)
			}
		}
		f("before it has caught up", 1)
		go func() {
			time.Sleep(time.Second)
			mustAppend(t, s, "new")
		}()
		read(1)
		f("at the end", 0)
		for i := range 2 * tailMessages {
			mustAppend(t, s, fmt.Sprint("many ", i))
		}
		read(1)
		f("behind what the tail holds", 1)
		read(2*tailMessages - 1)
		f("at the end again", 0)

		guard, err := s.ReadLogSince(t.Context(), time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		defer guard.Close()
		for i := range seq {
			next(t, guard, i+1)
		}
		mustAppend(t, s, "last")
		next(t, guard, seq+1)
		f("one that asks the server only", 1)
	})
}

// TestReaderFindsWhatWasStoredUnsaid: a message whose answer does not come may be
// stored all the same, and nothing be written behind it.
func TestReaderFindsWhatWasStoredUnsaid(t *testing.T) {
	f := func(read func(*testing.T, *Stream) (*Reader, error), write func(t *testing.T, s *Stream, after uint64) error) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			l := &line{}
			s, err := Open(t.Context(), Options{Dir: t.TempDir(), Line: func(c net.Conn) net.Conn { l.Conn = c; return l }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := write(t, s, 0); err != nil {
				t.Fatal(err)
			}
			r, err := read(t, s)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			next(t, r, 1)
			got := make(chan Message, 1)
			go func() {
				for {
					m, err := r.Next()
					if err == nil {
						got <- m
					}
					if err == nil || errors.Is(err, ErrClosed) {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			synctest.Wait()
			l.freeze()
			if write(t, s, 1) == nil {
				t.Fatal("it was said to be stored")
			}
			if err := l.thaw(); err != nil {
				t.Fatal(err)
			}
			select {
			case m := <-got:
				if m.Seq != 2 {
					t.Errorf("message %d, want 2", m.Seq)
				}
			case <-time.After(time.Minute):
				t.Error("nobody reads it")
			}
		})
	}
	f(func(t *testing.T, s *Stream) (*Reader, error) { return s.ReadLog(t.Context(), 1) }, func(t *testing.T, s *Stream, after uint64) error {
		return s.Append(t.Context(), batch("test", fmt.Sprint(after)))
	})
	f(func(t *testing.T, s *Stream) (*Reader, error) { return s.ReadOutbox(t.Context(), 1) }, func(t *testing.T, s *Stream, after uint64) error {
		_, err := s.Commit(t.Context(), []byte("record"), after)
		return err
	})
}

// TestSharedLogsHaveNoTail: others may write behind what this process has stored.
func TestSharedLogsHaveNoTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := open(t, t.TempDir())
		defer own.Close()
		s, err := Open(t.Context(), Options{Beside: own})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, err := s.ReadLog(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if r.tail != nil {
			t.Error("a reader of a shared log goes by what this process has stored")
		}
	})
}
