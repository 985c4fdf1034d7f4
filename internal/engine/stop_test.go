package engine

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/stream"
)

// An engine that is stopped while it begins to read leaves nobody waiting at the
// log: the bubble does not end while one is.
func TestStopAtTheStartLeavesNothingBehind(t *testing.T) {
	for yields := range 60 {
		synctest.Test(t, func(t *testing.T) {
			s, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			e, err := New(t.Context(), Options{Stream: s, Policy: testPolicy(), PolicyHash: "one"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			for range 4 * yields {
				runtime.Gosched()
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("stopped after %d yields: %v", 4*yields, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// stoppedAt runs an engine that is stopped the first time that it passes a point
// after an alert's group_wait is over, and returns how it ended.
func stoppedAt(t *testing.T, dir string, at Point) error {
	t.Helper()
	s, err := stream.Open(t.Context(), stream.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var due atomic.Bool
	l := &life{t: t, stream: s, cancel: cancel, ended: make(chan error, 1), silent: true}
	l.engine, err = New(t.Context(), Options{
		Stream: s, Policy: testPolicy(), PolicyHash: "one", Deliver: l.deliver,
		Point: func(p Point, _ *stream.Message) {
			if p == at && due.Load() {
				cancel()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { l.ended <- l.engine.Run(ctx) }()
	<-l.engine.Ready()
	l.post(alert.Firing, "1")
	time.Sleep(29 * time.Second)
	due.Store(true)
	err = <-l.ended
	if c, _, _, lastErr := s.LastCommit(t.Context()); lastErr != nil || c == nil {
		t.Errorf("stopped at %s: the outbox holds %v: %v", at, c, lastErr)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return err
}

// A stop that comes between a decision and its commit is an orderly one all the
// same: what is decided is committed first.
func TestStopUnderLoadIsNoError(t *testing.T) {
	for _, at := range []Point{MessageApplied, Witnessed, Committed} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			if err := stoppedAt(t, dir, at); err != nil {
				t.Errorf("stopped at %s, Run says %v", at, err)
			}
			l := begin(t, dir, testPolicy(), "one")
			time.Sleep(time.Second)
			want(t, "in the life after", l.end(), "INC-1 page A/1")
		})
	}
}
