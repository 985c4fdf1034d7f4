package correlate

import (
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// link ties an alert to a rule that it is a source of, or to the first rule of a
// class that it is a target of, with the hash of the values that source and target
// must share.
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

// linksFrom are those of links to a rule and to what is behind it. With
// slices.BinarySearchFunc a replay costs 3 % more.
func linksFrom(links []link, rule uint32) []link {
	from, to := 0, len(links)
	for from < to {
		if mid := (from + to) / 2; links[mid].rule() < rule {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return links[from:]
}

// inhibitLinks finds the rules that an alert is a source or target of, in order.
// Labels never change, so this is done once for each alert and policy. They are
// valid until the next call.
func (c *Core) inhibitLinks(ls alert.Labels) []link {
	p := c.policy
	p.scratch = p.sources.candidates(p.scratch[:0], ls)
	n := len(p.scratch)
	p.scratch = p.targets.candidates(p.scratch, ls)
	sources, targets := p.scratch[:n], p.scratch[n:]
	p.scratch = p.scratch[:0]
	out := c.links[:0]
	var of *class
	var hash uint64 // of the values that the labels have for it
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
		r := &p.rules[i]
		s, t := asSource && r.Source.Matches(ls), asTarget && r.class.target.Matches(ls)
		if !s && !t {
			continue
		}
		if of != r.class {
			of, hash = r.class, r.class.equalHash(ls)
		}
		out = append(out, newLink(uint32(i), s, t, hash))
	}
	c.links = out
	return out
}

// addSource lists ref as a cause, once in each class.
func (c *Core) addSource(ref dedupe.Ref) { c.eachSourceClass(ref, c.addCause) }

func (c *Core) removeSource(ref dedupe.Ref) { c.eachSourceClass(ref, c.removeCause) }

// eachSourceClass calls f for each class that ref is a source in, with the hash of
// the values that targets must share.
func (c *Core) eachSourceClass(ref dedupe.Ref, f func(k *class, hash uint64, ref dedupe.Ref)) {
	var in *class
	for _, l := range c.linksOf(ref) {
		if !l.source() {
			continue
		}
		if k := c.policy.rules[l.rule()].class; k != in {
			f(k, l.hash(), ref)
			in = k
		}
	}
}

// inhibitedBy finds the first firing alert that mutes ref at t.
func (c *Core) inhibitedBy(ref dedupe.Ref, t alert.Time) (dedupe.Ref, bool) {
	rules, links, first := c.policy.rules, c.linksOf(ref), noCause
	for i, l := range links {
		if !l.target() {
			continue
		}
		r := &rules[l.rule()]
		if newCause(r.place, 0) > first {
			break // so are the causes in this class, and in those behind it
		}
		first = min(first, c.causeIn(r.class, ref, links[i:], t))
	}
	if first == noCause {
		return 0, false
	}
	return first.ref(), true
}

// causeIn is the first cause in k that mutes ref at t. Links are those of ref,
// from the one to k on.
func (c *Core) causeIn(k *class, ref dedupe.Ref, links []link, t alert.Time) cause {
	first := noCause
	both := links[0].source() || len(links) > 1 && k.has(links[1].rule())
	for _, s := range c.causesOf(k, links[0].hash()) {
		if !c.table.Firing(s, t) {
			continue
		}
		by := c.causeOf(k, s)
		if by > first {
			break // so are the rest
		}
		if both {
			by = c.causeBeside(k, s, links)
		}
		if by >= first {
			continue
		}
		c.lsA = c.table.View(c.lsA[:0], s)
		c.lsB = c.table.View(c.lsB[:0], ref)
		if !k.equals(c.lsA, c.lsB) {
			continue
		}
		if first = by; !both {
			break
		}
	}
	return first
}

// causeOf is s by the first rule of k that it is a source of.
func (c *Core) causeOf(k *class, s dedupe.Ref) cause {
	rule := k.from
	if !k.single() {
		links := linksFrom(c.linksOf(s), rule)
		if !links[0].source() {
			links = links[1:] // that one says that it is a target
		}
		rule = links[0].rule()
	}
	return newCause(c.policy.rules[rule].place, s)
}

// causeBeside is s by the first rule of k by which it may mute an alert that is a
// source as well, whose links are given from the one to k on. An alert that is both
// source and target of a rule is not muted by another such one, or two alerts would
// mute each other and nobody would hear of either; by the next rule it may be.
func (c *Core) causeBeside(k *class, s dedupe.Ref, links []link) cause {
	own := linksFrom(c.linksOf(s), k.from)
	target := own[0].target()
	for _, l := range own {
		if !k.has(l.rule()) {
			break
		}
		if !l.source() {
			continue
		}
		links = linksFrom(links, l.rule())
		if !target || len(links) == 0 || links[0].rule() != l.rule() || !links[0].source() {
			return newCause(c.policy.rules[l.rule()].place, s)
		}
	}
	return noCause
}
