package correlate

import (
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// AlertView is what is known of a live alert, for people to read.
type AlertView struct {
	Fingerprint alert.Fingerprint
	Labels      alert.Labels
	Annotations alert.Labels
	StartsAt    alert.Time
	EndsAt      alert.Time // zero while it fires
	SeenAt      alert.Time
	Deliveries  uint64
	Severity    alert.Severity
	Disposition Disposition
	Incidents   []uint64
}

// Alerts returns the alerts with a fingerprint: one, unless label sets collide,
// or none.
func (c *Core) Alerts(f alert.Fingerprint, now alert.Time) []AlertView {
	var out []AlertView
	for _, ref := range c.table.Lookup(nil, f) {
		out = append(out, c.view(ref, now))
	}
	return out
}

func (c *Core) view(ref dedupe.Ref, now alert.Time) AlertView {
	l := c.alert(ref)
	v := AlertView{
		Fingerprint: c.table.Fingerprint(ref), Labels: c.table.Labels(nil, ref),
		StartsAt: c.table.StartsAt(ref), SeenAt: c.table.SeenAt(ref), Deliveries: c.table.Deliveries(ref),
		Severity: l.severity, Disposition: l.disposition,
	}
	v.Annotations, _ = c.table.Annotations(nil, ref)
	if !c.table.Firing(ref, now) {
		v.EndsAt = c.table.EndsAt(ref)
	}
	c.eachSeat(ref, func(s *seat) { v.Incidents = append(v.Incidents, s.group.incident) })
	return v
}

// IncidentView is an open incident.
type IncidentView struct {
	Incident uint64
	Receiver string
	GroupKey string
	Labels   alert.Labels
	OpenedAt alert.Time
	NextAt   alert.Time     // when it is looked at next
	Pages    uint32         // sent so far
	Severity alert.Severity // the highest paged
	Storm    *StormSummary  // nil unless it stands for a storm
	Alerts   []AlertView
}

// Incident finds an open incident.
func (c *Core) Incident(number uint64, now alert.Time) (IncidentView, bool) {
	i := slices.IndexFunc(c.groups, func(g *group) bool { return g != nil && g.incident == number })
	if i < 0 {
		return IncidentView{}, false
	}
	v := c.incidentView(c.groups[i])
	for _, m := range c.groups[i].members {
		v.Alerts = append(v.Alerts, c.view(m.ref, now))
	}
	return v, true
}

// Incidents lists the open incidents, without their alerts, the oldest first.
func (c *Core) Incidents() []IncidentView {
	var out []IncidentView
	for _, g := range c.groups {
		if g != nil {
			out = append(out, c.incidentView(g))
		}
	}
	slices.SortFunc(out, func(a, b IncidentView) int { return int(a.Incident) - int(b.Incident) })
	return out
}

// EachRevision visits the open incidents with the number of the last notification
// of each.
func (c *Core) EachRevision(each func(incident uint64, revision uint32)) {
	for _, g := range c.groups {
		if g != nil {
			each(g.incident, g.revision)
		}
	}
}

func (c *Core) incidentView(g *group) IncidentView {
	return IncidentView{
		Incident: g.incident, Receiver: g.route.Receiver, GroupKey: g.providerKey(),
		Labels: g.labels, OpenedAt: g.openedAt, NextAt: g.next, Pages: g.pages, Severity: g.pagedSeverity,
		Storm: g.summary(),
	}
}

// EachPending calls f for each alert of a severity or more whose page is due,
// with the time at which it is.
func (c *Core) EachPending(severity alert.Severity, f func(alert.Fingerprint, alert.Time)) {
	for ref := 1; ref < c.live.Len(); ref++ {
		if l := c.alert(dedupe.Ref(ref)); l.disposition == Pending && !l.ended() && l.severity >= severity {
			f(c.table.Fingerprint(dedupe.Ref(ref)), l.due())
		}
	}
}

// EachAlert calls f for each alert with a fingerprint as it stands at a time:
// firing with how long it is believed from then on (0: for ever), or resolved.
// More than one has it only where label sets collide. F must not keep a: it is
// valid until f returns.
func (c *Core) EachAlert(fingerprint alert.Fingerprint, at alert.Time, f func(source string, validity time.Duration, a *alert.Alert)) {
	c.refs = c.table.Lookup(c.refs[:0], fingerprint)
	for _, ref := range c.refs {
		c.lsA = c.table.View(c.lsA[:0], ref)
		a := &c.seen
		*a = alert.Alert{Fingerprint: fingerprint, Labels: c.lsA, StartsAt: c.table.StartsAt(ref)}
		c.lsB, a.GeneratorURL = c.table.ViewAnnotations(c.lsB[:0], ref)
		a.Annotations = c.lsB
		var validity time.Duration
		if ends := c.table.EndsAt(ref); !c.table.Firing(ref, at) {
			a.Status, a.EndsAt = alert.Resolved, ends
		} else if ends.Sub(at) < maxValidity {
			validity = ends.Sub(at)
		}
		f(c.dims.list[c.alert(ref).dim].Source, validity, a)
		c.seen = alert.Alert{}
	}
}

// maxValidity is for ever: nobody says so long in numbers.
const maxValidity = 100 * 365 * 24 * time.Hour
