package sim

import (
	"fmt"
	"maps"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
)

// dictionary gives numbers to what stands in the log in full, as ingest's does:
// it is lost with the process, and a new one begins after a while.
type dictionary struct {
	id      uint64
	born    alert.Time
	next    uint32
	numbers map[string]uint32 // by all of an alert but its end
}

// dictionaryAge is less than ingest's: stories are short.
const dictionaryAge = 4 * time.Minute

func (w *world) newestDictionary() *dictionary {
	l := w.life
	if n := len(l.dictionaries); n == 0 || w.now >= l.dictionaries[n-1].born.Add(dictionaryAge) {
		w.roll(2)
		l.dictionaries = append(l.dictionaries, &dictionary{id: w.rng, born: w.now, numbers: map[string]uint32{}})
	}
	return l.dictionaries[len(l.dictionaries)-1]
}

// numbered is what the log is told of deliveries: numbers for what it has in full
// already. Some senders write their alerts as no shape has them, and some requests
// have begun before the dictionary was renewed.
func (w *world) numbered(e frame.Event) frame.Event {
	d := w.newestDictionary()
	switch w.roll(8) {
	case 0:
		return e
	case 1:
		// One that explained nothing in its time has no requests under way: the
		// table keeps two, in the order in which they explain something.
		if n := len(w.life.dictionaries); n > 1 && len(w.life.dictionaries[n-2].numbers) > 0 {
			d = w.life.dictionaries[n-2]
			w.tally.older++
		}
	}
	out := frame.Event{Kind: frame.Deliveries, Source: e.Source, Validity: e.Validity, Dictionary: d.id, First: d.next, Runs: []uint32{0}}
	run := func(full int) {
		if len(out.Runs)%2 == full {
			out.Runs = append(out.Runs, 0)
		}
		out.Runs[len(out.Runs)-1]++
	}
	learnt := map[string]uint32{}
	for i := range e.Alerts {
		a := &e.Alerts[i]
		text := fmt.Sprint(a.Fingerprint, a.Status, a.StartsAt, a.Annotations)
		number, known := d.numbers[text]
		if known && (a.EndsAt == 0 || a.EndsAt > w.wall()) {
			run(0)
			out.Repeats = append(out.Repeats, alert.Repeat{Number: number, EndsAt: a.EndsAt})
			w.tally.numbered++
			continue
		}
		if !known && a.Status == alert.Firing && a.StartsAt != 0 && a.StartsAt <= w.wall() {
			if _, twice := learnt[text]; !twice {
				learnt[text] = d.next
			}
		}
		d.next++
		run(1)
		out.Alerts = append(out.Alerts, *a)
		w.tally.inFull++
	}
	// It is durable when the next request comes, or this life is over.
	maps.Copy(d.numbers, learnt)
	return out
}
