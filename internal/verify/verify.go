// Package verify says whether what a store holds is whole.
//
// It decides what of the log, the outbox, the snapshots and what stands beside
// them is damaged, missing or out of order, and names each place. It changes
// nothing, applies nothing, and needs no lock: a store may be in use while it is
// read. What somebody has written anew from some message of the log to its end,
// with all checksums, it takes for whole.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// A Finding is one thing that is not as it was written.
type Finding struct {
	Where string // log, outbox, or a file
	What  string // which message, and what is wrong with it
	Do    string
}

func (f Finding) String() string { return f.Where + ": " + f.What + ": " + f.Do }

// A Store is what is read.
type Store struct {
	Log, Outbox       func(each func(*stream.Piece) error) error
	LogAge, OutboxAge time.Duration // how far they reach back; 0 where it is not known
	Snapshots         string        // folder
	Descriptions      func() map[string]error
}

// Folder is the store of an embedded server.
func Folder(storage string) *Store {
	lg, ob := stream.LogFiles(storage), stream.OutboxFiles(storage)
	return &Store{
		Log: lg.Each, Outbox: ob.Each, LogAge: lg.MaxAge(), OutboxAge: ob.MaxAge(), Snapshots: snapshotsIn(storage),
		Descriptions: func() map[string]error {
			damaged := lg.Descriptions()
			maps.Copy(damaged, ob.Descriptions())
			return damaged
		},
	}
}

// Cluster is the store of a NATS cluster, with the snapshots that are beside it.
func Cluster(ctx context.Context, l *stream.Look, storage string) *Store {
	s := &Store{Snapshots: snapshotsIn(storage)}
	s.Log = func(each func(*stream.Piece) error) error { return l.EachOfLog(ctx, each) }
	s.Outbox = func(each func(*stream.Piece) error) error { return l.EachOfOutbox(ctx, each) }
	s.LogAge, s.OutboxAge = l.MaxAge()
	return s
}

// snapshotsIn is the folder of the snapshots below a storage path.
func snapshotsIn(storage string) string { return filepath.Join(storage, "snapshots") }

// Held is what a stream holds.
type Held struct {
	First, Last     uint64 // sequences; zero when it is empty
	FirstAt, LastAt alert.Time
	Messages        uint64
}

func (h Held) String() string {
	if h.Messages == 0 {
		return "empty"
	}
	return fmt.Sprintf("%d-%d", h.First, h.Last)
}

// Figures are what was read and how much of it is not whole.
type Figures struct {
	Log, Outbox Held
	Files       int // snapshots and what stands beside them
	Found       int
}

func (f *Figures) String() string {
	return fmt.Sprintf("verify: log=%s frames=%d outbox=%s records=%d files=%d found=%d", f.Log, f.Log.Messages, f.Outbox, f.Outbox.Messages, f.Files, f.Found)
}

const (
	lookAtDisk = "copy the folder aside and look at the disk"
	comesAgain = lookAtDisk + "; alerts that still fire come again with their next repeat, an end may not"
	sentAgain  = lookAtDisk + "; what has no receipt in the log is sent again under its key at the next start"
	nextOne    = lookAtDisk + "; a start takes an older one or the log"
	madeAnew   = lookAtDisk + "; a start makes it anew"
)

// again is the pause before a file that cannot be read is looked at once more:
// it may have been on its way.
const again = 100 * time.Millisecond

// Run reads a store and calls found for what is wrong with it. An error says
// that there is no store, or that it could not be read on.
func Run(s *Store, found func(Finding)) (*Figures, error) {
	f := &Figures{}
	tell := func(x Finding) { f.Found++; found(x) }
	// What is beside the streams is read first, and the outbox before the log: of
	// a store in use the later one may hold more than the earlier knows, not less.
	k, err := beside(s, tell)
	if err != nil {
		return f, err
	}
	f.Files = k.Files
	var c commits
	ob := records{name: "outbox", one: "record", do: sentAgain, maxAge: s.OutboxAge, found: tell, decode: c.decode}
	if err := s.Outbox(ob.take); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	} else if err != nil && k.Committed > 0 {
		tell(Finding{"outbox", "its folder is missing", sentAgain})
	}
	ob.end()
	lg := records{name: "log", one: "message", do: comesAgain, maxAge: s.LogAge, found: tell, decode: decodeFrame(new(frame.Decoder))}
	if err := s.Log(lg.take); err != nil {
		return f, err
	}
	lg.end()
	f.Log, f.Outbox = lg.held, ob.held
	compare(f, k, c.input, tell)
	return f, nil
}

// beside reads what stands beside the streams.
func beside(s *Store, tell func(Finding)) (*engine.Kept, error) {
	read := func() (k *engine.Kept, damaged map[string]error, err error) {
		if k, err = engine.Inspect(s.Snapshots); err == nil && s.Descriptions != nil {
			damaged = s.Descriptions()
		}
		return k, damaged, err
	}
	k, damaged, err := read()
	if err != nil {
		return nil, err
	}
	if len(k.Damaged)+len(damaged) > 0 {
		time.Sleep(again)
		if k, damaged, err = read(); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Damaged)) {
		tell(Finding{name, k.Damaged[name].Error(), nextOne})
	}
	for _, name := range slices.Sorted(maps.Keys(damaged)) {
		tell(Finding{name, damaged[name].Error(), madeAnew})
	}
	return k, nil
}

