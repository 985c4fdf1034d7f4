package engine

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
)

// NewRehearsal returns a shard that keeps to p whatever the log says: fed with a
// part of the log, it decides what p would have decided. It keeps no books, so
// its Ledger is nil, and it passes over the pages that went out past the core:
// they were no policy's doing.
func NewRehearsal(p *correlate.Policy) (*Shard, error) {
	core, err := correlate.NewCore(p)
	if err != nil {
		return nil, err
	}
	return &Shard{Core: core, current: p, undelivered: map[notificationID]uint64{}, answered: answers{}, rehearses: true}, nil
}

// Rehearsal is NewRehearsal for the log of this engine: messages that broke the
// core are passed over in it as they are in the live shard.
func (e *Engine) Rehearsal(p *correlate.Policy) (*Shard, error) {
	s, err := NewRehearsal(p)
	if err == nil {
		s.poison = e.poisoned.list()
	}
	return s, err
}

// Elapse lets time pass in a rehearsal up to a time that no message says, and
// returns what was decided meanwhile, as Apply does.
func (s *Shard) Elapse(to alert.Time) []correlate.Notification {
	s.out.Reset()
	s.now = max(s.now, to)
	s.Core.Advance(&s.out, s.now)
	return s.out.Notifications
}

// Rows is what the last Apply wrote down, valid until the next.
func (s *Shard) Rows() []correlate.Row { return s.out.Rows }

// skips reports whether a rehearsal passes over an event.
func (s *Shard) skips(e *frame.Event) bool {
	return s.rehearses && (e.Kind == frame.Policy || e.Kind == frame.Bypass || e.Kind == frame.Receipt || e.Kind == frame.Ladder)
}
