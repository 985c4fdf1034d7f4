package stream

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
)

func repeatBatch() *ingest.Batch {
	return &ingest.Batch{Source: "test", Dictionary: 1, Repeats: []alert.Repeat{{Number: 1}}, Runs: []uint32{1}}
}

// newsBatch has so many alerts in full.
func newsBatch(n int) *ingest.Batch {
	b := batch("test", "a")
	for len(b.Alerts) < n {
		b.Alerts = append(b.Alerts, b.Alerts[0])
	}
	return b
}

// together has so many senders append so many batches each, one after the other.
func together(t *testing.T, s *Stream, senders, each int, b func() *ingest.Batch) {
	t.Helper()
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				if err := s.Append(t.Context(), b()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestSendersStayTogether: of four senders of repeats, or of batches that are all
// news, one or the other always came when the frame of the rest had just left, so
// that there were two frames where one would do.
func TestSendersStayTogether(t *testing.T) {
	f := func(what string, b func() *ingest.Batch) {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, t.TempDir())
				defer s.Close()
				const senders, each = 4, 100
				together(t, s, senders, each, b)
				e, err := s.Log(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if e.Last > each*5/4 {
					t.Errorf("%d frames for %d rounds of %d senders", e.Last, each, senders)
				}
			})
		})
	}
	f("repeats", repeatBatch)
	f("crowds", func() *ingest.Batch { return newsBatch(crowd) })
}

// TestNewsWaitsForNobody: whoever was there before, a frame with something in it
// that may be news leaves at once, and repeats wait once for who comes no more.
func TestNewsWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		defer s.Close()
		f := func(want time.Duration, b *ingest.Batch) {
			t.Helper()
			start := time.Now()
			if err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("waited %v, want %v", took, want)
			}
		}
		// As after rounds of four that ended together: how they really end, one
		// sender a round ahead of another, is the scheduler's.
		expectFour := func() {
			synctest.Wait()
			s.writer.company = company{counts: [4]int{4, 4, 4, 4}}
		}
		expectFour()
		f(0, batch("test", "a"))
		f(0, newsBatch(crowd-1))
		broken := repeatBatch()
		broken.Quarantined = []ingest.Quarantine{{Reason: "unreadable", Raw: []byte("?")}}
		f(0, broken)
		f(maxPatience, repeatBatch())
		f(0, repeatBatch())
		expectFour()
		f(maxPatience, newsBatch(crowd))
		f(0, newsBatch(crowd))
		expectFour()
		waits := make(chan error)
		go func() { waits <- s.Append(t.Context(), repeatBatch()) }()
		synctest.Wait()
		f(0, batch("test", "b"))
		if err := <-waits; err != nil {
			t.Error(err)
		}
	})
}
