package correlate

import (
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// group is an Alertmanager aggregation group from its first alert until all of
// them have ended and that was said: an incident.
type group struct {
	slot   int
	route  *route
	key    string       // of the index: route ID and group labels
	labels alert.Labels // group labels

	members []member

	next    alert.Time // of the flush
	order   uint64     // of its timer
	gen     uint32
	retired bool // its route is gone; nobody joins any more

	incident      uint64
	revision      uint32
	pages         uint32
	openedAt      alert.Time
	pagedSeverity alert.Severity   // the highest paged
	alias         string           // what the provider knows it by, if not by its own key
	levels        []alert.Severity // whose keys it was paged under, the current one last
	told          [2]told          // by class

	storm  uint64 // the number of the storm whose alerts share it; 0 for a group of Alertmanager's
	joined uint64 // the alerts that it took in for that

	// While a reload is under way: whose history this group has, and who has
	// its.
	heirOf, successor *group
}

// told is what the integrations of one class know of a group.
type told struct {
	at     alert.Time // of the last notification; zero before the first
	firing int        // alerts it named as firing
}

// member is an alert in a group. There may be a million in one.
type member struct {
	ref         dedupe.Ref
	disposition Disposition
	told        [2]telling // by class
	raw         bool       // its receiver was called for it past the core
}

// believed reports whether the receiver believes that the alert fires.
func (m *member) believed() bool {
	return m.told[0] == toldFiring || m.told[1] == toldFiring || m.raw
}

// telling is how the last notification of a class named the alert.
type telling uint8

const (
	untold telling = iota
	toldFiring
	toldResolved
)

var classes = [2]Class{WantsResolved, FiringOnly}

// join seats an alert in its group of a route.
func (c *Core) join(out *Output, now alert.Time, r *route, ref dedupe.Ref, ls alert.Labels) {
	if c.inStorm(ref, r) {
		return
	}
	g := c.groupOf(out, now, r, ref, ls)
	if c.seated(ref, g) {
		return
	}
	c.sit(g, ref)
	if c.waitedFor(r, now) && g.next > now {
		c.schedule(g, now)
	}
	if g.storm != 0 && grave(c.alert(ref).severity) {
		c.hasten(g, now)
	}
}

// waitedFor reports whether the alert that takes its seats was here within the last
// group_wait and has waited for one in vain: the moment of its group came when it
// had just ended. What flaps in step with that would never be told of; it does not
// wait again.
func (c *Core) waitedFor(r *route, now alert.Time) bool {
	return c.waited != 0 && now.Sub(c.waited) <= r.GroupWait
}

// firstMembers is the room that a group begins with.
const firstMembers = 4

// sit gives an alert the next seat of a group.
func (c *Core) sit(g *group, ref dedupe.Ref) {
	s := seat{g, int32(len(g.members))}
	if g.members == nil {
		g.members = make([]member, 0, firstMembers)
	}
	g.members = append(g.members, member{ref: ref, disposition: Pending})
	if l := c.alert(ref); l.first.group == nil {
		l.first = s
	} else {
		l.aside().more = append(l.others(), s)
	}
}

func (c *Core) seated(ref dedupe.Ref, g *group) bool {
	found := false
	c.eachSeat(ref, func(s *seat) { found = found || s.group == g })
	return found
}

// groupOf finds the group, or opens it, or has the alert join that of a storm.
func (c *Core) groupOf(out *Output, now alert.Time, r *route, ref dedupe.Ref, ls alert.Labels) *group {
	c.lsB = r.groupLabels(c.lsB[:0], ls)
	c.key = appendGroupKey(c.key[:0], r, c.lsB)
	if g := c.index[string(c.key)]; g != nil {
		return g
	}
	if s := c.stormAt(now, r); s != nil {
		return c.stormGroup(out, now, r, s, ref, ls)
	}
	return c.open(out, now, &group{route: r, key: string(c.key), labels: c.lsB.Clone()}, ref)
}

// open brings a group to life: its page is due after group_wait, or at once
// when its first alert has been firing for longer than that already, or has waited
// for it in vain.
func (c *Core) open(out *Output, now alert.Time, g *group, ref dedupe.Ref) *group {
	c.incidents++
	g.openedAt, g.incident = now, c.incidents
	if c.inUse[g.providerHash()] > 0 { // a sibling route, or a group that outlived its route
		g.alias = g.providerKey() + "~" + IncidentName(g.incident)
		out.Aliases = append(out.Aliases, g.aliased())
	}
	c.inUse[g.providerHash()]++
	c.index[g.key] = g
	c.place(g)
	due := now.Add(g.route.GroupWait)
	if c.table.StartsAt(ref).Add(g.route.GroupWait) < now || c.waitedFor(g.route, now) {
		due = now
	}
	c.schedule(g, due)
	row := Row{
		At: now, Seq: c.seq, Action: IncidentOpened, Incident: g.incident, Fingerprint: c.table.Fingerprint(ref),
		Severity: c.alert(ref).severity, Dim: c.alert(ref).dim, Cause: g.route.Receiver, Until: g.next,
	}
	if g.storm != 0 {
		row.Now = Storm
	}
	out.Rows = append(out.Rows, row)
	return g
}

func appendGroupKey(b []byte, r *route, ls alert.Labels) []byte {
	b = append(b, r.ID...)
	for i := range ls {
		b = append(b, 0xff)
		b = append(b, ls[i].Name...)
		b = append(b, 0xff)
		b = append(b, ls[i].Value...)
	}
	return b
}

// letGo says that the provider's key of g is free again.
func (c *Core) letGo(g *group) {
	h := g.providerHash()
	if c.inUse[h]--; c.inUse[h] == 0 {
		delete(c.inUse, h)
	}
}

func (c *Core) place(g *group) {
	if n := len(c.freeSlots); n > 0 {
		g.slot, c.freeSlots = c.freeSlots[n-1], c.freeSlots[:n-1]
		c.groups[g.slot] = g
		return
	}
	g.slot = len(c.groups)
	c.groups = append(c.groups, g)
}

func (c *Core) schedule(g *group, at alert.Time) {
	g.gen++
	g.next = at
	c.order++
	g.order = c.order
	c.timers.push(timer{at: at, order: g.order, group: g, gen: g.gen})
}

// view is a member as one flush sees it.
type view struct {
	firing      bool
	listed      bool        // part of what a notification would say
	disposition Disposition // what mutes it, or NoDisposition
	named       naming
}

// naming says where an alert stands by name.
type naming uint8

const (
	namedNow   naming = 1 << iota // in what is being decided
	namedFully                    // in some notification of this flush
)

// flush is a group's moment: it decides who must hear what, settles what became
// of its alerts, and lets go of those that have ended.
func (c *Core) flush(out *Output, g *group, t alert.Time) {
	c.paged = false
	c.look(g, t)
	var reasons [2]Reason
	for k := range classes {
		if g.route.classes&classes[k] != 0 {
			reasons[k] = c.reason(g, k, t)
		}
	}
	if g.revision > 0 && g.told[0].firing+g.told[1].firing == 0 && (reasons[0] == FirstNotification || reasons[1] == FirstNotification) {
		c.renew(out, g, t)
	}
	c.notify(out, g, t, reasons)
	if (reasons[0] == AllResolved || reasons[1] == AllResolved) && g.told[0].firing+g.told[1].firing == 0 {
		g.levels = nil // nothing stands under these keys any more
	}
	c.settleMembers(out, g, t)
	c.release(out, g, t)
	if len(g.members) == 0 {
		c.close(out, g, t)
		return
	}
	c.schedule(g, t.Add(g.route.GroupInterval))
}

// look fills c.views, one for each member.
func (c *Core) look(g *group, t alert.Time) {
	c.views = c.views[:0]
	_, muted := c.policy.mutedBy(g.route, t)
	for i := range g.members {
		m := &g.members[i]
		v := view{firing: c.table.Firing(m.ref, t)}
		if muted {
			v.disposition = Muted
		} else if _, ok := c.silencedBy(m.ref, t); ok {
			v.disposition = Silenced
		} else if _, ok := c.inhibitedBy(m.ref, t); ok {
			v.disposition = Inhibited
		}
		if v.firing {
			v.listed = v.disposition == NoDisposition
		} else {
			// Its end concerns those who were told that it fires, and them even
			// when it is muted now: a resolve wakes nobody, an incident that
			// nobody closes does harm.
			v.listed = m.believed()
		}
		c.views = append(c.views, v)
	}
}

// reason is Alertmanager's decision for one class of integrations.
func (c *Core) reason(g *group, class int, t alert.Time) Reason {
	firing, news, ended, raw := 0, false, false, false
	for i := range g.members {
		v, m := &c.views[i], &g.members[i]
		switch {
		case !v.listed:
		case v.firing:
			firing++
			news = news || m.told[class] != toldFiring
		default:
			ended = ended || m.told[class] == toldFiring
			raw = raw || m.raw
		}
	}
	told := &g.told[class]
	switch {
	case news && told.firing == 0:
		return FirstNotification
	case news:
		return NewAlerts
	case firing == 0 && (told.firing > 0 && ended || raw):
		return AllResolved
	case firing == 0:
		return 0
	case ended && classes[class] == WantsResolved:
		return SomeResolved
	case told.at < t.Add(-g.route.RepeatInterval):
		return RepeatInterval
	}
	return 0
}

// notify emits what the reasons call for: one notification where both classes
// are to hear the same, and brings what they have been told up to date.
func (c *Core) notify(out *Output, g *group, t alert.Time, reasons [2]Reason) {
	for k := range classes {
		reason := reasons[k]
		if reason == 0 {
			continue
		}
		class := classes[k]
		if k == 0 && reasons[1] == reason {
			class |= classes[1]
			reasons[1] = 0
		}
		if class != FiringOnly || reason != AllResolved {
			c.emit(out, g, t, class, reason)
		}
		for j := range classes {
			if class&classes[j] != 0 {
				c.recordTold(g, j, t)
			}
		}
	}
}

func (c *Core) recordTold(g *group, class int, t alert.Time) {
	told := &g.told[class]
	told.at, told.firing = t, 0
	for i := range g.members {
		v, m := &c.views[i], &g.members[i]
		switch {
		case !v.listed:
			m.told[class] = untold
		case v.firing:
			m.told[class] = toldFiring
			told.firing++
		default:
			m.told[class] = toldResolved
		}
	}
}

// release lets go of members that have ended; all is said about them.
func (c *Core) release(out *Output, g *group, t alert.Time) {
	kept := g.members[:0]
	for i := range g.members {
		m := g.members[i]
		if c.views[i].firing {
			if i != len(kept) {
				c.reseat(m.ref, g, int32(len(kept)))
			}
			kept = append(kept, m)
			continue
		}
		c.leave(out, t, g, m)
	}
	clear(g.members[len(kept):])
	g.members = kept
}

func (c *Core) reseat(ref dedupe.Ref, g *group, at int32) {
	c.eachSeat(ref, func(s *seat) {
		if s.group == g {
			s.member = at
		}
	})
}

// leave gives up a seat; an alert without any is on its way to be forgotten.
func (c *Core) leave(out *Output, t alert.Time, g *group, m member) {
	l := c.alert(m.ref)
	if rank(m.disposition) > rank(l.settled) {
		l.settled = m.disposition
	}
	if m.disposition == ResolvedBeforePage && !m.believed() {
		l.flags |= inVain
	}
	last := len(l.others()) == 0
	if last && !c.table.Firing(m.ref, t) {
		c.endEpisode(out, t, m.ref)
	}
	switch {
	case last:
		l.first = seat{}
		c.forget = append(c.forget, forgotten{t.Add(ForgetAfter), m.ref, l.episode})
	case l.first.group == g:
		l.first, l.beside.more = l.beside.more[0], l.beside.more[1:]
	default:
		l.beside.more = slices.DeleteFunc(l.beside.more, func(s seat) bool { return s.group == g })
	}
	if !last {
		c.settle(out, t, m.ref, NoDisposition, "")
	}
}

// renew makes a new incident of a group: its receiver was told that all was
// over, while something that was muted then fires still.
func (c *Core) renew(out *Output, g *group, t alert.Time) {
	out.Rows = append(out.Rows, Row{
		At: t, Seq: c.seq, Action: IncidentClosed, Incident: g.incident, Revision: g.revision,
		Severity: g.pagedSeverity, Cause: g.route.Receiver,
	})
	c.incidents++
	g.incident, g.revision, g.pages, g.openedAt = c.incidents, 0, 0, t
	out.Rows = append(out.Rows, Row{At: t, Seq: c.seq, Action: IncidentOpened, Incident: g.incident, Cause: g.route.Receiver, Until: t})
}

// close ends a group that has no members left.
func (c *Core) close(out *Output, g *group, t alert.Time) {
	out.Rows = append(out.Rows, Row{
		At: t, Seq: c.seq, Action: IncidentClosed, Incident: g.incident, Revision: g.revision,
		Severity: g.pagedSeverity, Cause: g.route.Receiver,
	})
	if g.alias != "" && !g.retired {
		out.Aliases = append(out.Aliases, Alias{Group: g.aliased().Group})
	}
	c.remove(g)
}

func (c *Core) remove(g *group) {
	g.gen++
	c.letGo(g)
	if c.index[g.key] == g {
		delete(c.index, g.key)
	}
	c.groups[g.slot] = nil
	c.freeSlots = append(c.freeSlots, g.slot)
}
