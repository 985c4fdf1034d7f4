package ingest

import (
	"bytes"

	"github.com/winnowhq/winnow/alert"
)

// A shape guesses where an alert ends that begins at the start of b, and where
// in it its end stands, from and to being the same where that does not matter.
// A wrong guess does no harm: it is checked when the alert is read for the first
// time, and from then on the same bytes are the same alert.
type shape func(b []byte) (from, to, size int, ok bool)

// shapeBytes is how long an alert may be for its repeats to be known by bytes.
const shapeBytes = 8 << 10

// maxMisshapen is how many guesses may be wrong before no more are made in a
// body: its sender writes otherwise.
const maxMisshapen = 16

var (
	endsAtName      = []byte(`"endsAt":"`)
	labelsLast      = []byte(`"}}`)
	fingerprintName = []byte(`"fingerprint":"`)
	alertLast       = []byte(`"}`)
)

// Bytes of these names that alerts have little of elsewhere: what bytes.Index
// looks for first is a quotation mark, and those are everywhere.
const (
	endsAtRare     = 5
	labelsLastRare = 1
	alertLastRare  = 1
)

const (
	maxTimeBytes     = len("2006-01-02T15:04:05.999999999+00:00")
	fingerprintBytes = 16
)

// prometheusShape is how Prometheus writes an alert: its end before its labels,
// and these last.
func prometheusShape(b []byte) (from, to, size int, ok bool) {
	b = b[:min(len(b), shapeBytes)]
	if from = indexBy(b, endsAtName, endsAtRare); from < 0 {
		return 0, 0, 0, false
	}
	from += len(endsAtName)
	n := bytes.IndexByte(b[from:min(from+maxTimeBytes+1, len(b))], '"')
	if n < 0 {
		return 0, 0, 0, false
	}
	to = from + n
	last := indexBy(b[to:], labelsLast, labelsLastRare)
	return from, to, to + last + len(labelsLast), last >= 0
}

// indexBy is bytes.Index, by the rarest byte of the pattern.
func indexBy(b, pattern []byte, rare int) int {
	for at := rare; at < len(b); at++ {
		i := bytes.IndexByte(b[at:], pattern[rare])
		if i < 0 {
			return -1
		}
		at += i
		if bytes.HasPrefix(b[at-rare:], pattern) {
			return at - rare
		}
	}
	return -1
}

// alertmanagerShape is how Alertmanager writes one: the fingerprint last. The end
// of an alert that fires is always the same there. It is looked for by the brace
// behind it, of which there are few.
func alertmanagerShape(b []byte) (from, to, size int, ok bool) {
	b = b[:min(len(b), shapeBytes)]
	for {
		i := indexBy(b[size:], alertLast, alertLastRare)
		if i < 0 {
			return 0, 0, 0, false
		}
		size += i + len(alertLast)
		name := size - len(alertLast) - fingerprintBytes - len(fingerprintName)
		if name >= 0 && bytes.HasPrefix(b[name:], fingerprintName) {
			return size, size, size, true
		}
	}
}

// probe is a guess at the alert that the scanner stands before, and what it is
// known by if the guess is right.
type probe struct {
	key     key
	endFrom int // offsets in the body; 0 where the end does not matter
	to      int
}

// repeat takes the alert that the scanner stands before if it is known by its
// bytes. It reports false where the alert has to be read; probe then says by
// what it would be known.
func (e *Emitter) repeat(d *alertDialect) bool {
	e.probe = probe{}
	if e.dict == nil || d.shape == nil || e.misshapen >= maxMisshapen {
		return false
	}
	s := &e.scan
	b := s.text[s.pos:]
	from, to, size, ok := d.shape(b)
	if !ok {
		e.misshapen++
		return false
	}
	k := e.dict.key(d.number, b[:from], b[to:size])
	number, known := e.dict.find(k)
	r := alert.Repeat{Number: number}
	if !known || from < to && !e.endOf(&r, b[from:to]) {
		e.probe = probe{key: k, to: s.pos + size}
		if from < to {
			e.probe.endFrom = s.pos + from
		}
		return false
	}
	e.cur.mark = len(e.pairs) // no alert to carry over
	e.makeRoom(repeatBytes)
	e.batch.Repeats = append(e.batch.Repeats, r)
	e.batch.run(repeats)
	e.bytes += repeatBytes
	s.pos += size
	e.taken = s.pos
	e.badFrom = -1
	e.result.Accepted++
	return true
}

// endOf reads the end of a repeat, which is the same for many in a row. It
// reports false where that is no time to come: such an alert is read.
func (e *Emitter) endOf(r *alert.Repeat, text []byte) bool {
	if !bytes.Equal(text, e.endText) {
		t, ok := parseTime(view(text))
		if !ok || t <= e.now {
			return false
		}
		e.endText, e.endsAt = text, t
	}
	r.EndsAt = e.endsAt
	return true
}

// keyOf is what the alert that was just read will be known by: nothing unless
// the guess was right, and it fires and is clean, so that the same bytes, with
// another end in them, are always the same delivery.
func (e *Emitter) keyOf(c *current) key {
	p := &e.probe
	if p.key.hash == 0 {
		return key{}
	}
	if e.scan.pos != p.to || p.endFrom != 0 && p.endFrom != c.endFrom {
		e.misshapen++
		return key{}
	}
	if c.Marks != 0 || c.flaw.reason != "" || c.Status != alert.Firing || c.StartsAt == 0 || c.StartsAt > e.now {
		return key{}
	}
	return p.key
}
