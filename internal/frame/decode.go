package frame

import (
	"encoding/binary"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Decoder reads frames and reuses its memory from one to the next.
type Decoder struct {
	strings []string
	alerts  []alert.Alert
	labels  []alert.Label
}

// Decode checks msg and calls each for its events, in order; it stops at the
// first error of either. The events' strings outlive the call, their slices do
// not. Nothing is called for a frame whose envelope or structure is unsound.
func (d *Decoder) Decode(msg []byte, each func(*Event) error) (counter uint64, err error) {
	counter, raw, err := open(msg, 'F')
	if err != nil {
		return 0, err
	}
	r := reader{b: raw, text: string(raw)}
	var events []Event
	d.alerts, d.labels = d.alerts[:0], d.labels[:0]
	for r.left() > 0 {
		size := r.length()
		segment := r.sub(size)
		if events, err = d.segment(events, &segment); err != nil {
			return counter, err
		}
		if r.err != nil {
			return counter, r.err
		}
	}
	for i := range events {
		if err := each(&events[i]); err != nil {
			return counter, err
		}
	}
	return counter, nil
}

func (d *Decoder) segment(events []Event, r *reader) ([]Event, error) {
	d.strings = d.strings[:0]
	for range r.count(1) {
		d.strings = append(d.strings, r.str(r.length()))
	}
	for range r.count(2) {
		e := Event{Kind: Kind(r.byte())}
		payload := r.sub(r.length())
		if r.err != nil {
			return nil, r.err
		}
		var err error
		if e.Kind == Alerts {
			err = d.alertsEvent(&e, &payload)
		} else {
			err = e.setPayload(payload.b[payload.at:payload.end])
		}
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	if r.err == nil && r.left() > 0 {
		r.fail("%d bytes after the last event", r.left())
	}
	return events, r.err
}

func (d *Decoder) alertsEvent(e *Event, r *reader) error {
	e.Source = d.symbol(r)
	e.Validity = time.Duration(r.uvarint())
	base := alert.Time(r.uint64())
	n := r.count(4)
	// A fresh slice where it would grow: events of this frame point into the old.
	if cap(d.alerts)-len(d.alerts) < n {
		d.alerts = make([]alert.Alert, 0, max(n, 2*cap(d.alerts)))
	}
	from := len(d.alerts)
	for range n {
		d.alerts = append(d.alerts, alert.Alert{})
		d.alert(&d.alerts[len(d.alerts)-1], r, base)
		if r.err != nil {
			return r.err
		}
	}
	if r.left() > 0 {
		r.fail("%d bytes after the last alert", r.left())
	}
	e.Alerts = d.alerts[from:len(d.alerts):len(d.alerts)]
	return r.err
}

func (d *Decoder) alert(a *alert.Alert, r *reader, base alert.Time) {
	flags := r.byte()
	a.Marks = alert.Mark(r.byte())
	if flags&flagResolved != 0 {
		a.Status = alert.Resolved
	}
	a.Labels = d.labelSet(r)
	a.Annotations = d.labelSet(r)
	if flags&flagStarts != 0 {
		a.StartsAt = base + alert.Time(r.varint())
	}
	if flags&flagEnds != 0 {
		a.EndsAt = base + alert.Time(r.varint())
	}
	if flags&flagURL != 0 {
		a.GeneratorURL = d.symbol(r)
	}
	a.Fingerprint = a.Labels.Fingerprint()
}

func (d *Decoder) labelSet(r *reader) alert.Labels {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	if cap(d.labels)-len(d.labels) < n {
		d.labels = make([]alert.Label, 0, max(n, 2*cap(d.labels), 1024))
	}
	from := len(d.labels)
	for range n {
		d.labels = append(d.labels, alert.Label{Name: d.symbol(r), Value: d.symbol(r)})
	}
	return alert.Labels(d.labels[from:len(d.labels):len(d.labels)])
}

func (d *Decoder) symbol(r *reader) string {
	n := r.uvarint()
	if n >= uint64(len(d.strings)) {
		r.fail("string %d of %d", n, len(d.strings))
		return ""
	}
	return d.strings[n]
}

// reader walks bytes and keeps the first error; after one it returns zeros.
type reader struct {
	b       []byte
	text    string // the same bytes, to cut strings from
	at, end int
	err     error
	bounded bool
}

func (r *reader) limit() int {
	if r.bounded {
		return r.end
	}
	return len(r.b)
}

func (r *reader) left() int {
	if r.err != nil {
		return 0
	}
	return r.limit() - r.at
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = corrupt("at byte %d: "+format, append([]any{r.at}, args...)...)
	}
}

func (r *reader) byte() byte {
	if r.left() < 1 {
		r.fail("it ends too early")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) uint64() uint64 {
	if r.left() < 8 {
		r.fail("it ends too early")
		return 0
	}
	r.at += 8
	return binary.LittleEndian.Uint64(r.b[r.at-8:])
}

func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:r.limit()])
	if n <= 0 {
		r.fail("bad integer")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// length reads a length that must fit into what is left.
func (r *reader) length() int {
	v := r.uvarint()
	if v > uint64(max(r.left(), 0)) {
		r.fail("length %d of %d left", v, r.left())
		return 0
	}
	return int(v)
}

// count reads a number of things that take at least size bytes each.
func (r *reader) count(size int) int {
	v := r.uvarint()
	if v > uint64(max(r.left(), 0)/size) {
		r.fail("%d things of %d bytes in %d", v, size, r.left())
		return 0
	}
	return int(v)
}

func (r *reader) str(n int) string {
	if r.err != nil {
		return ""
	}
	r.at += n
	return r.text[r.at-n : r.at]
}

func (r *reader) sub(n int) reader {
	s := reader{b: r.b, text: r.text, at: r.at, end: r.at + n, bounded: true, err: r.err}
	if r.err == nil {
		r.at += n
	}
	return s
}
