package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/winnowhq/winnow/alert"
)

// readAhead bounds what a reader has under way, in bytes. The client's default
// of 500 messages may pass what the server lets wait for one connection, and
// then messages are lost on the way.
const readAhead = 8 << 20

// Message is one message of a stream.
type Message struct {
	Seq  uint64
	At   alert.Time // when it was stored
	Data []byte
}

// Reader reads a stream in order.
type Reader struct {
	it   jetstream.MessagesContext
	name string
}

// ReadLog reads the log from the message with sequence from on.
func (s *Stream) ReadLog(ctx context.Context, from uint64) (*Reader, error) {
	return s.read(ctx, logName, from)
}

// ReadLogSince reads the log from the first message that was stored at a time or
// after it.
func (s *Stream) ReadLogSince(ctx context.Context, since time.Time) (*Reader, error) {
	return s.consume(ctx, logName, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	})
}

// ReadOutbox reads the outbox from the record with sequence from on.
func (s *Stream) ReadOutbox(ctx context.Context, from uint64) (*Reader, error) {
	return s.read(ctx, outboxName, from)
}

func (s *Stream) read(ctx context.Context, name string, from uint64) (*Reader, error) {
	return s.consume(ctx, name, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
	})
}

func (s *Stream) consume(ctx context.Context, name string, cfg jetstream.OrderedConsumerConfig) (*Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	c, err := s.js.OrderedConsumer(ctx, name, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: begin to read: %w", name, err)
	}
	it, err := c.Messages(jetstream.PullMaxBytes(readAhead))
	if err != nil {
		return nil, fmt.Errorf("%s: begin to read: %w", name, err)
	}
	return &Reader{it, name}, nil
}

// ErrClosed is what Next returns once the reader is closed.
var ErrClosed = errors.New("stream: reader closed")

// Next waits for the next message.
func (r *Reader) Next() (Message, error) {
	msg, err := r.it.Next()
	if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
		return Message{}, ErrClosed
	}
	if err != nil {
		return Message{}, fmt.Errorf("%s: next message: %w", r.name, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return Message{}, fmt.Errorf("%s: next message: %w", r.name, err)
	}
	return Message{Seq: meta.Sequence.Stream, At: alert.TimeOf(meta.Timestamp), Data: msg.Data()}, nil
}

// Close ends reading; a Next under way returns ErrClosed.
func (r *Reader) Close() { r.it.Stop() }
