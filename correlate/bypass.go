package correlate

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
)

// Bypass says that an alert was paged past the core, at a receiver, under the
// key that its group there would use. Whoever was called then hears of the
// alert's end. The group's own page still goes out: its provider folds it into
// the incident that stands, unless a resolve that was decided before, and
// delivered after, has closed that one.
func (c *Core) Bypass(out *Output, now alert.Time, f alert.Fingerprint, receiver string) {
	out.Rows = append(out.Rows, Row{At: now, Seq: c.seq, Action: PagedRaw, Fingerprint: f, Cause: receiver})
	for _, ref := range c.table.Lookup(nil, f) {
		heard := false
		c.eachSeat(ref, func(s *seat) {
			if g := s.group; g.route.Receiver == receiver {
				heard = true
				g.hearRaw(&g.members[s.member], c.alert(ref).severity)
			}
		})
		if heard {
			c.settle(out, now, ref, Paged, receiver)
		}
	}
}

// hearRaw notes that everybody behind the receiver was called for one member.
func (g *group) hearRaw(m *member, severity alert.Severity) {
	m.raw = true
	if m.disposition != Paged && m.disposition != Grouped {
		m.disposition = Paged
	}
	if !g.pagedLevel(severity) { // not the current one: the group has said nothing itself
		g.levels = append([]alert.Severity{level(severity)}, g.levels...)
	}
}

// pagedAt makes the key of a severity the current one.
func (g *group) pagedAt(severity alert.Severity) {
	g.pages++
	g.pagedSeverity = severity
	severity = level(severity)
	kept := g.levels[:0]
	for _, l := range g.levels {
		if l != severity {
			kept = append(kept, l)
		}
	}
	g.levels = append(kept, severity)
}

// pagedLevel reports whether the group has been paged under a severity's key.
func (g *group) pagedLevel(severity alert.Severity) bool {
	for _, l := range g.levels {
		if l == level(severity) {
			return true
		}
	}
	return false
}

// level is the severity that a page's key stands for.
func level(s alert.Severity) alert.Severity {
	if s.Rank() <= alert.Warning {
		return alert.Warning
	}
	return s
}

// keys are those that the group was paged under, the current one last.
func (g *group) keys() []string {
	base := g.providerKey()
	out := make([]string, 0, max(len(g.levels), 1))
	for _, l := range g.levels {
		out = append(out, alert.PageKey(base, l))
	}
	return out
}

// providerKey is what the keys of the group's pages begin with.
func (g *group) providerKey() string {
	if g.alias != "" {
		return g.alias
	}
	return string(g.appendProviderKey(nil))
}

func (g *group) appendProviderKey(b []byte) []byte {
	if g.alias != "" {
		return append(b, g.alias...)
	}
	b = append(append(b, g.route.Key...), ':')
	if g.storm != 0 { // no key of Alertmanager's has a word in this place
		b = append(b, "storm"...)
	}
	return g.labels.Append(b)
}

// providerHash tells apart what one receiver's provider knows.
func (g *group) providerHash() uint64 {
	var scratch [512]byte
	b := append(append(scratch[:0], g.route.Receiver...), 0xff)
	return xxhash.Sum64(g.appendProviderKey(b))
}

func notified(n *Notification, seq uint64) Row {
	return Row{
		At: n.At, Seq: seq, Action: Notified, Kind: n.Kind, Reason: n.Reason, Severity: n.Severity,
		Incident: n.Incident, Revision: n.Revision, Cause: n.Receiver,
	}
}

// Alias is a group that its provider knows by another key than the one that its
// route and labels make.
type Alias struct {
	Group string // its route's ID, a colon and its labels
	Key   string // what the keys of its pages begin with; empty once it is gone
}

func (g *group) aliased() Alias { return Alias{g.route.ID + ":" + g.labels.String(), g.alias} }

// EachAlias visits the groups that have one and that alerts can join.
func (c *Core) EachAlias(each func(group, key string)) {
	for _, g := range c.groups {
		if g != nil && !g.retired && g.alias != "" {
			a := g.aliased()
			each(a.Group, a.Key)
		}
	}
}

// Stands reports whether an open group of a receiver has been paged under a key,
// so that its end will be told under it, and whether an alert is one of those
// that its receiver believes to fire there.
func (c *Core) Stands(receiver, key string, f alert.Fingerprint) (stands, member bool) {
	for _, ref := range c.table.Lookup(nil, f) {
		c.eachSeat(ref, func(s *seat) {
			member = member || s.group.route.Receiver == receiver && s.group.members[s.member].believed() && s.group.pagedUnder(key)
		})
	}
	if member {
		return true, true
	}
	for _, g := range c.groups {
		if g != nil && g.route.Receiver == receiver && g.pagedUnder(key) {
			return true, false
		}
	}
	return false, false
}

func (g *group) pagedUnder(key string) bool {
	return slices.Contains(g.keys(), key)
}
