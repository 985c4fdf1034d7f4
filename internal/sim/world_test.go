package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// A moment is a kind of crash point: the world is cut there, and everything in
// memory is gone.
type moment uint8

const (
	beforeAppend    moment = iota // a sender's request is about to be stored
	appendStored                  // it is in the log, its sender has no answer
	appendAnswered                // and now it has
	numbersStored                 // the same for alerts of which some go by their numbers
	silenceStored                 // for a silence
	stepStored                    // for a step of the ladder
	policyBefore                  // the file has changed, the log does not know
	policyStored                  // it does
	tickStored                    // time has passed in the log
	receiptBefore                 // a provider has answered, the log does not know
	receiptStored                 // it does
	resumeStored                  // a start has said that it listens
	resumePolicy                  // a start has written the policy that is new
	caughtUp                      // a start has replayed the log
	deliveredAgain                // a start has handed on what was undelivered
	stopStored                    // the last word of an orderly end
	commitBefore                  // decided, not in the outbox
	commitStored                  // in the outbox, without an answer
	commitPart                    // the first part of what a message decides
	commitAnswered                // in the outbox, not handed on
	attemptBefore                 // a notification is about to be sent
	attemptTaken                  // the provider has it, its answer is lost
	attemptAnswered               // it has answered, the receipt is in memory
	attemptRefused                // it has said no for good
	resolvePart                   // one of the keys of a resolve is closed
	snapshotPart                  // a part of a snapshot is written
	snapshotWritten               // all of it, under another name
	snapshotRenamed               // it stands in its place
	snapshotPruned                // and the oldest is removed
	coreBroke                     // a message broke the core, and is tried again
	poisonGiven                   // it is given up, its alerts are with the guard
	poisonListed                  // and it will not be tried again
	rawTaken                      // a provider has a raw page, nobody else knows
	rawKept                       // its end will be looked after
	bypassStored                  // and the log knows of it
	rawClosed                     // its end is told past the core

	numMoments
)

var momentNames = [numMoments]string{
	"before_append", "append_stored", "append_answered", "numbers_stored", "silence_stored", "step_stored", "policy_before", "policy_stored", "tick_stored", "receipt_before",
	"receipt_stored", "resume_stored", "resume_policy", "caught_up", "delivered_again", "stop_stored", "commit_before", "commit_stored",
	"commit_part", "commit_answered", "attempt_before", "attempt_taken", "attempt_answered", "attempt_refused",
	"resolve_part", "snapshot_part", "snapshot_written", "snapshot_renamed", "snapshot_pruned", "core_broke",
	"poison_given", "poison_listed", "raw_taken", "raw_kept", "bypass_stored", "raw_closed",
}

func (m moment) String() string { return momentNames[m] }

// durable is what a crash leaves: the disk, the providers, the senders, and the
// clocks. It is copied at each moment, so what it holds only ever grows at its
// end or is replaced as a whole.
type durable struct {
	now  alert.Time    // true time
	skew time.Duration // of the machine's clock
	rng  uint64

	deed    int        // of the story, the next one that is not done
	config  int        // the plan in the file
	changed alert.Time // when something was last done or begun

	log      []stream.Message
	heard    []hearing // what the log was told, for the oracle
	received []uint64  // deliveries in the log up to each message
	outbox   []record
	files    []file // snapshots, in the order in which they came
	poison   []uint64
	raw      []*rawPage // the file of raw pages, with those whose end is looked after

	events []event  // that providers took or refused
	given  []uint64 // messages handed to the guard
}

// record of the outbox: what its bytes say.
type record struct {
	counter uint64
	commit  *frame.Commit
}

// file of the snapshots' folder.
type file struct {
	name string
	data []byte
}

// hearing is one event as the log was told it, alerts spelled out, at the log's
// time: that never goes back.
type hearing struct {
	seq uint64
	at  alert.Time
	ev  *frame.Event
}

// world is what is durable, and the life that is under way.
type world struct {
	durable
	story *story
	life  *life

	watch   func(moment) // called at each; it may cut the world short by a panic
	applied func(seq uint64)

	// The state after each message without a crash, and how many of this world's
	// messages are the same.
	known map[uint64]uint64
	first uint64

	quiet      []*hearing // of silences, among the first quietUntil that were heard
	quietUntil int

	whole bool // the oracle leaves nothing out
	tally *tally
}

// cut is what ends a life at a moment.
type cut struct{ at moment }

func newWorld(st *story, t *tally) *world {
	w := &world{story: st, tally: t, watch: func(moment) {}, applied: func(uint64) {}}
	w.now, w.rng = st.begins, st.seed*0x9e3779b97f4a7c15+1
	return w
}

// keep copies what is durable. Slices are clipped, so that whoever goes on from
// the copy writes into memory of its own.
func (w *world) keep() durable {
	d := w.durable
	d.log, d.heard, d.received, d.outbox = slices.Clip(d.log), slices.Clip(d.heard), slices.Clip(d.received), slices.Clip(d.outbox)
	d.files, d.poison, d.events, d.given = slices.Clip(d.files), slices.Clip(d.poison), slices.Clip(d.events), slices.Clip(d.given)
	d.raw = slices.Clip(d.raw)
	return d
}

// roll draws one of n from the world's dice.
func (w *world) roll(n int) int {
	w.rng += 0x9e3779b97f4a7c15
	z := w.rng
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) >> 1 % uint64(n))
}

