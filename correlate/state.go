package correlate

import (
	"encoding/json"
	"fmt"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/wire"
)

// Version 2 has storms; a state of version 1 is that of a core without any.
const stateVersion = 2

// AppendState writes all that later decisions depend on: the same core always
// as the same bytes. The policy is not among it; LoadCore is given the one that
// was in force.
func (c *Core) AppendState(w *wire.Writer) {
	w.Byte(stateVersion)
	w.Uint(c.seq)
	w.Uint(c.order)
	w.Uint(c.incidents)
	c.appendRushes(w)
	c.dims.append(w)
	c.appendSources(w)
	c.appendSilences(w)
	c.table.AppendState(w)
	w.Uint(uint64(c.live.Len()))
	for ref := 1; ref < c.live.Len(); ref++ {
		c.alert(dedupe.Ref(ref)).append(w)
	}
	w.Uint(uint64(len(c.groups)))
	for _, g := range c.groups {
		w.Bool(g != nil)
		if g != nil {
			g.append(w)
		}
	}
	w.Uint(uint64(len(c.freeSlots)))
	for _, slot := range c.freeSlots {
		w.Uint(uint64(slot))
	}
	w.Uint(uint64(len(c.forget)))
	for _, f := range c.forget {
		w.Int(int64(f.at))
		w.Uint(uint64(f.ref))
		w.Uint(uint64(f.episode))
	}
	// In which of its groups an alert sits first is not in the groups.
	for ref := 1; ref < c.live.Len(); ref++ {
		c.eachSeat(dedupe.Ref(ref), func(s *seat) { w.Uint(uint64(s.group.slot) + 1) })
		w.Uint(0)
	}
}

func (d *dims) append(w *wire.Writer) {
	w.Uint(uint64(len(d.list)))
	for _, k := range d.list {
		w.String(k.Source)
		w.String(k.Rule)
		w.String(k.Service)
		w.Byte(byte(k.Severity))
	}
}

func (c *Core) appendSilences(w *wire.Writer) {
	w.Uint(uint64(len(c.silences.list)))
	for i := range c.silences.list {
		b, err := json.Marshal(&c.silences.list[i])
		if err != nil {
			panic("correlate: a silence that cannot be written: " + err.Error()) // it has only strings and times
		}
		w.Bytes(b)
	}
}

func (l *liveAlert) append(w *wire.Writer) {
	w.Byte(byte(l.disposition))
	if l.disposition == NoDisposition {
		return // not in use
	}
	w.Byte(byte(l.settled))
	w.Byte(byte(l.flags))
	w.Byte(byte(l.severity))
	w.Int(int64(l.onsetAt))
	w.Uint(uint64(l.episode))
	w.Uint(uint64(l.dim))
}

func (g *group) append(w *wire.Writer) {
	w.Bool(g.retired)
	if g.retired {
		r := *g.route.Route
		r.Routes = nil
		b, err := json.Marshal(&r)
		if err != nil {
			panic("correlate: a route that cannot be written: " + err.Error()) // it came from JSON
		}
		w.Bytes(b)
		w.Byte(byte(g.route.classes))
	} else {
		w.Uint(uint64(g.route.index))
	}
	appendLabels(w, g.labels)
	w.Int(int64(g.next))
	w.Uint(g.order)
	w.Uint(g.incident)
	w.Uint(uint64(g.revision))
	w.Uint(uint64(g.pages))
	w.Int(int64(g.openedAt))
	w.Byte(byte(g.pagedSeverity))
	w.Int(0) // when it had paged, once
	for _, t := range g.told {
		w.Int(int64(t.at))
		w.Uint(uint64(t.firing))
	}
	w.String(g.alias)
	w.Uint(g.storm)
	w.Uint(g.joined)
	w.Uint(uint64(len(g.levels)))
	for _, l := range g.levels {
		w.Byte(byte(l))
	}
	w.Uint(uint64(len(g.members)))
	for _, m := range g.members {
		w.Uint(uint64(m.ref))
		w.Byte(byte(m.disposition))
		w.Byte(byte(m.told[0])<<4 | byte(m.told[1]))
		w.Bool(m.raw)
	}
}

func appendLabels(w *wire.Writer, ls alert.Labels) {
	w.Uint(uint64(len(ls)))
	for _, l := range ls {
		w.String(l.Name)
		w.String(l.Value)
	}
}

