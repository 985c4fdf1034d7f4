// Package preview says what another policy would have told people: it feeds a
// part of the log to a shard of the policy in force and to one of the other, and
// compares whom each has told of which alert.
//
// It decides what counts as a loss: a firing of a critical alert, or of an
// error, that somebody was told of under the one policy and nobody under the
// other. It never touches the shard that runs, sends nothing and has no clock:
// how long it may take is asked of its caller.
package preview

import (
	"fmt"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/stream"
)

const (
	// maxOnsets bounds the onsets that are followed on one side. Those beyond are
	// decided about like any, and counted as not compared.
	maxOnsets = 200_000

	// maxLive bounds the alerts that either side may know at a time: a shard's
	// memory goes with them. At it the replay ends, and the Diff says so.
	maxLive = 250_000

	// patience is how long an alert may wait for its page and still not be
	// unpaged, where the log ends before the page is due.
	patience = 10 * time.Minute
)

// A Comparison is two shards of different policies that are fed the same log.
type Comparison struct {
	before, after side

	since    alert.Time // what was over by then does not count
	from, to alert.Time
	messages uint64
	broke    string // how the other policy breaks the core
	mostLive int    // maxLive
}

// side is one of them, with what it has told people.
type side struct {
	shard *engine.Shard
	since alert.Time // of the Comparison

	onsets        map[alert.Fingerprint][]onset // in the order in which they came
	followed      int
	beyond        int // maxOnsets
	receivers     []string
	pages         int
	notifications int
}

// onset is one firing of an alert.
type onset struct {
	seq       uint64 // of the message that began it
	at        alert.Time
	ended     alert.Time // zero while it stands
	told      alert.Time // somebody, for the first time; zero when nobody was
	until     alert.Time // pending: when the page is due
	dim       uint32
	severity  alert.Severity
	now       correlate.Disposition
	cause     string
	receivers []uint16 // who was told, by number
}

// New compares what two rehearsals decide. They must be fed with nothing but
// what Apply gives them.
func New(before, after *engine.Shard) *Comparison {
	return &Comparison{before: newSide(before), after: newSide(after), mostLive: maxLive}
}

func newSide(s *engine.Shard) side {
	return side{shard: s, onsets: map[alert.Fingerprint][]onset{}}
}

// Since has both sides learn from what was before a time, and counts what began
// or still stood then. It comes before the first message.
func (c *Comparison) Since(t alert.Time) { c.since, c.before.since, c.after.since = t, t, t }

// Silence puts a silence in force on both sides that was set before the part of
// the log that they are fed.
func (c *Comparison) Silence(s *correlate.Silence) {
	c.before.shard.Core.SetSilence(*s)
	c.after.shard.Core.SetSilence(*s)
}

// Apply feeds one message of the log to both sides. It reports false when there
// is no use in going on: the other policy breaks the core on it, or a limit is
// reached. An error says that the policy in force breaks the core on it.
func (c *Comparison) Apply(m *stream.Message) (more bool, err error) {
	if err := c.before.apply(m); err != nil {
		return false, fmt.Errorf("preview: log message %d, under the policy in force: %w", m.Seq, err)
	}
	if m.At >= c.since {
		if c.messages == 0 {
			c.from = m.At
		}
		c.messages++
	}
	c.to = max(c.to, m.At)
	if err := c.after.apply(m); err != nil {
		c.broke = fmt.Sprintf("log message %d: %v", m.Seq, err)
		return false, nil
	}
	return !c.full(), nil
}

// Elapse lets time pass on both sides after the last message.
func (c *Comparison) Elapse(to alert.Time) error {
	if err := c.before.elapse(to); err != nil {
		return fmt.Errorf("preview: under the policy in force: %w", err)
	}
	c.to = max(c.to, to)
	if err := c.after.elapse(to); err != nil {
		c.broke = err.Error()
	}
	return nil
}

func (c *Comparison) full() bool {
	return c.before.shard.Core.Live() > c.mostLive || c.after.shard.Core.Live() > c.mostLive
}

