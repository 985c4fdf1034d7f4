package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
)

// ErrFenced says that another process has written to the outbox: it owns the
// shard now, and this one must stop.
var ErrFenced = errors.New("stream: another process owns this shard")

// LastCommit returns the newest commit record, its counter and its sequence in
// the outbox; nil and zeros when there is none.
func (s *Stream) LastCommit(ctx context.Context) (c *frame.Commit, counter, seq uint64, err error) {
	l, err := s.linked()
	if err != nil {
		return nil, 0, 0, fmt.Errorf("outbox: last commit: %w", err)
	}
	var msg *jetstream.RawStreamMsg
	err = s.ask(ctx, func(ctx context.Context) (err error) {
		msg, err = l.ob.GetLastMsgForSubject(ctx, outboxSubject)
		return err
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, 0, nil
	}
	if err != nil {
		return nil, 0, 0, fmt.Errorf("outbox: last commit: %w", err)
	}
	if counter, c, err = frame.DecodeCommit(msg.Data); err != nil {
		return nil, 0, 0, fmt.Errorf("outbox: commit at %d: %w", msg.Sequence, err)
	}
	return c, counter, msg.Sequence, nil
}

// FindCommit finds the first record, up to the one with sequence last, that
// reaches message input of the log or beyond; last+1 when there is none.
func (s *Stream) FindCommit(ctx context.Context, input, last uint64) (uint64, error) {
	held, err := s.Outbox(ctx)
	if err != nil {
		return 0, err
	}
	l, err := s.linked()
	if err != nil {
		return 0, err
	}
	lo, hi := held.First, last+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		var msg *jetstream.RawStreamMsg
		err := s.ask(ctx, func(ctx context.Context) (err error) {
			msg, err = l.ob.GetMsg(ctx, mid)
			return err
		})
		if s.Shared() && err != nil && unanswered(err) {
			return 0, fmt.Errorf("outbox: record %d: %w", mid, err)
		}
		if _, answered := errors.AsType[*jetstream.APIError](err); answered || errors.Is(err, jetstream.ErrMsgNotFound) {
			return held.First, nil // missing or unreadable: read all that there is
		}
		if err != nil {
			return 0, fmt.Errorf("outbox: record %d: %w", mid, err)
		}
		_, c, err := frame.DecodeCommit(msg.Data)
		if err != nil {
			return held.First, nil // damaged: its reader will name it; read them all
		}
		if c.Reaches(input) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// Commit writes an encoded commit record, provided that the last one is at
// sequence after; else ErrFenced. It returns the record's sequence.
func (s *Stream) Commit(ctx context.Context, record []byte, after uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	l, err := s.taking()
	if err != nil {
		return 0, fmt.Errorf("outbox: commit after %d: %w", after, err)
	}
	ack, err := l.js.PublishMsg(ctx, &nats.Msg{Subject: outboxSubject, Data: record},
		jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithRetryAttempts(0))
	if err == nil {
		err = s.Broken() // nothing is taken for written any more
	}
	if err == nil {
		s.outboxTail.add(ack.Sequence, alert.TimeOf(time.Now()), record)
		return ack.Sequence, nil
	}
	s.outboxTail.doubt()
	if wrongSequence(err) {
		return 0, fmt.Errorf("%w: commit after %d: %w", ErrFenced, after, err)
	}
	return 0, fmt.Errorf("outbox: commit after %d: %w", after, err)
}

// wrongSequence reports whether the server refused a message because another
// one stands where it was to stand behind.
func wrongSequence(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
