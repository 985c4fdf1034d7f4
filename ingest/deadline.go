package ingest

import (
	"context"
	"sync"
	"time"
)

// deadlineContext is a context with a deadline as context.WithDeadline makes it,
// whose timer and place in its parent are there only once somebody waits for it.
// A request waits for room in the log's queue as good as never.
type deadlineContext struct {
	context.Context
	until time.Time
	now   func() time.Time

	mu     sync.Mutex
	timed  context.Context // nil until Done is called
	cancel context.CancelFunc
}

func (c *deadlineContext) Deadline() (time.Time, bool) {
	if t, ok := c.Context.Deadline(); ok && t.Before(c.until) {
		return t, true
	}
	return c.until, true
}

func (c *deadlineContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithTimeout(c.Context, c.until.Sub(c.now()))
	}
	return c.timed.Done()
}

func (c *deadlineContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timed != nil:
		return c.timed.Err()
	case c.Context.Err() != nil:
		return c.Context.Err()
	case !c.now().Before(c.until):
		return context.DeadlineExceeded
	}
	return nil
}

// end gives back what Done took.
func (c *deadlineContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}
