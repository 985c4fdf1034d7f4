package kept

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/winnowhq/winnow/alert"
)

const (
	// maxWords bounds the strings that alerts share. After that many other ones
	// begin, and the old go with the last alert that is packed by them.
	maxWords = 1 << 16
	// minWord is the length from which sharing a string saves anything.
	minWord = 4

	seenBits = 14

	// minBase is the length from which a text is worth a base, minAlike what has to
	// be as it is there, and maxTries how many texts become the base of a place, so
	// that where each is another not all of them are kept.
	minBase  = 32
	minAlike = 16
	maxTries = 8
)

// words are strings that came twice, by number. A string is packed as n<<1|1 for
// word n, or as its length<<1 and its bytes. A text, which is the value of an
// annotation or a URL, is packed as n<<2 and a form.
type words struct {
	mu    sync.Mutex
	list  []string
	slots []wordSlot // open addressing, linear probing, a power of two long
	seed  maphash.Seed
	seen  [1 << seenBits]uint32 // hashes of strings that came once, as many as there is room for

	// near has the words met last at each place of an alert, counted from 1, to be
	// compared first: an alert is mostly of the same rule as the one before it.
	near [nearPlaces]uint32

	// bases are texts that others of their rule and place are like, but for what
	// stands in the middle.
	bases [1 << baseBits]base
}

const baseBits = 8

// base is the number of a word, counted from 1, and how many were it before.
type base struct{ number, tries uint32 }

// Forms of a text.
const (
	inline   = iota // n bytes, which follow
	word            // word n
	alike           // as word n in so many bytes at its start and at its end, which follow; then a length and the bytes between
	formBits = 2
)

// nearPlaces is how many strings of an alert have a place in near: those of 24
// labels and seven annotations.
const nearPlaces = 64

// wordSlot holds the number of a word, counted from 1; 0 is an empty slot.
type wordSlot struct{ hash, number uint32 }

const firstWordSlots = 1 << 8

func newWords() *words {
	return &words{slots: make([]wordSlot, firstWordSlots), seed: maphash.MakeSeed()}
}

// full is for who adds to them.
func (w *words) full() bool { return len(w.list) >= maxWords }

func (w *words) appendLabels(b []byte, ls alert.Labels) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for i := range ls {
		b = w.append(b, ls[i].Name, 2*i)
		b = w.append(b, ls[i].Value, 2*i+1)
	}
	return b
}

func (w *words) append(b []byte, s string, at int) []byte {
	if len(s) >= minWord {
		if n, ok := w.find(s, at); ok {
			return binary.AppendUvarint(b, uint64(n)<<1|1)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s))<<1)
	return append(b, s...)
}

// appendTexts packs the annotations of an alert and its generator URL.
func (w *words) appendTexts(b []byte, a *alert.Alert) []byte {
	rule, at := maphash.String(w.seed, a.Name()), 2*len(a.Labels)
	b = binary.AppendUvarint(b, uint64(len(a.Annotations)))
	for i := range a.Annotations {
		b = w.append(b, a.Annotations[i].Name, at)
		b = w.appendText(b, a.Annotations[i].Value, at+1, rule+uint64(i))
		at += 2
	}
	return w.appendText(b, a.GeneratorURL, at, rule+uint64(len(a.Annotations)))
}

// appendText is append for a text of a rule at its place there.
func (w *words) appendText(b []byte, s string, at int, place uint64) []byte {
	if len(s) >= minWord {
		if n, ok := w.find(s, at); ok {
			return binary.AppendUvarint(b, uint64(n)<<formBits|word)
		}
	}
	if len(s) >= minBase {
		k := &w.bases[place*0x9e3779b97f4a7c15>>(64-baseBits)]
		if k.number != 0 {
			if head, tail := common(s, w.list[k.number-1]); head+tail >= minAlike {
				b = binary.AppendUvarint(b, uint64(k.number-1)<<formBits|alike)
				b = binary.AppendUvarint(b, uint64(head))
				b = binary.AppendUvarint(b, uint64(tail))
				b = binary.AppendUvarint(b, uint64(len(s)-head-tail))
				return append(b, s[head:len(s)-tail]...)
			}
		}
		if k.tries < maxTries && !w.full() {
			h := maphash.String(w.seed, s)
			slot := w.slot(s, uint32(h))
			number := slot.number
			if number == 0 {
				number = w.add(s, h, slot)
			}
			*k = base{number, k.tries + 1}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s))<<formBits) // inline
	return append(b, s...)
}

