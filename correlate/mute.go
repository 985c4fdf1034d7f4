package correlate

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// rule is an inhibition with the firing alerts that may cause it.
type rule struct {
	*InhibitRule
	causes causes

	// Reused between calls.
	places []int32 // where the labels of Equal stood last
	key    []byte
}

func newRule(r *InhibitRule) *rule {
	return &rule{InhibitRule: r, causes: causes{many: map[uint64][]dedupe.Ref{}}, places: make([]int32, len(r.Equal))}
}

func (r *rule) equalHash(ls alert.Labels) uint64 {
	r.key = r.key[:0]
	for i, name := range r.Equal {
		r.key = append(r.key, ls.GetNear(name, &r.places[i])...)
		r.key = append(r.key, 0xff)
	}
	return xxhash.Sum64(r.key)
}

func (r *rule) equal(a, b alert.Labels) bool {
	for _, name := range r.Equal {
		if a.Get(name) != b.Get(name) {
			return false
		}
	}
	return true
}

// link ties an alert to a rule it takes part in, with the hash of the values
// that source and target must share.
type link struct {
	upper, lower uint32 // of the hash
	way          uint32 // the rule's number and the sides; 0 for no link
}

const (
	sourceSide = 1 << iota
	targetSide
	sideBits = iota
)

func newLink(rule uint32, source, target bool, hash uint64) link {
	way := rule << sideBits
	if source {
		way |= sourceSide
	}
	if target {
		way |= targetSide
	}
	return link{uint32(hash >> 32), uint32(hash), way}
}

func (l link) rule() uint32 { return l.way >> sideBits }
func (l link) source() bool { return l.way&sourceSide != 0 }
func (l link) target() bool { return l.way&targetSide != 0 }
func (l link) hash() uint64 { return uint64(l.upper)<<32 | uint64(l.lower) }

// fewLinks are those of one alert, as far as there is room.
type fewLinks [3]link

// linksOf are the rules that an alert takes part in.
func (c *Core) linksOf(ref dedupe.Ref) []link {
	if l := c.alert(ref); l.beside != nil && l.beside.links != nil {
		return l.beside.links
	}
	if int(ref) >= c.few.Len() {
		return nil
	}
	few, n := c.few.At(uint32(ref)), 0
	for n < len(few) && few[n].way != 0 {
		n++
	}
	return few[:n]
}

// setLinks keeps a copy of links. Where no rule concerns anybody no room is
// taken for them.
func (c *Core) setLinks(ref dedupe.Ref, links []link) {
	l := c.alert(ref)
	if l.beside != nil {
		l.beside.links = nil
	}
	var few fewLinks
	if len(links) > len(few) {
		l.aside().links = slices.Clone(links)
		links = nil
	}
	copy(few[:], links)
	if len(links) > 0 {
		c.few.Grow(int(ref) + 1)
	}
	if int(ref) < c.few.Len() {
		*c.few.At(uint32(ref)) = few
	}
}

// inhibitLinks finds the rules that an alert is a source or target of. Labels
// never change, so this is done once for each alert and policy. They are valid
// until the next call.
func (c *Core) inhibitLinks(ls alert.Labels) []link {
	p := c.policy
	p.scratch = p.sources.candidates(p.scratch[:0], ls)
	n := len(p.scratch)
	p.scratch = p.targets.candidates(p.scratch, ls)
	sources, targets := p.scratch[:n], p.scratch[n:]
	p.scratch = p.scratch[:0]
	out := c.links[:0]
	for len(sources) > 0 || len(targets) > 0 {
		var i int32
		asSource := len(targets) == 0 || len(sources) > 0 && sources[0] <= targets[0]
		asTarget := len(sources) == 0 || len(targets) > 0 && targets[0] <= sources[0]
		if asSource {
			i, sources = sources[0], sources[1:]
		}
		if asTarget {
			i, targets = targets[0], targets[1:]
		}
		r := p.rules[i]
		s, t := asSource && r.Source.Matches(ls), asTarget && r.Target.Matches(ls)
		if s || t {
			out = append(out, newLink(uint32(i), s, t, r.equalHash(ls)))
		}
	}
	c.links = out
	return out
}

// addSource lists ref as a cause.
func (c *Core) addSource(ref dedupe.Ref) {
	for _, l := range c.linksOf(ref) {
		if l.source() {
			c.addCause(l.rule(), l.hash(), ref)
		}
	}
}

func (c *Core) removeSource(ref dedupe.Ref) {
	for _, l := range c.linksOf(ref) {
		if l.source() {
			c.removeCause(l.rule(), l.hash(), ref)
		}
	}
}

// inhibitedBy finds a firing alert that mutes ref at t. An alert that is both
// source and target of a rule is not muted by another such one, or two alerts
// would mute each other and nobody would hear of either.
func (c *Core) inhibitedBy(ref dedupe.Ref, t alert.Time) (dedupe.Ref, bool) {
	for _, l := range c.linksOf(ref) {
		if !l.target() {
			continue
		}
		r := c.policy.rules[l.rule()]
		for _, s := range c.causesOf(l.rule(), l.hash()) {
			if !c.table.Firing(s, t) || l.source() && c.isTarget(s, l.rule()) {
				continue
			}
			c.lsA = c.table.View(c.lsA[:0], s)
			c.lsB = c.table.View(c.lsB[:0], ref)
			if r.equal(c.lsA, c.lsB) {
				return s, true
			}
		}
	}
	return 0, false
}

func (c *Core) isTarget(ref dedupe.Ref, rule uint32) bool {
	return slices.ContainsFunc(c.linksOf(ref), func(l link) bool { return l.rule() == rule && l.target() })
}
