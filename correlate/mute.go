package correlate

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// rule is an inhibition with the firing alerts that may cause it, by the
// hash of the values that source and target must share.
type rule struct {
	*InhibitRule
	lone map[uint64]dedupe.Ref   // the only cause, as most are
	many map[uint64][]dedupe.Ref // in order of Ref

	one [1]dedupe.Ref // reused
}

func newRule(r *InhibitRule) *rule {
	return &rule{InhibitRule: r, lone: map[uint64]dedupe.Ref{}, many: map[uint64][]dedupe.Ref{}}
}

// causes lists those with a hash, until the next call.
func (r *rule) causes(hash uint64) []dedupe.Ref {
	if ref, ok := r.lone[hash]; ok {
		r.one[0] = ref
		return r.one[:]
	}
	return r.many[hash]
}

// addCause keeps lists in order of Ref, so that which of several causes is named
// does not depend on how the list came about.
func (r *rule) addCause(hash uint64, ref dedupe.Ref) {
	if other, ok := r.lone[hash]; ok {
		delete(r.lone, hash)
		r.many[hash] = []dedupe.Ref{min(other, ref), max(other, ref)}
		return
	}
	s := r.many[hash]
	if s == nil {
		r.lone[hash] = ref
		return
	}
	i, _ := slices.BinarySearch(s, ref)
	r.many[hash] = slices.Insert(s, i, ref)
}

func (r *rule) removeCause(hash uint64, ref dedupe.Ref) {
	if r.lone[hash] == ref {
		delete(r.lone, hash)
		return
	}
	s := r.many[hash]
	switch i, found := slices.BinarySearch(s, ref); {
	case !found:
	case len(s) == 1:
		delete(r.many, hash)
	case i == 0: // the oldest goes first, as a rule
		r.many[hash] = s[1:]
	default:
		r.many[hash] = slices.Delete(s, i, i+1)
	}
}

func (r *rule) equalHash(ls alert.Labels) uint64 {
	var scratch [512]byte
	b := scratch[:0]
	for _, name := range r.Equal {
		b = append(b, ls.Get(name)...)
		b = append(b, 0xff)
	}
	return xxhash.Sum64(b)
}

func (r *rule) equal(a, b alert.Labels) bool {
	for _, name := range r.Equal {
		if a.Get(name) != b.Get(name) {
			return false
		}
	}
	return true
}

// link ties an alert to a rule it takes part in.
type link struct {
	rule   uint32
	source bool
	target bool
	hash   uint64
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
			out = append(out, link{rule: uint32(i), source: s, target: t, hash: r.equalHash(ls)})
		}
	}
	c.links = out
	return out
}

// addSource lists ref as a cause.
func (c *Core) addSource(ref dedupe.Ref) {
	for _, l := range c.alert(ref).rules() {
		if l.source {
			c.policy.rules[l.rule].addCause(l.hash, ref)
		}
	}
}

func (c *Core) removeSource(ref dedupe.Ref) {
	for _, l := range c.alert(ref).rules() {
		if l.source {
			c.policy.rules[l.rule].removeCause(l.hash, ref)
		}
	}
}

// inhibitedBy finds a firing alert that mutes ref at t. An alert that is both
// source and target of a rule is not muted by another such one, or two alerts
// would mute each other and nobody would hear of either.
func (c *Core) inhibitedBy(ref dedupe.Ref, t alert.Time) (dedupe.Ref, bool) {
	for _, l := range c.alert(ref).rules() {
		if !l.target {
			continue
		}
		r := c.policy.rules[l.rule]
		for _, s := range r.causes(l.hash) {
			if !c.table.Firing(s, t) || l.source && c.isTarget(s, l.rule) {
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
	return slices.ContainsFunc(c.alert(ref).rules(), func(l link) bool { return l.rule == rule && l.target })
}
