package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/wire"
	"github.com/winnowhq/winnow/sinks"
)

// standing is where incidents stand, as the receipts in the log have it: who was
// told of them, by which settings, and has not been told of their end.
type standing map[uint64]*stands

type stands struct {
	at []sinks.Held
	// closed is the revision of the last notification of an incident that is
	// over; 0 while it is open.
	closed uint32
}

// receipt enters what a sink has reported.
func (s standing) receipt(r *correlate.Receipt) {
	if r.Kind == correlate.Resolve {
		if r.Outcome != correlate.Superseded {
			s.drop(r)
		}
	} else if r.Outcome == correlate.Accepted {
		s.told(r)
	}
	if is := s[r.Incident]; is != nil && is.closed != 0 && r.Last && r.Revision >= is.closed {
		delete(s, r.Incident)
	}
}

func (s standing) told(r *correlate.Receipt) {
	is := s[r.Incident]
	if is == nil {
		is = &stands{}
		s[r.Incident] = is
	}
	i := is.find(r)
	if i < 0 {
		is.at = append(is.at, sinks.Held{Incident: r.Incident, Receiver: r.Receiver, Integration: r.Integration})
		i = len(is.at) - 1
	}
	// The latest last.
	h := &is.at[i]
	h.Generations = append(slices.DeleteFunc(h.Generations, func(g string) bool { return g == r.Generation }), r.Generation)
}

func (s standing) drop(r *correlate.Receipt) {
	is := s[r.Incident]
	if is == nil {
		return
	}
	if i := is.find(r); i >= 0 {
		is.at = slices.Delete(is.at, i, i+1)
	}
	if len(is.at) == 0 {
		delete(s, r.Incident)
	}
}

func (is *stands) find(r *correlate.Receipt) int {
	return slices.IndexFunc(is.at, func(h sinks.Held) bool { return h.Receiver == r.Receiver && h.Integration == r.Integration })
}

// over says that an incident is closed, and with which revision; waits says that
// this one is not delivered yet.
func (s standing) over(incident uint64, revision uint32, waits bool) {
	is := s[incident]
	switch {
	case is == nil:
	case waits:
		is.closed = revision
	default:
		delete(s, incident)
	}
}

// Standing lists where incidents stand, sorted.
func (s *Shard) Standing() []sinks.Held {
	var out []sinks.Held
	for _, is := range s.standing { // order: sorted below
		for _, h := range is.at {
			h.Generations = slices.Clone(h.Generations)
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b sinks.Held) int {
		return cmp.Or(cmp.Compare(a.Incident, b.Incident), cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.Integration, b.Integration))
	})
	return out
}

// closeIncidents notes which incidents the message has closed.
func (s *Shard) closeIncidents() {
	for i := range s.out.Rows {
		if r := &s.out.Rows[i]; r.Action == correlate.IncidentClosed {
			_, waits := s.undelivered[notificationID{r.Incident, r.Revision}]
			s.standing.over(r.Incident, r.Revision, waits)
		}
	}
}

// Parts of a state that stand behind the ledger, each with its length; a state
// of a program that did not know a part lacks it.
const (
	partStanding = 1
	partAnswered = 2
)

func (s standing) append(w *wire.Writer) {
	ids := slices.Sorted(maps.Keys(s))
	w.Uint(uint64(len(ids)))
	for _, id := range ids {
		is := s[id]
		w.Uint(id)
		w.Uint(uint64(is.closed))
		w.Uint(uint64(len(is.at)))
		for _, h := range is.at {
			w.String(h.Receiver)
			w.String(h.Integration)
			w.Uint(uint64(len(h.Generations)))
			for _, g := range h.Generations {
				w.String(g)
			}
		}
	}
}

func (s standing) load(r *wire.Reader) {
	for range r.Count(3) {
		id := r.Uint()
		is := &stands{closed: r.Uint32()}
		for range r.Count(3) {
			h := sinks.Held{Incident: id, Receiver: r.String(), Integration: r.String()}
			for range r.Count(1) {
				h.Generations = append(h.Generations, r.String())
			}
			is.at = append(is.at, h)
		}
		if s[id] != nil || len(is.at) == 0 {
			r.Fail("%s stands nowhere, or twice", correlate.IncidentName(id))
			return
		}
		s[id] = is
	}
}
