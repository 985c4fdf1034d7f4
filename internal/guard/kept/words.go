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
)

// words are strings that came twice, by number. A string is packed as n<<1|1 for
// word n, or as its length<<1 and its bytes.
type words struct {
	mu    sync.Mutex
	list  []string
	slots []wordSlot // open addressing, linear probing, a power of two long
	seed  maphash.Seed
	seen  [1 << seenBits]uint32 // hashes of strings that came once, as many as there is room for

	// near has the words met last at each place of an alert, counted from 1, to be
	// compared first: an alert is mostly of the same rule as the one before it.
	near [nearPlaces]uint32
}

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

// appendLabels packs labels of which the first string has a place in the alert.
func (w *words) appendLabels(b []byte, ls alert.Labels, at int) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for i := range ls {
		b = w.append(b, ls[i].Name, at)
		b = w.append(b, ls[i].Value, at+1)
		at += 2
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
	w.list = append(w.list, strings.Clone(s))
	*k = wordSlot{uint32(h), uint32(len(w.list))}
	if 2*len(w.list) > len(w.slots) {
		w.grow()
	}
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

func (r *reader) labels() alert.Labels {
	n := r.uint()
	if n == 0 {
		return nil
	}
	ls := make(alert.Labels, 0, n)
	for range n {
		ls = append(ls, alert.Label{Name: r.string(), Value: r.string()})
	}
	return ls
}

func (r *reader) are(ls alert.Labels) bool {
	if r.uint() != uint64(len(ls)) {
		return false
	}
	for i := range ls {
		if r.string() != ls[i].Name || r.string() != ls[i].Value {
			return false
		}
	}
	return true
}
