package correlate

import (
	"cmp"
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// Limits of what one notification lists. What is left out is counted in Omitted,
// but for criticals and errors that are new: further notifications name those.
const (
	// MaxListed bounds the alerts.
	MaxListed = 4096

	// maxListBytes bounds their text, so that a notification fits into a record
	// of the outbox whatever stands in it.
	maxListBytes = 4 << 20

	// maxStormBytes bounds it where an incident stands for a storm, so that
	// PagerDuty, which takes 512 KB, shows the names and not a note that they
	// have been left out.
	maxStormBytes = 448 << 10

	// A storm shows the annotations of few: they are most of the text and much
	// the same.
	maxStormAnnotated       = 20
	maxStormAnnotationBytes = 64 << 10
)

// emit appends the notification that a reason calls for, and those that name
// the new criticals and errors for which it has no room.
func (c *Core) emit(out *Output, g *group, t alert.Time, class Class, reason Reason) {
	n := Notification{
		Incident: g.incident, Kind: Update, Reason: reason, Class: class,
		Receiver: g.route.Receiver, RouteID: g.route.ID, GroupKey: g.providerKey(),
		GroupLabels: g.labels, RouteLabels: g.route.Labels, At: t, Opened: g.openedAt, Storm: g.summary(),
	}
	left := 0 // to be named
	var severity alert.Severity
	for i := range g.members {
		v := &c.views[i]
		v.named &^= namedNow
		n.Raw = n.Raw || v.listed && g.members[i].raw
		switch {
		case !v.listed:
		case v.firing:
			s := c.alert(g.members[i].ref).severity
			if n.Firing == 0 || s.Rank() > severity.Rank() {
				severity = s
			}
			if grave(s) && g.members[i].news(class) {
				left++
			}
			n.Firing++
		default:
			n.Resolved++
		}
	}
	switch {
	case n.Firing == 0:
		n.Kind, severity = Resolve, g.pagedSeverity
		for i := range g.members {
			g.members[i].raw = false // it closes raw pages too
		}
	case reason == FirstNotification:
		n.Kind = Page
	case severity.Rank() > g.pagedSeverity.Rank():
		n.Kind, n.Reason = Page, Escalation
	}
	if n.Kind == Page {
		if !c.paged { // else the other class was paged in this flush already
			g.pagedAt(severity)
		}
		c.paged = true
	}
	n.Severity, n.Keys = severity, g.keys()
	left -= c.list(&n, g, t)
	c.append(out, g, n)
	for at := (unnamed{}); left > 0; c.append(out, g, n) {
		n.Kind, n.Reason, n.Continued = Update, NewAlerts, true
		left -= c.listUnnamed(&n, g, t, &at)
	}
}

// append gives a notification its number and lets it out.
func (c *Core) append(out *Output, g *group, n Notification) {
	g.revision++
	n.Revision = g.revision
	n.Omitted = n.Firing + n.Resolved - len(n.Alerts)
	out.Notifications = append(out.Notifications, n)
	out.Rows = append(out.Rows, notified(&n, c.seq))
}

// news reports whether some integration of the class is not known to have
// heard that the alert fires.
func (m *member) news(class Class) bool {
	for k := range classes {
		if class&classes[k] != 0 && m.told[k] != toldFiring {
			return true
		}
	}
	return false
}

// list fills in the alerts: those that fire first, of these the most severe,
// then the earliest. Where not all have room, criticals and errors that are new
// go before all others; it returns how many of those it has listed.
func (c *Core) list(n *Notification, g *group, t alert.Time) (graveNews int) {
	c.picked = c.picked[:0]
	cut := false
	for i := range g.members {
		at := int32(i)
		if !c.views[i].listed || cut && c.precedes(n, g, c.picked[MaxListed-1], at) {
			continue
		}
		if c.picked = append(c.picked, at); len(c.picked) == 2*MaxListed {
			c.cut(n, g)
			cut = true
		}
	}
	size := 0
	for _, i := range c.picked {
		size += c.listedBytes(g, g.members[i].ref)
	}
	if room := listBytes(g); size > room || len(c.picked) > MaxListed {
		c.cut(n, g)
		fit := 0
		for _, i := range c.picked {
			if room -= c.listedBytes(g, g.members[i].ref); room < 0 && fit > 0 {
				break
			}
			fit++
		}
		c.picked = c.picked[:fit]
	}
	for _, i := range c.picked {
		if c.graveNews(n, g, i) {
			graveNews++
		}
	}
	slices.SortFunc(c.picked, func(i, j int32) int { return c.compare(g, i, j) })
	c.write(n, g, t)
	return graveNews
}

// unnamed walks over the criticals and then the errors of a group.
type unnamed struct{ level, member int }

var graveLevels = [...]alert.Severity{alert.Critical, alert.Error}

// listUnnamed fills in criticals and errors that are new and stand nowhere yet,
// as many as have room, and returns their number.
func (c *Core) listUnnamed(n *Notification, g *group, t alert.Time, at *unnamed) int {
	c.picked = c.picked[:0]
	room := listBytes(g)
	for ; at.level < len(graveLevels); at.level, at.member = at.level+1, 0 {
		for ; at.member < len(g.members); at.member++ {
			i := int32(at.member)
			if ref := g.members[i].ref; c.alert(ref).severity != graveLevels[at.level] || c.views[i].named&namedNow != 0 || !c.graveNews(n, g, i) {
				continue
			}
			room -= c.listedBytes(g, g.members[i].ref)
			if len(c.picked) == MaxListed || room < 0 && len(c.picked) > 0 {
				c.write(n, g, t)
				return len(c.picked)
			}
			c.picked = append(c.picked, i)
		}
	}
	c.write(n, g, t)
	return len(c.picked)
}

func listBytes(g *group) int {
	if g.storm != 0 {
		return maxStormBytes
	}
	return maxListBytes
}

// graveNews reports whether a member must be named in n.
func (c *Core) graveNews(n *Notification, g *group, i int32) bool {
	m, v := &g.members[i], &c.views[i]
	return v.listed && v.firing && grave(c.alert(m.ref).severity) && m.news(n.Class)
}

// cut sorts what is picked by what must be listed and drops what has no place.
func (c *Core) cut(n *Notification, g *group) {
	slices.SortFunc(c.picked, func(i, j int32) int {
		switch {
		case i == j:
			return 0
		case c.precedes(n, g, i, j):
			return -1
		}
		return 1
	})
	c.picked = c.picked[:min(len(c.picked), MaxListed)]
}

// precedes reports whether i must rather be listed than j.
func (c *Core) precedes(n *Notification, g *group, i, j int32) bool {
	if a, b := c.graveNews(n, g, i), c.graveNews(n, g, j); a != b {
		return a
	}
	return c.compare(g, i, j) < 0
}

// compare is the order in which a notification shows alerts.
func (c *Core) compare(g *group, i, j int32) int {
	a, b := g.members[i].ref, g.members[j].ref
	if f := c.views[i].firing; f != c.views[j].firing {
		if f {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(c.alert(b).severity.Rank(), c.alert(a).severity.Rank()),
		cmp.Compare(c.table.StartsAt(a), c.table.StartsAt(b)),
		cmp.Compare(i, j),
	)
}

// What a label or an alert takes beside its text, with every sink and in the
// outbox.
const (
	labelBytes  = 24
	memberBytes = 128
)

// listedBytes is about what an alert takes in a list, annotations that a storm
// shows not counted.
func (c *Core) listedBytes(g *group, ref dedupe.Ref) int {
	c.lsA = c.table.View(c.lsA[:0], ref)
	size := memberBytes + textBytes(c.lsA)
	if g.storm == 0 {
		var url string
		c.lsA, url = c.table.ViewAnnotations(c.lsA[:0], ref)
		size += textBytes(c.lsA) + len(url)
	}
	return size
}

func textBytes(ls alert.Labels) int {
	n := 0
	for i := range ls {
		n += labelBytes + len(ls[i].Name) + len(ls[i].Value)
	}
	return n
}

// write lists the members in c.picked.
func (c *Core) write(n *Notification, g *group, t alert.Time) {
	n.Alerts = make([]Member, len(c.picked))
	room := maxStormAnnotationBytes
	for k, i := range c.picked {
		m, v := &g.members[i], &c.views[i]
		a := c.member(m.ref, m, v.firing, t)
		if g.storm != 0 {
			if room -= textBytes(a.Annotations) + len(a.GeneratorURL); room < 0 || k >= maxStormAnnotated {
				a.Annotations, a.GeneratorURL = nil, ""
			}
		}
		n.Alerts[k] = a
		v.named |= namedNow | namedFully
	}
}

// member is an alert as a notification shows it.
func (c *Core) member(ref dedupe.Ref, m *member, firing bool, t alert.Time) Member {
	out := Member{
		Fingerprint: c.table.Fingerprint(ref), Labels: c.table.Labels(nil, ref), StartsAt: c.table.StartsAt(ref),
		Deliveries: c.table.Deliveries(ref), New: firing && m.told[0] != toldFiring && m.told[1] != toldFiring,
	}
	out.Annotations, out.GeneratorURL = c.table.Annotations(nil, ref)
	if !firing {
		out.EndsAt = min(c.table.EndsAt(ref), t)
	}
	return out
}
