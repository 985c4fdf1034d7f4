package engine

import (
	"fmt"
	"maps"
	"math"
	"runtime/debug"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks"
)

// An Owner is one life of a shard: its state and how far the outbox reaches,
// and so what a message has still to commit, what is to be delivered again after
// a start, and what the log is told at one. It has no clock, goroutine or I/O:
// Engine drives it with JetStream, internal/sim with a world in memory.
type Owner struct {
	// RecordBytes is about how much a commit record may hold before packing; a
	// message that decides more is committed in parts.
	RecordBytes int

	// Probe, for tests, is called with each event before it is applied, and may
	// break the core.
	Probe func(*frame.Event)

	// Holder names this life where other processes are on the same log: they may
	// begin one with the same number. Empty where none are.
	Holder string

	before    func(*stream.Message) // for tests: is called with each message before it is applied
	shard     *Shard
	epoch     uint64
	committed commitPoint
	outbox    struct{ seq, counter uint64 } // of the last record
	inherited uint64                        // the last record of the life before
	packer    frame.CommitPacker
	record    []byte // made last

	readFrom  uint64 // the first message that the shard has not applied
	padTo     uint64 // the highest number that messages of the log have had
	resumeSeq uint64 // of the message that says that this life listens

	breaks   int // of the core, in a row, on the message breaking
	breaking uint64
}

// commitPoint is how far the outbox reaches: all outputs of the log up to and
// including message input, and the first partial outputs of the next message
// that has any.
type commitPoint struct {
	input   uint64
	partial int
}

// recordBytes is RecordBytes where nothing is said.
const recordBytes = 2 << 20

// NewOwner begins the life after the one that wrote last, the newest record of
// the outbox, with its counter and its sequence; last is nil when there is none.
func NewOwner(last *frame.Commit, counter, seq uint64) *Owner {
	o := &Owner{RecordBytes: recordBytes, epoch: 1}
	if last != nil {
		o.epoch = last.Epoch + 1
		o.committed = commitPoint{input: last.Input, partial: last.Partial}
		o.outbox.seq, o.outbox.counter, o.inherited = seq, counter, seq
	}
	return o
}

// Claim is the record with which a life begins where other processes are on the
// same log: whoever owned the shard before can commit nothing more behind it. It
// decides nothing.
func (o *Owner) Claim(at alert.Time) *frame.Commit {
	return &frame.Commit{Epoch: o.epoch, Owner: o.Holder, Input: o.committed.input, Partial: o.committed.partial, At: at}
}

// Fault is what is wrong with log, outbox or snapshots.
type Fault struct {
	What string
	Err  error
}

// Restore takes the shard that the newest snapshot, or nothing, has given, for a
// log that holds what held says. It returns what is wrong with the two, nil for
// nothing; they are used all the same.
func (o *Owner) Restore(s *Shard, poison map[uint64]bool, held *stream.Extent) *Fault {
	var f *Fault
	switch {
	case s.seq == 0:
		o.readFrom = held.First
		o.Adopt(s, poison)
		return nil
	case s.seq > held.Last:
		// What was decided by the messages that are gone is in the snapshot; what
		// comes now takes their numbers.
		f = &Fault{"the log has lost its end", fmt.Errorf("it ends at message %d, the snapshot knows %d", held.Last, s.seq)}
		o.padTo = s.seq
		s.seq = held.Last
	case s.seq+1 < held.First:
		f = &Fault{"the log has lost its beginning", fmt.Errorf("it begins at message %d, the snapshot ends at %d", held.First, s.seq)}
		s.seq = held.First - 1
	}
	o.readFrom = s.seq + 1
	o.Adopt(s, poison)
	return f
}

// Adopt makes s the owner's shard, which passes over the messages in poison.
func (o *Owner) Adopt(s *Shard, poison map[uint64]bool) {
	s.poison, s.probe = poison, o.Probe
	o.shard = s
}

// Shard is the owner's. It changes with Try and Adopt only.
func (o *Owner) Shard() *Shard { return o.shard }

// ReadFrom is the first message of the log that the shard has not applied when
// a life begins.
func (o *Owner) ReadFrom() uint64 { return o.readFrom }

// Announce returns what is to be written to the log before anything else: that
// listening goes on, or how the log begins.
func (o *Owner) Announce(held *stream.Extent, p *correlate.Policy, hash string) (first frame.Event, f *Fault) {
	first = frame.Event{Kind: frame.Resume, From: held.LastAt}
	if held.Last == 0 {
		first = frame.Event{Kind: frame.Policy, Policy: p, PolicyHash: hash}
	}
	if o.committed.input > held.Last {
		f = &Fault{"the log has lost its end", fmt.Errorf("it ends at message %d, the outbox knows %d", held.Last, o.committed.input)}
		o.committed.partial = 0
	}
	return first, f
}

// Announced takes the number of the message that was written last. It reports
// whether that is enough: numbers that were in use before a loss are passed over
// with ticks, as decisions of another past stand in the outbox for them.
func (o *Owner) Announced(seq uint64) bool {
	o.resumeSeq = seq
	return seq >= max(o.padTo, o.committed.input+1)
}

