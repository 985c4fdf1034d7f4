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
// never change, so this is done once for each alert and policy.
func (c *Core) inhibitLinks(ls alert.Labels) []link {
	var out []link
	for i, r := range c.policy.rules {
		s, t := r.Source.Matches(ls), r.Target.Matches(ls)
		if s || t {
			out = append(out, link{rule: uint32(i), source: s, target: t, hash: r.equalHash(ls)})
		}
	}
	return out
}

// addSource lists ref as a cause. Lists are in order of Ref, so that which of
// several causes is named does not depend on how the list came about.
func (c *Core) addSource(ref dedupe.Ref) {
	for _, l := range c.live[ref].links {
		if l.source {
			r := c.policy.rules[l.rule]
			i, _ := slices.BinarySearch(r.sources[l.hash], ref)
			r.sources[l.hash] = slices.Insert(r.sources[l.hash], i, ref)
		}
	}
}

func (c *Core) removeSource(ref dedupe.Ref) {
	for _, l := range c.live[ref].links {
		if !l.source {
			continue
		}
		r := c.policy.rules[l.rule]
		if s := slices.DeleteFunc(r.sources[l.hash], func(o dedupe.Ref) bool { return o == ref }); len(s) > 0 {
			r.sources[l.hash] = s
		} else {
			delete(r.sources, l.hash)
		}
	}
}

// inhibitedBy finds a firing alert that mutes ref at t. An alert that is both
// source and target of a rule is not muted by another such one, or two alerts
// would mute each other and nobody would hear of either.
func (c *Core) inhibitedBy(ref dedupe.Ref, t alert.Time) (dedupe.Ref, bool) {
	for _, l := range c.live[ref].links {
		if !l.target {
			continue
		}
		r := c.policy.rules[l.rule]
		for _, s := range r.sources[l.hash] {
			if !c.table.Firing(s, t) || l.source && c.isTarget(s, l.rule) {
				continue
			}
			c.lsA = c.table.Labels(c.lsA[:0], s)
			c.lsB = c.table.Labels(c.lsB[:0], ref)
			if r.equal(c.lsA, c.lsB) {
				return s, true
			}
		}
	}
	return 0, false
}

func (c *Core) isTarget(ref dedupe.Ref, rule uint32) bool {
	return slices.ContainsFunc(c.live[ref].links, func(l link) bool { return l.rule == rule && l.target })
}

// SetSilence adds a silence or replaces the one with its id.
func (c *Core) SetSilence(s Silence) {
	c.silenceVersion++
	for i := range c.silences {
		if c.silences[i].ID == s.ID {
			c.silences[i] = s
			return
		}
	}
	c.silences = append(c.silences, s)
}

// ExpireSilence ends a silence now. It reports whether there was one to end.
func (c *Core) ExpireSilence(now alert.Time, id string) bool {
	for i := range c.silences {
		if s := &c.silences[i]; s.ID == id && s.EndsAt > now {
			s.EndsAt = now
			return true
		}
	}
	return false
}

// silencedBy finds a silence in force at t that matches ref.
func (c *Core) silencedBy(ref dedupe.Ref, t alert.Time) (id string, ok bool) {
	if len(c.silences) == 0 {
		return "", false
	}
	a := &c.live[ref]
	if a.silenceVersion != c.silenceVersion {
		a.silenceVersion = c.silenceVersion
		a.silences = nil
		c.lsA = c.table.Labels(c.lsA[:0], ref)
		for i := range c.silences {
			if slices.ContainsFunc(c.silences[i].Matchers, func(ms alert.Matchers) bool { return ms.Matches(c.lsA) }) {
				a.silences = append(a.silences, uint32(i))
			}
		}
	}
	for _, i := range a.silences {
		if s := &c.silences[i]; s.StartsAt <= t && t < s.EndsAt {
			return s.ID, true
		}
	}
	return "", false
}

// Silences lists all silences known, ended ones included, in order of arrival.
func (c *Core) Silences() []Silence { return c.silences }
