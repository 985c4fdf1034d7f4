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
	sources map[uint64][]dedupe.Ref
}

func newRule(r *InhibitRule) *rule { return &rule{InhibitRule: r, sources: map[uint64][]dedupe.Ref{}} }

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

// addSource lists ref as a cause. Lists are in order of Ref, so that which of
// several causes is named does not depend on how the list came about.
func (c *Core) addSource(ref dedupe.Ref) {
	for _, l := range c.alert(ref).rules() {
		if l.source {
			r := c.policy.rules[l.rule]
			causes := r.sources[l.hash]
			if causes == nil {
				r.sources[l.hash] = c.alone(ref)
				continue
			}
			i, _ := slices.BinarySearch(causes, ref)
			r.sources[l.hash] = slices.Insert(causes, i, ref)
		}
	}
}

// alone is a list of one, as most are. They stand side by side: an allocation for
// each would be a third of what a new alert takes.
func (c *Core) alone(ref dedupe.Ref) []dedupe.Ref {
	if len(c.lone) == cap(c.lone) {
		c.lone = make([]dedupe.Ref, 0, 512)
	}
	c.lone = append(c.lone, ref)
	n := len(c.lone)
	return c.lone[n-1 : n : n]
}

func (c *Core) removeSource(ref dedupe.Ref) {
	for _, l := range c.alert(ref).rules() {
		if !l.source {
			continue
		}
		r := c.policy.rules[l.rule]
		s := r.sources[l.hash]
		switch i, found := slices.BinarySearch(s, ref); {
		case !found:
		case len(s) == 1:
			delete(r.sources, l.hash)
		case i == 0: // the oldest goes first, as a rule
			r.sources[l.hash] = s[1:]
		default:
			r.sources[l.hash] = slices.Delete(s, i, i+1)
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
		for _, s := range r.sources[l.hash] {
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
