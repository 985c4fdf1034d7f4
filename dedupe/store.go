package dedupe

import "encoding/binary"

// store keeps the packed texts of a table, one behind the other in chunks: a
// text costs its own bytes and a header of eight, and no pointer for the garbage
// collector to follow. A text that is given up leaves a gap; when the gaps of
// all chunks come to a third, the fullest of gaps is emptied, a chunk at a time,
// so that no call ever moves more than one.
type store struct {
	chunks []chunk
	free   []uint32 // numbers of chunks without memory
	head   uint32   // the chunk that is being filled
	used   int      // bytes in all chunks
	dead   int      // of these, in gaps
}

type chunk struct {
	bytes []byte
	dead  int
}

// place is where a text is: the number of its chunk and its offset there, in
// steps of eight bytes. Zero is nowhere.
type place uint32

const (
	chunkBits  = 18 // 256 KiB
	chunkBytes = 1 << chunkBits
	stepBits   = 3
	offsetBits = chunkBits - stepBits

	// firstChunkBytes is what a table begins with. Chunks double the store until
	// they are whole ones, so that few alerts take little.
	firstChunkBytes = 4 << 10

	// headerBytes stand before a text: its alert and its length.
	headerBytes = 8
)

func placeOf(chunk uint32, offset int) place {
	return place(chunk<<offsetBits | uint32(offset>>stepBits))
}

func (p place) split() (chunk uint32, offset int) {
	return uint32(p) >> offsetBits, int(uint32(p)&(1<<offsetBits-1)) << stepBits
}

func stored(text int) int { return (headerBytes + text + 1<<stepBits - 1) &^ (1<<stepBits - 1) }

// put keeps a copy of text for an alert.
func (s *store) put(o owner, text []byte) place {
	n := stored(len(text))
	if len(s.chunks) == 0 || len(s.chunks[s.head].bytes)+n > cap(s.chunks[s.head].bytes) {
		s.open(max(n+headerBytes, min(chunkBytes, max(firstChunkBytes, s.used))))
	}
	c := &s.chunks[s.head]
	offset := len(c.bytes)
	c.bytes = c.bytes[:offset+n]
	b := c.bytes[offset:]
	binary.LittleEndian.PutUint32(b, uint32(o))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(text)))
	copy(b[headerBytes:], text)
	s.used += n
	return placeOf(s.head, offset)
}

// open begins a chunk of n bytes. Its first step stays unused, so that no place
// is zero; a text larger than a chunk has one to itself.
func (s *store) open(n int) {
	if k := len(s.free); k > 0 {
		s.head, s.free = s.free[k-1], s.free[:k-1]
	} else {
		s.head = uint32(len(s.chunks))
		s.chunks = append(s.chunks, chunk{})
	}
	s.chunks[s.head] = chunk{bytes: make([]byte, headerBytes, n)}
}

// setOwner says that the text at p is another's now.
func (s *store) setOwner(p place, o owner) {
	c, offset := p.split()
	binary.LittleEndian.PutUint32(s.chunks[c].bytes[offset:], uint32(o))
}

// get is the text at p, until the next put or drop.
func (s *store) get(p place) []byte {
	c, offset := p.split()
	b := s.chunks[c].bytes[offset:]
	n := binary.LittleEndian.Uint32(b[4:])
	return b[headerBytes : headerBytes+n : headerBytes+n]
}

// drop gives up the text at p.
func (s *store) drop(p place) {
	c, offset := p.split()
	k := &s.chunks[c]
	n := stored(int(binary.LittleEndian.Uint32(k.bytes[offset+4:])))
	binary.LittleEndian.PutUint32(k.bytes[offset:], 0)
	k.dead += n
	s.dead += n
	if c != s.head && k.dead == len(k.bytes)-headerBytes {
		s.release(c)
	}
}

func (s *store) release(c uint32) {
	k := &s.chunks[c]
	s.used -= len(k.bytes) - headerBytes
	s.dead -= k.dead
	*k = chunk{}
	s.free = append(s.free, c)
}

// gaps returns the chunk that is worth emptying most, if any is.
func (s *store) gaps() (worst uint32, ok bool) {
	if s.dead <= s.used/3 || s.dead < chunkBytes {
		return 0, false
	}
	most := 0
	for c := range s.chunks {
		if k := &s.chunks[c]; uint32(c) != s.head && k.dead > most {
			worst, most = uint32(c), k.dead
		}
	}
	return worst, most > 0
}

// each calls f for every text that chunk c holds. It may put texts elsewhere.
func (s *store) each(c uint32, f func(o owner, text []byte)) {
	b := s.chunks[c].bytes
	for offset := headerBytes; offset < len(b); {
		o := owner(binary.LittleEndian.Uint32(b[offset:]))
		n := int(binary.LittleEndian.Uint32(b[offset+4:]))
		if o != 0 {
			f(o, b[offset+headerBytes:offset+headerBytes+n])
		}
		offset += stored(n)
	}
}
