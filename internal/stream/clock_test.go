package stream

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
)

// settable is a machine's clock that can be set.
type settable struct {
	begun time.Time
	set   time.Duration
}

func (c *settable) tell() (time.Time, time.Duration) {
	now := time.Now()
	return now.Round(0).Add(c.set), now.Sub(c.begun)
}

// headers are those of the frames that the log holds.
func headers(t *testing.T, s *Stream) (out []frame.Header, last uint64) {
	t.Helper()
	e, err := s.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.ReadLog(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := uint64(0)
	for seq := e.First; seq <= e.Last; seq++ {
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		h, err := frame.ReadHeader(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if h.Previous != before {
			t.Errorf("frame %d was written behind one with the checksum %x, want %x", h.Counter, h.Previous, before)
		}
		before = frame.Checksum(m.Data)
		out = append(out, h)
	}
	return out, e.Last
}

// TestStepsOfTheClockAreTold holds that the log's time is what has passed and what
// the machine's clock was set by, the latter told once in all: also when an answer
// is lost, when nothing is stored, and when the log is opened anew.
func TestStepsOfTheClockAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, l := t.TempDir(), (*line)(nil)
		clock := &settable{begun: time.Now()}
		open := func() *Stream {
			s, err := Open(t.Context(), Options{Dir: dir, Clock: clock.tell, Line: func(c net.Conn) net.Conn { l = &line{Conn: c}; return l }})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open()
		tick := func() error {
			_, err := s.AppendEvents(t.Context(), frame.Event{Kind: frame.Tick})
			return err
		}
		// well is what holds of the log so far, of which told was set.
		well := func(told time.Duration) {
			t.Helper()
			sum, all := time.Duration(0), []frame.Header(nil)
			all, last := headers(t, s)
			for i, h := range all {
				if sum += h.Step; i > 0 && h.At.Add(-h.Step) < all[i-1].At {
					t.Errorf("frame %d is of %s, after a step of %s, behind one of %s", h.Counter, h.At, h.Step, all[i-1].At)
				}
			}
			if sum != told {
				t.Errorf("the log says that the clock was set by %s, want %s", sum, told)
			}
			if at := all[len(all)-1].At; at != alert.TimeOf(time.Now().Add(clock.set)) {
				t.Errorf("the last frame is of %s, the clock shows %s", at, time.Now().Add(clock.set))
			}
			time.Sleep(time.Second)
			if now := s.Now(last); now != alert.TimeOf(time.Now().Add(clock.set)) {
				t.Errorf("for who has read all it is %s, want %s", now, time.Now().Add(clock.set))
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(tick())
		well(0)
		clock.set = 400 * time.Millisecond // as if it had been slewed
		must(tick())
		well(0)
		clock.set += time.Hour
		if now := s.Now(99); now != alert.TimeOf(time.Now().Add(400*time.Millisecond)) {
			t.Errorf("before a frame tells of it the log's time is %s", now)
		}
		must(tick())
		well(time.Hour)
		must(tick())
		well(time.Hour)
		time.Sleep(24 * time.Hour)
		clock.set -= 40 * time.Second // slewed, over a day
		must(tick())
		well(time.Hour)

		clock.set -= 3 * time.Hour
		l.freeze()
		if err := tick(); !errors.Is(err, ingest.ErrUnavailable) {
			t.Fatalf("a log that does not answer: %v", err)
		}
		must(l.thaw()) // it was stored, and nobody heard so
		must(tick())
		well(-2 * time.Hour)

		clock.set += 30 * time.Hour
		s.writer.last, s.writer.counter = s.writer.last-1, s.writer.counter-1 // it is refused at first
		must(tick())
		well(28 * time.Hour)

		must(s.Close())
		clock.set -= 48 * time.Hour
		s = open()
		sum := s.Now(0) // the log's time stands where it ended until a frame says what it is
		must(tick())
		all, last := headers(t, s)
		if h := all[len(all)-1]; h.Step >= 0 || h.At.Add(-h.Step) != all[len(all)-2].At || h.At != alert.TimeOf(time.Now().Add(clock.set)) || sum != h.At.Add(-h.Step) {
			t.Errorf("after a start with the clock set back: %+v behind %+v, before it %s", h, all[len(all)-2], sum)
		}
		if now := s.Now(last); now != alert.TimeOf(time.Now().Add(clock.set)) {
			t.Errorf("and it is %s", now)
		}
		must(s.Close())
		clock.set += 480 * time.Hour
		s = open()
		must(tick())
		if all, _ := headers(t, s); all[len(all)-1].Step != 0 {
			t.Errorf("a start takes the time that it was away for a step: %+v", all[len(all)-1])
		}
		must(s.Close())
	})
}

// TestManySteps holds that what is known of the steps is bounded, and right for
// who has read them all.
func TestManySteps(t *testing.T) {
	m := &settable{begun: time.Now()}
	now := m.begun
	c := clock{tell: func() (time.Time, time.Duration) { return now.Add(m.set), now.Sub(m.begun) }}
	c.begin(0)
	for seq := range uint64(10 * keptSteps) {
		m.set += time.Duration(seq%7+1) * time.Hour
		_, by := c.stamp(seq + 1)
		if by != time.Duration(seq%7+1)*time.Hour {
			t.Fatalf("step %d is told as %s", seq, by)
		}
		c.stored(by)
		if got := c.now(seq + 1); got != alert.TimeOf(now.Add(m.set)) {
			t.Fatalf("after step %d it is %s, want %s", seq, got, now.Add(m.set))
		}
		if got := c.now(seq); got != alert.TimeOf(now.Add(m.set-time.Duration(seq%7+1)*time.Hour)) {
			t.Fatalf("before step %d it is %s", seq, got)
		}
	}
	if len(c.steps) != keptSteps {
		t.Errorf("%d steps are kept, want %d", len(c.steps), keptSteps)
	}
}
