package ledger

import "github.com/winnowhq/winnow/alert"

// openEpisodes holds an episode for each fingerprint, in half the room that a
// map takes.
type openEpisodes struct {
	slots []uint32 // open addressing, linear probing, a power of two long: position in list, counted from 1
	list  []openEpisode
}

type openEpisode struct {
	fp alert.Fingerprint
	e  episode
}

func (o *openEpisodes) len() int { return len(o.list) }

// slot finds where fp is or would be.
func (o *openEpisodes) slot(fp alert.Fingerprint) uint64 {
	mask := uint64(len(o.slots) - 1)
	i := uint64(fp) & mask
	for o.slots[i] != 0 && o.list[o.slots[i]-1].fp != fp {
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
	return o.list[n-1].e, true
}

func (o *openEpisodes) put(fp alert.Fingerprint, e episode) {
	if 2*(len(o.list)+1) > len(o.slots) {
		o.slots = make([]uint32, max(2*len(o.slots), 64))
		for i := range o.list {
			o.slots[o.slot(o.list[i].fp)] = uint32(i + 1)
		}
	}
	i := o.slot(fp)
	if n := o.slots[i]; n != 0 {
		o.list[n-1].e = e
		return
	}
	o.list = append(o.list, openEpisode{fp, e})
	o.slots[i] = uint32(len(o.list))
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
	last := len(o.list) - 1
	if moved := o.list[last]; moved.fp != fp {
		o.slots[o.slot(moved.fp)] = n
		o.list[n-1] = moved
	}
	o.list = o.list[:last]
	mask := uint64(len(o.slots) - 1)
	o.slots[i] = 0
	for j := (i + 1) & mask; o.slots[j] != 0; j = (j + 1) & mask {
		home := uint64(o.list[o.slots[j]-1].fp) & mask
		if (j-home)&mask >= (j-i)&mask { // it may move back to i without passing its home
			o.slots[i], o.slots[j] = o.slots[j], 0
			i = j
		}
	}
}
