package ledger

import (
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// TestClockSteps holds that how long something stands is counted by the time that
// passes, and that the hours of a clock which was wrong stand in nobody's way.
func TestClockSteps(t *testing.T) {
	const year = 366 * 24 * time.Hour
	for _, by := range []time.Duration{time.Hour, -time.Hour, year, -year} {
		l := fold(open(), onset(0, 1, 0, correlate.Pending), onset(0, 2, 0, correlate.Pending), onset(0, 3, 1, correlate.Pending))
		fold(l, end(time.Second, 2, 0, correlate.Pending))
		fold(l, correlate.Row{At: at(by + time.Second), Action: correlate.ClockSet, Delay: by})
		if n := l.Totals().SwallowedCriticals; n != 0 {
			t.Errorf("%s: %d criticals are swallowed whose page is not due yet", by, n)
		}
		fold(l, correlate.Row{At: at(by + 29*time.Second), Action: correlate.Adjusted})
		if n := l.Totals().SwallowedCriticals; n != 0 {
			t.Errorf("%s: %d criticals are swallowed just before their page is due", by, n)
		}
		fold(l, correlate.Row{At: at(by + 31*time.Second), Action: correlate.Adjusted})
		if n := l.Totals().SwallowedCriticals; n != 2 {
			t.Errorf("%s: %d criticals are swallowed just after, want 2", by, n)
		}
		fold(l, move(by+31*time.Second, 3, 1, correlate.Pending, correlate.Paged, alert.Warning), end(by+SelfResolved-time.Second, 3, 1, correlate.Paged))
		if l.episodes.short != 2 {
			t.Errorf("%s: %d episodes were short, want 2", by, l.episodes.short)
		}
		for hour := range 2 * HoursKept {
			fold(l, onset(by+time.Duration(hour)*time.Hour, 4, 1, correlate.Paged))
		}
		n := uint64(0)
		for _, h := range l.hours.upTo(l.until) {
			n += h.onsets
		}
		if n != HoursKept {
			t.Errorf("%s: the hours kept count %d onsets, want %d", by, n, HoursKept)
		}
	}
}
