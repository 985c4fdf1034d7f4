package ingest

import (
	"math"
	"strconv"
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// Emitter takes what a Decode function reads and hands it on in batches. Its
// memory is that of one batch, whatever the size of the body.
//
// All it gathers lives in one slab: the alerts in a slice, their labels and
// annotations one behind the other in another, the strings in the body or, where
// they had to be unescaped, in an arena. The slab is reused after each batch.
type Emitter struct {
	scan   scanner
	limits *Limits
	now    alert.Time
	flush  func(*Batch) error
	err    error // of flush; it ends the reading

	sending bool // flush is being called

	batch Batch
	bytes int // estimated size of batch
	pairs alert.Labels
	// spare is the arena before the last flush. The alert that did not fit
	// into the flushed batch has its strings there.
	spare arena
	twins twins // of what was read into this batch

	cur     current
	taken   int    // bytes of the body that are accounted for
	pointer string // of a fault of the scanner
	badFrom int    // where the run of bad alerts began that the last Quarantine holds, -1 for none

	result Result

	// Of repeats that need not be read; see repeat.
	dict      *Dictionary // nil where all is read
	keys      []key       // of the batch's alerts
	probe     probe
	misshapen int
	endText   []byte // the end that was read last, and what it is
	endsAt    alert.Time

	// The most that was in use at a time, so that reset clears no more.
	peakAlerts, peakPairs int
}

// current is the alert that is being read.
type current struct {
	alert.Alert
	// labels and annotations are ranges of pairs. Slices would not survive its
	// growing and moving.
	labels, annotations span
	status              string

	list  string // pointer of the array that the alert is in
	index int
	start int // offset of the alert in the body
	mark  int // length of pairs before the alert

	endFrom int // offset in the body of the text of its end

	fault fault // what keeps it from being an alert
	flaw  fault // what is wrong with it otherwise
}

// A fault is something wrong with an alert. Of several the first counts.
type fault struct {
	reason  string // "" for none
	offset  int
	pointer string
}

type span struct{ from, to int }

func (s span) of(pairs alert.Labels) alert.Labels { return pairs[s.from:s.to:s.to] }

// Now is when the request was received.
func (e *Emitter) Now() alert.Time { return e.now }

// begin starts the alert that the scanner stands before, element index of the
// array at list.
func (e *Emitter) begin(list string, index int) {
	e.scan.sanitised = false
	e.cur = current{list: list, index: index, start: e.scan.pos, mark: len(e.pairs)}
}

// reject notes why the current alert is none: nobody can say what it is about.
// Where says which of its values: names of members, from the outermost in.
func (e *Emitter) reject(offset int, reason string, where ...string) {
	if e.cur.fault.reason == "" {
		e.cur.fault = fault{reason, offset, e.pointerTo(where...)}
	}
}

// complain notes what is wrong with the current alert although it is one: it is
// taken without that, marked, and the sender is told.
func (e *Emitter) complain(offset int, m alert.Mark, reason string, where ...string) {
	e.cur.Marks |= m
	if e.cur.flaw.reason == "" {
		e.cur.flaw = fault{reason, offset, e.pointerTo(where...)}
	}
}

const maxPointerKeyBytes = 64

func (e *Emitter) pointerTo(where ...string) string {
	var p strings.Builder
	p.WriteString(e.cur.list + "/" + strconv.Itoa(e.cur.index))
	for _, w := range where {
		p.WriteString(pointerStep(w))
	}
	return p.String()
}

// pointerStep is the part of a JSON pointer for a member of that name.
func pointerStep(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(cutText(name, maxPointerKeyBytes))
}

// cutPair brings one name and value within their limits.
func (e *Emitter) cutPair(name, value string, isLabel bool) (string, string) {
	e.cur.Marks |= alert.MarkTruncated
	cutValue := cutText
	if isLabel {
		cutValue = cutIdentity
	}
	return cutIdentity(name, e.limits.LabelNameBytes), cutValue(value, e.limits.LabelValueBytes)
}

// compact sorts the pairs from from on and drops those that fit would drop, so
// that an alert with a million labels takes no more room than one with a
// thousand.
func (e *Emitter) compact(from, most int, isLabels bool) {
	e.peakPairs = max(e.peakPairs, len(e.pairs))
	set := e.pairs[from:]
	if order(&set) {
		e.cur.Marks |= alert.MarkDuplicateKey
	}
	before := len(set)
	if isLabels {
		set = dropLabels(set, most, math.MaxInt)
	} else {
		set = dropAnnotations(set, most, math.MaxInt)
	}
	if len(set) < before {
		e.cur.Marks |= alert.MarkTruncated
	}
	e.pairs = e.pairs[:from+len(set)]
}

// emit ends the current alert and takes it into the batch, or into quarantine
// if it was rejected.
func (e *Emitter) emit() {
	if e.scan.failed() {
		return
	}
	end := e.scan.pos
	c := &e.cur
	c.Labels, c.Annotations = c.labels.of(e.pairs), c.annotations.of(e.pairs)
	if len(c.Labels) == 0 {
		e.reject(c.start, "the alert has no label with a value", "labels")
	}
	if c.fault.reason != "" {
		e.pairs = e.pairs[:c.mark]
		e.rejectAlert(end)
		return
	}
	if e.scan.sanitised {
		c.Marks |= alert.MarkSanitised
	}
	e.limits.fit(&c.Alert)
	c.labels.to = c.labels.from + len(c.Labels)
	c.annotations.to = c.annotations.from + len(c.Annotations)

	n := size(&c.Alert)
	e.makeRoom(n)
	c.Labels, c.Annotations = c.labels.of(e.pairs), c.annotations.of(e.pairs)
	c.Fingerprint = c.Labels.Fingerprint()
	e.batch.Alerts = append(e.batch.Alerts, c.Alert)
	e.batch.run(inFull)
	if e.dict != nil {
		e.keys = append(e.keys, e.keyOf(c))
	}
	e.bytes += n
	e.taken = end
	e.badFrom = -1
	e.result.Accepted++
	if c.flaw.reason != "" {
		e.result.name(Problem{c.flaw.pointer, c.flaw.offset, c.flaw.reason})
	}
}

// detailedQuarantines is how many bad alerts of a body are kept one by one.
// Later ones that stand side by side are kept as one piece, so that a body of a
// million bad elements does not become a million entries.
const detailedQuarantines = 100

// rejectAlert puts the current alert, which ends before end, into quarantine.
func (e *Emitter) rejectAlert(end int) {
	c := &e.cur
	e.result.add(Problem{c.fault.pointer, c.fault.offset, c.fault.reason})
	e.taken = end
	if e.result.Quarantined > detailedQuarantines && e.extendRun(end) {
		return
	}
	e.badFrom = c.start
	e.quarantine(Quarantine{Reason: c.fault.reason, Offset: c.fault.offset, Pointer: c.fault.pointer, Raw: e.scan.text[c.start:end], Alerts: 1})
}

// extendRun lets the last Quarantine of the batch reach to end, if it is the
// neighbour of the current alert and all of it can be kept.
func (e *Emitter) extendRun(end int) bool {
	if e.badFrom < 0 || len(e.batch.Quarantined) == 0 {
		return false
	}
	q := &e.batch.Quarantined[len(e.batch.Quarantined)-1]
	growth := end - e.badFrom - len(q.Raw)
	if e.bytes+growth > MaxBatchBytes { // which bounds Raw as well
		return false
	}
	q.Raw = e.scan.text[e.badFrom:end]
	q.Alerts++
	e.bytes += growth
	return true
}

// rejectBody puts the body, or what is left of it, into quarantine.
func (e *Emitter) rejectBody(u *unreadable, raw []byte) {
	e.result.add(Problem{u.pointer, u.offset, u.reason})
	e.badFrom = -1
	e.quarantine(Quarantine{Reason: u.reason, Offset: u.offset, Pointer: u.pointer, Raw: raw})
}

func (e *Emitter) quarantine(q Quarantine) {
	q.Raw = q.Raw[:min(len(q.Raw), MaxRawBytes-quarantineOverhead-len(q.Reason)-len(q.Pointer))]
	n := q.size()
	e.cur.mark = len(e.pairs) // no alert to carry over
	e.makeRoom(n)
	e.batch.Quarantined = append(e.batch.Quarantined, q)
	e.bytes += n
}

// makeRoom hands on the batch if n more bytes or one more entry would not fit.
// The current alert stays valid.
func (e *Emitter) makeRoom(n int) {
	if e.bytes+n <= MaxBatchBytes && e.batch.deliveries() < MaxBatchAlerts {
		return
	}
	e.send()
	e.twins.forget()
	e.spare, e.scan.arena = e.scan.arena, e.spare
	e.scan.arena.reset()

	moved := copy(e.pairs, e.pairs[e.cur.mark:])
	e.pairs = e.pairs[:moved]
	e.cur.labels = e.cur.labels.down(e.cur.mark)
	e.cur.annotations = e.cur.annotations.down(e.cur.mark)
	e.cur.mark = 0
}

func (s span) down(n int) span {
	if s.to == 0 {
		return s
	}
	return span{s.from - n, s.to - n}
}

// send hands on the batch, if there is anything in it, and empties it.
func (e *Emitter) send() {
	if e.batch.deliveries() == 0 || e.err != nil {
		return
	}
	if e.dict != nil {
		e.batch.Dictionary, e.batch.First = e.dict.id, e.dict.take(len(e.batch.Alerts))
	}
	e.peakAlerts = max(e.peakAlerts, len(e.batch.Alerts))
	e.sending = true
	e.err = e.flush(&e.batch)
	e.sending = false
	switch {
	case e.err != nil:
		e.scan.fail(e.scan.pos, "stopped")
	case e.dict != nil:
		e.dict.learn(e.keys, e.batch.First)
	}
	e.keys, e.batch.Repeats, e.batch.Runs = e.keys[:0], e.batch.Repeats[:0], e.batch.Runs[:0]
	e.batch.Alerts = e.batch.Alerts[:0]
	clear(e.batch.Quarantined)
	e.batch.Quarantined = e.batch.Quarantined[:0]
	e.bytes = 0
	e.badFrom = -1
}

// An unreadable is why Decode could not read the body to its end.
type unreadable struct {
	offset  int
	pointer string
	reason  string
}

func (u *unreadable) Error() string { return u.reason }

// end is called behind the JSON value: nothing may follow it. It returns the
// scanner's fault as Decode's error, nil if there was none.
func (e *Emitter) end() error {
	if !e.scan.failed() {
		e.taken = e.scan.pos
	}
	if e.scan.end(); !e.scan.failed() {
		return nil
	}
	return &unreadable{offset: e.scan.offset, pointer: e.pointer, reason: e.scan.reason}
}

// locate notes where in the document the scanner failed: the innermost caller
// knows best.
func (e *Emitter) locate(pointer string) {
	if e.pointer == "" {
		e.pointer = pointer
	}
}
