package stream

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/ingest"
)

// line is a line to the server on which nothing gets through for a while.
type line struct {
	net.Conn
	mu     sync.Mutex
	frozen bool
	held   []byte
}

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen {
		l.held = append(l.held, p...)
		return len(p), nil
	}
	return l.Conn.Write(p)
}

func (l *line) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = true
}

func (l *line) thaw() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = false
	_, err := l.Conn.Write(l.held)
	return err
}

// TestSlowLogHoldsNobodyUp: a server that does not answer, as on a disk that takes
// seconds to sync, keeps no sender for longer than 2 s, however many come; what
// is said to be stored is, and it goes on by itself.
func TestSlowLogHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		s, err := Open(t.Context(), Options{Dir: t.TempDir(), Line: func(c net.Conn) net.Conn { l.Conn = c; return l }})
		if err != nil {
			t.Fatal(err)
		}
		const senders = 20
		var mu sync.Mutex
		var longest time.Duration
		tried, refused := 0, 0
		stored := map[string]bool{}
		append := func(pod string) error {
			asked := time.Now()
			err := s.Append(t.Context(), batch("test", pod))
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, time.Since(asked))
			switch {
			case err == nil:
				stored[pod] = true
			case !errors.Is(err, ingest.ErrUnavailable):
				t.Error(err)
			case strings.Contains(err.Error(), "none since"):
				refused++
			default:
				tried++
			}
			return err
		}
		send := func(name string, each time.Duration, times int) {
			var wg sync.WaitGroup
			for k := range senders {
				wg.Go(func() {
					time.Sleep(time.Duration(k) * 37 * time.Millisecond)
					for i := range times {
						_ = append(fmt.Sprint(name, k, "-", i)) // counted
						time.Sleep(each)
					}
				})
			}
			wg.Wait()
		}
		send("before", 100*time.Millisecond, 10)
		l.freeze()
		send("slow", 300*time.Millisecond, 100)
		if n := len(stored); n != senders*10 {
			t.Errorf("%d were stored before, want %d and none meanwhile", n, senders*10)
		}
		if longest > 2*time.Second || tried+refused != senders*100 || refused < tried {
			t.Errorf("the longest answer took %s, want 2 s at most; %d of %d appends were tried, %d told at once", longest, tried, senders*100, refused)
		}
		if err := l.thaw(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		send("after", 100*time.Millisecond, 10)
		if n := len(stored); n != 2*senders*10 {
			t.Errorf("%d were stored in the end, want %d: it does not go on by itself", n, 2*senders*10)
		}
		got, _ := pods(t, s)
		for _, pod := range got {
			delete(stored, pod)
		}
		if len(stored) > 0 {
			t.Errorf("said to be stored, and not in the log: %v", stored)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