// apply has the shard decide, and takes down whom it tells.
func (s *side) apply(m *stream.Message) error {
	return s.decide(func() []correlate.Notification { return s.shard.Apply(m) })
}

func (s *side) elapse(to alert.Time) error {
	return s.decide(func() []correlate.Notification { return s.shard.Elapse(to) })
}

// decide survives a core that breaks: it is that of a policy which is only being
// tried, and must not end the process.
func (s *side) decide(step func() []correlate.Notification) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the core broke: %v", p)
		}
	}()
	notifications := step()
	s.shard.Faults() // the live shard has named them
	rows := s.shard.Rows()
	for i := range rows {
		s.note(&rows[i])
	}
	for i := range notifications {
		s.hear(&notifications[i])
	}
	return nil
}

// note follows what becomes of an onset.
func (s *side) note(r *correlate.Row) {
	switch {
	case r.Severity < alert.Error:
	case r.Action == correlate.Delivered && r.Now == correlate.Pending:
		if s.followed >= maxOnsets {
			s.beyond++
			return
		}
		s.followed++
		s.onsets[r.Fingerprint] = append(s.onsets[r.Fingerprint], onset{
			seq: r.Seq, at: r.At, until: r.Until, dim: r.Dim, severity: r.Severity, now: correlate.Pending,
		})
	case r.Action == correlate.Ended:
		if o := s.standing(r.Fingerprint, r.At); o != nil {
			o.ended = r.At
		}
	case r.Action == correlate.Moved:
		if o := s.standing(r.Fingerprint, r.At); o != nil {
			o.now, o.cause, o.until = r.Now, r.Cause, r.Until
			if r.Now == correlate.Paged || r.Now == correlate.Grouped {
				s.tell(o, r.At, r.Cause)
			}
		}
	}
}

// hear takes down to whom a notification speaks of which alerts. Rows name only
// the receiver that was told first.
func (s *side) hear(n *correlate.Notification) {
	if n.At >= s.since {
		s.notifications++
		if n.Kind == correlate.Page {
			s.pages++
		}
	}
	for i := range n.Alerts {
		if m := &n.Alerts[i]; !m.Resolved() {
			if o := s.standing(m.Fingerprint, n.At); o != nil {
				s.tell(o, n.At, n.Receiver)
			}
		}
	}
}

func (s *side) tell(o *onset, at alert.Time, receiver string) {
	if o.told == 0 {
		o.told = at
	}
	if receiver == "" {
		return
	}
	k := slices.Index(s.receivers, receiver)
	if k < 0 {
		if k = len(s.receivers); k > 1<<16-1 {
			return // no file has as many
		}
		s.receivers = append(s.receivers, receiver)
	}
	if !slices.Contains(o.receivers, uint16(k)) {
		o.receivers = append(o.receivers, uint16(k))
	}
}

// standing is the onset of an alert that stood at a time.
func (s *side) standing(f alert.Fingerprint, at alert.Time) *onset {
	all := s.onsets[f]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].at <= at {
			return &all[i]
		}
	}
	return nil
}

// covering is the onset of an alert that a delivery of message seq began or was
// a repeat of.
func (s *side) covering(f alert.Fingerprint, seq uint64) *onset {
	all := s.onsets[f]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].seq <= seq {
			return &all[i]
		}
	}
	return nil
}

// waits reports whether an onset is still on its way to a page that is not far
// off: nothing can be said of it yet.
func (o *onset) waits() bool {
	return o.told == 0 && o.now == correlate.Pending && o.until.Sub(o.at) <= patience
}

// counts reports whether an onset stood in the time that counts.
func (c *Comparison) counts(o *onset) bool {
	return o.told != 0 && (o.ended == 0 || o.ended >= c.since)
}

func (s *side) heardBy(o *onset, receiver string) bool {
	k := slices.Index(s.receivers, receiver)
	return k >= 0 && slices.Contains(o.receivers, uint16(k))
}
