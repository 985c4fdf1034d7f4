package ledger

import (
	"fmt"
	"math"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/wire"
)

// stateVersion is the first byte of a state:
//
//	version since until incidents raw counts delays hours episodes unconfirmed receipts trail
//
// A list begins with its length. What repeats (a text, or the small fields of a
// row) stands in full where it is first met, and by a number after that. Times
// are differences. A disposition or severity that is added at the end of its
// list needs no new version: older states lack it, and older programs refuse
// the states that have it. Version 1 has no raw, version 2 nothing unconfirmed: what
// it holds counts as told.
const stateVersion = 3

// Bytes that a state takes for each of its parts, roughly: for room to write
// it into, not a limit.
const (
	rowStateBytes     = 24
	episodeStateBytes = 24
	dimStateBytes     = 16
)

// AppendState writes all that later folds, reports and explanations depend on.
// The same books give the same bytes. What New was given is not among it.
func (l *Ledger) AppendState(w *wire.Writer) {
	w.Grow(rowStateBytes*l.trail.rows.Len() + episodeStateBytes*(l.episodes.open.len()+l.episodes.critical.len()) + dimStateBytes*len(l.byDim))
	s := &stateWriter{Writer: w, words: map[string]uint64{}}
	s.Byte(stateVersion)
	s.Int(int64(l.since))
	s.Int(int64(l.until))
	s.Uint(l.incidents)
	s.Uint(l.raw)
	l.appendCounts(s)
	l.appendDelays(s)
	l.hours.append(s)
	l.episodes.append(s)
	l.unconfirmed.append(s)
	l.receipts.append(s)
	l.trail.append(s)
}

// LoadState puts the books that AppendState wrote in the place of those that l
// holds, from where r stands to the end of the state. l must have been opened
// with the same Options, and its dims must know the numbers that were in use.
//
// The error of a damaged state says in which part and at which byte; it wraps
// wire.ErrCorrupt, and l is as it was. Whatever is accepted can be folded into,
// reported and explained. Values that Fold takes as they come, such as the
// disposition in a row, are taken as they come here, too.
func (l *Ledger) LoadState(r *wire.Reader) error {
	s := &stateReader{Reader: r}
	loaded := &Ledger{dims: l.dims, receipts: newReceipts(), trail: newTrail(l.trail.limit), unconfirmed: newUnconfirmed()}
	loaded.trail.limit = l.trail.limit // none is not the default
	for _, part := range []struct {
		name string
		load func(*stateReader)
	}{
		{"head", loaded.loadHead},
		{"counts", loaded.loadCounts},
		{"delays", loaded.loadDelays},
		{"hours", loaded.hours.load},
		{"episodes", loaded.loadEpisodes},
		{"unconfirmed", loaded.unconfirmed.load},
		{"receipts", loaded.loadReceipts},
		{"trail", loaded.trail.load},
	} {
		part.load(s)
		if err := r.Err(); err != nil {
			return fmt.Errorf("load the ledger's state: %s: %w", part.name, err)
		}
	}
	*l = *loaded
	return nil
}

// stateWriter writes one state.
type stateWriter struct {
	*wire.Writer
	words map[string]uint64 // by text, counted from 1
}

func (s *stateWriter) word(text string) {
	if number(s.Writer, s.words, text) {
		s.String(text)
	}
}

// number refers to v by the order in which it was first met, and reports
// whether that is here: then v follows in full.
func number[T comparable](w *wire.Writer, met map[T]uint64, v T) (first bool) {
	n, ok := met[v]
	if !ok {
		met[v] = uint64(len(met)) + 1
	}
	w.Uint(n)
	return !ok
}

// stateReader reads one state.
type stateReader struct {
	*wire.Reader
	version byte
	words   []string
	dims    int // that are counted apart
}

func (s *stateReader) word() string {
	return numbered(s.Reader, &s.words, (*wire.Reader).String)
}

// numbered reads what number referred to; read reads what follows in full.
func numbered[T any](r *wire.Reader, met *[]T, read func(*wire.Reader) T) (v T) {
	n := r.Uint()
	switch {
	case r.Err() != nil:
	case n == 0:
		v = read(r)
		*met = append(*met, v)
	case n > uint64(len(*met)):
		r.Fail("a reference to %d of %d", n, len(*met))
	default:
		v = (*met)[n-1]
	}
	return v
}

// dim reads the number of a dimension that has been counted.
func (s *stateReader) dim() uint32 {
	dim := s.Uint32()
	if int64(dim) >= int64(s.dims) && dim < MaxDims {
		s.Fail("dimension %d of %d", dim, s.dims)
	}
	return dim
}

func (l *Ledger) loadHead(s *stateReader) {
	s.version = s.Byte()
	if s.version == 0 || s.version > stateVersion {
		s.Fail("it is of version %d, and this program reads versions 1 to %d", s.version, stateVersion)
		return
	}
	l.since, l.until = alert.Time(s.Int()), alert.Time(s.Int())
	l.incidents = s.Uint()
	if s.version > 1 {
		l.raw = s.Uint()
	}
}

