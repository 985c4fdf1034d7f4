package engine

import (
	"cmp"
	"errors"
	"fmt"

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

	now     alert.Time
	seq     uint64 // of the last message applied
	counter uint64 // of the last frame
	policy  string // names the policy in force
	current *correlate.Policy
	decoder frame.Decoder
	out     correlate.Output

	// undelivered holds what was decided and whose last receipt is not in the
	// log, with the message that decided it.
	undelivered map[notificationID]uint64
	faults      []error

	// poison are messages that broke the core before; they are passed over.
	poison map[uint64]bool
	probe  func(*frame.Event) // for tests: breaks the core
}

type notificationID struct {
	incident uint64
	revision uint32
}

func (a notificationID) compare(b notificationID) int {
	return cmp.Or(cmp.Compare(a.incident, b.incident), cmp.Compare(a.revision, b.revision))
}

// NewShard returns a shard that decides by p until the log says otherwise.
func NewShard(p *correlate.Policy) (*Shard, error) {
	core, err := correlate.NewCore(p)
	if err != nil {
		return nil, err
	}
	return &Shard{
		Core: core, Ledger: ledger.New(core.Dim, ledger.Options{}), current: p, undelivered: map[notificationID]uint64{},
	}, nil
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
	if s.seq != 0 && m.Seq != s.seq+1 {
		s.fault(m.Seq, fmt.Errorf("messages %d to %d are missing", s.seq+1, m.Seq-1))
	}
	s.now, s.seq = max(s.now, m.At), m.Seq
	s.Core.At(m.Seq)
	if s.poison[m.Seq] {
		return s.passOver()
	}
	advanced := false
	counter, err := s.decoder.Decode(m.Data, func(e *frame.Event) error {
		if e.Kind == frame.Resume { // before the timers of the time that was missed
			s.Core.Resume(&s.out, e.From, s.now)
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
			s.fault(m.Seq, err)
		}
		return nil
	})
	switch {
	case err != nil:
		s.fault(m.Seq, err)
	case s.counter != 0 && counter != s.counter+1:
		s.fault(m.Seq, fmt.Errorf("it is frame %d after frame %d", counter, s.counter))
	}
	if !errors.Is(err, frame.ErrCorrupt) {
		s.counter = counter
	} else if s.counter != 0 {
		s.counter++ // the one that could not be read
	}
	s.Core.Advance(&s.out, s.now)
	return s.enter()
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
	for i := range s.out.Rows {
		s.Ledger.Fold(&s.out.Rows[i])
	}
	for i := range s.out.Notifications {
		n := &s.out.Notifications[i]
		s.undelivered[notificationID{n.Incident, n.Revision}] = s.seq
	}
	return s.out.Notifications
}

func (s *Shard) apply(e *frame.Event) error {
	switch e.Kind {
	case frame.Alerts:
		if e.Source == correlate.CanarySource {
			for i := range e.Alerts {
				s.Core.Canary(&s.out, s.now, &e.Alerts[i])
			}
			return nil
		}
		s.Core.Heard(&s.out, s.now, e.Source)
		for i := range e.Alerts {
			s.Core.Observe(&s.out, s.now, e.Source, e.Validity, &e.Alerts[i])
		}
	case frame.Quarantine:
		s.Core.Heard(&s.out, s.now, e.Source)
		for range max(e.Quarantine.Alerts, 1) {
			s.Core.Quarantine(&s.out, s.now, e.Source, e.Quarantine.Reason)
		}
	case frame.Policy:
		if err := s.Core.SetPolicy(&s.out, s.now, e.Policy); err != nil {
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
		}
		if e.Receipt.Last {
			delete(s.undelivered, notificationID{e.Receipt.Incident, e.Receipt.Revision})
		}
	}
	return nil
}

func (s *Shard) fault(seq uint64, err error) {
	s.faults = append(s.faults, fmt.Errorf("log message %d: %w", seq, err))
}
