package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
)

// What a reader has under way at most: messages, of which the server sends so
// many bytes at a time. The client's default of 500 messages may pass what the
// server lets wait for one connection, and then messages are lost on the way;
// bounded by bytes alone, it makes room for a million messages, 8 MB a reader.
// A record of the outbox may be as large as the server takes.
const (
	readAheadLog    = 64
	readAheadOutbox = 8
	readAheadBytes  = 8 << 20
)

// How a reader of a shared log learns that its consumer is gone with the server
// that had it: by a heartbeat that is missing, twice, of a request that is made
// anew every so often. A consumer that nobody reads any more goes by itself.
const (
	readerHeartbeat = time.Second
	readerExpiry    = 5 * time.Second
	readerInactive  = 30 * time.Second
)

// Message is one message of a stream.
type Message struct {
	Seq  uint64
	At   alert.Time // when it was stored
	Data []byte
}

// Reader reads a stream in order. When the embedded server starts anew, or one of
// a shared log's is lost with what it had for us, it goes on behind the last
// message that it returned.
type Reader struct {
	s    *Stream
	name string
	tail *tail         // of what it reads; nil where it goes by the server alone
	quit chan struct{} // closed by Close

	mu       sync.Mutex
	cfg      jetstream.OrderedConsumerConfig
	it       jetstream.MessagesContext // nil when there is no server, or need of one
	consumer jetstream.Consumer        // that it is of
	count    uint64                    // of the messages of it
	closed   bool
}

// ReadLog reads the log from the message with sequence from on.
func (s *Stream) ReadLog(ctx context.Context, from uint64) (*Reader, error) {
	return s.read(ctx, logName, bySequence(from), &s.logTail)
}

// ReadLogSince reads the log from the first message that was stored at a time or
// after it. It takes nobody's word but the server's for what the log holds.
func (s *Stream) ReadLogSince(ctx context.Context, since time.Time) (*Reader, error) {
	return s.read(ctx, logName, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	}, nil)
}

// ReadOutbox reads the outbox from the record with sequence from on.
func (s *Stream) ReadOutbox(ctx context.Context, from uint64) (*Reader, error) {
	return s.read(ctx, outboxName, bySequence(from), &s.outboxTail)
}

func bySequence(from uint64) jetstream.OrderedConsumerConfig {
	return jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1)}
}

// read reads what the server has and, where others write nothing, takes the end
// from t, unless it is nil.
func (s *Stream) read(ctx context.Context, name string, cfg jetstream.OrderedConsumerConfig, t *tail) (*Reader, error) {
	r := &Reader{s: s, name: name, quit: make(chan struct{}), cfg: cfg}
	if !s.Shared() {
		r.tail = t
	}
	l, err := s.linked()
	if err == nil {
		err = r.begin(ctx, l)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: begin to read: %w", name, err)
	}
	s.mu.Lock()
	s.readers[r] = struct{}{}
	s.mu.Unlock()
	return r, nil
}

// begin asks a server for the messages from cfg on.
func (r *Reader) begin(ctx context.Context, l *link) error {
	timeout := apiTimeout
	if r.s.Shared() {
		timeout = askTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r.mu.Lock()
	cfg := r.cfg
	r.mu.Unlock()
	ahead := readAheadLog
	if r.name == outboxName {
		ahead = readAheadOutbox
	}
	c, it, err := r.consume(ctx, l, &cfg, jetstream.PullMaxMessagesWithBytesLimit(ahead, readAheadBytes))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		it.Stop()
		return ErrClosed
	}
	r.it, r.consumer, r.count = it, c, 0
	return nil
}

