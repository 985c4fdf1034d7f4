package correlate

import (
	"cmp"
	"math"
	"slices"

	"github.com/winnowhq/winnow/dedupe"
)

// causes are the firing alerts that may cause an inhibition by a rule of a class,
// by the hash of the values that source and target must share. Which of the rules
// they are sources of is in their links.
type causes struct {
	lone dedupe.Slots            // Refs, each the only one of its hash, as most are; the rest of the hash is with the alert
	n    int                     // of lone in use
	many map[uint64][]dedupe.Ref // in order, each by its first rule
}

func newCauses() causes { return causes{many: map[uint64][]dedupe.Ref{}} }

// cause is an alert that may mute by a rule: the rule's place in the file, and the
// Ref. The first of several is named, and so the lowest.
type cause uint64

const noCause cause = math.MaxUint64

func newCause(rule uint32, ref dedupe.Ref) cause { return cause(rule)<<32 | cause(ref) }

func (c cause) ref() dedupe.Ref { return dedupe.Ref(c) }

func causeTag(hash uint64) uint32 { return uint32(hash >> 32) }

// causesOf lists the causes in a class with a hash, until the next call.
func (c *Core) causesOf(k *class, hash uint64) []dedupe.Ref {
	if i, ok := c.findLone(k, hash); ok {
		c.oneCause[0] = dedupe.Ref(k.causes.lone[i].Number)
		return c.oneCause[:]
	}
	return k.causes.many[hash]
}

// addCause keeps lists in order, so that which of several causes is named does not
// depend on how the list came about.
func (c *Core) addCause(k *class, hash uint64, ref dedupe.Ref) {
	h := &k.causes
	if 4*(h.n+1) > 3*len(h.lone) {
		h.lone = h.lone.Grown(16)
	}
	var s []dedupe.Ref
	if at, found := c.findLone(k, hash); found {
		s = append(make([]dedupe.Ref, 0, 2), dedupe.Ref(h.lone[at].Number))
		h.remove(at)
	} else if s = h.many[hash]; s == nil {
		h.lone[at] = dedupe.Slot{Tag: causeTag(hash), Number: uint32(ref)}
		h.n++
		return
	}
	i, _ := c.findCause(k, s, ref)
	h.many[hash] = slices.Insert(s, i, ref)
}

func (c *Core) removeCause(k *class, hash uint64, ref dedupe.Ref) {
	h := &k.causes
	if at, ok := c.findLone(k, hash); ok && h.lone[at].Number == uint32(ref) {
		h.remove(at)
		return
	}
	s := h.many[hash]
	switch i, found := c.findCause(k, s, ref); {
	case !found:
	case len(s) == 1:
		delete(h.many, hash)
	case i == 0: // the oldest goes first, as a rule
		h.many[hash] = s[1:]
	default:
		h.many[hash] = slices.Delete(s, i, i+1)
	}
}

// findCause is where ref stands among several causes, or would.
func (c *Core) findCause(k *class, s []dedupe.Ref, ref dedupe.Ref) (at int, ok bool) {
	if k.single() {
		return slices.BinarySearch(s, ref)
	}
	return slices.BinarySearchFunc(s, c.causeOf(k, ref), func(other dedupe.Ref, it cause) int {
		return cmp.Compare(c.causeOf(k, other), it)
	})
}

// findLone is where the only cause with a hash stands, or would.
func (c *Core) findLone(k *class, hash uint64) (at uint32, ok bool) {
	lone := k.causes.lone
	if len(lone) == 0 {
		return 0, false
	}
	mask, tag := uint32(len(lone)-1), causeTag(hash)
	for at = tag & mask; lone[at].Number != 0; at = (at + 1) & mask {
		if lone[at].Tag == tag && c.hasLink(dedupe.Ref(lone[at].Number), k, hash) {
			return at, true
		}
	}
	return at, false
}

func (c *Core) hasLink(ref dedupe.Ref, k *class, hash uint64) bool {
	links := linksFrom(c.linksOf(ref), k.from)
	return len(links) > 0 && k.has(links[0].rule()) && links[0].hash() == hash
}

// remove empties a place.
func (h *causes) remove(at uint32) {
	h.n--
	h.lone.Vacate(at)
}
