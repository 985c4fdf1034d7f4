package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
)

// maxWaiting bounds the appends that wait for their frame. When it is full an
// append waits for room until its context ends, and its sender is told to come
// again.
const maxWaiting = 4096

// maxOvertaken is how often a frame may find that the log is ahead of what the
// writer knows, before its senders are told to come again. Where others write too
// that is nothing unusual, and it is tried for as long as there is time.
const maxOvertaken = 3

// Bounds of what a writer waits after each frame of a shared log (see courtesy).
const (
	leastCourtesy = time.Millisecond
	mostCourtesy  = 50 * time.Millisecond
)

// maxPatience is how long a frame of repeats, or of crowds, waits at most for
// others to share it.
const maxPatience = 2 * time.Millisecond

// writer is the one place that writes to the log. One frame is in flight at a
// time; what arrives meanwhile goes into the next. What may be news does not wait
// for company, unless there is a crowd of it; crowds and repeats do, for those who
// were together with them before.
type writer struct {
	s       *Stream
	link    *link // of the last attempt
	waiting chan request
	quit    chan struct{}
	done    sync.WaitGroup
	counter uint64 // of the next frame
	last    uint64 // sequence of the last frame in the log
	before  uint64 // the checksum of the last frame in the log
	doubt   bool   // whether all that is right: an answer was lost

	clock    clock
	late     latch
	failures atomic.Uint64 // frames in a row that were not stored
	stored   atomic.Uint64 // last, for others to read

	took     time.Duration // to store the last frame
	segments [][]byte
	answers  []chan answer
	size     int // of the segments
	patient  int // of the segments, those that may wait for company
	company  company
	frame    []byte
	packer   frame.Packer
}

type request struct {
	segment []byte
	patient bool        // it may wait for company
	answer  chan answer // has room for one
}

type answer struct {
	seq uint64
	err error
}

func newWriter(ctx context.Context, s *Stream, l *link) (*writer, error) {
	w := &writer{s: s, link: l, clock: clock{tell: s.opts.Clock, shared: s.broker == nil}, late: latch{begun: time.Now()}, waiting: make(chan request, maxWaiting), quit: make(chan struct{})}
	at, err := w.resync(ctx)
	if err != nil {
		return nil, err
	}
	w.clock.begin(at)
	w.done.Go(w.run)
	return w, nil
}

// resync learns the next frame's number from the last frame in the log, and when
// that was written; 0 where there is none.
func (w *writer) resync(ctx context.Context) (at alert.Time, err error) {
	msg, err := w.link.lg.GetLastMsgForSubject(ctx, logSubject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		w.counter, w.last, w.before = max(w.counter, 1), 0, 0
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("log: last frame: %w", err)
	}
	h, err := frame.ReadHeader(msg.Data)
	switch {
	case err != nil:
		// Its reader names it; numbering goes on behind it.
		w.s.log.Error("the last frame of the log cannot be read", zap.Uint64("seq", msg.Sequence), zap.Error(err))
		h.Counter = w.counter
	case h.Counter == w.counter: // the one whose answer was lost
		w.clock.stored(h.Step)
	}
	w.counter, w.last, w.before = h.Counter+1, msg.Sequence, frame.Checksum(msg.Data)
	w.stored.Store(w.last)
	w.s.logTail.begin(w.last)
	if h.At == 0 {
		h.At = alert.TimeOf(msg.Time)
	}
	w.clock.follow(h.At)
	return h.At, nil
}

// write queues a segment and waits until it is durable. A sender is not kept
// waiting for a log that is late; the engine is.
func (w *writer) write(ctx context.Context, segment []byte, sender, patient bool) (uint64, error) {
	r := request{segment, patient, make(chan answer, 1)}
	select {
	case <-w.quit:
		return 0, errStopping
	default:
	}
	if sender && !w.late.pass() {
		return 0, fmt.Errorf("log: the last frame was not stored in time, and none since: %w", ingest.ErrUnavailable)
	}
	select {
	case w.waiting <- r:
	default: // as good as never: until then a context needs no timer
		select {
		case w.waiting <- r:
		case <-ctx.Done():
			return 0, fmt.Errorf("log: %d appends wait already: %w", maxWaiting, ingest.ErrUnavailable)
		case <-w.quit:
			return 0, errStopping
		}
	}
	// The segment is the writer's until it answers, also past the deadline: its
	// bytes may be on their way. Publishing is bounded, so it does answer.
	a := <-r.answer
	return a.seq, a.err
}

func (w *writer) run() {
	var held *request
	for begun := time.Now(); ; {
		first, came, ok := w.next(held, begun)
		if !ok {
			return
		}
		begun = time.Now()
		held = w.fill(first)
		err := w.publish(came.Add(publishTimeout))
		if err == nil && w.s.Shared() {
			time.Sleep(w.courtesy())
		}
		if errors.Is(err, context.DeadlineExceeded) {
			if w.refuse(err); held != nil {
				held.answer <- answer{err: err}
				held = nil
			}
		}
		if w.patient > 0 {
			w.company.note(w.patient + len(w.waiting))
		}
	}
}

// next is what the next frame begins with, and when that may have come at the
// earliest; before is when the frame before began.
func (w *writer) next(held *request, before time.Time) (first request, came time.Time, ok bool) {
	if held != nil {
		return *held, before, true
	}
	select {
	case first = <-w.waiting: // it came while the frame before was under way
		return first, before, true
	default:
	}
	select {
	case first = <-w.waiting:
		return first, time.Now(), true
	case <-w.quit:
		w.refuse(errStopping)
		return first, before, false
	}
}

