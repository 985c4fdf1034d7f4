package engine

import (
	"cmp"
	"fmt"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/ledger"
)

// Shard is a core with its accounts, fed with the messages of a log. It has no
// clock: fed the same messages it decides the same, today or in a year.
type Shard struct {
	Core   *correlate.Core
	Ledger *ledger.Ledger

	now      alert.Time
	seq      uint64 // of the last message applied
	counter  uint64 // of the last frame
	checksum uint64 // of the last message; 0 after a start
	policy   string // names the policy in force
	current  *correlate.Policy
	decoder  frame.Decoder
	out      correlate.Output
	inFull   []rows // of out, of what alerts in full have led to

	// undelivered holds what was decided and whose last receipt is not in the
	// log, with the message that decided it.
	undelivered map[notificationID]uint64
	answered    answers // of what is undelivered
	standing    standing
	faults      []error
	lost        []span // messages that are missing or cannot be read

	// unexplained counts the deliveries since the last look at it that named an
	// alert by a number of which the explanation is lost.
	unexplained int

	// poison are messages that broke the core before; they are passed over.
	poison map[uint64]bool
	probe  func(*frame.Event) // for tests: breaks the core

	rehearses bool // see NewRehearsal
}

// rows are those of an output from one index up to before another.
type rows struct{ from, to int }

type notificationID struct {
	incident uint64
	revision uint32
}

func (a notificationID) compare(b notificationID) int {
	return cmp.Or(cmp.Compare(a.incident, b.incident), cmp.Compare(a.revision, b.revision))
}

// NewShard returns a shard that decides by p until the log says otherwise.
func NewShard(p *correlate.Policy) (*Shard, error) {
	s := &Shard{current: p, undelivered: map[notificationID]uint64{}, answered: answers{}, standing: standing{}}
	return s, s.begin(p)
}

// begin empties the shard.
func (s *Shard) begin(p *correlate.Policy) error {
	core, err := correlate.NewCore(p)
	if err != nil {
		return err
	}
	s.Core, s.Ledger = core, ledger.New(core.Dim, ledger.Options{})
	s.Core.At(s.seq)
	return nil
}

// Now is the log's time.
func (s *Shard) Now() alert.Time { return s.now }

// Seq is the sequence of the last message applied.
func (s *Shard) Seq() uint64 { return s.seq }

// Faults returns what was wrong with the messages since the last call: frames
// that are missing, cannot be read or hold an event that cannot be applied. The
// rest of the log was applied all the same.
func (s *Shard) Faults() []error {
	f := s.faults
	s.faults = nil
	return f
}

// Apply feeds one message and returns what it decided, valid until the next
// Apply. Timers that were due before the message fire first, each at its own
// time; those that it makes due at once fire after it.
func (s *Shard) Apply(m *stream.Message) []correlate.Notification {
	s.out.Reset()
	s.inFull = s.inFull[:0]
	missing := s.seq != 0 && m.Seq != s.seq+1
	if missing {
		s.fault(m.Seq, fmt.Errorf("messages %d to %d are missing", s.seq+1, m.Seq-1))
		s.lost = addSpan(s.lost, span{s.seq + 1, m.Seq - 1})
	}
	s.seq = m.Seq
	s.Core.At(m.Seq)
	h, err := s.decoder.Open(m.Data)
	if h.Step != 0 {
		s.shift(h.At.Add(-h.Step), h.Step)
	}
	before := s.now
	if s.now = max(s.now, h.At); h.At == 0 {
		s.now = max(s.now, m.At)
	}
	behind := s.checksum
	if s.checksum = frame.Checksum(m.Data); missing {
		behind = 0
	}
	if s.poison[m.Seq] {
		return s.passOver()
	}
	switch {
	case err == nil:
		s.follows(m, &h, behind)
		err = s.events(before)
	case s.counter != 0:
		s.counter++ // the one that could not be read
	}
	if err != nil {
		s.fault(m.Seq, err)
		s.lost = addSpan(s.lost, span{m.Seq, m.Seq})
	}
	s.Core.Advance(&s.out, s.now)
	return s.enter()
}

// shift lets time pass until a time, and goes over to the clock as it was set then.
func (s *Shard) shift(at alert.Time, by time.Duration) {
	s.now = max(s.now, at)
	s.Core.Advance(&s.out, s.now)
	s.Core.Shift(&s.out, s.now, by)
	s.now = s.now.Add(by)
}

// follows names what is wrong with the place of a frame in the log; behind is the
// checksum of the message before, 0 where that is not known.
func (s *Shard) follows(m *stream.Message, h *frame.Header, behind uint64) {
	if s.counter != 0 && h.Counter != s.counter+1 {
		s.fault(m.Seq, fmt.Errorf("it is frame %d after frame %d", h.Counter, s.counter))
	} else if err := h.Behind(behind); err != nil {
		s.fault(m.Seq, err)
	}
	s.counter = h.Counter
}

