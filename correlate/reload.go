package correlate

import (
	"fmt"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// SetPolicy puts another policy in force. An alert moves to the groups that the
// new routes give it. A group that goes on under the same route, or under
// another that leads to the same receiver with the same labels, keeps its timer,
// its incident and what its receiver was told, so a reload pages nobody twice.
// An alert that its receiver was told of stays in it until it ends, also when
// the new routes lead elsewhere.
func (c *Core) SetPolicy(out *Output, now alert.Time, p *Policy) error {
	compiled, err := compile(p)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	old := c.groups
	c.policy = compiled
	c.setSources(out, now, p.Sources)
	c.keepRushes(p)
	c.groups, c.freeSlots, c.index, c.timers = nil, nil, map[string]*group{}, nil
	h := c.inherit(retire(old))

	for ref := 1; ref < c.live.Len(); ref++ {
		c.reroute(out, now, dedupe.Ref(ref), h)
	}
	for _, g := range old {
		if g != nil && g.retired {
			c.keepRetired(out, g, now)
		}
	}
	return nil
}

// reroute gives an alert the seats of the new policy. Its old ones stay on
// record in the retired groups until those are taken over or kept.
func (c *Core) reroute(out *Output, now alert.Time, ref dedupe.Ref, h heirs) {
	l := c.alert(ref)
	if l.first.group == nil && len(c.linksOf(ref)) == 0 && l.disposition == NoDisposition {
		return // not in use
	}
	c.lsRoute = c.table.View(c.lsRoute[:0], ref)
	c.setLinks(ref, c.inhibitLinks(c.lsRoute))
	l.setSilences(nil)
	l.silenceVersion = 0
	c.addSource(ref)
	if l.first.group == nil {
		return // ended, waiting to be forgotten
	}
	wasDue := l.due()
	seats := append([]seat{l.first}, l.others()...)
	l.first = seat{}
	if l.beside != nil {
		l.beside.more = nil
	}
	c.routes = c.policy.match(c.routes[:0], c.policy.root, c.lsRoute)
	for _, r := range c.routes {
		if g := stormSeat(seats, r); g != nil && c.stay(r, g, ref) {
			continue
		}
		c.takeOver(r, h)
		c.join(out, now, r, ref, c.lsRoute)
	}
	for _, s := range seats {
		old := s.group.members[s.member]
		c.eachSeat(ref, func(n *seat) {
			if n.group.heirOf == s.group {
				m := &n.group.members[n.member]
				m.told, m.raw, m.disposition = old.told, old.raw, old.disposition
			}
		})
		if old.disposition != Pending && rank(old.disposition) > rank(l.settled) {
			l.settled = old.disposition
		}
	}
	c.settle(out, now, ref, NoDisposition, "")
	c.dueAnew(out, now, ref, wasDue)
}

// dueAnew says so when a pending alert is due at another time than it was.
func (c *Core) dueAnew(out *Output, now alert.Time, ref dedupe.Ref, was alert.Time) {
	if l := c.alert(ref); l.disposition == Pending && !l.ended() && was != 0 && l.due() != was {
		c.move(out, now, ref, Pending, "")
	}
}

// takeOver opens the group of c.lsRoute under r with the history that it
// inherits, if there is any and it is not open yet.
func (c *Core) takeOver(r *route, h heirs) {
	c.lsB = r.groupLabels(c.lsB[:0], c.lsRoute)
	c.key = appendGroupKey(c.key[:0], r, c.lsB)
	if c.index[string(c.key)] != nil {
		return
	}
	if old := h[string(c.key)]; old != nil {
		c.succeed(old, r, string(c.key), c.lsB.Clone())
	}
}

// succeed opens a group under r with the history of an old one.
func (c *Core) succeed(old *group, r *route, key string, labels alert.Labels) *group {
	g := &group{
		route: r, key: key, labels: labels, openedAt: old.openedAt, incident: old.incident,
		revision: old.revision, pages: old.pages, pagedSeverity: old.pagedSeverity, told: old.told, heirOf: old,
		pagedNow: old.pagedNow, alias: old.alias, levels: old.levels, storm: old.storm, joined: old.joined,
	}
	if g.providerKey() != old.providerKey() {
		g.alias = old.providerKey() // the provider knows it by that
	}
	old.successor = g
	c.index[g.key] = g
	c.place(g)
	c.schedule(g, old.next)
	return g
}

// keepRetired sees to it that whoever believes that an alert of g fires hears of
// its end: from the group that succeeds g, where its alerts stay on until then,
// or from g itself, which lives on if nobody does.
func (c *Core) keepRetired(out *Output, g *group, now alert.Time) {
	heir := g.successor
	if heir == nil {
		heir = g
	} else {
		heir.heirOf, g.successor = nil, nil
	}
	guests := g.members
	if heir == g {
		g.members = nil
	}
	for _, m := range guests {
		if m.believed() && !c.seated(m.ref, heir) {
			l := c.alert(m.ref)
			wasDue := l.due()
			l.aside().more = append(l.others(), seat{heir, int32(len(heir.members))})
			heir.members = append(heir.members, m)
			c.settle(out, now, m.ref, NoDisposition, "")
			c.dueAnew(out, now, m.ref, wasDue)
		}
	}
	if heir != g {
		return
	}
	c.place(g)
	if len(g.members) == 0 {
		c.close(out, g, now)
		return
	}
	c.schedule(g, g.next)
}
