package ingest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlineContext compares with what the library makes, whether or not
// somebody waits for it.
func TestDeadlineContext(t *testing.T) {
	f := func(parentFor, past time.Duration, waits, cancelled bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithCancel(t.Context())
			if parentFor > 0 {
				parent, cancel = context.WithTimeout(parent, parentFor)
			}
			defer cancel()
			want, end := context.WithTimeout(parent, 4*time.Second)
			defer end()
			got := &deadlineContext{Context: parent, until: time.Now().Add(4 * time.Second), now: time.Now}
			defer got.end()
			if waits {
				got.Done()
			}
			time.Sleep(past)
			if cancelled {
				cancel()
			}
			synctest.Wait()
			if g, w := got.Err(), want.Err(); !errors.Is(g, w) {
				t.Errorf("error %v, want %v", g, w)
			}
			g, _ := got.Deadline()
			if w, _ := want.Deadline(); !g.Equal(w) {
				t.Errorf("deadline %v, want %v", g, w)
			}
			select {
			case <-got.Done():
				if want.Err() == nil {
					t.Error("it is done too early")
				}
			default:
				if want.Err() != nil {
					t.Error("it is not done")
				}
			}
		})
	}
	for _, waits := range []bool{false, true} {
		f(0, time.Second, waits, false)
		f(0, time.Second, waits, true)
		f(0, 4*time.Second, waits, false)
		f(2*time.Second, time.Second, waits, false)
		f(2*time.Second, 3*time.Second, waits, false)
	}
	f(0, 5*time.Second, true, true) // which came first is known to who has a timer
}
