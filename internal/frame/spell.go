package frame

import "github.com/winnowhq/winnow/alert"

// Speller follows a log for a reader that is not the core and cares for some
// alerts only: it writes out those of them that come as repeats by number. It
// knows what was explained since it began to follow, of the two newest
// dictionaries, and so does not know every number.
type Speller struct {
	keep         func(*alert.Alert) bool
	limit        int
	dictionaries [2]spelled // the newest first
}

type spelled struct {
	id     uint64
	alerts map[uint32]alert.Alert
}

// NewSpeller returns a Speller for the alerts that keep is true of; it knows
// limit of them in a dictionary at most.
func NewSpeller(limit int, keep func(*alert.Alert) bool) *Speller {
	return &Speller{keep: keep, limit: limit}
}

// Each calls f for the deliveries of an event that it cares for, in the order in
// which they came. What f is given is valid until it returns.
func (s *Speller) Each(e *Event, f func(*alert.Alert)) {
	words := s.of(e)
	e.Each(func(r *alert.Repeat) {
		if a, ok := words[r.Number]; ok {
			a.EndsAt = r.EndsAt
			f(&a)
		}
	}, func(a *alert.Alert, number uint32) {
		if !s.keep(a) {
			return
		}
		f(a)
		if e.Kind == Deliveries && a.Status == alert.Firing && len(words) < s.limit {
			words[number] = a.Clone()
		}
	})
}

func (s *Speller) of(e *Event) map[uint32]alert.Alert {
	if e.Kind != Deliveries {
		return nil
	}
	for i := range s.dictionaries {
		if d := &s.dictionaries[i]; d.alerts != nil && d.id == e.Dictionary {
			return d.alerts
		}
	}
	s.dictionaries[1] = s.dictionaries[0]
	s.dictionaries[0] = spelled{e.Dictionary, map[uint32]alert.Alert{}}
	return s.dictionaries[0].alerts
}
