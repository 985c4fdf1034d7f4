package sinks

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// stdout prints each notification as Format writes it.
type stdout struct {
	name string
	out  *lockedWriter
}

// lockedWriter keeps the texts of several sinks on one writer apart.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *stdout) Name() string       { return s.name }
func (s *stdout) SendResolved() bool { return true }
func (s *stdout) Keyed() bool        { return false }

func (s *stdout) Send(_ context.Context, m *Message) error {
	body := format(m.Notification, m.Context, m.Page)
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if n, err := io.WriteString(s.out.w, body); err != nil {
		return &Error{Retry: true, Unknown: n > 0, Err: fmt.Errorf("%s: print %s: %w", s.name, m.Notification.ID(), err)}
	}
	return nil
}
