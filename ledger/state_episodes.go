package ledger

import (
	"cmp"
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/wire"
)

// An episode takes at least this many bytes: shape, since, fingerprint, dim.
const minEpisodeBytes = 1 + 1 + 8 + 1

// episodeShape is what few episodes differ in: disposition, severity, what it
// was paged at, and flags.
type episodeShape [4]byte

const (
	episodeEnded = 1 << iota
	episodeHasUntil
	episodeFlags = 1<<iota - 1
)

func shapeOf(e *episode) episodeShape {
	var flags byte
	if e.ended {
		flags |= episodeEnded
	}
	if e.until != 0 {
		flags |= episodeHasUntil
	}
	return episodeShape{byte(e.now), byte(e.severity), byte(e.paged), flags}
}

func readEpisodeShape(r *wire.Reader) episodeShape {
	return episodeShape{r.Byte(), r.Byte(), r.Byte(), r.Byte()}
}

// episodeWriter writes episodes one after the other.
type episodeWriter struct {
	*stateWriter
	shapes map[episodeShape]uint64
	since  alert.Time // of the one before
}

func (w *episodeWriter) add(fp alert.Fingerprint, e *episode) {
	if shape := shapeOf(e); number(w.Writer, w.shapes, shape) {
		w.B = append(w.B, shape[:]...)
	}
	w.Int(int64(e.since - w.since))
	w.since = e.since
	w.Fixed(uint64(fp))
	w.Uint(uint64(e.dim))
	if e.until != 0 {
		w.Int(int64(e.until - e.since))
	}
}

type episodeReader struct {
	*stateReader
	shapes []episodeShape
	since  alert.Time
}

func (r *episodeReader) next() (fp alert.Fingerprint, e episode) {
	shape := numbered(r.Reader, &r.shapes, readEpisodeShape)
	if shape[3] > episodeFlags {
		r.Fail("flags %b of an episode", shape[3])
	}
	r.since += alert.Time(r.Int())
	fp = alert.Fingerprint(r.Fixed())
	e = episode{
		since: r.since, dim: r.dim(),
		now: correlate.Disposition(shape[0]), severity: alert.Severity(shape[1]), paged: alert.Severity(shape[2]),
		ended: shape[3]&episodeEnded != 0,
	}
	if shape[3]&episodeHasUntil != 0 {
		e.until = e.since + alert.Time(r.Int())
	}
	return fp, e
}

func (es *episodes) append(s *stateWriter) {
	s.Uint(es.ended)
	s.Uint(es.short)
	s.Uint(es.shortTold)

	open := append(es.open.all(), es.critical.all()...)
	slices.SortFunc(open, func(a, b openEpisode) int {
		return cmp.Or(cmp.Compare(a.e.since, b.e.since), cmp.Compare(a.fp, b.fp))
	})
	w := &episodeWriter{stateWriter: s, shapes: map[episodeShape]uint64{}}
	s.Uint(uint64(len(open)))
	for i := range open {
		w.add(open[i].fp, &open[i].e)
	}
	es.swallowed.append(w)
	es.belowThreshold.append(w)
}

func (cs *criticals) append(w *episodeWriter) {
	w.Uint(cs.n)
	w.Uint(uint64(len(cs.latest)))
	for i := range cs.latest {
		w.add(cs.latest[i].fp, &cs.latest[i].e)
	}
}

func (l *Ledger) loadEpisodes(s *stateReader) {
	es := &l.episodes
	es.ended, es.short, es.shortTold = s.Uint(), s.Uint(), s.Uint()
	r := &episodeReader{stateReader: s}
	n := s.Count(minEpisodeBytes)
	for range n {
		fp, e := r.next()
		if twice, _ := es.of(fp); twice != nil {
			s.Fail("two open episodes of %s", fp)
		}
		if s.Err() != nil {
			return
		}
		es.listOf(e.severity).put(fp, e)
	}
	es.swallowed.load(r)
	es.belowThreshold.load(r)
}

func (cs *criticals) load(r *episodeReader) {
	cs.n = r.Uint()
	n := r.Count(minEpisodeBytes)
	if n > MaxListed || uint64(n) > cs.n {
		r.Fail("%d criticals listed of %d, at most %d", n, cs.n, MaxListed)
		return
	}
	for range n {
		fp, e := r.next()
		cs.latest = append(cs.latest, critical{fp: fp, e: e})
	}
}

// append writes incidents in the order in which they go.
func (rs *receipts) append(s *stateWriter) {
	s.Uint(uint64(len(rs.order)))
	last := uint64(0)
	for _, id := range rs.order {
		inc := rs.byIncident[id]
		s.Int(int64(id - last))
		last = id
		s.Bool(inc.dimKnown)
		if inc.dimKnown {
			s.Uint(uint64(inc.dim))
		}
		s.Uint(uint64(len(inc.accepted)))
		for _, a := range inc.accepted {
			s.Uint(uint64(a.revision))
			s.word(a.receiver)
			s.word(a.integration)
		}
		s.Uint(uint64(len(inc.pages)))
		for _, revision := range inc.pages {
			s.Uint(uint64(revision))
		}
	}
}

func (l *Ledger) loadReceipts(s *stateReader) {
	rs := &l.receipts
	n := s.Count(4)
	if n > MaxIncidents {
		s.Fail("%d incidents, at most %d", n, MaxIncidents)
		return
	}
	id := uint64(0)
	for range n {
		id += uint64(s.Int())
		inc := &incident{}
		inc.load(s)
		if rs.byIncident[id] != nil {
			s.Fail("incident %d is there twice", id)
		}
		if s.Err() != nil {
			return
		}
		rs.byIncident[id] = inc
		rs.order = append(rs.order, id)
	}
}

func (inc *incident) load(s *stateReader) {
	if inc.dimKnown = s.Bool(); inc.dimKnown {
		inc.dim = s.dim()
	}
	for range bounded(s, 3, maxAcceptances) {
		inc.accepted = append(inc.accepted, acceptance{s.Uint32(), s.word(), s.word()})
	}
	for range bounded(s, 1, maxAcceptances) {
		inc.pages = append(inc.pages, s.Uint32())
	}
}

// bounded reads the length of a list that must not be longer than limit, or it
// would never be shortened again.
func bounded(s *stateReader, size, limit int) int {
	n := s.Count(size)
	if n > limit {
		s.Fail("a list of %d, at most %d", n, limit)
		return 0
	}
	return n
}
