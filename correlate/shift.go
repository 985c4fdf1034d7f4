package correlate

import (
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
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
	for _, g := range c.groups {
		if g == nil {
			continue
		}
		g.next.Shift(by)
		g.openedAt.Shift(by)
		for k := range g.told {
			g.told[k].at.Shift(by)
		}
	}
	for i := range c.timers {
		c.timers[i].at.Shift(by)
	}
	for ref := 1; ref < c.live.Len(); ref++ {
		c.alert(dedupe.Ref(ref)).onsetAt.Shift(by)
	}
	for i := range c.forget {
		c.forget[i].at.Shift(by)
	}
	for _, s := range c.rushes {
		for i := range s.times {
			s.times[i].Shift(by)
		}
	}
	for i := range c.sources {
		c.sources[i].seenAt.Shift(by)
	}
	c.silences.shift(now, by)
	c.now = c.now.Add(by)
	out.Rows = append(out.Rows, Row{At: now.Add(by), Seq: c.seq, Action: ClockSet, Delay: by})
}