// events applies those of the frame that is open; before is what time it was.
func (s *Shard) events(before alert.Time) error {
	advanced := false
	return s.decoder.Events(func(e *frame.Event) error {
		if e.Kind == frame.Resume { // before the timers of the time that was missed
			// The clock may have been set back: what had ended by the log's time
			// did not fire then.
			s.Core.Resume(&s.out, max(e.From, before), s.now)
			return nil
		}
		if !advanced {
			s.Core.Advance(&s.out, s.now)
			advanced = true
		}
		if s.probe != nil {
			s.probe(e)
		}
		if err := s.apply(e); err != nil {
			s.fault(s.seq, err)
		}
		return nil
	})
}

// passOver lets time pass as the message says, and nothing else of it happen.
func (s *Shard) passOver() []correlate.Notification {
	s.Core.Advance(&s.out, s.now)
	s.Core.Quarantine(&s.out, s.now, "(unknown)", "the core broke on its message")
	s.counter++
	return s.enter()
}

// enter writes what was decided into the books.
func (s *Shard) enter() []correlate.Notification {
	if s.rehearses {
		return s.out.Notifications
	}
	s.Ledger.FoldOutput(s.now, &s.out)
	for i := range s.out.Notifications {
		n := &s.out.Notifications[i]
		s.undelivered[notificationID{n.Incident, n.Revision}] = s.seq
	}
	s.closeIncidents()
	return s.out.Notifications
}

func (s *Shard) apply(e *frame.Event) error {
	if s.skips(e) {
		return nil
	}
	switch e.Kind {
	case frame.Alerts:
		if e.Source == correlate.CanarySource {
			for i := range e.Alerts {
				s.Core.Canary(&s.out, s.now, &e.Alerts[i])
			}
			return nil
		}
		s.Core.Heard(&s.out, s.now, e.Source)
		from := len(s.out.Rows)
		for i := range e.Alerts {
			s.Core.Observe(&s.out, s.now, e.Source, e.Validity, &e.Alerts[i])
		}
		s.inFull = append(s.inFull, rows{from, len(s.out.Rows)})
	case frame.Deliveries:
		return s.deliveries(e)
	case frame.Quarantine:
		s.Core.Heard(&s.out, s.now, e.Source)
		for range max(e.Quarantine.Alerts, 1) {
			s.Core.Quarantine(&s.out, s.now, e.Source, e.Quarantine.Reason)
		}
	case frame.Policy:
		set := func(p *correlate.Policy) error { return s.Core.SetPolicy(&s.out, s.now, p) }
		if s.seq == 1 && s.policy == "" {
			set = s.begin // by which policy it was made must leave no trace
		}
		if err := set(e.Policy); err != nil {
			return err
		}
		s.policy, s.current = e.PolicyHash, e.Policy
	case frame.Silence:
		s.Core.SetSilence(*e.Silence)
	case frame.SilenceExpire:
		s.Core.ExpireSilence(s.now, e.SilenceID)
	case frame.Bypass:
		s.Core.Bypass(&s.out, s.now, e.Bypass.Fingerprint, e.Bypass.Receiver)
	case frame.Ladder:
		s.Core.Stepped(&s.out, s.now, e.Ladder.Level, e.Ladder.Cause, e.Ladder.At)
	case frame.Receipt:
		if e.Receipt.Receiver != correlate.CanaryReceiver {
			s.Ledger.FoldReceipt(*e.Receipt)
			s.standing.receipt(e.Receipt)
			s.answer(e.Receipt)
		}
		if e.Receipt.Last {
			id := notificationID{e.Receipt.Incident, e.Receipt.Revision}
			delete(s.undelivered, id)
			delete(s.answered, id)
		}
	}
	return nil
}

// takeUnexplained returns what unexplained has counted since the last call.
func (s *Shard) takeUnexplained() int {
	n := s.unexplained
	s.unexplained = 0
	return n
}

// deliveries observes what a source has sent, in the order in which it did.
func (s *Shard) deliveries(e *frame.Event) error {
	s.Core.Heard(&s.out, s.now, e.Source)
	repeats, alerts, number, lost := e.Repeats, e.Alerts, e.First, 0
	for i, n := range e.Runs {
		if i%2 == 0 {
			run := repeats[:n]
			repeats = repeats[n:]
			s.Core.Touch(e.Dictionary, run)
			for j := range run {
				if !s.Core.ObserveNumber(&s.out, s.now, e.Source, e.Validity, e.Dictionary, &run[j]) {
					lost++
				}
			}
			continue
		}
		s.Core.TouchAlerts(alerts[:n])
		from := len(s.out.Rows)
		for j := range alerts[:n] {
			s.Core.Explain(&s.out, s.now, e.Source, e.Validity, &alerts[j], e.Dictionary, number)
			number++
		}
		s.inFull = append(s.inFull, rows{from, len(s.out.Rows)})
		alerts = alerts[n:]
	}
	if lost > 0 {
		s.unexplained += lost
		return fmt.Errorf("%d alerts of %s are named by numbers whose explanation is lost", lost, e.Source)
	}
	return nil
}

func (s *Shard) fault(seq uint64, err error) {
	s.faults = append(s.faults, fmt.Errorf("log message %d: %w", seq, err))
}
