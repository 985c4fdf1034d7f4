package kept

import (
	"math/bits"
	"slices"
)

// numbers finds alerts by number. Most numbers are of alerts that nobody cares
// for here: one takes a bit, and where there is an alert a pointer more.
type numbers struct {
	pages []*numberPage // nil where none of its numbers has an alert
	n     int           // of them that have one
}

const (
	wordBits = 6
	pageBits = 2 * wordBits
	lowBits  = 1<<wordBits - 1
)

type numberPage struct {
	has    [1 << wordBits]uint64
	alerts [1 << wordBits][]*Alert // of the numbers in a word of has, in order
}

// get returns the alert of a number, nil where it has none.
func (ns *numbers) get(number uint32) *Alert {
	at := number >> pageBits
	if int64(at) >= int64(len(ns.pages)) || ns.pages[at] == nil {
		return nil
	}
	p, word, bit := ns.pages[at], number>>wordBits&lowBits, uint64(1)<<(number&lowBits)
	if p.has[word]&bit == 0 {
		return nil
	}
	return p.alerts[word][bits.OnesCount64(p.has[word]&(bit-1))]
}

// set gives a number an alert and returns the one that it had, nil for none.
func (ns *numbers) set(number uint32, a *Alert) (old *Alert) {
	at := int(number >> pageBits)
	if n := at + 1 - len(ns.pages); n > 0 {
		ns.pages = append(ns.pages, make([]*numberPage, n)...)
	}
	if ns.pages[at] == nil {
		ns.pages[at] = new(numberPage)
	}
	p, word, bit := ns.pages[at], number>>wordBits&lowBits, uint64(1)<<(number&lowBits)
	rank := bits.OnesCount64(p.has[word] & (bit - 1))
	if p.has[word]&bit != 0 {
		old, p.alerts[word][rank] = p.alerts[word][rank], a
		return old
	}
	p.has[word] |= bit
	p.alerts[word] = slices.Insert(p.alerts[word], rank, a)
	ns.n++
	return nil
}

// each calls f for all alerts, as often as they have numbers.
func (ns *numbers) each(f func(*Alert)) {
	for _, p := range ns.pages {
		if p == nil {
			continue
		}
		for _, alerts := range p.alerts {
			for _, a := range alerts {
				f(a)
			}
		}
	}
}