// Live reports whether the message is one of this life: all that was there
// before has been replayed.
func (o *Owner) Live(seq uint64) bool { return seq >= o.resumeSeq }

// PolicyDue reports whether the policy with that hash is still to be written to
// the log.
func (o *Owner) PolicyDue(hash string) bool { return o.shard.policy != hash }

// Try feeds the shard. An error says that the message has broken the core, and
// left the shard in pieces: one as it was before must be adopted.
func (o *Owner) Try(m *stream.Message) (outputs []correlate.Notification, broke *Broken) {
	defer func() {
		if r := recover(); r != nil {
			outputs, broke = nil, o.broke(m.Seq, r)
		}
	}()
	if o.before != nil && !o.shard.poison[m.Seq] {
		o.before(m)
	}
	return o.shard.Apply(m), nil
}

// Broken is a panic of the core.
type Broken struct {
	Tries  int  // on this message, in a row
	GiveUp bool // the message is poison: it must be passed over from now on

	value any
	stack []byte
}

func (b *Broken) Error() string { return fmt.Sprintf("panic: %v", b.value) }

func (o *Owner) broke(seq uint64, r any) *Broken {
	if o.breaking != seq {
		o.breaking, o.breaks = seq, 0
	}
	o.breaks++
	return &Broken{Tries: o.breaks, GiveUp: o.breaks >= maxBreaks, value: r, stack: debug.Stack()}
}

// Next is the record that must be written before the outputs of message seq may
// be acted on: all of them or a part, less what earlier lives, or records
// before, have written. It is nil when nothing is left to write.
func (o *Owner) Next(seq uint64, outputs []correlate.Notification) (*frame.Commit, error) {
	if len(outputs) == 0 || seq <= o.committed.input {
		return nil, nil
	}
	done := o.committed.partial
	if done > len(outputs) {
		return nil, fmt.Errorf("engine: message %d decides %d notifications, the outbox has %d of them: this program decides otherwise than the one that wrote them", seq, len(outputs), done)
	}
	if done == len(outputs) {
		return nil, nil
	}
	n := take(outputs[done:], o.RecordBytes)
	c := &frame.Commit{Epoch: o.epoch, Owner: o.Holder, Input: seq, At: o.shard.now, Outputs: outputs[done : done+n]}
	if done += n; done < len(outputs) {
		c.Input, c.Partial = seq-1, done // seq is the next message then
	}
	return c, nil
}

// Encode packs a record. One that is larger than limit shows fewer annotations,
// and if that is not enough lists fewer alerts and counts the rest. What it
// returns is valid until the next call.
func (o *Owner) Encode(c *frame.Commit, limit int) ([]byte, error) {
	for {
		var err error
		if o.record, err = o.packer.Append(o.record[:0], o.outbox.counter+1, c); err != nil {
			return nil, fmt.Errorf("engine: commit: %w", err)
		}
		if len(o.record) <= limit || !strip(c.Outputs) && !shorten(c.Outputs) {
			return o.record, nil
		}
	}
}

// After is the sequence of the record that the next one must stand behind. That
// the outbox holds it to that is the fence between two owners.
func (o *Owner) After() uint64 { return o.outbox.seq }

// Written takes the sequence of a record that the outbox has.
func (o *Owner) Written(c *frame.Commit, seq uint64) {
	o.outbox.seq = seq
	o.outbox.counter++
	o.committed = commitPoint{c.Input, c.Partial}
}

// Fenced says whether a record that the outbox refused is there all the same,
// written by a try whose answer was lost. Last is the newest that is, with its
// counter. When it finds none the outbox has aged out, and the record is to be
// tried again.
func (o *Owner) Fenced(c, last *frame.Commit, counter uint64) Finding {
	switch {
	case last == nil && o.outbox.seq > 0:
		o.outbox.seq = 0 // all records have aged out, our last one too
		return NoRecord
	case last != nil && last.Epoch == c.Epoch && last.Owner == c.Owner && last.Input == c.Input && last.Partial == c.Partial && counter == o.outbox.counter+1:
		return OurRecord
	}
	return TheirRecord
}

// Finding is what stands at the end of the outbox.
type Finding uint8

const (
	TheirRecord Finding = iota // another process's record, or it cannot be told: this life is over
	OurRecord                  // the record in question
	NoRecord                   // nothing
)

// Redelivery sorts out what the outbox holds when a life has caught up: what
// earlier lives have decided and may not have delivered, then what this one does.
type Redelivery struct {
	inherited   uint64
	resumed     uint64 // the message from which this life decides
	undelivered map[notificationID]uint64
	answered    answers
	revisions   map[uint64]uint32 // how many notifications the log has decided of each incident that is open
	held        []heldBack
}

// heldBack is one that may have to go out again.
type heldBack struct {
	correlate.Notification
	heard correlate.Class // those that are known to have a newer one
}

