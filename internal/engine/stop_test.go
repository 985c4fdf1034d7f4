package engine

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

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
