package dedupe

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
)

// maxSymbols bounds the shared strings; beyond it strings stand in their alert.
const maxSymbols = 1 << 20

// minSymbol is the length from which sharing a string saves anything.
const minSymbol = 3

// texts packs label sets. A string that comes a second time is kept once and
// referred to by number; one that was seen once stands where it is used. So
// names, namespaces and runbooks cost two bytes an alert, and a pod's name only
// its own length.
type texts struct {
	symbols []string
	index   []symbolSlot    // open addressing, linear probing, a power of two long
	seen    [1 << 14]uint32 // hashes of strings seen once, a direct-mapped guess
}

type symbolSlot struct {
	hash   uint32
	number uint32 // of the symbol, counted from 1
}

// find returns the slot of v, or the empty one where it would be.
func (s *texts) find(v string, hash uint64) *symbolSlot {
	if 2*(len(s.symbols)+1) > len(s.index) {
		s.grow()
	}
	i := hash & 0xffffffff & uint64(len(s.index)-1)
	for {
		k := &s.index[i]
		if k.number == 0 || k.hash == uint32(hash) && s.symbols[k.number-1] == v {
			return k
		}
		i = (i + 1) & uint64(len(s.index)-1)
	}
}

func (s *texts) grow() {
	old := s.index
	s.index = make([]symbolSlot, max(2*len(old), 1024))
	for _, k := range old {
		if k.number == 0 {
			continue
		}
		i := uint64(k.hash) & uint64(len(s.index)-1)
		for s.index[i].number != 0 {
			i = (i + 1) & uint64(len(s.index)-1)
		}
		s.index[i] = k
	}
}

// Packed form: uvarint count, then for each label two strings; labels, then
// annotations, then the generator URL. A string is uvarint n<<1|1 for symbol n,
// or uvarint length<<1 and its bytes.

func (s *texts) pack(dst []byte, a *alert.Alert) []byte {
	dst = s.appendLabels(dst, a.Labels)
	dst = s.appendLabels(dst, a.Annotations)
	return s.appendString(dst, a.GeneratorURL)
}

func (s *texts) appendLabels(dst []byte, ls alert.Labels) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ls)))
	for i := range ls {
		dst = s.appendString(dst, ls[i].Name)
		dst = s.appendString(dst, ls[i].Value)
	}
	return dst
}

func (s *texts) appendString(dst []byte, v string) []byte {
	if n, ok := s.symbol(v); ok {
		return binary.AppendUvarint(dst, uint64(n)<<1|1)
	}
	dst = binary.AppendUvarint(dst, uint64(len(v))<<1)
	return append(dst, v...)
}

// symbol finds v's number, or gives it one when v has been seen before.
func (s *texts) symbol(v string) (uint32, bool) {
	if len(v) < minSymbol {
		return 0, false
	}
	h := xxhash.Sum64String(v)
	k := s.find(v, h)
	if k.number != 0 {
		return k.number - 1, true
	}
	at, mark := &s.seen[h&(1<<14-1)], uint32(h>>32)|1
	if *at != mark || len(s.symbols) >= maxSymbols {
		*at = mark
		return 0, false
	}
	return s.add(strings.Clone(v), k, h), true
}

// add makes a symbol of v, in the slot that find has found.
func (s *texts) add(v string, k *symbolSlot, hash uint64) uint32 {
	s.symbols = append(s.symbols, v)
	*k = symbolSlot{uint32(hash), uint32(len(s.symbols))}
	return uint32(len(s.symbols) - 1)
}

func (s *texts) str(b []byte) (string, []byte) {
	u, n := binary.Uvarint(b)
	b = b[n:]
	if u&1 == 1 {
		return s.symbols[u>>1], b
	}
	l := u >> 1
	if l == 0 {
		return "", b
	}
	// A copy: the packed text is written over when annotations change.
	return string(b[:l]), b[l:]
}

// view is str without the copy, for comparisons that keep nothing.
func (s *texts) view(b []byte) (string, []byte) {
	u, n := binary.Uvarint(b)
	b = b[n:]
	if u&1 == 1 {
		return s.symbols[u>>1], b
	}
	l := u >> 1
	if l == 0 {
		return "", b
	}
	return unsafe.String(&b[0], l), b[l:]
}

func (s *texts) labels(dst alert.Labels, b []byte) (alert.Labels, []byte) {
	count, n := binary.Uvarint(b)
	b = b[n:]
	for range count {
		var l alert.Label
		l.Name, b = s.str(b)
		l.Value, b = s.str(b)
		dst = append(dst, l)
	}
	return dst, b
}

// viewLabels is labels without the copies.
func (s *texts) viewLabels(dst alert.Labels, b []byte) (alert.Labels, []byte) {
	count, n := binary.Uvarint(b)
	b = b[n:]
	for range count {
		var l alert.Label
		l.Name, b = s.view(b)
		l.Value, b = s.view(b)
		dst = append(dst, l)
	}
	return dst, b
}

func (s *texts) skip(b []byte) []byte {
	count, n := binary.Uvarint(b)
	b = b[n:]
	for range 2 * count {
		_, b = s.view(b)
	}
	return b
}

func (s *texts) equal(b []byte, ls alert.Labels) bool {
	count, n := binary.Uvarint(b)
	if count != uint64(len(ls)) {
		return false
	}
	b = b[n:]
	var v string
	for i := range ls {
		if v, b = s.view(b); v != ls[i].Name {
			return false
		}
		if v, b = s.view(b); v != ls[i].Value {
			return false
		}
	}
	return true
}

// hashAnnotations is annotationHash of packed text.
func (s *texts) hashAnnotations(b []byte) uint64 {
	var scratch [1024]byte
	h := scratch[:0]
	b = s.skip(b)
	count, n := binary.Uvarint(b)
	b = b[n:]
	var v string
	for range 2 * count {
		v, b = s.view(b)
		h = append(append(h, v...), 0xff)
	}
	v, _ = s.view(b)
	return xxhash.Sum64(append(h, v...))
}