// LoadCore reads what AppendState wrote. p must be the policy that was in force
// then.
func LoadCore(p *Policy, r *wire.Reader) (*Core, error) {
	compiled, err := compile(p)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	v := r.Byte()
	if v < 1 || v > stateVersion {
		r.Fail("core of version %d, want at most %d", v, stateVersion)
		return nil, r.Err()
	}
	c := newCore(compiled, nil)
	c.seq, c.order, c.incidents = r.Uint(), r.Uint(), r.Uint()
	if v > 1 {
		c.loadRushes(r)
	}
	c.dims.load(r)
	c.loadSources(r)
	c.loadSilences(r)
	c.table = dedupe.LoadState(r)
	if c.loadLive(r) && c.loadGroups(r, v) && c.loadForget(r) {
		c.loadSeats(r)
	}
	return c, r.Err()
}

func (d *dims) load(r *wire.Reader) {
	n := r.Count(4)
	if n < 1 || n > MaxDims {
		r.Fail("%d dimensions", n)
		return
	}
	d.list = d.list[:0]
	for i := range n {
		k := Dim{Source: r.String(), Rule: r.String(), Service: r.String(), Severity: alert.Severity(r.Byte())}
		d.list = append(d.list, k)
		if i > 0 { // 0 stands for what has no number
			d.index[k] = uint32(i)
		}
	}
}

func (c *Core) loadSilences(r *wire.Reader) {
	for range r.Count(1) {
		var s Silence
		if err := json.Unmarshal(r.Bytes(), &s); err != nil {
			r.Fail("silence: %v", err)
			return
		}
		c.silences.list, c.silences.set = append(c.silences.list, s), append(c.silences.set, 1)
	}
	c.silences.version = 1
	c.silences.number()
	c.silences.build(0)
}

func (c *Core) loadLive(r *wire.Reader) bool {
	n := r.Uint32()
	if r.Err() != nil || n < 1 || int(n) > c.table.Cap() {
		r.Fail("%d alerts, the table has %d", n, c.table.Cap())
		return false
	}
	c.live.Grow(int(n))
	for ref := 1; ref < c.live.Len() && r.Err() == nil; ref++ {
		l := c.alert(dedupe.Ref(ref))
		l.load(r)
		known := c.table.Known(dedupe.Ref(ref))
		if known != (l.disposition != NoDisposition) || int(l.dim) >= len(c.dims.list) {
			r.Fail("alert %d: known %v, disposition %s, dimension %d", ref, known, l.disposition, l.dim)
		}
		if !known || r.Err() != nil {
			continue
		}
		c.table.SetTag(dedupe.Ref(ref), l.dim) // a table of version 1 has none
		if len(c.policy.rules) > 0 {
			c.lsA = c.table.View(c.lsA[:0], dedupe.Ref(ref))
			c.setLinks(dedupe.Ref(ref), c.inhibitLinks(c.lsA))
			c.addSource(dedupe.Ref(ref))
		}
	}
	return r.Err() == nil
}

func (l *liveAlert) load(r *wire.Reader) {
	l.disposition = loadDisposition(r)
	if l.disposition == NoDisposition {
		return
	}
	l.settled = loadDisposition(r)
	if l.flags = liveFlags(r.Byte()); l.flags > ended|inVain {
		r.Fail("flags %d", l.flags)
	}
	if l.severity = alert.Severity(r.Byte()); l.severity > alert.Critical {
		r.Fail("severity %d", l.severity)
	}
	l.onsetAt = alert.Time(r.Int())
	l.episode = r.Uint32()
	l.dim = r.Uint32()
}

func loadDisposition(r *wire.Reader) Disposition {
	d := Disposition(r.Byte())
	if d >= NumDispositions {
		r.Fail("disposition %d", d)
		return NoDisposition
	}
	return d
}

func (c *Core) loadGroups(r *wire.Reader, version byte) bool {
	for slot := range r.Count(1) {
		var g *group
		if r.Bool() {
			g = c.loadGroup(r, version)
			if g == nil || r.Err() != nil {
				return false
			}
			g.slot = slot
			if !g.retired {
				if c.index[g.key] != nil {
					r.Fail("group %q twice", g.key)
					return false
				}
				c.index[g.key] = g
			}
			c.inUse[g.providerHash()]++
			c.timers.push(timer{at: g.next, order: g.order, group: g, gen: g.gen})
		}
		c.groups = append(c.groups, g)
	}
	for range r.Count(1) {
		slot := r.Uint32()
		if int(slot) >= len(c.groups) || c.groups[slot] != nil {
			r.Fail("free slot %d", slot)
			return false
		}
		c.freeSlots = append(c.freeSlots, int(slot))
	}
	return r.Err() == nil
}

