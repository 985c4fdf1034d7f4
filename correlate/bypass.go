package correlate

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// MaxStrangers bounds the raw pages that are remembered for alerts that the
// core does not know. The page of one beyond it stays open until somebody
// closes it by hand.
const MaxStrangers = 4096

// raw is a page that was sent past the core: the key under which the provider
// knows it, and the alert that it names.
type raw struct {
	key string
	m   Member
}

// stranger is a raw page of an alert that the core has not met.
type stranger struct {
	fingerprint alert.Fingerprint
	receiver    string
	key         string
}

// Bypass says that an alert was paged past the core, under a key of its own, at
// a receiver. The incident that it belongs to goes on under that key, so nobody
// is paged a second time for it.
func (c *Core) Bypass(out *Output, now alert.Time, f alert.Fingerprint, receiver, key string) {
	c.strangers = slices.DeleteFunc(c.strangers, func(s stranger) bool { return s.key == key && s.receiver == receiver })
	refs := c.table.Lookup(nil, f)
	for _, ref := range refs {
		if c.adopt(out, now, ref, receiver, key) {
			return
		}
	}
	if len(c.strangers) < MaxStrangers {
		c.strangers = append(c.strangers, stranger{f, strings.Clone(receiver), strings.Clone(key)})
	}
	for _, ref := range refs {
		if c.live[ref].first.group == nil { // its end has been told already
			over := c.member(ref, &member{}, false, now)
			c.part(out, now, &over)
		}
	}
}

// adopt gives the raw page to the alert's group at the receiver.
func (c *Core) adopt(out *Output, now alert.Time, ref dedupe.Ref, receiver, key string) bool {
	if !c.table.Known(ref) {
		return false
	}
	found := false
	c.eachSeat(ref, func(s *seat) {
		g := s.group
		if found || g.route.Receiver != receiver {
			return
		}
		found = true
		m := &g.members[s.member]
		same := func(r raw) bool { return r.key == key }
		if g.alias == key || slices.ContainsFunc(g.closing, same) {
			return // said twice
		}
		if g.revision == 0 && !g.adopted {
			c.letGo(g)
			g.alias, g.adopted = strings.Clone(key), true
			c.inUse[g.providerHash()]++
			g.pages, g.pagedSeverity, g.pagedNow = 1, c.live[ref].severity, now
			for k := range classes { // the page went to all that stands behind the receiver
				m.told[k] = toldFiring
				g.told[k] = told{at: now, firing: 1}
			}
		} else {
			g.closing = append(g.closing, raw{strings.Clone(key), c.member(ref, m, true, now)})
		}
		if m.disposition != Paged && m.disposition != Grouped {
			m.disposition = Paged
		}
	})
	if found {
		c.settle(out, now, ref, receiver)
	}
	return found
}

// meet adopts the raw page of an alert that the core has met only now.
func (c *Core) meet(out *Output, now alert.Time, ref dedupe.Ref) {
	if len(c.strangers) == 0 {
		return
	}
	f := c.table.Fingerprint(ref)
	c.strangers = slices.DeleteFunc(c.strangers, func(s stranger) bool {
		return s.fingerprint == f && c.adopt(out, now, ref, s.receiver, s.key)
	})
}

// part closes the raw pages of an alert that has ended, where no incident of the
// core's did: it never met the alert, or not at that receiver.
func (c *Core) part(out *Output, now alert.Time, m *Member) {
	if len(c.strangers) == 0 {
		return
	}
	c.strangers = slices.DeleteFunc(c.strangers, func(s stranger) bool {
		if s.fingerprint != m.Fingerprint {
			return false
		}
		c.incidents++
		n := Notification{
			Incident: c.incidents, Revision: 1, Kind: Resolve, Reason: AllResolved, Class: WantsResolved, Receiver: s.receiver,
			GroupKey: s.key, Page: 1, At: now, Opened: now, Severity: m.Labels.Severity(), Resolved: 1, Alerts: []Member{*m},
		}
		out.Notifications = append(out.Notifications, n)
		out.Rows = append(out.Rows, notified(&n, c.seq))
		return true
	})
}

// stray is an alert of which the core knows only that it ended.
func stray(a *alert.Alert, now alert.Time) *Member {
	end := a.EndsAt
	if end == 0 || end > now {
		end = now
	}
	return &Member{Fingerprint: a.Fingerprint, Labels: a.Labels.Clone(), Annotations: a.Annotations.Clone(), StartsAt: a.StartsAt, EndsAt: end}
}

// closeRaw closes raw pages: their alerts are told of in the incident, or all
// of it is over.
func (c *Core) closeRaw(out *Output, g *group, t alert.Time) {
	for _, r := range g.closing {
		g.revision++
		n := Notification{
			Incident: g.incident, Revision: g.revision, Kind: Resolve, Reason: Merged, Class: WantsResolved, Receiver: g.route.Receiver,
			RouteID: g.route.ID, GroupKey: r.key, Page: 1, GroupLabels: g.labels, RouteLabels: g.route.Labels,
			At: t, Opened: g.openedAt, Severity: g.pagedSeverity, Resolved: 1, Alerts: []Member{r.m},
		}
		n.Alerts[0].EndsAt = t
		out.Notifications = append(out.Notifications, n)
		out.Rows = append(out.Rows, notified(&n, c.seq))
	}
	g.closing = nil
}

// providerKey is what the provider knows the incident by.
func (g *group) providerKey() string {
	if g.alias != "" {
		return g.alias
	}
	return g.route.Key + ":" + g.labels.String()
}

// providerHash tells apart what one receiver's provider knows.
func (g *group) providerHash() uint64 {
	return xxhash.Sum64String(g.route.Receiver + "\xff" + g.providerKey())
}

func notified(n *Notification, seq uint64) Row {
	return Row{
		At: n.At, Seq: seq, Action: Notified, Kind: n.Kind, Reason: n.Reason, Severity: n.Severity,
		Incident: n.Incident, Revision: n.Revision, Cause: n.Receiver,
	}
}
