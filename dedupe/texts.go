package dedupe

import (
	"encoding/binary"
	"math/bits"
	"slices"
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
// its own length. Annotations of one rule are made from one template: of one that
// begins and ends as a base does, only what stands between is kept.
type texts struct {
	symbols []string
	index   []symbolSlot    // open addressing, linear probing, a power of two long
	seen    [1 << 14]uint32 // hashes of strings seen once, a direct-mapped guess
	bases   [1 << baseBits]base

	// near has the symbols met last at each place of a text, counted from 1: an
	// alert is mostly of the same rule as the one before it and has the same ones.
	// It is looked at before the index and changes no result.
	near [nearPlaces]uint32

	joined []byte // annotations that were viewed last, as far as they are in pieces
}

// nearPlaces is how many strings of an alert have a place in near: those of 24
// labels and seven annotations.
const nearPlaces = 64

// base is what an annotation of a rule looks like, by rule and place.
type base struct {
	symbol uint32 // counted from 1
	tries  uint8  // symbols that were made for it
}

const (
	baseBits = 10
	maxTries = 16 // so that a text without a likeness makes few symbols
	minBase  = 32 // bytes of a string that is worth one
	minAlike = 16 // bytes to be shared with one
)

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

// Packed form: uvarint count, then for each label two strings; then the same of
// annotations, then the generator URL. A string is uvarint n<<1|1 for symbol n,
// or uvarint length<<1 and its bytes. The value of an annotation and the URL are
// uvarint n<<2 and one of the forms below.
const (
	inline   = iota // n bytes, which follow
	symbol          // n
	alike           // symbol n; it shares so many bytes from the start and up to the end: uvarints, then length and bytes of what stands between
	formBits = 2
)

func (s *texts) pack(dst []byte, a *alert.Alert) []byte {
	dst = s.appendLabels(dst, a.Labels)
	dst = binary.AppendUvarint(dst, uint64(len(a.Annotations)))
	rule := xxhash.Sum64String(a.Name())
	at := 2 * len(a.Labels)
	for i := range a.Annotations {
		dst = s.appendString(dst, a.Annotations[i].Name, at)
		dst = s.appendText(dst, a.Annotations[i].Value, at+1, rule+uint64(i))
		at += 2
	}
	return s.appendText(dst, a.GeneratorURL, at, rule+uint64(len(a.Annotations)))
}

// appendText is appendString for what may be like others of its rule and place.
func (s *texts) appendText(dst []byte, v string, at int, place uint64) []byte {
	if n, ok := s.symbolAt(v, at); ok {
		return binary.AppendUvarint(dst, uint64(n)<<formBits|symbol)
	}
	if len(v) >= minBase {
		b := &s.bases[place*0x9e3779b97f4a7c15>>(64-baseBits)]
		if b.symbol != 0 {
			like := s.symbols[b.symbol-1]
			if head, tail := common(v, like); head+tail >= minAlike {
				dst = binary.AppendUvarint(dst, uint64(b.symbol-1)<<formBits|alike)
				dst = binary.AppendUvarint(dst, uint64(head))
				dst = binary.AppendUvarint(dst, uint64(tail))
				dst = binary.AppendUvarint(dst, uint64(len(v)-head-tail))
				return append(dst, v[head:len(v)-tail]...)
			}
		}
		if b.tries < maxTries && len(s.symbols) < maxSymbols {
			h := xxhash.Sum64String(v)
			n := s.add(strings.Clone(v), s.find(v, h), h)
			*b = base{n + 1, b.tries + 1}
			return binary.AppendUvarint(dst, uint64(n)<<formBits|symbol)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(v))<<formBits)
	return append(dst, v...)
}

// common is how many bytes a and b have in common at their start, and at their end
// behind those.
func common(a, b string) (head, tail int) {
	n := min(len(a), len(b))
	for head+8 <= n { // eight bytes a step
		if x := eight(a[head:]) ^ eight(b[head:]); x != 0 {
			head += bits.TrailingZeros64(x) / 8
			break
		}
		head += 8
	}
	for head < n && a[head] == b[head] {
		head++
	}
	for head+tail+8 <= n {
		if x := eight(a[len(a)-tail-8:]) ^ eight(b[len(b)-tail-8:]); x != 0 {
			return head, tail + bits.LeadingZeros64(x)/8
		}
		tail += 8
	}
	for head+tail < n && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}

// eight are the first bytes of s, the first one lowest.
func eight(s string) uint64 {
	return binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(s), 8))
}

func (s *texts) appendLabels(dst []byte, ls alert.Labels) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ls)))
	for i := range ls {
		dst = s.appendString(dst, ls[i].Name, 2*i)
		dst = s.appendString(dst, ls[i].Value, 2*i+1)
	}
	return dst
}

