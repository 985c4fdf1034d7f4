package frame

import "encoding/binary"

// symbols numbers the strings of a segment, from 0, and writes each down once.
// It is made for label sets: a few hundred short strings, most of which come
// again, looked up by their length and ends.
type symbols struct {
	slots []symbolSlot // open addressing, a power of two long
	epoch uint32       // of the slots in use: to empty all of them costs nothing
	spans []symbolSpan // by number
	table []byte       // what stands in the segment: each string behind its length

	// near has the strings met last at each place of an alert, to be compared
	// first: an alert is mostly of the same rule as the one before it.
	near [nearPlaces]nearSymbol
	most int // of near, that hold a text
}

// nearSymbol is a string as it was given, which mostly is given again, down to
// where it stands in memory. That is its caller's and holds until letGo; the
// number may be one of an earlier segment.
type nearSymbol struct {
	text   string
	number uint32
}

// nearPlaces is how many strings of an alert have a place in near: those of 24
// labels and eight annotations.
const nearPlaces = 64

type symbolSlot struct {
	epoch, hash, number uint32
}

type symbolSpan struct{ from, to uint32 }

const firstSymbolSlots = 256

func (s *symbols) reset() {
	s.spans, s.table = s.spans[:0], s.table[:0]
	if s.epoch++; s.epoch == 0 { // it has come round: old slots would look new
		clear(s.slots)
		s.epoch = 1
	}
}

// append writes all strings, in order of their numbers.
func (s *symbols) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.spans)))
	return append(dst, s.table...)
}

// numberAt is number for the string at a place of an alert.
func (s *symbols) numberAt(v string, at int) uint64 {
	if at >= nearPlaces {
		return s.number(v)
	}
	s.most = max(s.most, at+1)
	near := &s.near[at]
	if near.text == v && v != "" {
		return uint64(near.number)
	}
	if n := near.number; int(n) < len(s.spans) {
		if k := s.spans[n]; string(s.table[k.from:k.to]) == v {
			near.text = v
			return uint64(n)
		}
	}
	n := s.number(v)
	*near = nearSymbol{v, uint32(n)}
	return n
}

// letGo forgets what belongs to the caller.
func (s *symbols) letGo() {
	for i := range s.near[:s.most] {
		s.near[i].text = ""
	}
	s.most = 0
}

// number is that of v.
func (s *symbols) number(v string) uint64 {
	if 2*len(s.spans) >= len(s.slots) {
		s.grow()
	}
	h := symbolHash(v)
	mask := uint32(len(s.slots) - 1)
	i := h & mask
	for ; s.slots[i].epoch == s.epoch; i = (i + 1) & mask {
		if s.slots[i].hash != h {
			continue
		}
		n := s.slots[i].number
		if at := s.spans[n]; string(s.table[at.from:at.to]) == v {
			return uint64(n)
		}
	}
	n := uint32(len(s.spans))
	s.slots[i] = symbolSlot{s.epoch, h, n}
	s.table = binary.AppendUvarint(s.table, uint64(len(v)))
	from := uint32(len(s.table))
	s.table = append(s.table, v...)
	s.spans = append(s.spans, symbolSpan{from, uint32(len(s.table))})
	return uint64(n)
}

func (s *symbols) grow() {
	old, epoch := s.slots, s.epoch
	s.slots = make([]symbolSlot, max(2*len(old), firstSymbolSlots))
	s.epoch = max(epoch, 1)
	mask := uint32(len(s.slots) - 1)
	for _, k := range old {
		if k.epoch != epoch || epoch == 0 {
			continue
		}
		i := k.hash & mask
		for s.slots[i].epoch == s.epoch {
			i = (i + 1) & mask
		}
		s.slots[i] = k
	}
}

// symbolHash mixes the length with the first and the last eight bytes. Strings
// that differ in their middle alone are told apart by comparing them.
func symbolHash(v string) uint32 {
	const odd = 0x9e3779b97f4a7c15
	h := uint64(len(v)) * odd
	switch n := len(v); {
	case n >= 8:
		h ^= load64(v)
		h = h*odd ^ load64(v[n-8:])
	default:
		for i := range n {
			h = h*31 + uint64(v[i])
		}
	}
	h *= odd
	return uint32(h >> 32)
}

func load64(v string) uint64 {
	_ = v[7]
	return uint64(v[0]) | uint64(v[1])<<8 | uint64(v[2])<<16 | uint64(v[3])<<24 |
		uint64(v[4])<<32 | uint64(v[5])<<40 | uint64(v[6])<<48 | uint64(v[7])<<56
}