func (w *world) wall() alert.Time { return w.now.Add(w.skew) }

func (w *world) plan() *plan { return w.story.plans[w.config] }

// append stores events in one message of the log.
func (w *world) append(events ...frame.Event) uint64 { return w.store(events, events) }

// store stores events in one message of the log, as what the oracle knows of them.
func (w *world) store(events, spoken []frame.Event) uint64 {
	seq := uint64(len(w.log)) + 1
	at, received := w.wall(), uint64(0)
	if seq > 1 {
		at, received = max(at, w.heard[len(w.heard)-1].at), w.received[seq-2]
	}
	segments := make([][]byte, 0, 2)
	for i := range events {
		var s frame.Segment
		if err := s.Add(&events[i]); err != nil {
			panic(err) // the story's own mistake
		}
		segments = append(segments, s.Append(nil))
		w.heard = append(w.heard, hearing{seq, at, &spoken[i]})
		received += uint64(len(events[i].Alerts) + len(events[i].Repeats))
		if q := events[i].Quarantine; q != nil {
			received += uint64(q.Alerts)
		}
	}
	w.received = append(w.received, received)
	// As on a log that others write too: a step of the clock is not told.
	h := frame.Header{Counter: seq, At: w.wall()}
	if seq > 1 {
		h.Previous = frame.Checksum(w.log[seq-2].Data)
	}
	w.log = append(w.log, stream.Message{Seq: seq, At: w.wall(), Data: frame.Append(nil, h, segments...)})
	return seq
}

func (w *world) extent() stream.Extent {
	e := stream.Extent{First: 1, Last: uint64(len(w.log))}
	if e.Last > 0 {
		e.FirstAt, e.LastAt = w.log[0].At, w.log[e.Last-1].At
	}
	return e
}

// commit stores a record behind the one at after, or nothing.
func (w *world) commit(data []byte, after uint64) (seq uint64, ok bool) {
	if after != uint64(len(w.outbox)) {
		return 0, false
	}
	counter, c, err := frame.DecodeCommit(data)
	if err != nil {
		panic(oracle("the outbox was given a record that cannot be read: %v", err))
	}
	w.outbox = append(w.outbox, record{counter, c})
	return uint64(len(w.outbox)), true
}

// lastCommit is the newest record with its counter and sequence.
func (w *world) lastCommit() (c *frame.Commit, counter, seq uint64) {
	if len(w.outbox) == 0 {
		return nil, 0, 0
	}
	last := w.outbox[len(w.outbox)-1]
	return last.commit, last.counter, uint64(len(w.outbox))
}

// snapshot writes the shard as the engine does, step by step.
func (w *world) snapshot() {
	const kept = 3
	s := w.life.owner.Shard()
	data, err := engine.EncodeSnapshot(s)
	if err != nil {
		panic(oracle("no snapshot can be written: %v", err))
	}
	name := fmt.Sprintf("%020d.snapshot", s.Seq())
	if slices.ContainsFunc(w.files, func(f file) bool { return f.name == name }) {
		return
	}
	w.tally.snapshots++
	others := w.files
	w.files = append(slices.Clone(others), file{name + ".tmp", data[:len(data)/2]})
	w.watch(snapshotPart)
	w.files = append(slices.Clone(others), file{name + ".tmp", data})
	w.watch(snapshotWritten)
	if w.roll(8) == 0 { // a disk that lied about its sync: the name is there, its end is not
		data = data[:len(data)*3/4]
	}
	w.files = append(slices.Clone(others), file{name, data})
	w.watch(snapshotRenamed)
	if names := w.snapshotNames(); len(names) > kept {
		w.files = slices.DeleteFunc(slices.Clone(w.files), func(f file) bool { return f.name == names[len(names)-1] })
		w.watch(snapshotPruned)
	}
}

// snapshotNames lists the whole names, the newest first.
func (w *world) snapshotNames() (names []string) {
	for _, f := range w.files {
		if strings.HasSuffix(f.name, ".snapshot") {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names
}

func (w *world) readFile(name string) ([]byte, error) {
	i := slices.IndexFunc(w.files, func(f file) bool { return f.name == name })
	return w.files[i].data, nil
}

func (w *world) poisonList() map[uint64]bool {
	out := map[uint64]bool{}
	for _, seq := range w.poison {
		out[seq] = true
	}
	return out
}

// newest is the shard of the newest whole snapshot, or a new one.
func (w *world) newest() *engine.Shard {
	s, faults := engine.NewestSnapshot(w.snapshotNames(), w.readFile)
	w.tally.torn += len(faults)
	if s != nil {
		w.tally.restored++
		return s
	}
	w.tally.replayed++
	return w.fresh()
}

func (w *world) fresh() *engine.Shard {
	s, err := engine.NewShard(w.plan().policy)
	if err != nil {
		panic(err) // the story's own mistake
	}
	return s
}

// event is what became of a notification at a provider: it was taken, refused
// for good, or there was nothing to say any more.
type event struct {
	at       alert.Time
	provider int
	key      string
	kind     correlate.Kind // Resolve closes, the others trigger
	n        *correlate.Notification
	outcome  correlate.Outcome
}

func (e *event) taken() bool { return e.outcome == correlate.Accepted }

// raw reports whether it went past the core.
func (e *event) raw() bool { return e.n.Incident == 0 }