func (s *texts) appendString(dst []byte, v string, at int) []byte {
	if n, ok := s.symbolAt(v, at); ok {
		return binary.AppendUvarint(dst, uint64(n)<<1|1)
	}
	dst = binary.AppendUvarint(dst, uint64(len(v))<<1)
	return append(dst, v...)
}

// symbolAt is symbol for the string at a place of a text.
func (s *texts) symbolAt(v string, at int) (uint32, bool) {
	if at >= nearPlaces {
		return s.symbol(v)
	}
	if n := s.near[at]; n != 0 && s.symbols[n-1] == v {
		return n - 1, true
	}
	n, ok := s.symbol(v)
	if ok {
		s.near[at] = n + 1
	}
	return n, ok
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

// str reads what appendString has written, as a copy where it is kept: packed text
// is written over when annotations change. Otherwise it holds until then.
func (s *texts) str(b []byte, keep bool) (string, []byte) {
	u, n := binary.Uvarint(b)
	b = b[n:]
	if u&1 == 1 {
		return s.symbols[u>>1], b
	}
	v := unsafe.String(unsafe.SliceData(b), u>>1)
	if keep {
		v = strings.Clone(v)
	}
	return v, b[u>>1:]
}

// text reads what appendText has written: the middle is what stands there, the
// others are of a symbol. The pieces hold until the table changes.
func (s *texts) text(b []byte) (pieces [3]string, rest []byte) {
	u, n := binary.Uvarint(b)
	b = b[n:]
	at := u >> formBits
	switch u & (1<<formBits - 1) {
	case symbol:
		return [3]string{s.symbols[at]}, b
	case alike:
		head, n := binary.Uvarint(b)
		tail, m := binary.Uvarint(b[n:])
		length, k := binary.Uvarint(b[n+m:])
		b = b[n+m+k:]
		like := s.symbols[at]
		return [3]string{like[:head], unsafe.String(unsafe.SliceData(b), length), like[uint64(len(like))-tail:]}, b[length:]
	}
	return [3]string{1: unsafe.String(unsafe.SliceData(b), at)}, b[at:]
}

// whole is text in one piece, as str has it; what is not to be kept and has to be
// joined is in s.joined.
func (s *texts) whole(b []byte, keep bool) (string, []byte) {
	v, rest := s.text(b)
	if v[0] == "" && v[2] == "" {
		if keep {
			return strings.Clone(v[1]), rest
		}
		return v[1], rest
	}
	if keep || v[1] == "" && v[2] == "" {
		return v[0] + v[1] + v[2], rest
	}
	from := len(s.joined)
	s.joined = append(append(append(s.joined, v[0]...), v[1]...), v[2]...)
	return unsafe.String(unsafe.SliceData(s.joined[from:]), len(s.joined)-from), rest
}

// labels appends them, as str has them.
func (s *texts) labels(dst alert.Labels, b []byte, keep bool) (alert.Labels, []byte) {
	count, n := binary.Uvarint(b)
	b = b[n:]
	dst = slices.Grow(dst, int(count))
	for range count {
		var l alert.Label
		l.Name, b = s.str(b, keep)
		l.Value, b = s.str(b, keep)
		dst = append(dst, l)
	}
	return dst, b
}

// annotations appends them in the same way and returns the URL that stands behind
// them.
func (s *texts) annotations(dst alert.Labels, b []byte, keep bool) (alert.Labels, string) {
	if !keep {
		s.joined = s.joined[:0]
	}
	count, n := binary.Uvarint(b)
	b = b[n:]
	dst = slices.Grow(dst, int(count))
	for range count {
		var l alert.Label
		l.Name, b = s.str(b, keep)
		l.Value, b = s.whole(b, keep)
		dst = append(dst, l)
	}
	url, _ := s.whole(b, keep)
	return dst, url
}

func (s *texts) skip(b []byte) []byte {
	count, n := binary.Uvarint(b)
	b = b[n:]
	for range 2 * count {
		_, b = s.str(b, false)
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
		if v, b = s.str(b, false); v != ls[i].Name {
			return false
		}
		if v, b = s.str(b, false); v != ls[i].Value {
			return false
		}
	}
	return true
}

// hashAnnotations is what Table.annotationHash makes of the same in full.
func (s *texts) hashAnnotations(b []byte) uint64 {
	var scratch [1024]byte
	h := scratch[:0]
	b = s.skip(b)
	count, n := binary.Uvarint(b)
	b = b[n:]
	for range count {
		var name string
		var v [3]string
		name, b = s.str(b, false)
		v, b = s.text(b)
		h = append(append(h, name...), 0xff)
		h = append(append(append(append(h, v[0]...), v[1]...), v[2]...), 0xff)
	}
	v, _ := s.text(b)
	return xxhash.Sum64(append(append(append(h, v[0]...), v[1]...), v[2]...))
}