// Redelivery begins one. It is the caller's own.
func (o *Owner) Redelivery() Redelivery {
	r := Redelivery{inherited: o.inherited, resumed: o.resumeSeq, undelivered: maps.Clone(o.shard.undelivered), answered: o.shard.answered.clone(), revisions: map[uint64]uint32{}}
	o.shard.Core.EachRevision(func(incident uint64, revision uint32) { r.revisions[incident] = revision })
	return r
}

// From says where to begin to read the outbox: at the first record, up to the
// one with sequence last, that reaches message input; or, when input is 0,
// behind last.
func (r *Redelivery) From() (input, last uint64) {
	if len(r.undelivered) == 0 {
		return 0, r.inherited
	}
	input = math.MaxUint64
	for _, seq := range r.undelivered { // order: the least of all
		input = min(input, seq)
	}
	return input, r.inherited
}

// A Delivery is a notification for the sinks.
type Delivery struct {
	*correlate.Notification
	Again bool // an earlier life may have handed it on already

	// Answered are the integrations that have taken it, or a newer one of its
	// incident, by the log.
	Answered []sinks.Answer

	// Overtaken says that it must not be sent: a newer one tells the same people
	// more. A receipt has to say so in the log.
	Overtaken bool
}

// OvertakenReceipt is that receipt, written at a given time.
func (d *Delivery) OvertakenReceipt(at alert.Time) correlate.Receipt {
	return correlate.Receipt{
		Incident: d.Incident, Revision: d.Revision, Kind: d.Kind, Receiver: d.Receiver,
		Outcome: correlate.Superseded, Last: true, At: at,
	}
}

// Take takes the record at seq, nil for one that cannot be read, and returns
// what is to be handed on now, in order. What earlier lives have decided is held
// back up to their last record, for what they have said later may have been
// heard, with its receipt lost: sent again after its resolve, a page would call
// people to what is over.
func (r *Redelivery) Take(seq uint64, c *frame.Commit) (out []Delivery) {
	old := seq <= r.inherited
	if c != nil && old {
		for i := range c.Outputs {
			n := &c.Outputs[i]
			by, waits := r.undelivered[notificationID{n.Incident, n.Revision}]
			switch {
			case waits && by == decidedBy(c):
				r.held = append(r.held, heldBack{Notification: *n})
			case !waits && r.decided(n):
				r.delivered(n)
			}
		}
	}
	if seq >= r.inherited {
		for i := range r.held {
			n := &r.held[i]
			kept := n.Class &^ n.heard &^ overtaken(&n.Notification, r.held[i+1:])
			if kept != 0 {
				n.Class = kept
			}
			out = append(out, Delivery{&n.Notification, true, r.answers(i), kept == 0})
		}
		r.held = nil
	}
	if c != nil && !old {
		for i := range c.Outputs {
			// What the replay had to commit again may have its last receipt: the
			// outbox has lost its end then.
			n := &c.Outputs[i]
			if by := decidedBy(c); by > r.resumed || r.undelivered[notificationID{n.Incident, n.Revision}] == by {
				out = append(out, Delivery{Notification: n})
			}
		}
	}
	return out
}

// decided reports whether the log knows n. It does not where it has lost its end:
// the outbox then has what nobody hears of any more.
func (r *Redelivery) decided(n *correlate.Notification) bool {
	last, open := r.revisions[n.Incident]
	return !open || n.Revision <= last
}

// delivered notes what came to all whom it concerns, or left its place to a newer
// one, and so has taken the place of what was decided before: who has got the
// newer one must not hear the older.
func (r *Redelivery) delivered(n *correlate.Notification) {
	for i := range r.held {
		if h := &r.held[i]; suffices(n, &h.Notification) {
			h.heard |= n.Class
		}
	}
}

// answers lists who must not hear the notification at i of those held back: who
// has got it, or a newer one that has room for the names in it. An older one with
// such a name was sent before; where there is no receipt it was refused, and may
// not have come to the fallback.
func (r *Redelivery) answers(i int) (out []sinks.Answer) {
	for j := i; j < len(r.held); j++ {
		n := &r.held[j]
		if n.Incident == r.held[i].Incident && (j == i || !sinks.Outlasts(&r.held[i].Notification, &n.Notification)) {
			out = append(out, r.answered[notificationID{n.Incident, n.Revision}]...)
		}
	}
	return out
}

// overtaken is the classes that hear enough from what comes after n.
func overtaken(n *correlate.Notification, after []heldBack) (classes correlate.Class) {
	for i := range after {
		if m := &after[i].Notification; suffices(m, n) {
			classes |= m.Class
		}
	}
	return classes
}

// suffices reports whether whoever hears newer need not hear old. An update does
// not do for a page: it wakes nobody. Nor does what has no room for a name.
func suffices(newer, old *correlate.Notification) bool {
	return newer.Incident == old.Incident && (newer.Kind != correlate.Update || old.Kind == correlate.Update) && !sinks.Outlasts(old, newer)
}

// decidedBy is the message that a record's outputs come from.
func decidedBy(c *frame.Commit) uint64 {
	if c.Partial > 0 {
		return c.Input + 1
	}
	return c.Input
}