// compare holds how far each reaches against what the others know of it.
func compare(f *Figures, k *engine.Kept, input uint64, tell func(Finding)) {
	if known := max(k.Applied, k.Snapshot, input); known > f.Log.Last {
		tell(Finding{"log", fmt.Sprintf("it ends at message %d; snapshots, witness or outbox know message %d", f.Log.Last, known), comesAgain})
	}
	if f.Log.First > k.Snapshot+1 {
		tell(Finding{"log", fmt.Sprintf("it begins at message %d, and the newest whole snapshot ends at %d", f.Log.First, k.Snapshot), comesAgain})
	}
	// A record is younger than the message whose decisions it holds, and both
	// streams reach back as far.
	if k.Committed > input && k.Committed >= f.Log.First {
		tell(Finding{"outbox", fmt.Sprintf("its last record is of message %d; the witness knows one of message %d", input, k.Committed), sentAgain})
	}
}

// records holds the messages of a stream against one another.
type records struct {
	name   string
	one    string // what it calls one of them
	do     string // what to do about one that is not whole
	maxAge time.Duration
	found  func(Finding)
	decode func(*stream.Piece) (counter uint64, order string, err error)

	held    Held
	counter uint64        // of the last whole message
	counted uint64        // its sequence
	damage  *stream.Piece // before the next message
}

func (r *records) tell(format string, args ...any) {
	r.found(Finding{r.name, fmt.Sprintf(format, args...), r.do})
}

func (r *records) take(p *stream.Piece) error {
	if p.Seq == 0 {
		if r.damage == nil {
			d := *p
			d.Data = nil
			r.damage = &d
		}
		return nil
	}
	if r.held.Last > 0 && p.Seq <= r.held.Last {
		if !p.Erased { // the place of the last one, kept when all has aged out
			r.tell("%s stands behind %s (%s)", r.nth(p.Seq), r.nth(r.held.Last), place(p))
		}
		return nil
	}
	r.gap(p)
	gap := p.At.Sub(r.held.LastAt)
	if r.held.Messages == 0 {
		r.held.First, r.held.FirstAt = p.Seq, p.At
	}
	r.held.Last, r.held.LastAt = p.Seq, p.At
	r.held.Messages++
	switch {
	case p.Erased:
		r.tell("%s was erased (%s)", r.nth(p.Seq), place(p))
	case p.Damage != nil:
		r.tell("%s is damaged (%s)", r.nth(p.Seq), place(p))
	default:
		r.whole(p, gap)
	}
	return nil
}

// gap says what is missing before p, and why.
func (r *records) gap(p *stream.Piece) {
	d := r.damage
	r.damage = nil
	switch missing := r.span(r.held.Last+1, p.Seq-1); {
	case r.held.Last > 0 && p.Seq > r.held.Last+1 && d != nil:
		r.tell("%s damaged (%s)", missing, place(d))
	case r.held.Last > 0 && p.Seq > r.held.Last+1:
		r.tell("%s missing (before %s)", missing, place(p))
	case d != nil:
		r.tell("what stands before %s is damaged (%s)", r.nth(p.Seq), place(d))
	}
}

// whole looks into a message that came as it was stored.
func (r *records) whole(p *stream.Piece, gap time.Duration) {
	counter, order, err := r.decode(p)
	if err != nil {
		r.tell("%s is damaged (%s: %v)", r.nth(p.Seq), place(p), err)
		return
	}
	if order != "" {
		r.tell("%s is out of order (%s: %s)", r.nth(p.Seq), place(p), order)
	}
	want := r.counter + p.Seq - r.counted
	// Numbers begin anew where everything had aged out.
	if r.counted > 0 && counter != want && !(counter == 1 && r.maxAge > 0 && gap >= r.maxAge) {
		r.tell("%s has the number %d, and %d is its turn (%s): one was left out, or put in the place of another", r.nth(p.Seq), counter, want, place(p))
	}
	r.counter, r.counted = counter, p.Seq
}

// end says what is wrong behind the last message.
func (r *records) end() {
	if r.damage != nil {
		r.tell("what stands behind %s is damaged (%s); a loss of power leaves that of what it cut off, which was not acknowledged", r.nth(r.held.Last), place(r.damage))
	}
}

func place(p *stream.Piece) string {
	at := p.File
	if p.Byte >= 0 {
		at = fmt.Sprintf("%s at byte %d", p.File, p.Byte)
	}
	if p.Damage != nil {
		at += ": " + p.Damage.Error()
	}
	return at
}

func (r *records) nth(seq uint64) string { return fmt.Sprint(r.one, " ", seq) }

func (r *records) span(from, to uint64) string {
	if from >= to {
		return r.nth(to) + " is"
	}
	return fmt.Sprintf("%ss %d to %d are", r.one, from, to)
}

func decodeFrame(d *frame.Decoder) func(*stream.Piece) (uint64, string, error) {
	var seq, sum uint64 // of the whole message before
	return func(p *stream.Piece) (counter uint64, order string, err error) {
		h, err := d.Decode(p.Data, func(*frame.Event) error { return nil })
		if err != nil {
			return 0, "", err
		}
		if err := h.Behind(sum); p.Seq == seq+1 && err != nil {
			order = err.Error()
		}
		seq, sum = p.Seq, frame.Checksum(p.Data)
		return h.Counter, order, nil
	}
}

// commits holds the records of an outbox against one another.
type commits struct{ epoch, input uint64 }

func (c *commits) decode(p *stream.Piece) (counter uint64, order string, err error) {
	counter, r, err := frame.DecodeCommit(p.Data)
	if err != nil {
		return counter, "", err
	}
	switch {
	case r.Epoch < c.epoch:
		order = fmt.Sprintf("it is of life %d, behind one of life %d", r.Epoch, c.epoch)
	case r.Input < c.input:
		order = fmt.Sprintf("it is of message %d of the log, behind one of message %d", r.Input, c.input)
	}
	c.epoch, c.input = max(c.epoch, r.Epoch), max(c.input, r.Input)
	return counter, order, nil
}
