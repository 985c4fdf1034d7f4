package dedupe

import (
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Shift says that the clock by which now was read was set by a span: what was now
// is now.Add(by). How long an alert is believed to fire is as it was, and one that
// has ended stays so. When it began is its sender's word, by another clock, and
// stays too; only in the future nothing begins.
func (t *Table) Shift(now alert.Time, by time.Duration) {
	shifted := now.Add(by)
	for i := range t.entries.Len() {
		e := t.at(Ref(i))
		if e.flags&live == 0 {
			continue
		}
		if e.endsAt != forever {
			e.endsAt = e.endsAt.Add(by)
		}
		e.startsAt = min(e.startsAt, shifted)
		e.seenAt = e.seenAt.Add(by)
	}
}