// common is how many bytes a and b have in common at their start, and at their end
// behind those.
func common(a, b string) (head, tail int) {
	n := min(len(a), len(b))
	for head < n && a[head] == b[head] {
		head++
	}
	for head+tail < n && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}

// find returns the number of the string at a place, if it is a word. One that
// comes the second time is a word from the next time on.
func (w *words) find(s string, at int) (number uint32, ok bool) {
	if at < nearPlaces {
		if n := w.near[at]; n != 0 && w.list[n-1] == s {
			return n - 1, true
		}
	}
	h := maphash.String(w.seed, s)
	k := w.slot(s, uint32(h))
	if k.number == 0 {
		w.learn(s, h, k)
		return 0, false
	}
	if at < nearPlaces {
		w.near[at] = k.number
	}
	return k.number - 1, true
}

// slot is that of a word, or the empty one where it would be.
func (w *words) slot(s string, hash uint32) *wordSlot {
	mask := uint32(len(w.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		k := &w.slots[i]
		if k.number == 0 || k.hash == hash && w.list[k.number-1] == s {
			return k
		}
	}
}

// learn makes a word of what comes the second time, in the slot where it would be.
func (w *words) learn(s string, h uint64, k *wordSlot) {
	at, mark := &w.seen[h>>(64-seenBits)], uint32(h)|1
	if *at != mark {
		*at = mark
		return
	}
	w.add(s, h, k)
}

// add makes a word of s, in the slot where it would be, and returns its number,
// counted from 1.
func (w *words) add(s string, h uint64, k *wordSlot) uint32 {
	w.list = append(w.list, strings.Clone(s))
	number := uint32(len(w.list))
	*k = wordSlot{uint32(h), number}
	if 2*len(w.list) > len(w.slots) {
		w.grow()
	}
	return number
}

func (w *words) grow() {
	old := w.slots
	w.slots = make([]wordSlot, 2*len(old))
	mask := uint32(len(w.slots) - 1)
	for _, k := range old {
		if k.number == 0 {
			continue
		}
		i := k.hash & mask
		for w.slots[i].number != 0 {
			i = (i + 1) & mask
		}
		w.slots[i] = k
	}
}

// reader reads packed text, which is sound: it never left the process.
type reader struct {
	words *words
	text  string
}

// read locks the words of a for its caller.
func (a *Alert) read() *reader {
	a.words.mu.Lock()
	return &reader{a.words, a.text}
}

func (r *reader) uint() uint64 {
	v := uint64(0)
	for i := 0; ; i++ {
		b := r.text[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.text = r.text[i+1:]
			return v
		}
	}
}

func (r *reader) time() alert.Time {
	v := r.uint()
	return alert.Time(int64(v>>1) ^ -int64(v&1))
}

func (r *reader) string() (s string) {
	n := r.uint()
	if n&1 == 1 {
		return r.words.list[n>>1]
	}
	s, r.text = r.text[:n>>1], r.text[n>>1:]
	return s
}

// textOf reads what appendText has written.
func (r *reader) textOf() (s string) {
	n := r.uint()
	at := n >> formBits
	switch n & (1<<formBits - 1) {
	case word:
		return r.words.list[at]
	case alike:
		like := r.words.list[at]
		head, tail, between := r.uint(), r.uint(), r.uint()
		s = like[:head] + r.text[:between] + like[uint64(len(like))-tail:]
		r.text = r.text[between:]
		return s
	}
	s, r.text = r.text[:at], r.text[at:]
	return s
}

// labels reads a set whose values are read by value.
func (r *reader) labels(value func() string) alert.Labels {
	n := r.uint()
	if n == 0 {
		return nil
	}
	ls := make(alert.Labels, 0, n)
	for range n {
		ls = append(ls, alert.Label{Name: r.string(), Value: value()})
	}
	return ls
}

func (r *reader) are(ls alert.Labels, value func() string) bool {
	if r.uint() != uint64(len(ls)) {
		return false
	}
	for i := range ls {
		if r.string() != ls[i].Name || value() != ls[i].Value {
			return false
		}
	}
	return true
}
