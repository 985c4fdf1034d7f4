package stream

import (
	"slices"
	"sync"
	"time"

	"github.com/winnowhq/winnow/alert"
)

const (
	// minStep is the least by which the machine's clock has to be off the time
	// that has passed since the frame before, to be taken for a step, beyond what a
	// clock is off that is slewed: a slewing-th of the time.
	minStep = 500 * time.Millisecond
	slewing = 500 // four times what adjtime allows itself

	// keptSteps are known apart; those before count as one.
	keptSteps = 64
)

// A Clock tells the time of the machine, which may be set, and how long it has
// run, which never is. Nothing but their differences is made of the latter.
type Clock func() (wall time.Time, run time.Duration)

// machineClock is the machine's own.
func machineClock() Clock {
	begun := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(begun)
	}
}

// clock is the time of the log: that of the machine, with each step of the
// machine's clock told in the frame in which it first shows, so that whoever reads
// can tell time that has passed from time that was made up. Two processes on one
// log would tell each other's clocks from steps: there it runs on from where the
// process began, whatever the machine's clock is set to.
type clock struct {
	tell   Clock
	shared bool

	mu    sync.Mutex
	at    alert.Time    // the log's time
	run   time.Duration // at the same moment
	steps []clockStep   // in order; the last one may be untold
	told  int           // so many of them stand in the log
}

// clockStep is by how much the clock was set before a frame.
type clockStep struct {
	seq uint64 // of the frame, in the log
	by  time.Duration
}

// begin has a log go on that ended at a time, 0 for one that is empty.
func (c *clock) begin(last alert.Time) {
	wall, run := c.tell()
	c.at, c.run = max(alert.TimeOf(wall), last), run
	if off := alert.TimeOf(wall).Sub(last); off <= -minStep && !c.shared {
		c.step(off)
	}
}

// follow takes over the time of a frame that another process has written, where
// its clock is ahead: whoever reads has come to that time.
func (c *clock) follow(at alert.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shared && at > c.at {
		_, c.run = c.tell()
		c.at = at
	}
}

// stamp is what time the next frame has and by how much the clock was set before
// it; seq is the sequence that it will have. It is to be told when the frame is
// stored, and asked for again when it is not.
func (c *clock) stamp(seq uint64) (at alert.Time, by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, run := c.tell()
	passed, before := run-c.run, c.at
	c.at, c.run = c.at.Add(passed), run
	off := alert.TimeOf(wall).Sub(c.at)
	switch least := minStep + passed/slewing; {
	case c.shared:
	case off >= least || off <= -least:
		c.step(off)
	default:
		c.at = max(c.at.Add(off), before)
	}
	if by = c.untold(); by != 0 {
		c.steps[len(c.steps)-1].seq = seq
	}
	return c.at, by
}

// step sets the clock, and notes that for the log, together with what it does not
// know of yet.
func (c *clock) step(by time.Duration) {
	c.at = c.at.Add(by)
	by += c.untold()
	c.steps = c.steps[:c.told]
	if len(c.steps) == keptSteps { // nobody is so far behind
		c.steps[1].by += c.steps[0].by
		c.steps = slices.Delete(c.steps, 0, 1)
		c.told--
	}
	c.steps = append(c.steps, clockStep{by: by})
}

func (c *clock) untold() time.Duration {
	if c.told == len(c.steps) {
		return 0
	}
	return c.steps[c.told].by
}

// stored says that the frame of a stamp is in the log, and tells of a step.
func (c *clock) stored(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.untold() - by
	if by != 0 && c.told < len(c.steps) {
		c.steps[c.told].by = by
		c.told++
	}
	if c.steps = c.steps[:c.told]; left != 0 { // it was set again before the next try
		c.steps = append(c.steps, clockStep{by: left})
	}
}

// now is what time it is for whoever has read the log up to and including message
// seq, and none of the steps behind it.
func (c *clock) now(seq uint64) alert.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, run := c.tell()
	at := c.at.Add(run - c.run)
	for i := len(c.steps) - 1; i >= 0; i-- {
		if s := c.steps[i]; s.seq == 0 || s.seq > seq {
			at = at.Add(-s.by)
		}
	}
	return at
}

// Now is what time it is in the log for whoever has read it up to and including
// message seq: the time of a frame that would be written now, had the machine's
// clock not been set since that message.
func (s *Stream) Now(seq uint64) alert.Time { return s.writer.clock.now(seq) }
