package ingest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/winnowhq/winnow/alert"
)

// Result counts what became of a body.
type Result struct {
	Accepted    int `json:"accepted"`
	Quarantined int `json:"quarantined"`

	// Errors are the first maxProblems of what was wrong: of each piece in
	// quarantine, and of alerts that were accepted without a part of them.
	Errors []Problem `json:"errors,omitempty"`

	// Withheld counts the alerts that the sender says it left out of this
	// body, as Alertmanager does above its max_alerts.
	Withheld int `json:"withheld,omitempty"`

	problems int    // of which Errors are the first
	defect   string // what a panic of Decode said, and where
}

// Problem says what was wrong with one piece of a body; see Quarantine.
type Problem struct {
	Pointer string `json:"pointer"`
	Offset  int    `json:"offset"`
	Reason  string `json:"reason"`
}

const maxProblems = 10

func (p Problem) String() string {
	return fmt.Sprintf("%s (at %q, byte %d)", p.Reason, p.Pointer, p.Offset)
}

// add counts a piece in quarantine.
func (r *Result) add(p Problem) {
	r.Quarantined++
	r.name(p)
}

func (r *Result) name(p Problem) {
	r.problems++
	if len(r.Errors) < maxProblems {
		r.Errors = append(r.Errors, p)
	}
}

// Read decodes body as src does and passes it to each in batches, in order,
// without Validity. A batch and all that it refers to is valid until each has
// returned, and so is body. An error of each ends the reading and is returned;
// there is no other.
//
// Of one body, now and limits, Read always makes the same batches.
func Read(src *Source, body []byte, now alert.Time, limits *Limits, each func(*Batch) error) (Result, error) {
	return read(src, incoming{text: body}, now, limits, nil, each)
}

// incoming is a body as far as it was received.
type incoming struct {
	text []byte
	// short says why there is not more of it, "" where it is whole.
	short string
}

// read is Read with a dictionary, or without where it is nil.
func read(src *Source, in incoming, now alert.Time, limits *Limits, dict *Dictionary, each func(*Batch) error) (Result, error) {
	e := emitters.Get().(*Emitter)
	e.dict = dict
	result, err := e.read(src, in, now, limits, each)
	emitters.Put(e)
	return result, err
}

// read reads one body and leaves e ready for the next.
func (e *Emitter) read(src *Source, in incoming, now alert.Time, limits *Limits, each func(*Batch) error) (Result, error) {
	e.start(src, in.text, now, limits, each)
	u := decode(src, in.text, e)
	switch {
	case e.err != nil:
	case in.short != "":
		whole := &unreadable{reason: in.short, offset: len(in.text)}
		if u != nil {
			whole.pointer = u.pointer
		}
		e.rejectBody(whole, in.text)
	case u != nil:
		e.rejectBody(u, in.text[e.taken:])
	}
	e.send()
	result, err := e.result, e.err
	e.reset()
	return result, err
}

// decode calls src.Decode and turns its panic into an unreadable body: a defect
// that one body sets off must not make its sender repeat that body for ever.
// What each has done wrong is not ours to hide.
func decode(src *Source, body []byte, e *Emitter) (u *unreadable) {
	defer func() {
		if e.sending {
			return
		}
		if p := recover(); p != nil {
			e.result.defect = fmt.Sprintf("%v\n%s", p, debug.Stack())
			u = &unreadable{offset: e.taken, reason: "the decoder of " + src.Name + " failed on it, which is a defect of Winnow"}
		}
	}()
	err := src.Decode(body, e)
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*unreadable](err); ok {
		return u
	}
	return &unreadable{offset: e.taken, reason: err.Error()}
}

var emitters = sync.Pool{New: func() any { return new(Emitter) }}

// maxKeptPairs is the most labels an Emitter keeps room for between bodies:
// twice what a full batch of common alerts has.
const maxKeptPairs = 32 * MaxBatchAlerts

func (e *Emitter) start(src *Source, body []byte, now alert.Time, limits *Limits, flush func(*Batch) error) {
	e.scan.reset(body)
	e.batch.Source = src.Name
	e.limits, e.now, e.flush = limits, now, flush
	e.badFrom = -1
}

// reset keeps the room that e has made, and nothing of the body.
func (e *Emitter) reset() {
	alerts, pairs, quarantined, repeats := e.batch.Alerts[:0], e.pairs[:0], e.batch.Quarantined[:0], e.batch.Repeats[:0]
	clear(alerts[:max(e.peakAlerts, len(e.batch.Alerts))])
	clear(pairs[:max(e.peakPairs, len(e.pairs))])
	if cap(pairs) > maxKeptPairs {
		pairs = nil
	}
	arena, spare, twins := e.scan.arena, e.spare, e.twins
	arena.reset()
	spare.reset()
	twins.forget()
	*e = Emitter{
		scan:  scanner{arena: arena},
		batch: Batch{Alerts: alerts, Quarantined: quarantined, Repeats: repeats, Runs: e.batch.Runs[:0]},
		pairs: pairs,
		keys:  e.keys[:0],
		spare: spare,
		twins: twins,
	}
}
