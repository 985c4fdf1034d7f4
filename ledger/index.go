package ledger

import "github.com/winnowhq/winnow/dedupe"

// index finds numbers by a key of 64 bits, in half the room that a map takes.
type index struct {
	slots dedupe.Slots
	n     int // of them in use
}

// tagOf is the hash of a key: fingerprints are one already, incidents are counted.
func tagOf(key uint64) uint32 { return uint32(key * 0x9e3779b97f4a7c15 >> 32) }

// slot finds where the number of a key is, or the empty slot where it would be. Is
// says whether a number is that of the key. There must be slots.
func (x *index) slot(tag uint32, is func(number uint32) bool) uint32 {
	mask := uint32(len(x.slots) - 1)
	i := tag & mask
	for x.slots[i].Number != 0 && !(x.slots[i].Tag == tag && is(x.slots[i].Number)) {
		i = (i + 1) & mask
	}
	return i
}

// touch reads where a key would be.
func (x *index) touch(tag uint32) uint32 {
	if x.n == 0 {
		return 0
	}
	return x.slots[tag&uint32(len(x.slots)-1)].Number
}

// get returns the number of a key, 0 where there is none.
func (x *index) get(tag uint32, is func(number uint32) bool) uint32 {
	if x.n == 0 {
		return 0
	}
	return x.slots[x.slot(tag, is)].Number
}

// set gives a key a number and returns the one that it had, 0 for none.
func (x *index) set(tag, number uint32, is func(number uint32) bool) (old uint32) {
	if 4*(x.n+1) > 3*len(x.slots) {
		x.slots = x.slots.Grown(64)
	}
	i := x.slot(tag, is)
	if old = x.slots[i].Number; old == 0 {
		x.n++
	}
	x.slots[i] = dedupe.Slot{Tag: tag, Number: number}
	return old
}

// remove takes out the key that has a number, if one has.
func (x *index) remove(tag, number uint32) {
	if x.n == 0 {
		return
	}
	i := x.slot(tag, func(n uint32) bool { return n == number })
	if x.slots[i].Number == 0 {
		return
	}
	x.n--
	x.slots.Vacate(i)
}