// consume makes a consumer at the server. The client's ordered one looks after
// itself, with a lock held and pauses of up to 10 s between two tries: that is
// well with a server in this process, and too long where another may be gone.
func (r *Reader) consume(ctx context.Context, l *link, cfg *jetstream.OrderedConsumerConfig, limit jetstream.PullMessagesOpt) (c jetstream.Consumer, it jetstream.MessagesContext, err error) {
	if !r.s.Shared() {
		if c, err = l.js.OrderedConsumer(ctx, r.name, *cfg); err != nil {
			return nil, nil, err
		}
		it, err = c.Messages(limit)
		return c, it, err
	}
	c, err = l.js.CreateConsumer(ctx, r.name, jetstream.ConsumerConfig{
		DeliverPolicy: cfg.DeliverPolicy, OptStartSeq: cfg.OptStartSeq, OptStartTime: cfg.OptStartTime,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readerInactive,
	})
	if err != nil {
		return nil, nil, err
	}
	it, err = c.Messages(limit, jetstream.PullExpiry(readerExpiry), jetstream.PullHeartbeat(readerHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	return c, it, err
}

// ErrClosed is what Next returns once the reader is closed.
var ErrClosed = errors.New("stream: reader closed")

// Next waits for the next message.
func (r *Reader) Next() (Message, error) {
	for {
		r.mu.Lock()
		it, next, closed := r.it, r.cfg.OptStartSeq, r.closed
		r.mu.Unlock()
		if closed {
			return Message{}, ErrClosed
		}
		m, there := r.fromTail(it, next)
		switch {
		case m != nil:
			return *m, nil
		case there:
			continue
		case it == nil:
			if err := r.resume(); err != nil {
				return Message{}, err
			}
			continue
		}
		msg, err := it.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) && r.stopped(it) {
			continue
		}
		if err != nil && r.s.Shared() {
			r.s.log.Debug("a reader begins anew", zap.String("stream", r.name), zap.Error(err))
			r.drop(it)
			continue
		}
		if err != nil {
			return Message{}, fmt.Errorf("%s: next message: %w", r.name, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return Message{}, fmt.Errorf("%s: next message: %w", r.name, err)
		}
		if !r.follows(it, meta) {
			r.drop(it)
			continue
		}
		return Message{Seq: meta.Sequence.Stream, At: alert.TimeOf(meta.Timestamp), Data: msg.Data()}, nil
	}
}

// fromTail takes the next message, 0 where its number is not known yet, from the
// tail, or waits until it may be there. It reports false where the server has to be
// asked.
func (r *Reader) fromTail(it jetstream.MessagesContext, next uint64) (m *Message, there bool) {
	if r.tail == nil || next == 0 {
		return nil, false
	}
	m, wait := r.tail.get(next)
	if m == nil && wait == nil {
		return nil, false
	}
	if it != nil {
		r.leave(it)
	}
	if m != nil {
		r.mu.Lock()
		r.cfg = bySequence(next + 1)
		r.mu.Unlock()
		return m, true
	}
	select {
	case <-wait:
	case <-r.quit:
	}
	return nil, true
}

// follows notes a message, if it is the next: one that was lost on its way is no
// gap in the stream. The client's ordered consumer sees to that itself.
func (r *Reader) follows(it jetstream.MessagesContext, meta *jetstream.MsgMetadata) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.s.Shared() && (r.it != it || meta.Sequence.Consumer != r.count+1) {
		return false
	}
	r.count++
	r.cfg = bySequence(meta.Sequence.Stream + 1)
	return true
}

// leave has the server forget a consumer that is needed no longer, which it
// otherwise does after minutes.
func (r *Reader) leave(it jetstream.MessagesContext) {
	r.mu.Lock()
	c := r.consumer
	r.mu.Unlock()
	r.drop(it)
	info := c.CachedInfo()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	l := r.s.link
	if l == nil || info == nil {
		return
	}
	r.s.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		_ = l.js.DeleteConsumer(ctx, r.name, info.Name) // or it goes by itself
	})
}

// drop has an iterator replaced.
func (r *Reader) drop(it jetstream.MessagesContext) {
	r.mu.Lock()
	if r.it == it {
		r.it = nil
	}
	r.mu.Unlock()
	it.Stop()
}

// stopped notes that an iterator has ended; false when nobody asked it to.
func (r *Reader) stopped(it jetstream.MessagesContext) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.it == it && !r.closed {
		return false
	}
	return true
}

// resume waits for a server and goes on reading there.
func (r *Reader) resume() error {
	for {
		l, changed := r.s.await()
		if l != nil {
			err := r.begin(context.Background(), l)
			if err == nil || errors.Is(err, ErrClosed) {
				return err
			}
			if !r.s.Shared() {
				return fmt.Errorf("%s: go on reading: %w", r.name, err)
			}
			r.s.log.Warn("no server has what is to be read", zap.String("stream", r.name), zap.Error(err))
			select {
			case <-time.After(reconnectWait):
			case <-r.quit:
				return ErrClosed
			}
			continue
		}
		select {
		case <-changed:
		case <-r.quit:
			return ErrClosed
		}
	}
}

// suspend ends reading from a server that is about to stop.
func (r *Reader) suspend() {
	r.mu.Lock()
	it := r.it
	r.it = nil
	r.mu.Unlock()
	if it != nil {
		it.Stop()
	}
}

// Close ends reading; a Next under way returns ErrClosed.
func (r *Reader) Close() {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	it := r.it
	r.mu.Unlock()
	if !first {
		return
	}
	close(r.quit)
	if it != nil {
		it.Stop()
	}
	r.s.mu.Lock()
	delete(r.s.readers, r)
	r.s.mu.Unlock()
}
