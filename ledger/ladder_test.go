package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/correlate"
)

func TestDegradedSaysWhenAndHowLong(t *testing.T) {
	l := New(nil, Options{})
	step := func(after time.Duration, level uint32, cause string) {
		// The log took it a minute later than it was.
		l.Fold(&correlate.Row{At: at(after + time.Minute), Action: correlate.Stepped, Revision: level, Cause: cause, Until: at(after)})
	}
	if got := l.Degraded(); len(got) != 0 {
		t.Fatalf("degraded before anything was: %v", got)
	}
	step(time.Hour, 1, "look-ups")
	step(2*time.Hour, 3, "lag")
	step(2*time.Hour+30*time.Second, 0, "good")
	step(5*time.Hour, 4, "the log\x1b[31m takes nothing")
	var got []string
	for _, d := range l.Degraded() {
		got = append(got, fmt.Sprintf("L%d %s %s", d.Level, d.Since.Sub(at(0).Std()), d.lasted(at(6*time.Hour).Std())))
	}
	if s := strings.Join(got, ", "); s != "L1 1h0m0s 1h0m0s, L3 2h0m0s 30s, L4 5h0m0s 1h0m0s" {
		t.Errorf("degraded: %s", s)
	}
	var b strings.Builder
	if err := Render(&b, l.Report(5), RenderOptions{}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if !strings.Contains(text, "Degraded\n") || !strings.Contains(text, "L3  30 s  lag") || !strings.Contains(text, "L4  1 min 0 s, still") || strings.Contains(text, "\x1b") {
		t.Errorf("report:\n%s", text)
	}
	for range 2 * MaxListed {
		step(7*time.Hour, 1, "again")
	}
	if n := len(l.Degraded()); n != MaxListed {
		t.Errorf("%d listed, want %d at most", n, MaxListed)
	}
}