func (l *Ledger) appendCounts(s *stateWriter) {
	l.total.append(s)
	l.other.append(s)
	s.Uint(uint64(len(l.byDim)))
	for i := range l.byDim {
		l.byDim[i].append(s)
	}
}

func (l *Ledger) loadCounts(s *stateReader) {
	l.total.load(s)
	l.other.load(s)
	n := s.Count(1)
	if n > MaxDims {
		s.Fail("%d dimensions, at most %d", n, MaxDims)
	}
	if s.Err() != nil {
		return
	}
	if n > 0 {
		l.byDim, s.dims = make([]counts, n), n
	}
	sum := l.other
	for i := range l.byDim {
		l.byDim[i].load(s)
		sum.add(&l.byDim[i])
	}
	if sum != l.total {
		s.Fail("the dimensions do not add up to the total")
	}
}

const countFields = 5 + int(correlate.NumDispositions)

// fields are all counts in the order in which a state has them.
func (c *counts) fields() (out [countFields]*uint64) {
	copy(out[:], []*uint64{&c.deliveries, &c.onsets, &c.reopened, &c.notifications, &c.pages})
	for d := range c.dispositions {
		out[5+d] = &c.dispositions[d]
	}
	return out
}

// append writes which counts are not zero, and those.
func (c *counts) append(s *stateWriter) {
	fields := c.fields()
	var set uint64
	for i, f := range fields {
		if *f != 0 {
			set |= 1 << i
		}
	}
	s.Uint(set)
	for _, f := range fields {
		if *f != 0 {
			s.Uint(*f)
		}
	}
}

func (c *counts) load(s *stateReader) {
	set := s.Uint()
	if set>>countFields != 0 {
		s.Fail("counts %b, and %d are known", set, countFields)
		return
	}
	for i, f := range c.fields() {
		if set>>i&1 != 0 {
			*f = s.Uint()
		}
	}
}

func (l *Ledger) appendDelays(s *stateWriter) {
	s.Uint(uint64(len(l.delays)))
	for i := range l.delays {
		l.delays[i].append(s)
	}
}

func (l *Ledger) loadDelays(s *stateReader) {
	n := s.Count(1)
	if n > len(l.delays) {
		s.Fail("delays of %d severities, and %d are known", n, len(l.delays))
		return
	}
	for i := range n {
		l.delays[i].load(s)
	}
}

// append writes the buckets that are not empty, each by how many were passed
// over. Their sum is the number of all.
func (h *histogram) append(s *stateWriter) {
	n := 0
	for i := range h.buckets {
		if h.buckets[i] != 0 {
			n++
		}
	}
	s.Uint(uint64(n))
	if n == 0 {
		return
	}
	s.Uint(uint64(h.shortest))
	s.Uint(uint64(h.longest))
	next := 0
	for i, n := range &h.buckets {
		if n != 0 {
			s.Uint(uint64(i - next))
			s.Uint(n)
			next = i + 1
		}
	}
}

func (h *histogram) load(s *stateReader) {
	n := s.Count(2)
	if n == 0 {
		return
	}
	shortest, longest := s.Uint(), s.Uint()
	if shortest > longest || longest > math.MaxInt64 {
		s.Fail("delays from %d to %d", shortest, longest)
		return
	}
	h.shortest, h.longest = time.Duration(shortest), time.Duration(longest)
	next := uint64(0)
	for range n {
		gap, count := s.Uint(), s.Uint()
		switch {
		case gap >= delayBuckets-next:
			s.Fail("bucket %d after %d, and there are %d", gap, next, delayBuckets)
		case count == 0, h.n+count < count:
			s.Fail("%d delays in bucket %d", count, next+gap)
		}
		if s.Err() != nil {
			return
		}
		h.buckets[next+gap] = count
		h.n += count
		next += gap + 1
	}
}

// append writes the hours in which something was, in the order of the ring.
func (hs *hours) append(s *stateWriter) {
	n := 0
	for i := range hs.ring {
		if !hs.ring[i].empty() {
			n++
		}
	}
	s.Uint(uint64(n))
	last := int64(0)
	for i := range hs.ring {
		h := &hs.ring[i]
		if h.empty() {
			continue
		}
		s.Int(h.hour - last)
		last = h.hour
		for _, v := range [...]uint64{h.deliveries, h.onsets, h.incidents, h.notifications, h.pages} {
			s.Uint(v)
		}
	}
}

func (hs *hours) load(s *stateReader) {
	earliest, latest := hourOf(math.MinInt64), hourOf(math.MaxInt64)
	last := int64(0)
	for range s.Count(6) {
		h := hourCounts{hour: last + s.Int()}
		for _, v := range [...]*uint64{&h.deliveries, &h.onsets, &h.incidents, &h.notifications, &h.pages} {
			*v = s.Uint()
		}
		last = h.hour
		at := &hs.ring[((h.hour%HoursKept)+HoursKept)%HoursKept]
		switch {
		case h.hour < earliest || h.hour > latest:
			s.Fail("hour %d", h.hour)
		case h.empty() || !at.empty():
			s.Fail("hour %d is empty or there twice", h.hour)
		}
		if s.Err() != nil {
			return
		}
		*at = h
	}
}
