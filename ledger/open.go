package ledger

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/paged"
)

// openEpisodes holds an episode for each fingerprint, in half the room that a
// map takes.
type openEpisodes struct {
	slots []uint32 // open addressing, linear probing, a power of two long: position in list, counted from 1
	list  paged.List[openEpisode]
	n     int // of list in use
}

type openEpisode struct {
	fp alert.Fingerprint
	e  episode
}

func (o *openEpisodes) len() int { return o.n }

func (o *openEpisodes) at(i int) *openEpisode { return o.list.At(uint32(i)) }

// all is a copy of the list.
func (o *openEpisodes) all() []openEpisode {
	out := make([]openEpisode, o.n)
	for i := range out {
		out[i] = *o.at(i)
	}
	return out
}

// slot finds where fp is or would be.
func (o *openEpisodes) slot(fp alert.Fingerprint) uint64 {
	mask := uint64(len(o.slots) - 1)
	i := uint64(fp) & mask
	for o.slots[i] != 0 && o.at(int(o.slots[i]-1)).fp != fp {
		i = (i + 1) & mask
	}
	return i
}

func (o *openEpisodes) get(fp alert.Fingerprint) (e episode, ok bool) {
	if len(o.slots) == 0 {
		return episode{}, false
	}
	n := o.slots[o.slot(fp)]
	if n == 0 {
		return episode{}, false
	}
	return o.at(int(n - 1)).e, true
}

func (o *openEpisodes) put(fp alert.Fingerprint, e episode) {
	if 2*(o.n+1) > len(o.slots) {
		o.slots = make([]uint32, max(2*len(o.slots), 64))
		mask := uint64(len(o.slots) - 1)
		for n := range o.len() { // none is there twice: the slots alone tell where there is room
			i := uint64(o.at(n).fp) & mask
			for o.slots[i] != 0 {
				i = (i + 1) & mask
			}
			o.slots[i] = uint32(n + 1)
		}
	}
	i := o.slot(fp)
	if n := o.slots[i]; n != 0 {
		o.at(int(n - 1)).e = e
		return
	}
	o.list.Grow(o.n + 1)
	*o.at(o.n) = openEpisode{fp, e}
	o.n++
	o.slots[i] = uint32(o.n)
}

// remove puts the last of the list in the place of the one that goes, and closes
// the gap in the slots.
func (o *openEpisodes) remove(fp alert.Fingerprint) {
	if len(o.slots) == 0 {
		return
	}
	i := o.slot(fp)
	n := o.slots[i]
	if n == 0 {
		return
	}
	o.n--
	if moved := *o.at(o.n); moved.fp != fp {
		o.slots[o.slot(moved.fp)] = n
		*o.at(int(n - 1)) = moved
	}
	mask := uint64(len(o.slots) - 1)
	o.slots[i] = 0
	for j := (i + 1) & mask; o.slots[j] != 0; j = (j + 1) & mask {
		home := uint64(o.at(int(o.slots[j]-1)).fp) & mask
		if (j-home)&mask >= (j-i)&mask { // it may move back to i without passing its home
			o.slots[i], o.slots[j] = o.slots[j], 0
			i = j
		}
	}
}
