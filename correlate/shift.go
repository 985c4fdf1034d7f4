package correlate

import (
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Shift says that the clock by which now was read was set by a span: what was now
// is now.Add(by), and what was to be done at a time is to be done as long from
// now as before. It comes after Advance to now, and before any to a time by the
// new clock.
//
// Times of day stay what they are: a silence ends when it says, and a route is
// muted at its hours. But a silence that has begun, or ended, does not do so again.
func (c *Core) Shift(out *Output, now alert.Time, by time.Duration) {
	c.table.Shift(now, by)
	moved := func(t *alert.Time) {
		if *t != 0 {
			*t = t.Add(by)
		}
	}
	for _, g := range c.groups {
		if g == nil {
			continue
		}
		moved(&g.next)
		moved(&g.openedAt)
		for k := range g.told {
			moved(&g.told[k].at)
		}
	}
	for i := range c.timers {
		moved(&c.timers[i].at)
	}
	for ref := 1; ref < c.live.Len(); ref++ {
		moved(&c.live.At(uint32(ref)).onsetAt)
	}
	for i := range c.forget {
		moved(&c.forget[i].at)
	}
	for _, s := range c.rushes {
		for i := range s.times {
			moved(&s.times[i])
		}
	}
	for i := range c.sources {
		moved(&c.sources[i].seenAt)
	}
	c.silences.shift(now, by)
	c.now = c.now.Add(by)
	out.Rows = append(out.Rows, Row{At: now.Add(by), Seq: c.seq, Action: ClockSet, Delay: by})
}
