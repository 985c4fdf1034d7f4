package correlate

import (
	"fmt"
	"slices"
	"testing"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// suppressors are what may keep an alert from its receiver, by the obvious
// reckoning: every silence and every pair of alerts is looked at.
type suppressors struct {
	c        *Core
	policy   *Policy
	silences map[string]Silence
}

func (s *suppressors) note(d *deed) {
	switch d.verb {
	case "silence":
		s.silences[d.id] = Silence{StartsAt: d.at, EndsAt: d.at.Add(d.length), Matchers: []alert.Matchers{matchers("alertname=[A-C]")}}
	case "expire":
		if q, ok := s.silences[d.id]; ok && q.EndsAt > d.at {
			q.EndsAt = d.at
			s.silences[d.id] = q
		}
	case "policy":
		s.policy = d.policy
	}
}

// liveCause says what suppresses an alert in a group at t, NoDisposition for
// nothing.
func (s *suppressors) liveCause(g *group, ref dedupe.Ref, t alert.Time) Disposition {
	if std := t.Std(); slices.Contains(g.route.MuteIntervals, "lunch") {
		if minute := 60*std.Hour() + std.Minute(); minute >= 12*60+30 && minute < 14*60 {
			return Muted
		}
	}
	ls := s.c.table.View(nil, ref)
	for _, q := range s.silences { // order: one is enough
		if q.StartsAt <= t && t < q.EndsAt && slices.ContainsFunc(q.Matchers, func(m alert.Matchers) bool { return m.Matches(ls) }) {
			return Silenced
		}
	}
	if by, _ := s.inhibitedBy(ref, t); by != 0 {
		return Inhibited
	}
	return NoDisposition
}

// inhibitedBy goes through the rules one by one, as Alertmanager does, and says
// as well whether it has passed over one that is a source and target like ref.
func (s *suppressors) inhibitedBy(ref dedupe.Ref, t alert.Time) (by dedupe.Ref, apart bool) {
	ls := s.c.table.View(nil, ref)
	for _, r := range s.policy.Inhibit {
		if !r.Target.Matches(ls) {
			continue
		}
		for other := 1; other < s.c.live.Len(); other++ {
			o := dedupe.Ref(other)
			if !s.c.table.Firing(o, t) {
				continue
			}
			source := s.c.table.View(nil, o)
			if !r.Source.Matches(source) || slices.ContainsFunc(r.Equal, func(name string) bool { return ls.Get(name) != source.Get(name) }) {
				continue
			}
			if r.Source.Matches(ls) && r.Target.Matches(source) {
				apart = apart || o != ref
				continue
			}
			return o, apart
		}
	}
	return 0, apart
}

// TestEverySuppressionHasALiveCause: behind each flush, whatever fires in the
// group and is kept from its receiver is kept by something that is in force then,
// and whatever nothing keeps back, its receiver was told of.
func TestEverySuppressionHasALiveCause(t *testing.T) {
	var live [NumDispositions]int
	flushes, over := 0, 0
	for seed := range uint64(150) {
		story := workload(seed, 250)
		c, err := NewCore(basic())
		if err != nil {
			t.Fatal(err)
		}
		s := suppressors{c, basic(), map[string]Silence{}}
		var out Output
		check := func(due []*group, at alert.Time) {
			for _, g := range due {
				if g.slot >= len(c.groups) || c.groups[g.slot] != g || g.next <= at {
					continue // it has closed
				}
				flushes++
				for i := range g.members {
					m := &g.members[i]
					if !c.table.Firing(m.ref, at) {
						continue
					}
					cause := s.liveCause(g, m.ref, at)
					what := fmt.Sprintf("seed %d, at %v: %v in %q is %s", seed, at.Std().Sub(epoch.Std()), c.table.View(nil, m.ref), g.key, m.disposition)
					switch d := m.disposition; {
					case (d == Silenced || d == Inhibited || d == Muted) && cause == NoDisposition:
						t.Fatalf("%s, and nothing is there that keeps it back", what)
					case d == Silenced || d == Inhibited || d == Muted:
						live[cause]++
					case d != Paged && d != Grouped && d != Storm && d != BelowThreshold:
						t.Fatalf("%s after its flush", what)
					case d != BelowThreshold && cause == NoDisposition && !m.believed():
						t.Fatalf("%s, and its receiver does not know", what)
					}
				}
			}
		}
		// advance lets one moment after another come.
		advance := func(to alert.Time) {
			for {
				at, ok := c.Next()
				if !ok || at > to {
					break
				}
				var due []*group
				suppressed := map[dedupe.Ref]bool{}
				for _, g := range c.groups {
					if g != nil && g.next <= at {
						due = append(due, g)
						for i := range g.members {
							d := g.members[i].disposition
							suppressed[g.members[i].ref] = d == Silenced || d == Inhibited || d == Muted
						}
					}
				}
				c.Advance(&out, at)
				check(due, at)
				for _, g := range due {
					for i := range g.members {
						if suppressed[g.members[i].ref] && heard(g.members[i].disposition) {
							over++
						}
					}
				}
				out.Reset()
			}
			c.Advance(&out, to)
		}
		for i := range story {
			d := &story[i]
			c.At(uint64(i + 1))
			if d.verb == "resume" {
				c.Resume(&out, d.at.Add(-d.length), d.at)
			}
			advance(d.at)
			s.note(d)
			do(t, c, &out, d)
			advance(d.at)
			out.Reset()
		}
	}
	if live[Silenced] < 500 || live[Inhibited] < 500 || live[Muted] < 100 || over < 200 {
		t.Errorf("%d silenced, %d inhibited, %d muted behind %d flushes, of which %d came to an end: too few to prove anything", live[Silenced], live[Inhibited], live[Muted], flushes, over)
	}
	t.Logf("suppressions: flushes=%d silenced=%d inhibited=%d muted=%d over=%d", flushes, live[Silenced], live[Inhibited], live[Muted], over)
}
