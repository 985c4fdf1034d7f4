package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// spaceEvery is how often the file system is asked how much room it has, and
	// failingEvery how often while the store waits for some.
	spaceEvery   = 10 * time.Second
	failingEvery = time.Second

	// roomToWrite is the room that a store which ran out of it has to have before
	// it is started anew: enough for the largest record and a new block.
	roomToWrite = 16 << 20

	// manyFailures is how many frames in a row are not stored before the server
	// is asked whether it is well.
	manyFailures = 3

	// A server that could not be started anew is tried again after restartDelay,
	// and after twice as long each time, up to maxRestartDelay.
	restartDelay    = time.Second
	maxRestartDelay = 15 * time.Second
)

var (
	errRestarting = errors.New("stream: the embedded NATS server is being started anew")
	errClosed     = errors.New("stream: closed")
)

// store is how the store of the embedded server fares.
type store struct {
	stuck    atomic.Pointer[error] // why the server takes nothing until it starts anew: most often a full disk
	broken   atomic.Pointer[error] // a write or a sync failed otherwise: this process takes nothing any more
	broke    chan struct{}         // closed with it
	wake     chan struct{}
	restarts atomic.Uint64
	space    atomic.Pointer[Space]
}

func (s *store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Space is the room of a file system, in bytes.
type Space struct{ Free, Size uint64 }

// FreeRatio is the share that is free; 1 where nothing is known.
func (s Space) FreeRatio() float64 {
	if s.Size == 0 {
		return 1
	}
	return float64(s.Free) / float64(s.Size)
}

// Space says how much room there is for the store of the embedded server, as it
// was some seconds ago; zero where there is none.
func (s *Stream) Space() Space {
	if sp := s.store.space.Load(); sp != nil {
		return *sp
	}
	return Space{}
}

// Restarts counts how often the embedded server was started anew in place.
func (s *Stream) Restarts() uint64 { return s.store.restarts.Load() }

// Broken says which write or sync of the store has failed, other than for want
// of room; nil when none has. What a disk holds after that nobody knows, so
// nothing is taken from then on: the process is to end, and the next one to
// begin with what the disk really holds.
func (s *Stream) Broken() error {
	if err := s.store.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Broke is closed when Broken says why.
func (s *Stream) Broke() <-chan struct{} { return s.store.broke }

// writeError returns what a line of the server's log says a stream has come to
// grief on. Who publishes is not told: JetStream leaves the request without an
// answer and takes nothing for that stream any more.
func writeError(format string, v []any) error {
	if !strings.Contains(format, "ritical write error") && !strings.Contains(format, "while writing") {
		return nil
	}
	for _, arg := range v {
		if err, ok := arg.(error); ok {
			return err
		}
	}
	return nil
}

// noRoom reports whether a write failed for want of room. The server wraps some
// errors so that only their text is left, and looks at that too.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		strings.Contains(err.Error(), syscall.ENOSPC.Error()) || strings.Contains(err.Error(), syscall.EDQUOT.Error())
}

// ofTheSystem reports whether the system refused something, rather than the
// server itself.
func ofTheSystem(err error) bool {
	_, errno := errors.AsType[syscall.Errno](err)
	return errno || strings.Contains(err.Error(), syscall.EIO.Error()) || strings.Contains(err.Error(), syscall.EROFS.Error())
}

// storeFailed is told of what a stream has come to grief on. After a write that
// failed for want of room, or that the server did not even try, the disk holds
// what was acknowledged: the server is started anew. After any other nobody
// knows what the disk holds.
func (s *Stream) storeFailed(err error) {
	if noRoom(err) || !ofTheSystem(err) {
		s.getStuck(err)
		s.store.poke()
		return
	}
	err = fmt.Errorf("stream: the store failed to write: %w", err)
	if s.store.broken.CompareAndSwap(nil, &err) {
		close(s.store.broke)
		s.log.Error("the store has failed to write; nothing is accepted any more, and this process has to end", zap.Error(err))
	}
}

func (s *Stream) getStuck(why error) {
	err := fmt.Errorf("stream: the embedded NATS server takes nothing; it is started anew within 30 s of there being room: %w", why)
	s.store.stuck.CompareAndSwap(nil, &err)
}

// linked is the server in use.
func (s *Stream) linked() (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.link != nil:
		return s.link, nil
	case s.closed:
		return nil, errClosed
	}
	return nil, errRestarting
}

