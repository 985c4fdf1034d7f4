package correlate

import (
	"cmp"
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// MaxListed bounds the alerts that one notification lists, the most severe
// first. The rest is counted in Omitted.
const MaxListed = 4096

// emit appends the notification that a reason calls for.
func (c *Core) emit(out *Output, g *group, t alert.Time, class Class, reason Reason) {
	g.revision++
	n := Notification{
		Incident: g.incident, Revision: g.revision, Kind: Update, Reason: reason, Class: class,
		Receiver: g.route.Receiver, RouteID: g.route.ID, GroupKey: g.providerKey(),
		GroupLabels: g.labels, RouteLabels: g.route.Labels, At: t, Opened: g.openedAt,
	}
	var severity alert.Severity
	for i := range g.members {
		v := &c.views[i]
		switch {
		case !v.listed:
		case v.firing:
			if s := c.live[g.members[i].ref].severity; n.Firing == 0 || s.Rank() > severity.Rank() {
				severity = s
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
		// The other class may have been paged for the same flush already.
		if g.pagedNow != t {
			g.pagedAt(severity)
			g.pagedNow = t
		}
		c.paged = true
	}
	n.Severity, n.Keys = severity, g.keys()
	c.list(&n, g, t)
	out.Notifications = append(out.Notifications, n)
	out.Rows = append(out.Rows, notified(&n, c.seq))
}

// list fills in the alerts: those that fire first, of these the most severe,
// then the earliest.
func (c *Core) list(n *Notification, g *group, t alert.Time) {
	order := make([]int, 0, n.Firing+n.Resolved)
	for i := range g.members {
		if c.views[i].listed {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := g.members[i].ref, g.members[j].ref
		if f := c.views[i].firing; f != c.views[j].firing {
			if f {
				return -1
			}
			return 1
		}
		return cmp.Or(
			cmp.Compare(c.live[b].severity.Rank(), c.live[a].severity.Rank()),
			cmp.Compare(c.table.StartsAt(a), c.table.StartsAt(b)),
		)
	})
	if len(order) > MaxListed {
		n.Omitted = len(order) - MaxListed
		order = order[:MaxListed]
	}
	n.Alerts = make([]Member, len(order))
	for k, i := range order {
		n.Alerts[k] = c.member(g.members[i].ref, &g.members[i], c.views[i].firing, t)
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
