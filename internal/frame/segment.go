package frame

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/winnowhq/winnow/alert"
)

const (
	flagResolved = 1 << iota
	flagStarts
	flagEnds
	flagURL
)

// Segment builds the bytes of one segment. The zero value is ready; Reset makes
// it so again and keeps its memory. It keeps nothing that it was given.
type Segment struct {
	symbols symbols
	events  []byte
	n       int
	body    []byte
}

// Reset empties s.
func (s *Segment) Reset() {
	s.symbols.reset()
	s.events, s.n = s.events[:0], 0
}

// Empty reports whether nothing was added.
func (s *Segment) Empty() bool { return s.n == 0 }

// Size is about how many bytes the segment has so far.
func (s *Segment) Size() int { return len(s.symbols.table) + len(s.events) }

func (s *Segment) symbol(v string) uint64 { return s.symbols.number(v) }

// AddAlerts adds one event with deliveries of a source.
func (s *Segment) AddAlerts(source string, validity time.Duration, alerts []alert.Alert) {
	if len(alerts) == 0 {
		return
	}
	base := baseTime(alerts)
	b := binary.AppendUvarint(s.body[:0], s.symbol(source))
	b = binary.AppendUvarint(b, uint64(max(validity, 0)))
	b = binary.LittleEndian.AppendUint64(b, uint64(base))
	b = binary.AppendUvarint(b, uint64(len(alerts)))
	for i := range alerts {
		b = s.appendAlert(b, &alerts[i], base)
	}
	s.symbols.letGo()
	s.body = b
	s.add(Alerts, b)
}

// AddDeliveries adds one event with deliveries of a source, of which some are
// repeats by number; see Event for what the fields mean.
func (s *Segment) AddDeliveries(e *Event) {
	if len(e.Alerts)+len(e.Repeats) == 0 {
		return
	}
	base := baseTime(e.Alerts)
	if base == 0 && len(e.Repeats) > 0 {
		base = e.Repeats[0].EndsAt
	}
	b := binary.AppendUvarint(s.body[:0], s.symbol(e.Source))
	b = binary.AppendUvarint(b, uint64(max(e.Validity, 0)))
	b = binary.LittleEndian.AppendUint64(b, uint64(base))
	b = binary.LittleEndian.AppendUint64(b, e.Dictionary)
	b = binary.AppendUvarint(b, uint64(e.First))
	b = binary.AppendUvarint(b, uint64(len(e.Runs)))
	for _, n := range e.Runs {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = appendRepeats(b, e.Repeats, base)
	for i := range e.Alerts {
		b = s.appendAlert(b, &e.Alerts[i], base)
	}
	if len(e.Alerts) > 0 {
		s.symbols.letGo()
	}
	s.body = b
	s.add(Deliveries, b)
}

// How a repeat's end is written, in the lower bits of its number.
const (
	endNone = iota
	endSame // as that of the repeat before
	endOwn  // follows
	endBits = 2
)

func appendRepeats(b []byte, repeats []alert.Repeat, base alert.Time) []byte {
	number, end := uint32(0), alert.Time(0)
	for i := range repeats {
		r := &repeats[i]
		how := uint64(endOwn)
		switch r.EndsAt {
		case 0:
			how = endNone
		case end:
			how = endSame
		}
		step := int64(r.Number) - int64(number)
		b = binary.AppendUvarint(b, uint64(step<<1^step>>63)<<endBits|how)
		if how == endOwn {
			b = binary.AppendVarint(b, int64(r.EndsAt-base))
			end = r.EndsAt
		}
		number = r.Number
	}
	return b
}

// baseTime is a start that is near to the others, so that they take few bytes.
func baseTime(alerts []alert.Alert) alert.Time {
	for i := range alerts {
		if alerts[i].StartsAt != 0 {
			return alerts[i].StartsAt
		}
	}
	return 0
}

func (s *Segment) appendAlert(b []byte, a *alert.Alert, base alert.Time) []byte {
	flags := optionalFlags(a.StartsAt, a.EndsAt, a.GeneratorURL)
	if a.Status == alert.Resolved {
		flags |= flagResolved
	}
	b = append(b, flags, byte(a.Marks))
	b = s.appendLabels(b, a.Labels, 0)
	b = s.appendLabels(b, a.Annotations, 2*len(a.Labels))
	return s.appendOptional(b, base, a.StartsAt, a.EndsAt, a.GeneratorURL)
}

// optionalFlags say which of these are there.
func optionalFlags(starts, ends alert.Time, url string) (flags byte) {
	if starts != 0 {
		flags |= flagStarts
	}
	if ends != 0 {
		flags |= flagEnds
	}
	if url != "" {
		flags |= flagURL
	}
	return flags
}

// appendOptional writes those that are there.
func (s *Segment) appendOptional(b []byte, base, starts, ends alert.Time, url string) []byte {
	if starts != 0 {
		b = binary.AppendVarint(b, int64(starts-base))
	}
	if ends != 0 {
		b = binary.AppendVarint(b, int64(ends-base))
	}
	if url != "" {
		b = binary.AppendUvarint(b, s.symbol(url))
	}
	return b
}

// appendLabels writes the labels whose first string has a place in the alert.
func (s *Segment) appendLabels(b []byte, ls alert.Labels, at int) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for i := range ls {
		b = binary.AppendUvarint(b, s.symbols.numberAt(ls[i].Name, at))
		b = binary.AppendUvarint(b, s.symbols.numberAt(ls[i].Value, at+1))
		at += 2
	}
	return b
}

// Add adds an event of any kind.
func (s *Segment) Add(e *Event) error {
	switch e.Kind {
	case Alerts:
		s.AddAlerts(e.Source, e.Validity, e.Alerts)
		return nil
	case Deliveries:
		s.AddDeliveries(e)
		return nil
	}
	payload, err := e.payload()
	if err != nil {
		return fmt.Errorf("event of kind %d: encode: %w", e.Kind, err)
	}
	s.add(e.Kind, payload)
	return nil
}

func (s *Segment) add(k Kind, payload []byte) {
	s.events = append(s.events, byte(k))
	s.events = binary.AppendUvarint(s.events, uint64(len(payload)))
	s.events = append(s.events, payload...)
	s.n++
}

// Append appends the finished segment to dst.
func (s *Segment) Append(dst []byte) []byte {
	dst = s.symbols.append(dst)
	dst = binary.AppendUvarint(dst, uint64(s.n))
	return append(dst, s.events...)
}
