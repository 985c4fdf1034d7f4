package ledger

// index finds numbers by a key of 64 bits, in half the room that a map takes. A
// slot has a part of the key's hash, which also says where it would stand: whoever
// asks looks at what a number stands for only where it is almost certainly the
// right one, and growing looks at nothing.
type index struct {
	slots []indexSlot // open addressing, linear probing, a power of two long
	n     int         // of them in use
}

type indexSlot struct {
	tag    uint32
	number uint32 // not 0 in a slot that is in use
}

// tagOf is the hash of a key: fingerprints are one already, incidents are counted.
func tagOf(key uint64) uint32 { return uint32(key * 0x9e3779b97f4a7c15 >> 32) }

// slot finds where the number of a key is, or the empty slot where it would be. Is
// says whether a number is that of the key. There must be slots.
func (x *index) slot(tag uint32, is func(number uint32) bool) uint32 {
	mask := uint32(len(x.slots) - 1)
	i := tag & mask
	for x.slots[i].number != 0 && !(x.slots[i].tag == tag && is(x.slots[i].number)) {
		i = (i + 1) & mask
	}
	return i
}

// touch reads where a key would be.
func (x *index) touch(tag uint32) uint32 {
	if x.n == 0 {
		return 0
	}
	return x.slots[tag&uint32(len(x.slots)-1)].number
}

// get returns the number of a key, 0 where there is none.
func (x *index) get(tag uint32, is func(number uint32) bool) uint32 {
	if x.n == 0 {
		return 0
	}
	return x.slots[x.slot(tag, is)].number
}

// set gives a key a number and returns the one that it had, 0 for none.
func (x *index) set(tag, number uint32, is func(number uint32) bool) (old uint32) {
	if 4*(x.n+1) > 3*len(x.slots) {
		x.grow()
	}
	i := x.slot(tag, is)
	if old = x.slots[i].number; old == 0 {
		x.n++
	}
	x.slots[i] = indexSlot{tag, number}
	return old
}

func (x *index) grow() {
	old := x.slots
	x.slots = make([]indexSlot, max(2*len(old), 64))
	mask := uint32(len(x.slots) - 1)
	for _, k := range old {
		if k.number == 0 {
			continue
		}
		i := k.tag & mask
		for x.slots[i].number != 0 {
			i = (i + 1) & mask
		}
		x.slots[i] = k
	}
}

// remove takes out the key that has a number, if one has, and closes the gap that
// this leaves in its run.
func (x *index) remove(tag, number uint32) {
	if x.n == 0 {
		return
	}
	i := x.slot(tag, func(n uint32) bool { return n == number })
	if x.slots[i].number == 0 {
		return
	}
	x.n--
	x.slots[i] = indexSlot{}
	mask := uint32(len(x.slots) - 1)
	for j := (i + 1) & mask; x.slots[j].number != 0; j = (j + 1) & mask {
		if home := x.slots[j].tag & mask; (j-home)&mask >= (j-i)&mask { // it may move back to i without passing its home
			x.slots[i], x.slots[j] = x.slots[j], indexSlot{}
			i = j
		}
	}
}
