package ledger

import (
	"slices"

	"github.com/winnowhq/winnow/alert"
)

// What is written of a claim beyond that its alert stands in a notification.
const (
	claimHolds = 1 << iota
	claimIdle  // its alert stands in none any more
	claimFlags = 1<<iota - 1
)

// append writes the notifications with whom they name, and then what else is to
// be said of those.
func (u *unconfirmed) append(s *stateWriter) {
	w := &episodeWriter{stateWriter: s, shapes: map[episodeShape]uint64{}}
	w.Uint(u.serial)
	w.Uint(uint64(len(u.naming)))
	ids := make([]notice, 0, len(u.naming))
	for id := range u.naming { // order: sorted below
		ids = append(ids, id)
	}
	slices.SortFunc(ids, notice.compare)
	last := uint64(0)
	for _, id := range ids {
		w.Uint(id.incident - last)
		last = id.incident
		w.Uint(uint64(id.revision))
		of := u.naming[id]
		w.Uint(u.serial - of.serial)
		w.Uint(uint64(len(of.names)))
		for _, fp := range of.names {
			w.Fixed(uint64(fp))
		}
	}
	var more []alert.Fingerprint
	for fp, c := range u.alerts { // order: sorted below
		if c.flags() != 0 || u.over[fp] != nil {
			more = append(more, fp)
		}
	}
	slices.Sort(more)
	w.Uint(uint64(len(more)))
	for _, fp := range more {
		w.Fixed(uint64(fp))
		w.Byte(u.alerts[fp].flags())
		w.Uint(uint64(len(u.over[fp])))
		for i := range u.over[fp] {
			o := &u.over[fp][i]
			w.add(fp, &o.e)
			w.Uint(uint64(o.waits))
			w.Uint(u.serial - o.last)
		}
	}
}

func (c claim) flags() (flags byte) {
	if c.holds {
		flags |= claimHolds
	}
	if c.waits == 0 {
		flags |= claimIdle
	}
	return flags
}

func (u *unconfirmed) load(s *stateReader) {
	if s.version < 3 {
		return
	}
	r := &episodeReader{stateReader: s}
	u.serial = r.Uint()
	id := notice{}
	for range r.Count(4 + 8) {
		id.incident += r.Uint()
		id.revision = r.Uint32()
		of := naming{u.serial - r.Uint(), u.loadNames(r)}
		if _, twice := u.naming[id]; twice || len(of.names) == 0 {
			r.Fail("notification %d of incident %d names nobody, or is there twice", id.revision, id.incident)
		}
		if r.Err() != nil {
			return
		}
		u.naming[id] = of
	}
	for range r.Count(8 + 1 + 1) {
		if u.loadClaim(r); r.Err() != nil {
			return
		}
	}
}

func (u *unconfirmed) loadNames(r *episodeReader) []alert.Fingerprint {
	n := r.Count(8)
	if u.names += n; u.names > MaxUnconfirmed {
		r.Fail("%d names, at most %d", u.names, MaxUnconfirmed)
		return nil
	}
	names := make([]alert.Fingerprint, n)
	for i := range names {
		names[i] = alert.Fingerprint(r.Fixed())
		c := u.alerts[names[i]]
		c.waits++
		u.alerts[names[i]] = c
	}
	return names
}

// loadClaim reads what is to be said of one alert.
func (u *unconfirmed) loadClaim(r *episodeReader) {
	fp, flags, n := alert.Fingerprint(r.Fixed()), r.Byte(), r.Count(minEpisodeBytes+2)
	c, known := u.alerts[fp]
	c.holds = flags&claimHolds != 0
	switch idle := flags&claimIdle != 0; {
	case flags > claimFlags, flags == 0 && n == 0, known == idle, idle && (c.holds || n > 0):
		r.Fail("flags %b and %d episodes of %s", flags, n, fp)
		return
	}
	u.alerts[fp] = c
	if u.held += n; u.held > MaxUnconfirmed || len(u.alerts) > MaxUnconfirmed {
		r.Fail("%d episodes of %d alerts, at most %d", u.held, len(u.alerts), MaxUnconfirmed)
		return
	}
	for range n {
		of, e := r.next()
		o := overdue{e, r.Uint32(), u.serial - r.Uint()}
		if of != fp || o.waits == 0 || o.waits > c.waits {
			r.Fail("an episode of %s that waits for %d, with %s that waits for %d", of, o.waits, fp, c.waits)
			return
		}
		u.over[fp] = append(u.over[fp], o)
	}
}
