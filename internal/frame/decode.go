package frame

import (
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

// Decoder reads frames and reuses its memory from one to the next.
type Decoder struct {
	// Only, where it is set, says by what a label set says of its severity and by
	// the status which alerts in full are read. Of the others the place is known
	// and nothing else: they have no labels.
	Only func(alert.Severity, alert.Status) bool

	raw     []byte // of the frame; the strings are cut from it
	body    []byte // of what is open: raw, or a part of the message
	events  []Event
	strings []string
	severe  severityLabels // of the segment
	alerts  []alert.Alert
	labels  []alert.Label
	repeats []alert.Repeat
	runs    []uint32
	numbers []uint32 // of the strings of a label set
}

// Decode checks msg and calls each for its events, in order; it stops at the
// first error of either. Alerts and sources are valid until the next Decode: who
// keeps one makes a copy, strings and all. Nothing is called for a frame whose
// envelope or structure is unsound.
func (d *Decoder) Decode(msg []byte, each func(*Event) error) (Header, error) {
	h, err := d.Open(msg)
	if err != nil {
		return Header{}, err
	}
	return h, d.Events(each)
}

// Open checks msg's envelope and says what it says. Events has its events.
func (d *Decoder) Open(msg []byte) (Header, error) {
	if spoils {
		spoil(d.raw)
	}
	d.body = nil
	h, raw, err := open(d.raw, msg, 'F', version)
	if err != nil {
		return Header{}, err
	}
	if cap(raw) <= maxKeptRaw && msg[3] != codecStored {
		d.raw = raw
	}
	d.body = raw
	return h, nil
}

// Events is the rest of Decode, for what was opened last.
func (d *Decoder) Events(each func(*Event) error) (err error) {
	r := wire.NewTextReader(d.body)
	events := d.events[:0]
	defer func() { clear(events); d.events, d.body = events[:0], nil }()
	d.alerts, d.labels, d.repeats, d.runs = d.alerts[:0], d.labels[:0], d.repeats[:0], d.runs[:0]
	for r.Left() > 0 {
		segment := r.Part()
		if events, err = d.segment(events, &segment); err != nil {
			return err
		}
	}
	if r.Err() != nil {
		return r.Err()
	}
	for i := range events {
		if err := each(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

// maxKeptRaw is the largest body whose memory is kept for the next one.
const maxKeptRaw = 4 << 20

func (d *Decoder) segment(events []Event, r *wire.Reader) ([]Event, error) {
	d.table(r)
	if d.Only != nil {
		d.severe.find(d.strings)
	}
	for range r.Count(2) {
		e := Event{Kind: Kind(r.Byte())}
		var err error
		if e.Kind == Alerts || e.Kind == Deliveries {
			payload := r.Part()
			err = d.alertsEvent(&e, &payload)
		} else if payload := r.Bytes(); r.Err() == nil {
			err = e.setPayload(payload)
		}
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, r.End()
}

// table reads the strings that others refer to by number.
func (d *Decoder) table(r *wire.Reader) {
	d.strings = d.strings[:0]
	for range r.Count(1) {
		d.strings = append(d.strings, r.String())
	}
}

func (d *Decoder) alertsEvent(e *Event, r *wire.Reader) error {
	e.Source = d.symbol(r)
	e.Validity = time.Duration(r.Uint())
	base := alert.Time(r.Fixed())
	n := 0
	if e.Kind == Alerts {
		n = r.Count(4)
	} else {
		n = d.repeatsOf(e, r, base)
	}
	e.Alerts = d.full(r, base, n)
	return r.End()
}

// full reads n alerts.
func (d *Decoder) full(r *wire.Reader, base alert.Time, n int) []alert.Alert {
	// A fresh slice where it would grow: events of this frame point into the old.
	if cap(d.alerts)-len(d.alerts) < n {
		d.alerts = make([]alert.Alert, 0, max(n, 2*cap(d.alerts)))
	}
	from := len(d.alerts)
	for range n {
		d.alerts = append(d.alerts, alert.Alert{})
		d.alert(&d.alerts[len(d.alerts)-1], r, base)
		if r.Err() != nil {
			return nil
		}
	}
	return d.alerts[from:len(d.alerts):len(d.alerts)]
}

// repeatsOf reads what stands before the alerts in full, and returns how many
// of these there are.
func (d *Decoder) repeatsOf(e *Event, r *wire.Reader, base alert.Time) (full int) {
	e.Dictionary = r.Fixed()
	e.First = r.Uint32()
	from := len(d.runs)
	repeats := 0
	for i := range r.Count(1) {
		n := int(r.Uint32())
		d.runs = append(d.runs, uint32(n))
		if i%2 == 0 {
			repeats += n
		} else {
			full += n
		}
		if repeats > r.Left() || full > r.Left()/4 {
			r.Fail("%d repeats and %d alerts in %d bytes", repeats, full, r.Left())
			return 0
		}
	}
	e.Runs = d.runs[from:len(d.runs):len(d.runs)]
	from = len(d.repeats)
	number, end := int64(0), alert.Time(0)
	for range repeats {
		v := r.Uint()
		step := int64(v>>(endBits+1)) ^ -int64(v>>endBits&1)
		if number += step; number < 0 || number > 1<<32-1 {
			r.Fail("number %d", number)
			return 0
		}
		rep := alert.Repeat{Number: uint32(number)}
		switch v & (1<<endBits - 1) {
		case endNone:
		case endSame:
			rep.EndsAt = end
		case endOwn:
			end = base + alert.Time(r.Int())
			rep.EndsAt = end
		default:
			r.Fail("end of a repeat")
			return 0
		}
		d.repeats = append(d.repeats, rep)
	}
	e.Repeats = d.repeats[from:len(d.repeats):len(d.repeats)]
	return full
}

func (d *Decoder) alert(a *alert.Alert, r *wire.Reader, base alert.Time) {
	flags := r.Byte()
	a.Marks = alert.Mark(r.Byte())
	if flags&flagResolved != 0 {
		a.Status = alert.Resolved
	}
	if d.Only != nil && !d.Only(d.severe.peek(*r, d.strings), a.Status) {
		skipAlert(r, flags)
		return
	}
	a.Labels = d.labelSet(r)
	a.Annotations = d.labelSet(r)
	a.StartsAt, a.EndsAt, a.GeneratorURL = d.optional(r, flags, base)
	a.Fingerprint = a.Labels.Fingerprint()
}

// optional reads what appendOptional wrote.
func (d *Decoder) optional(r *wire.Reader, flags byte, base alert.Time) (starts, ends alert.Time, url string) {
	if flags&flagStarts != 0 {
		starts = base + alert.Time(r.Int())
	}
	if flags&flagEnds != 0 {
		ends = base + alert.Time(r.Int())
	}
	if flags&flagURL != 0 {
		url = d.symbol(r)
	}
	return starts, ends, url
}

func (d *Decoder) labelSet(r *wire.Reader) alert.Labels {
	n := r.Count(2)
	if n == 0 {
		return nil
	}
	if cap(d.labels)-len(d.labels) < n {
		d.labels = make([]alert.Label, 0, max(n, 2*cap(d.labels), 1024))
	}
	d.numbers = r.Indexes(d.numbers[:0], 2*n, len(d.strings))
	if len(d.numbers) < 2*n {
		return nil // r says why
	}
	from := len(d.labels)
	for i := 0; i < len(d.numbers); i += 2 {
		d.labels = append(d.labels, alert.Label{Name: d.strings[d.numbers[i]], Value: d.strings[d.numbers[i+1]]})
	}
	return alert.Labels(d.labels[from:len(d.labels):len(d.labels)])
}

func (d *Decoder) symbol(r *wire.Reader) string {
	n := r.Uint()
	if n >= uint64(len(d.strings)) {
		r.Fail("string %d of %d", n, len(d.strings))
		return ""
	}
	return d.strings[n]
}
