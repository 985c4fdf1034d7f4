package correlate

import (
	"slices"

	"github.com/winnowhq/winnow/dedupe"
)

// causes are the firing alerts that may cause an inhibition, by the hash of the
// values that source and target must share.
type causes struct {
	lone dedupe.Slots            // Refs, each the only one of its hash, as most are; the rest of the hash is with the alert
	n    int                     // of lone in use
	many map[uint64][]dedupe.Ref // in order of Ref
}

func causeTag(hash uint64) uint32 { return uint32(hash >> 32) }

// causesOf lists the causes of a rule with a hash, until the next call.
func (c *Core) causesOf(rule uint32, hash uint64) []dedupe.Ref {
	k := &c.policy.rules[rule].causes
	if i, ok := c.findLone(k, rule, hash); ok {
		c.oneCause[0] = dedupe.Ref(k.lone[i].Number)
		return c.oneCause[:]
	}
	return k.many[hash]
}

// addCause keeps lists in order of Ref, so that which of several causes is named
// does not depend on how the list came about.
func (c *Core) addCause(rule uint32, hash uint64, ref dedupe.Ref) {
	k := &c.policy.rules[rule].causes
	if 4*(k.n+1) > 3*len(k.lone) {
		k.lone = k.lone.Grown(16)
	}
	at, found := c.findLone(k, rule, hash)
	if found {
		other := dedupe.Ref(k.lone[at].Number)
		k.remove(at)
		k.many[hash] = []dedupe.Ref{min(other, ref), max(other, ref)}
		return
	}
	s := k.many[hash]
	if s == nil {
		k.lone[at] = dedupe.Slot{Tag: causeTag(hash), Number: uint32(ref)}
		k.n++
		return
	}
	i, _ := slices.BinarySearch(s, ref)
	k.many[hash] = slices.Insert(s, i, ref)
}

func (c *Core) removeCause(rule uint32, hash uint64, ref dedupe.Ref) {
	k := &c.policy.rules[rule].causes
	if at, ok := c.findLone(k, rule, hash); ok && k.lone[at].Number == uint32(ref) {
		k.remove(at)
		return
	}
	s := k.many[hash]
	switch i, found := slices.BinarySearch(s, ref); {
	case !found:
	case len(s) == 1:
		delete(k.many, hash)
	case i == 0: // the oldest goes first, as a rule
		k.many[hash] = s[1:]
	default:
		k.many[hash] = slices.Delete(s, i, i+1)
	}
}

// findLone is where the only cause with a hash stands, or would.
func (c *Core) findLone(k *causes, rule uint32, hash uint64) (at uint32, ok bool) {
	if len(k.lone) == 0 {
		return 0, false
	}
	mask, tag := uint32(len(k.lone)-1), causeTag(hash)
	for at = tag & mask; k.lone[at].Number != 0; at = (at + 1) & mask {
		if k.lone[at].Tag == tag && c.hasLink(dedupe.Ref(k.lone[at].Number), rule, hash) {
			return at, true
		}
	}
	return at, false
}

func (c *Core) hasLink(ref dedupe.Ref, rule uint32, hash uint64) bool {
	for _, l := range c.linksOf(ref) {
		if l.rule() == rule {
			return l.hash() == hash
		}
	}
	return false
}

// remove empties a place.
func (k *causes) remove(at uint32) {
	k.n--
	k.lone.Vacate(at)
}
