package sim

import (
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
)

// life is what a crash takes: the process's memory. It does what engine.Engine
// does around an Owner, in the same order, one step at a time.
type life struct {
	owner *engine.Owner
	next  uint64 // the message to apply next
	live  bool   // the log has been replayed

	outputs []correlate.Notification // of message next-1, not committed yet
	retryAt alert.Time               // of the commit

	again    engine.Redelivery
	read     int // records of the outbox handed on
	tickAt   alert.Time
	lanes    []*lane
	receipts []waiting

	dictionaries []*dictionary // the newest last
}

// waiting is a receipt on its way to the log.
type waiting struct {
	due alert.Time
	r   correlate.Receipt
}

const (
	tickSpacing = 50 * time.Millisecond
	retryDelay  = 20 * time.Second // of a commit; the engine has half a second, which changes nothing but the cost
	maxRecord   = 1 << 20
	maxRecords  = 2000 // more than any story has
)

// poisonous breaks the core as a bug would.
func poisonous(e *frame.Event) {
	for i := range e.Alerts {
		if e.Alerts[i].Labels.Get("poison") != "" {
			panic("a message that breaks the core")
		}
	}
}

// start begins a life on what is durable.
func (w *world) start() {
	l := &life{}
	o := engine.NewOwner(w.lastCommit())
	o.RecordBytes, o.Probe = w.story.recordBytes, poisonous
	held := w.extent()
	if f := o.Restore(w.newest(), w.poisonList(), &held); f != nil {
		panic(oracle("a start finds that %s: %v", f.What, f.Err))
	}
	first, f := o.Announce(&held, w.plan().policy, w.plan().hash)
	if f != nil {
		panic(oracle("a start finds that %s: %v", f.What, f.Err))
	}
	for !o.Announced(w.append(first)) {
		first = frame.Event{Kind: frame.Tick}
	}
	l.owner, l.next = o, o.ReadFrom()
	w.life, w.changed = l, w.now
	w.watch(resumeStored)
	w.drain()
}

// drain applies, commits and hands on all that the log holds, as far as the
// outbox takes it.
func (w *world) drain() {
	l := w.life
	for w.commitAll() && l.next <= uint64(len(w.log)) {
		m := &w.log[l.next-1]
		l.outputs = w.apply(l.next)
		l.next++
		w.applied(m.Seq)
		w.compare(m.Seq)
		if m.Seq >= w.first { // those before are as they were without a crash
			w.books()
		}
	}
	if len(l.outputs) > 0 || l.live || !l.owner.Live(l.next-1) {
		return
	}
	l.live = true
	w.watch(caughtUp)
	if l.owner.PolicyDue(w.plan().hash) {
		w.append(frame.Event{Kind: frame.Policy, Policy: w.plan().policy, PolicyHash: w.plan().hash})
		w.watch(resumePolicy)
	}
	l.again = l.owner.Redelivery()
	l.read = w.deliverFrom()
	before := l.read
	w.deliver()
	if l.read > before {
		w.watch(deliveredAgain)
	}
	w.drain()
}

// apply feeds one message, and deals with one that breaks the core.
func (w *world) apply(seq uint64) []correlate.Notification {
	l := w.life
	for {
		outputs, broke := l.owner.Try(&w.log[seq-1])
		if broke == nil {
			for _, err := range l.owner.Shard().Faults() {
				panic(oracle("the log is damaged: %v", err))
			}
			return outputs
		}
		w.tally.broke++
		if broke.GiveUp {
			w.given = append(w.given, seq)
			w.watch(poisonGiven)
			w.poison = append(w.poison, seq)
			w.watch(poisonListed)
		} else {
			w.watch(coreBroke)
		}
		s, _ := engine.NewestSnapshot(w.snapshotNames(), w.readFile)
		if s == nil || s.Seq() >= seq {
			s = w.fresh()
		}
		l.owner.Adopt(s, w.poisonList())
		for at := s.Seq() + 1; at < seq; at++ {
			s.Apply(&w.log[at-1])
		}
	}
}