// taking is the server in use, if it takes messages.
func (s *Stream) taking() (*link, error) {
	if err := s.Broken(); err != nil {
		return nil, err
	}
	if err := s.store.stuck.Load(); err != nil {
		return nil, *err
	}
	return s.linked()
}

// await returns the server in use, or what is closed when there may be one.
func (s *Stream) await() (*link, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link, s.changed
}

func (s *Stream) setLink(l *link) {
	s.mu.Lock()
	s.link = l
	s.tellChanged()
	s.mu.Unlock()
}

func (s *Stream) tellChanged() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Stream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// watch looks after the store until Close.
func (s *Stream) watch() {
	every, wait := spaceEvery, time.Duration(0) // wait is the pause after a restart that failed
	t := time.NewTimer(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.store.wake:
		}
		if s.isClosed() {
			return
		}
		s.lookAtSpace()
		s.lookAtServer()
		switch every = spaceEvery; {
		case s.Broken() != nil || s.store.stuck.Load() == nil:
		case s.Space().Free < roomToWrite:
			every = failingEvery
		default:
			if err := s.restart(); err != nil {
				wait = min(max(2*wait, restartDelay), maxRestartDelay)
				every = wait
				s.log.Error("the embedded NATS server could not be started anew", zap.Error(err), zap.Duration("next try in", wait))
			} else {
				wait = 0
			}
		}
		t.Reset(every)
	}
}

func (s *Stream) lookAtSpace() {
	free, size, err := s.opts.Space(s.opts.Dir)
	if err != nil {
		s.log.Warn("the file system does not say how much room it has", zap.Error(err))
		return
	}
	s.store.space.Store(&Space{Free: free, Size: size})
}

// lookAtServer finds out by itself that the server takes nothing any more, in
// case its log did not say so.
func (s *Stream) lookAtServer() {
	if s.store.stuck.Load() != nil || s.Broken() != nil {
		return
	}
	srv := s.broker.server.Load()
	if srv.JetStreamEnabled() && s.writer.failures.Load() < manyFailures {
		return
	}
	if err := s.broker.health(); err != nil {
		s.log.Error("the embedded NATS server takes nothing", zap.Error(err))
		s.getStuck(err)
	}
}

// restart stops the embedded server and starts it on the same folder, whose lock
// is held all the while. Readers go on behind what they have returned; the
// writer finds out from the log what became of its last frame.
func (s *Stream) restart() error {
	s.log.Warn("starting the embedded NATS server anew: it takes nothing, and there is room", zap.Uint64("free bytes", s.Space().Free))
	s.mu.Lock()
	old := s.link
	s.link = nil
	readers := make([]*Reader, 0, len(s.readers))
	for r := range s.readers { // order: each is told
		readers = append(readers, r)
	}
	s.mu.Unlock()
	for _, r := range readers {
		r.suspend()
	}
	if old != nil {
		old.nc.Close()
	}
	s.broker.halt()
	if err := s.broker.boot(); err != nil {
		if errors.Is(err, errHangs) && s.store.broken.CompareAndSwap(nil, &err) {
			close(s.store.broke)
		}
		return err
	}
	l, err := s.connect(context.Background())
	if err != nil {
		if l != nil {
			l.nc.Close()
		}
		return err
	}
	s.store.restarts.Add(1)
	s.writer.failures.Store(0)
	s.store.stuck.Store(nil)
	s.setLink(l)
	s.log.Warn("the embedded NATS server takes messages again")
	return nil
}