func (c *Core) loadGroup(r *wire.Reader, version byte) *group {
	g := &group{retired: r.Bool()}
	if g.retired {
		own := &route{Route: &Route{}}
		if err := json.Unmarshal(r.Bytes(), own.Route); err != nil {
			r.Fail("route: %v", err)
			return nil
		}
		own.classes = Class(r.Byte())
		g.route = own
	} else {
		i := r.Uint32()
		if int(i) >= len(c.policy.routes) {
			r.Fail("route %d of %d", i, len(c.policy.routes))
			return nil
		}
		g.route = c.policy.routes[i]
	}
	g.labels = loadLabels(r)
	g.next, g.order = alert.Time(r.Int()), r.Uint()
	g.incident, g.revision, g.pages = r.Uint(), r.Uint32(), r.Uint32()
	g.openedAt, g.pagedSeverity = alert.Time(r.Int()), alert.Severity(r.Byte())
	r.Int()
	if g.pagedSeverity > alert.Critical {
		r.Fail("severity %d", g.pagedSeverity)
	}
	for k := range g.told {
		g.told[k] = told{at: alert.Time(r.Int()), firing: int(r.Uint32())}
	}
	g.alias = r.String()
	if version > 1 {
		g.storm, g.joined = r.Uint(), r.Uint()
	}
	if g.storm != 0 {
		g.key = string(appendStormKey(nil, g.route, g.storm, g.labels))
	} else {
		g.key = string(appendGroupKey(nil, g.route, g.labels))
	}
	for range r.Count(1) {
		l := alert.Severity(r.Byte())
		if l > alert.Critical {
			r.Fail("severity %d", l)
		}
		g.levels = append(g.levels, l)
	}
	n := r.Count(4)
	g.members = make([]member, 0, n)
	for range n {
		m := member{ref: dedupe.Ref(r.Uint32()), disposition: loadDisposition(r)}
		b := r.Byte()
		m.told = [2]telling{telling(b >> 4), telling(b & 15)}
		m.raw = r.Bool()
		if m.ref == 0 || int(m.ref) >= c.live.Len() || c.alert(m.ref).disposition == NoDisposition {
			r.Fail("member %d of a group", m.ref)
			return nil
		}
		g.members = append(g.members, m)
	}
	return g
}

func loadLabels(r *wire.Reader) alert.Labels {
	var ls alert.Labels
	for range r.Count(2) {
		ls = append(ls, alert.Label{Name: r.String(), Value: r.String()})
	}
	return ls
}

func (c *Core) loadForget(r *wire.Reader) bool {
	for range r.Count(3) {
		f := forgotten{at: alert.Time(r.Int()), ref: dedupe.Ref(r.Uint32()), episode: r.Uint32()}
		if f.ref == 0 || int(f.ref) >= c.live.Len() {
			r.Fail("forgotten alert %d", f.ref)
			return false
		}
		c.forget = append(c.forget, f)
	}
	return r.Err() == nil
}

// loadSeats seats the alerts in their groups, in the order in which they took
// their seats.
func (c *Core) loadSeats(r *wire.Reader) {
	places := map[*group]map[dedupe.Ref]int32{}
	total := 0
	for _, g := range c.groups {
		if g == nil {
			continue
		}
		at := make(map[dedupe.Ref]int32, len(g.members))
		for i := range g.members {
			at[g.members[i].ref] = int32(i)
		}
		if len(at) != len(g.members) {
			r.Fail("%s has a member twice", IncidentName(g.incident))
			return
		}
		places[g] = at
		total += len(at)
	}
	for ref := 1; ref < c.live.Len(); ref++ {
		for {
			slot := r.Uint()
			if slot == 0 || r.Err() != nil {
				break
			}
			if slot > uint64(len(c.groups)) || c.groups[slot-1] == nil {
				r.Fail("alert %d sits in group %d", ref, slot-1)
				return
			}
			g := c.groups[slot-1]
			i, ok := places[g][dedupe.Ref(ref)]
			if !ok || c.seated(dedupe.Ref(ref), g) {
				r.Fail("alert %d is no member of its group, or twice", ref)
				return
			}
			if l := c.alert(dedupe.Ref(ref)); l.first.group == nil {
				l.first = seat{g, i}
			} else {
				l.aside().more = append(l.others(), seat{g, i})
			}
			total--
		}
	}
	if total != 0 {
		r.Fail("%d seats are empty", total)
	}
}