// commitAll writes what the last message has decided. It reports false while
// the outbox takes nothing.
func (w *world) commitAll() bool {
	l := w.life
	for {
		c, err := l.owner.Next(l.next-1, l.outputs)
		if err != nil {
			panic(oracle("%v", err))
		}
		if c == nil {
			l.outputs = nil
			return true
		}
		if w.story.outboxDown(w.now) {
			w.tally.outboxDown++
			l.retryAt = w.now.Add(retryDelay)
			return false
		}
		data, err := l.owner.Encode(c, maxRecord)
		if err != nil {
			panic(oracle("%v", err))
		}
		w.watch(commitBefore)
		if len(w.outbox) > maxRecords {
			panic(oracle("the outbox grows without end"))
		}
		seq, ok := w.commit(data, l.owner.After())
		if !ok {
			panic(oracle("the outbox refuses a record behind %d, it holds %d", l.owner.After(), len(w.outbox)))
		}
		if c.Partial > 0 {
			w.tally.parts++
			w.watch(commitPart)
		}
		w.watch(commitStored)
		if w.roll(12) == 0 { // the answer is lost: it is tried again, and fenced off by itself
			w.fenced(data, c)
		}
		l.owner.Written(c, seq)
		w.watch(commitAnswered)
		if l.live {
			w.deliver()
		}
	}
}

func (w *world) fenced(data []byte, c *frame.Commit) {
	o := w.life.owner
	if _, ok := w.commit(data, o.After()); ok {
		panic(oracle("the outbox took a record twice"))
	}
	w.tally.fenced++
	last, counter, _ := w.lastCommit()
	if f := o.Fenced(c, last, counter); f != engine.OurRecord {
		panic(oracle("a record whose answer was lost is taken for another's: %d", f))
	}
}

