package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// TestAnExchangedFrameIsNamed: a frame in the place of another, itself sound and
// with the right number, is noticed by the one behind it.
func TestAnExchangedFrameIsNamed(t *testing.T) {
	frames := func(change int) (out []stream.Message) {
		before := uint64(0)
		for i := range 5 {
			h := frame.Header{Counter: uint64(i + 1), At: alert.Time(1e18).Add(time.Duration(i) * time.Second), Previous: before}
			var s frame.Segment
			if err := s.Add(&frame.Event{Kind: frame.Tick}); err != nil {
				t.Fatal(err)
			}
			m := stream.Message{Seq: h.Counter, At: h.At, Data: frame.Append(nil, h, s.Append(nil))}
			before = frame.Checksum(m.Data)
			if i == change {
				h.At = h.At.Add(1)
				m.Data = frame.Append(nil, h, s.Append(nil))
			}
			out = append(out, m)
		}
		return out
	}
	for change := -1; change < 4; change++ {
		s, err := NewShard(testPolicy())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range frames(change) {
			s.Apply(&m)
		}
		var named []string
		for _, err := range s.Faults() {
			named = append(named, err.Error())
		}
		got := strings.Join(named, "; ")
		if change < 0 && got != "" || change >= 0 && (len(named) != 1 || !strings.Contains(got, "log message "+string(rune('2'+change))) || !strings.Contains(got, "was written behind")) {
			t.Errorf("frame %d exchanged: %q", change+1, got)
		}
	}
}
