package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// lookTimeout is how long a look at a cluster waits for its next message.
const lookTimeout = 30 * time.Second

// A Look reads the streams of a NATS cluster and changes nothing: what is not
// there is not made.
type Look struct {
	s *Stream
}

// LookAt connects to the cluster of o.
func LookAt(ctx context.Context, o Options) (*Look, error) {
	s := &Stream{opts: o, changed: make(chan struct{}), readers: map[*Reader]struct{}{}}
	opts := []nats.Option{nats.Name("winnow verify")}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	nc, err := nats.Connect(o.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("stream: connect to NATS: %w", err)
	}
	l := &link{nc: nc}
	s.setLink(l)
	if l.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout)); err == nil {
		if l.lg, err = l.js.Stream(ctx, logName); err == nil {
			l.ob, err = l.js.Stream(ctx, outboxName)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stream: look for the streams: %w", err), s.shut())
	}
	return &Look{s}, nil
}

// Close ends the connection.
func (l *Look) Close() error { return l.s.shut() }

// EachOfLog calls each for the messages that the log holds, until it returns an
// error.
func (l *Look) EachOfLog(ctx context.Context, each func(*Piece) error) error {
	return l.each(ctx, l.s.link.lg, logName, each)
}

// EachOfOutbox does so for the records of the outbox.
func (l *Look) EachOfOutbox(ctx context.Context, each func(*Piece) error) error {
	return l.each(ctx, l.s.link.ob, outboxName, each)
}

func (l *Look) each(ctx context.Context, st jetstream.Stream, name string, each func(*Piece) error) error {
	held, err := l.s.extent(ctx, st)
	if err != nil || held.First > held.Last {
		return err
	}
	r, err := l.s.read(ctx, name, bySequence(held.First), nil)
	if err != nil {
		return err
	}
	defer r.Close()
	for last := held.First - 1; last < held.Last; {
		waits := time.AfterFunc(lookTimeout, r.Close)
		m, err := r.Next()
		waits.Stop()
		if err != nil {
			return fmt.Errorf("stream %s: behind message %d: %w", name, last, err)
		}
		last = m.Seq
		if err := each(&Piece{Message: m, File: "stream " + name, Byte: -1}); err != nil {
			return err
		}
	}
	return nil
}

// MaxAge is how far back the log and the outbox reach.
func (l *Look) MaxAge() (log, outbox time.Duration) {
	return l.s.link.lg.CachedInfo().Config.MaxAge, l.s.link.ob.CachedInfo().Config.MaxAge
}
