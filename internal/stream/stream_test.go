package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
)

func TestMain(m *testing.M) {
	// The server's access-time service keeps a goroutine for the whole process.
	// Begun inside a bubble it would belong to that one and stop its time.
	ats.Register()
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) *Stream {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func batch(source, pod string) *ingest.Batch {
	a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: pod}}}
	a.Fingerprint = a.Labels.Fingerprint()
	return &ingest.Batch{Source: source, Alerts: []alert.Alert{a}}
}

// pods reads the log to its end: the pods in order, checking the numbering.
func pods(t *testing.T, s *Stream) (out []string, frames int) {
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
	var d frame.Decoder
	for seq := e.First; seq <= e.Last; seq++ {
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		h, err := d.Decode(m.Data, func(ev *frame.Event) error {
			for i := range ev.Alerts {
				out = append(out, strings.Clone(ev.Alerts[i].Labels.Get("pod")))
			}
			return nil
		})
		if err != nil || m.Seq != seq || h.Counter != seq {
			t.Fatalf("message %d: sequence %d, frame %d, error %v", seq, m.Seq, h.Counter, err)
		}
		frames++
	}
	return out, frames
}

func TestConcurrentAppendsShareFrames(t *testing.T) {
	s := open(t, t.TempDir())
	const posters, each = 64, 20
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if err := s.Append(t.Context(), batch("test", fmt.Sprintf("%d-%d", p, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, frames := pods(t, s)
	seen := map[string]bool{}
	last := map[string]string{}
	for _, pod := range got {
		p, i, _ := strings.Cut(pod, "-")
		if seen[pod] || len(i) < len(last[p]) {
			t.Errorf("pod %s out of order or twice", pod)
		}
		seen[pod], last[p] = true, i
	}
	if len(seen) != posters*each {
		t.Errorf("%d alerts in the log, want %d", len(seen), posters*each)
	}
	if frames > posters*each/2 {
		t.Errorf("%d frames for %d appends: they did not share", frames, posters*each)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestReopenGoesOnWithTheNumbers(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		s := open(t, dir)
		if err := s.Append(t.Context(), batch("test", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	defer s.Close()
	if got, frames := pods(t, s); fmt.Sprint(got) != "[0 1 2]" || frames != 3 {
		t.Errorf("log holds %v in %d frames", got, frames)
	}
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opening the same folder twice: %v", err)
	}
}

func TestMissingStreamIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	gone, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", logName))
	if err != nil || len(gone) != 1 {
		t.Fatalf("looking for the stream's folder: %v %v", gone, err)
	}
	if err := os.RemoveAll(gone[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "the store is damaged") {
		t.Errorf("opening a store that lost its log: %v", err)
	}
}

func TestCommitIsFenced(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	commit := func(n, after uint64) (uint64, error) {
		rec, err := frame.AppendCommit(nil, n, &frame.Commit{Epoch: 1, Input: n})
		if err != nil {
			t.Fatal(err)
		}
		return s.Commit(t.Context(), rec, after)
	}
	if c, _, seq, err := s.LastCommit(t.Context()); c != nil || seq != 0 || err != nil {
		t.Fatalf("empty outbox: %v %d %v", c, seq, err)
	}
	one, err := commit(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := commit(2, 0); !errors.Is(err, ErrFenced) {
		t.Errorf("a commit behind somebody else's: %v, want ErrFenced", err)
	}
	if _, err := commit(2, one); err != nil {
		t.Error(err)
	}
	c, counter, _, err := s.LastCommit(t.Context())
	if err != nil || c.Input != 2 || counter != 2 {
		t.Errorf("last commit %+v %d %v", c, counter, err)
	}
}

func TestFullLogSaysUnavailable(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := batch("test", "")
	for i := range 1000 {
		b.Alerts[0].Labels[1].Value = strings.Repeat(fmt.Sprintf("%08x", i*2654435761), 200)
		if err = s.Append(t.Context(), b); err != nil {
			break
		}
	}
	if !errors.Is(err, ingest.ErrUnavailable) {
		t.Errorf("a full log answers %v, want ErrUnavailable", err)
	}
}

// An append whose answer was lost may have been stored: the numbers go on behind
// what the log holds, whatever the writer believed.
func TestNumbersGoOnBehindALostAnswer(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	for i, believed := range []uint64{1, 1, 7} {
		s.writer.counter, s.writer.last = believed, believed-1
		if err := s.Append(t.Context(), batch("test", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got, frames := pods(t, s); fmt.Sprint(got) != "[0 1 2]" || frames != 3 {
		t.Errorf("log holds %v in %d frames", got, frames)
	}
}

func TestClosedStreamRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	s.Close()
	if err := s.Append(t.Context(), batch("test", "a")); !errors.Is(err, ingest.ErrUnavailable) {
		t.Errorf("append after close: %v", err)
	}
}

func TestInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		defer s.Close()
		r, err := s.ReadLog(context.Background(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got := make(chan Message)
		go func() {
			defer close(got)
			for {
				m, err := r.Next()
				if err != nil {
					return
				}
				got <- m
			}
		}()
		var last alert.Time
		for i := range 10 {
			time.Sleep(time.Hour)
			if _, err := s.AppendEvents(t.Context(), frame.Event{Kind: frame.Tick}); err != nil {
				t.Fatal(err)
			}
			m := <-got
			if i > 0 && m.At.Sub(last) != time.Hour {
				t.Errorf("message %d stored %v after the one before, want 1h", i, m.At.Sub(last))
			}
			last = m.At
		}
	})
}

// TestAppendsBeyondTheLimitSendAgain: as many wait as may, and the log does not
// get on. One more waits as long as its sender does, and is told to come again.
func TestAppendsBeyondTheLimitSendAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{waiting: make(chan request, maxWaiting), quit: make(chan struct{})}
		for range maxWaiting {
			w.waiting <- request{}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		if _, err := w.write(ctx, nil, false, false); !errors.Is(err, ingest.ErrUnavailable) || time.Since(begun) != time.Minute {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

// TestAFrameEndsAtItsLimit: what would not fit goes into the next one.
func TestAFrameEndsAtItsLimit(t *testing.T) {
	w := &writer{waiting: make(chan request, 3)}
	for range 3 {
		w.waiting <- request{segment: make([]byte, frame.MaxBytes/3)}
	}
	if held := w.fill(<-w.waiting); held != nil || len(w.segments) != 3 {
		t.Errorf("%d segments in a frame that they fit", len(w.segments))
	}
	w.waiting <- request{segment: make([]byte, 1)}
	if held := w.fill(request{segment: make([]byte, frame.MaxBytes)}); held == nil || len(w.segments) != 1 {
		t.Errorf("%d segments in a frame that is full", len(w.segments))
	}
}
