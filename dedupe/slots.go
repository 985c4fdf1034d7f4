package dedupe

// Slot has the number of a key, and a part of the key's hash, which also says
// where it would stand: a key is looked at only where it is almost certainly the
// right one, and growing looks at none. Number is not 0 in a slot that is in use.
type Slot struct{ Tag, Number uint32 }

// Slots is a table with open addressing and linear probing, a power of two long,
// with one slot empty at least: how a slot finds its place, how a table grows and
// how a gap is closed. Whoever has the table looks for a key itself, for only it
// knows what a number stands for.
type Slots []Slot

// Place puts k into the first empty slot at its home or behind it.
func (s Slots) Place(k Slot) {
	mask := uint32(len(s) - 1)
	i := k.Tag & mask
	for s[i].Number != 0 {
		i = (i + 1) & mask
	}
	s[i] = k
}

// Grown returns what s holds in twice as many slots, and in least at least, which
// is a power of two.
func (s Slots) Grown(least int) Slots {
	out := make(Slots, max(2*len(s), least))
	for _, k := range s {
		if k.Number != 0 {
			out.Place(k)
		}
	}
	return out
}

// Vacate empties slot i, and closes the gap that this leaves in its run.
func (s Slots) Vacate(i uint32) {
	mask := uint32(len(s) - 1)
	for j := (i + 1) & mask; s[j].Number != 0; j = (j + 1) & mask {
		if home := s[j].Tag & mask; (j-home)&mask >= (j-i)&mask { // it may move back to i without passing its home
			s[i] = s[j]
			i = j
		}
	}
	s[i] = Slot{}
}