// fill takes what is waiting, up to a frame's size, and for a frame of nothing
// but what may wait what is worth waiting for; what would not fit is returned, for
// the next one.
func (w *writer) fill(first request) (held *request) {
	w.segments, w.answers, w.size, w.patient = w.segments[:0], w.answers[:0], 0, 0
	w.take(first)
	var patience *time.Timer
	for {
		var r request
		select {
		case r = <-w.waiting:
		default:
			if w.patient < len(w.answers) || w.patient >= w.company.least() {
				return nil
			}
			if patience == nil {
				patience = time.NewTimer(maxPatience)
				defer patience.Stop()
			}
			select {
			case r = <-w.waiting:
			case <-patience.C:
				return nil
			case <-w.quit:
				return nil
			}
		}
		if w.size+len(r.segment) > frame.MaxBytes {
			return &r
		}
		w.take(r)
	}
}

func (w *writer) take(r request) {
	w.segments = append(w.segments, r.segment)
	w.answers = append(w.answers, r.answer)
	w.size += len(r.segment)
	if r.patient {
		w.patient++
	}
}

// company is how many requests were in each of the last frames, or waited when
// it was stored: who sends the next when the one before is answered finds each
// time that a frame has just left with those who were a little faster.
type company struct {
	counts [4]int
	next   int
}

func (c *company) note(n int) {
	c.counts[c.next] = n
	c.next = (c.next + 1) % len(c.counts)
}

// least is how many can be counted on: after one frame with fewer nobody waits
// for more than those.
func (c *company) least() int { return slices.Min(c.counts[:]) }

// latch lets the appends of senders through, but for those that come while the
// log is known to store nothing in time: of those it lets one at a time find out
// whether that is over, and the others are told at once. They would wait in vain
// for as long as may be waited, one frame after the other.
type latch struct {
	begun time.Time
	again atomic.Int64 // nanoseconds since begun at which one may try; 0 for all
}

// tryEvery is the pause between a frame that was not stored in time and the next.
const tryEvery = 250 * time.Millisecond

func (l *latch) pass() bool {
	at := l.again.Load()
	if at == 0 {
		return true
	}
	now := time.Since(l.begun)
	// Whoever tries and never comes to a frame keeps nobody from trying for long.
	return now >= time.Duration(at) && l.again.CompareAndSwap(at, int64(now+publishTimeout+tryEvery))
}

// note says how a frame fared.
func (l *latch) note(err error) {
	if !errors.Is(err, context.DeadlineExceeded) {
		l.again.Store(0)
		return
	}
	l.again.Store(int64(time.Since(l.begun) + tryEvery))
}

// courtesy is as much time as another process may need to learn of the frame that
// was stored and to store its own behind it, now more and now less, so that two
// never go in step: else who has stored one would store the next as well, for as
// long as there is any. What arrives meanwhile travels together.
func (w *writer) courtesy() time.Duration {
	return min(max(time.Duration(2+rand.IntN(5))*w.took, leastCourtesy), mostCourtesy)
}

// publish writes the frame and answers for it.
func (w *writer) publish(until time.Time) error {
	var a answer
	defer func() { w.late.note(a.err); w.answer(a) }()
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	for try := 0; ; try++ {
		if a.seq, a.err = w.store(ctx); a.err == nil {
			w.failures.Store(0)
			break
		}
		// Behind somebody else's message: it is the frame before this one, whose
		// answer was lost. This one has not been stored.
		if !wrongSequence(a.err) || try == maxOvertaken && !w.s.Shared() {
			if w.failures.Add(1) == 1 { // its senders say the rest
				w.s.log.Error("appending to the log failed", zap.Error(a.err))
			}
			a.err = fmt.Errorf("log: append: %w: %w", ingest.ErrUnavailable, a.err)
			break
		}
	}
	return a.err
}

// store makes one attempt. The log takes a frame only behind the one that we
// know to be its last, so that no number is used twice and none is left out,
// also when it was not known for a while what became of a frame.
func (w *writer) store(ctx context.Context) (uint64, error) {
	l, err := w.s.taking()
	if err != nil {
		return 0, err
	}
	if l != w.link {
		w.link, w.doubt = l, true
	}
	if w.doubt {
		if _, err := w.resync(ctx); err != nil {
			return 0, fmt.Errorf("whether the last one was stored is not known: %w", err)
		}
	}
	h := frame.Header{Counter: w.counter, Previous: w.before}
	h.At, h.Step = w.clock.stamp(w.last + 1)
	w.frame = w.packer.Append(w.frame[:0], h, w.segments...)
	asked := time.Now()
	ack, err := l.js.PublishMsg(ctx, &nats.Msg{Subject: logSubject, Data: w.frame},
		jetstream.WithExpectLastSequencePerSubject(w.last), jetstream.WithRetryAttempts(0))
	if err == nil {
		err = w.s.Broken() // whatever the server says, nothing is accepted any more
	}
	if w.doubt = err != nil; w.doubt {
		w.s.logTail.doubt()
		return 0, err
	}
	w.took = time.Since(asked)
	w.clock.stored(h.Step)
	w.counter++
	w.last, w.before = ack.Sequence, frame.Checksum(w.frame)
	w.stored.Store(ack.Sequence)
	w.s.logTail.add(ack.Sequence, h.At, w.frame)
	return ack.Sequence, nil
}

func (w *writer) answer(a answer) {
	for _, to := range w.answers {
		to <- a
	}
}

var errStopping = fmt.Errorf("log: stopping: %w", ingest.ErrUnavailable)

// refuse answers what is waiting.
func (w *writer) refuse(err error) {
	for {
		select {
		case r := <-w.waiting:
			r.answer <- answer{err: err}
		default:
			return
		}
	}
}

func (w *writer) close() {
	close(w.quit)
	w.done.Wait()
	w.refuse(errStopping)
}
