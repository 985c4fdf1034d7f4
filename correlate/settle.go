package correlate

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// settleMembers gives each member the disposition that this flush has shown.
func (c *Core) settleMembers(out *Output, g *group, t alert.Time) {
	first := c.pageTrigger(g)
	for i := range g.members {
		v, m := &c.views[i], &g.members[i]
		was := m.disposition
		if heard(was) {
			continue
		}
		cause := g.route.Receiver
		switch {
		case !v.firing && was == Pending:
			m.disposition, cause = unheard(m, g)
		case !v.firing:
		case v.disposition != NoDisposition:
			m.disposition = v.disposition
		case g.route.classes == 0:
			m.disposition = BelowThreshold
		case i == first:
			m.disposition = Paged
		case g.storm != 0:
			// A grave one that stands at its receiver was named when it was told.
			c.named = v.named != 0 || grave(c.alert(m.ref).severity) && m.believed()
			m.disposition, cause = Storm, IncidentName(g.incident)
		default:
			m.disposition = Grouped
		}
		if m.disposition != was {
			if m.disposition == v.disposition {
				cause = c.mutes(m.ref, g, v.disposition, t)
			}
			c.settle(out, t, m.ref, m.disposition, cause)
		}
	}
}

// mutes names what a look has found to mute an alert.
func (c *Core) mutes(ref dedupe.Ref, g *group, by Disposition, t alert.Time) (cause string) {
	switch by {
	case Muted:
		cause, _ = c.policy.mutedBy(g.route, t)
	case Silenced:
		cause, _ = c.silencedBy(ref, t)
	case Inhibited:
		source, _ := c.inhibitedBy(ref, t)
		cause = c.table.Fingerprint(source).String()
	}
	return cause
}

// heard reports whether somebody was told of an onset with a disposition.
func heard(d Disposition) bool { return d == Paged || d == Grouped || d == Storm }

// unheard is what becomes of an onset that ended before its group's moment
// came: nobody was told, unless its alert was still standing from before.
func unheard(m *member, g *group) (Disposition, string) {
	if m.believed() {
		return Grouped, g.route.Receiver
	}
	return ResolvedBeforePage, ""
}

// pageTrigger is the member that a page of this flush is about: the most severe
// of those that had not been told of, the first to come among equals. It is -1
// when this flush paged nobody.
func (c *Core) pageTrigger(g *group) int {
	if !c.paged {
		return -1
	}
	first := -1
	for i := range g.members {
		m := &g.members[i]
		if !c.views[i].firing || !c.views[i].listed || heard(m.disposition) {
			continue
		}
		if first < 0 || c.alert(m.ref).severity.Rank() > c.alert(g.members[first].ref).severity.Rank() {
			first = i
		}
	}
	return first
}

// settle moves an onset to the best of what its groups made of it. The cause is
// that of one group's disposition, and is named only if that is the best.
func (c *Core) settle(out *Output, t alert.Time, ref dedupe.Ref, d Disposition, cause string) {
	l := c.alert(ref)
	best := l.settled
	c.eachSeat(ref, func(s *seat) {
		if d := s.group.members[s.member].disposition; rank(d) > rank(best) {
			best = d
		}
	})
	if best != d {
		cause = ""
	}
	if best != l.disposition {
		c.move(out, t, ref, best, cause)
	}
}

// rank orders dispositions of one onset in several groups: what was said
// outweighs what is still open, and that outweighs what was kept back.
func rank(d Disposition) int {
	switch d {
	case Paged:
		return 6
	case Grouped:
		return 5
	case Storm:
		return 4
	case Pending:
		return 3
	case Silenced, Inhibited, Muted, Held, Flapping:
		return 2
	case ResolvedBeforePage, BelowThreshold:
		return 1
	}
	return 0
}
