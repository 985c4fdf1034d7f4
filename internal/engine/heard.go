package engine

import (
	"slices"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/wire"
	"github.com/winnowhq/winnow/sinks"
)

// heard is who has got what is undelivered, as the receipts in the log have it:
// a start sends it to the others only. Whoever has refused it, or was to get a
// newer one in its place, is none of them.
type heard map[notificationID][]sinks.Place

// receipt enters what a sink has reported of a notification that goes on
// waiting for others.
func (h heard) receipt(r *correlate.Receipt) {
	id := notificationID{r.Incident, r.Revision}
	at := sinks.Place{Receiver: r.Receiver, Integration: r.Integration}
	if done := r.Outcome == correlate.Accepted || r.Outcome == correlate.Skipped; done && !slices.Contains(h[id], at) {
		h[id] = append(h[id], at)
	}
}

func (h heard) append(w *wire.Writer) {
	ids := make([]notificationID, 0, len(h))
	for id := range h {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, notificationID.compare)
	w.Uint(uint64(len(ids)))
	for _, id := range ids {
		w.Uint(id.incident)
		w.Uint(uint64(id.revision))
		w.Uint(uint64(len(h[id])))
		for _, at := range h[id] {
			w.String(at.Receiver)
			w.String(at.Integration)
		}
	}
}

func (h heard) load(r *wire.Reader) {
	for range r.Count(3) {
		id := notificationID{r.Uint(), r.Uint32()}
		var by []sinks.Place
		for range r.Count(2) {
			by = append(by, sinks.Place{Receiver: r.String(), Integration: r.String()})
		}
		if h[id] != nil || len(by) == 0 {
			r.Fail("notification %d of %s is heard by nobody, or twice", id.revision, correlate.IncidentName(id.incident))
			return
		}
		h[id] = by
	}
}
