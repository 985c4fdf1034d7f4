package engine

import (
	"maps"
	"slices"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/wire"
	"github.com/winnowhq/winnow/sinks"
)

// answers are the integrations that have taken a notification which others have
// not: the next life must not send it to those again, as not all of them have a
// key to fold it by.
type answers map[notificationID][]sinks.Answer

// answer enters what a sink has reported. Only what was accepted is an answer:
// what was refused may have to be refused again to come to the fallback
// receiver, and what was superseded is answered by what took its place.
func (s *Shard) answer(r *correlate.Receipt) {
	id := notificationID{r.Incident, r.Revision}
	if _, waits := s.undelivered[id]; !waits || r.Outcome != correlate.Accepted {
		return
	}
	a := sinks.Answer{Receiver: r.Receiver, Integration: r.Integration, Generation: r.Generation}
	if !slices.Contains(s.answered[id], a) {
		s.answered[id] = append(s.answered[id], a)
	}
}

// clone is for another goroutine.
func (s answers) clone() answers {
	out := make(answers, len(s))
	for id, a := range s { // order: each by itself
		out[id] = slices.Clone(a)
	}
	return out
}

func (s answers) append(w *wire.Writer) {
	ids := slices.SortedFunc(maps.Keys(s), notificationID.compare)
	w.Uint(uint64(len(ids)))
	for _, id := range ids {
		w.Uint(id.incident)
		w.Uint(uint64(id.revision))
		w.Uint(uint64(len(s[id])))
		for _, a := range s[id] {
			w.String(a.Receiver)
			w.String(a.Integration)
			w.String(a.Generation)
		}
	}
}

func (s answers) load(r *wire.Reader) {
	for range r.Count(3) {
		id := notificationID{r.Uint(), r.Uint32()}
		var as []sinks.Answer
		for range r.Count(3) {
			as = append(as, sinks.Answer{Receiver: r.String(), Integration: r.String(), Generation: r.String()})
		}
		if s[id] != nil || len(as) == 0 {
			r.Fail("notification %d of %s is answered by nobody, or listed twice", id.revision, correlate.IncidentName(id.incident))
			return
		}
		s[id] = as
	}
}