// deliverFrom finds the first record that may hold something undelivered, as
// stream.FindCommit does.
func (w *world) deliverFrom() int {
	input, last := w.life.again.From()
	if input == 0 {
		return int(last)
	}
	lo, hi := 0, int(last)
	for lo < hi {
		if mid := (lo + hi) / 2; w.outbox[mid].commit.Reaches(input) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// deliver hands on what the outbox holds.
func (w *world) deliver() {
	l := w.life
	for l.read < len(w.outbox) {
		c := w.outbox[l.read].commit
		l.read++
		for _, d := range l.again.Take(uint64(l.read), c) {
			switch {
			case d.Overtaken:
				w.tally.overtaken++
				w.receipt(d.OvertakenReceipt(w.wall()))
				continue
			case d.Again:
				w.tally.again++
				w.unconfirmed(d.Notification)
			}
			w.handOn(d.Notification, d.Again)
		}
	}
}

// compare holds the state after a message against what it was without a crash.
func (w *world) compare(seq uint64) {
	if want, ok := w.known[seq]; ok && seq == w.first {
		if w.known = nil; want == w.sum() { // once is enough
			return
		}
		panic(oracle("the state after message %d is not what it was before the crash", seq))
	}
}

// sum names the state of the shard.
func (w *world) sum() uint64 {
	b, err := engine.EncodeSnapshot(w.life.owner.Shard())
	if err != nil {
		panic(oracle("no snapshot can be written: %v", err))
	}
	return xxhash.Sum64(b)
}

// run tells the story from where it is to its end.
func (w *world) run() {
	for w.deed < len(w.story.deeds) {
		if w.life == nil {
			w.start()
			continue
		}
		at, do := w.soonest()
		w.now = max(w.now, at)
		do()
		if w.life != nil {
			w.drain()
			w.closeRaw()
		}
	}
}

// soonest is what happens next, and when.
func (w *world) soonest() (at alert.Time, do func()) {
	l := w.life
	d := &w.story.deeds[w.deed]
	at, do = d.at, func() { w.act(d) }
	if d.verb == check {
		at = max(at, w.changed.Add(settle))
	}
	if len(l.receipts) > 0 && l.receipts[0].due < at {
		at, do = l.receipts[0].due, w.writeReceipts
	}
	for _, ln := range l.lanes {
		if len(ln.items) > 0 && ln.next < at {
			at, do = ln.next, func() { w.attempt(ln) }
		}
	}
	if len(l.outputs) > 0 {
		if l.retryAt < at {
			at, do = l.retryAt, func() {} // drain tries
		}
		return at, do // what is due next is not known before
	}
	if next, ok := l.owner.Shard().Core.Next(); ok {
		due := max(next.Add(-w.skew), l.tickAt)
		if due < at && l.next > uint64(len(w.log)) {
			at, do = due, w.tick
		}
	}
	return at, do
}

func (w *world) tick() {
	w.life.tickAt = w.now.Add(tickSpacing)
	w.append(frame.Event{Kind: frame.Tick})
	w.watch(tickStored)
}

// writeReceipts puts those that are due into one message.
func (w *world) writeReceipts() {
	l := w.life
	var events []frame.Event
	for len(l.receipts) > 0 && l.receipts[0].due <= w.now {
		r := l.receipts[0].r
		events = append(events, frame.Event{Kind: frame.Receipt, Receipt: &r})
		l.receipts = l.receipts[1:]
	}
	w.watch(receiptBefore)
	w.append(events...)
	w.tally.receipts += len(events)
	w.watch(receiptStored)
}

// act does a deed of the story. It is done once it is answered; a crash before
// that has it done again.
func (w *world) act(d *deed) {
	stored := appendStored
	switch d.verb {
	case say, poison, unreadable:
		w.watch(beforeAppend)
		if d.verb == say {
			w.tally.alerts += len(d.events[0].Alerts)
		}
	case silence, expire:
		stored = silenceStored
	case step:
		stored = stepStored
	case reload:
		w.config = d.plan
		w.watch(policyBefore)
		stored = policyStored
	case snap:
		if len(w.life.outputs) == 0 && w.life.next > uint64(len(w.log)) {
			w.snapshot()
		}
	case raw:
		w.pageRaw(d)
	case leap:
		w.skew += d.length
	case stop:
		w.halt(d)
		return
	case check:
		w.examine(d.stage)
	}
	if len(d.events) > 0 {
		spoken := slices.Clone(d.events)
		logged := spoken
		for i := range spoken {
			e := &spoken[i]
			switch {
			case e.Silence != nil:
				e.Silence = &correlate.Silence{ID: e.Silence.ID, Matchers: e.Silence.Matchers, StartsAt: w.wall(), EndsAt: w.wall().Add(d.length)}
			case e.Ladder != nil:
				e.Ladder = &frame.Stepped{Level: e.Ladder.Level, Cause: e.Ladder.Cause, At: w.wall()}
				w.tally.steps++
			case d.verb == say:
				if i == 0 {
					logged = slices.Clone(spoken)
				}
				logged[i] = w.numbered(*e)
				if len(logged[i].Repeats) > 0 {
					stored = numbersStored
				}
			}
		}
		w.store(logged, spoken)
		w.watch(stored)
	}
	w.deed++
	w.changed = w.now
	w.watch(appendAnswered)
}

// halt ends a life in order, and has the machine stand still for a while.
func (w *world) halt(d *deed) {
	w.deed++
	if l := w.life; len(l.outputs) == 0 {
		var events []frame.Event
		for i := range l.receipts {
			events = append(events, frame.Event{Kind: frame.Receipt, Receipt: &l.receipts[i].r})
		}
		w.append(append(events, frame.Event{Kind: frame.Stop})...)
		w.watch(stopStored)
		if l.next == uint64(len(w.log)) { // the last word itself is not applied
			w.snapshot()
		}
	}
	w.tally.stops++
	w.life = nil
	if d.plan > 0 { // somebody has changed the file meanwhile
		w.config = d.plan
	}
	w.now = w.now.Add(d.length)
}
