package ledger

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/paged"
)

// openEpisodes holds an episode for each fingerprint.
type openEpisodes struct {
	index index                   // of positions in list, counted from 1
	list  paged.List[openEpisode] // the first len() are in use
}

type openEpisode struct {
	fp alert.Fingerprint
	e  episode
}

func (o *openEpisodes) len() int { return o.index.n }

func (o *openEpisodes) at(i int) *openEpisode { return o.list.At(uint32(i)) }

// all is a copy of the list.
func (o *openEpisodes) all() []openEpisode {
	out := make([]openEpisode, o.len())
	for i := range out {
		out[i] = *o.at(i)
	}
	return out
}

func (o *openEpisodes) get(fp alert.Fingerprint) (e episode, ok bool) {
	n := o.number(fp)
	if n == 0 {
		return episode{}, false
	}
	return o.at(int(n - 1)).e, true
}

// number is the position of fp in list, counted from 1; 0 where it is not there.
func (o *openEpisodes) number(fp alert.Fingerprint) uint32 {
	return o.index.get(tagOf(uint64(fp)), func(n uint32) bool { return o.at(int(n-1)).fp == fp })
}

func (o *openEpisodes) put(fp alert.Fingerprint, e episode) {
	if n := o.number(fp); n != 0 {
		o.at(int(n - 1)).e = e
		return
	}
	o.add(fp, e)
}

// add is put where there is none yet.
func (o *openEpisodes) add(fp alert.Fingerprint, e episode) {
	n := o.len()
	o.list.Grow(n + 1)
	*o.at(n) = openEpisode{fp, e}
	o.index.set(tagOf(uint64(fp)), uint32(n+1), func(uint32) bool { return false })
}

// remove puts the last of the list in the place of the one that goes.
func (o *openEpisodes) remove(fp alert.Fingerprint) {
	n := o.number(fp)
	if n == 0 {
		return
	}
	last := uint32(o.len())
	o.index.remove(tagOf(uint64(fp)), n)
	if n != last {
		moved := *o.at(int(last - 1))
		o.index.set(tagOf(uint64(moved.fp)), n, func(m uint32) bool { return m == last })
		*o.at(int(n - 1)) = moved
	}
}
