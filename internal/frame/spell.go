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
	known  []uint64 // a bit for each number that is in alerts
	alerts map[uint32]*alert.Alert
}

func (d *spelled) get(number uint32) *alert.Alert {
	if i := number / 64; int64(i) < int64(len(d.known)) && d.known[i]&(1<<(number%64)) != 0 {
		return d.alerts[number]
	}
	return nil
}

func (d *spelled) put(number uint32, a *alert.Alert) {
	for int(number/64) >= len(d.known) {
		d.known = append(d.known, 0)
	}
	d.known[number/64] |= 1 << (number % 64)
	d.alerts[number] = a
}

// NewSpeller returns a Speller for the alerts that keep is true of; it knows
// limit of them in a dictionary at most.
func NewSpeller(limit int, keep func(*alert.Alert) bool) *Speller {
	return &Speller{keep: keep, limit: limit}
}

// Each calls f for the deliveries of an event that it cares for, in the order in
// which they came. F may keep a firing alert by copying the struct: its strings
// and slices do not change any more. One that is resolved is valid until f
// returns.
func (s *Speller) Each(e *Event, f func(*alert.Alert)) {
	d := s.of(e)
	e.Each(func(r *alert.Repeat) {
		if a := d.get(r.Number); a != nil {
			a.EndsAt = r.EndsAt
			f(a)
		}
	}, func(a *alert.Alert, number uint32) {
		if !s.keep(a) {
			return
		}
		if a.Status == alert.Resolved {
			f(a)
			return
		}
		own := a.Clone()
		f(&own)
		if e.Kind == Deliveries && len(d.alerts) < s.limit && number < maxSpelled {
			d.put(number, &own)
		}
	})
}

// maxSpelled bounds the numbers that are followed, so that a strange one takes no
// more room than a bit for each below it.
const maxSpelled = 1 << 25

func (s *Speller) of(e *Event) *spelled {
	if e.Kind != Deliveries {
		return nil
	}
	for i := range s.dictionaries {
		if d := &s.dictionaries[i]; d.alerts != nil && d.id == e.Dictionary {
			return d
		}
	}
	s.dictionaries[1] = s.dictionaries[0]
	s.dictionaries[0] = spelled{id: e.Dictionary, alerts: map[uint32]*alert.Alert{}}
	return &s.dictionaries[0]
}
