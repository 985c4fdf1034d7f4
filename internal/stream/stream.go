// Package stream keeps Winnow's log and its outbox on NATS JetStream.
//
// It decides how what is appended becomes durable: whatever arrives while one
// message is being synced travels in the next, so that a thousand senders cost
// a handful of syncs. It never decides what an event means, never creates a
// stream over a store that had one, and never takes the broker's word that
// nothing is missing: frames are numbered and checksummed by package frame.
package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
)

const (
	logName       = "WINNOW_LOG"
	logSubject    = "winnow.log.0"
	outboxName    = "WINNOW_OUTBOX"
	outboxSubject = "winnow.outbox.0"
)

// Options of a Stream. Either Dir or URL is set.
type Options struct {
	// Dir holds the store of the embedded server, which listens on no port.
	Dir string
	// URL of an existing NATS cluster, as "nats://a:4222,b:4222".
	URL string
	// Credentials is the path of a .creds file for URL.
	Credentials string
	// Replicas of the streams, for URL; 1 where it is 0.
	Replicas int

	// MaxBytes bounds the log, MaxAge how far it reaches back. Zero: 16 GiB and
	// 30 days. A full log takes nothing more: senders are told to come again.
	MaxBytes int64
	MaxAge   time.Duration

	Logger *zap.Logger
}

const (
	defaultMaxBytes = 16 << 30
	defaultMaxAge   = 30 * 24 * time.Hour
	outboxShare     = 4 // the outbox may hold a quarter of what the log may

	apiTimeout     = 10 * time.Second
	publishTimeout = 2 * time.Second // a sender waits for it, and for a page after it
)

// Stream is an open log and outbox.
type Stream struct {
	log    *zap.Logger
	broker *broker // nil for an external cluster
	nc     *nats.Conn
	js     jetstream.JetStream
	lg, ob jetstream.Stream

	writer     *writer
	maxPayload int
	faults     []error // found and mended by Open
}

// Open starts the embedded server, or connects to a cluster, and finds or makes
// the streams.
func Open(ctx context.Context, o Options) (*Stream, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultMaxAge
	}
	s := &Stream{log: o.Logger}
	if err := s.open(ctx, &o); err != nil {
		s.shut()
		return nil, err
	}
	return s, nil
}

func (s *Stream) open(ctx context.Context, o *Options) (err error) {
	switch {
	case o.URL != "" && o.Dir != "":
		return errors.New("stream: give a storage path or a NATS URL, not both")
	case o.URL != "":
		err = s.connect(o)
	case o.Dir != "":
		err = s.embed(o)
	default:
		return errors.New("stream: neither a storage path nor a NATS URL is set")
	}
	if err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc, jetstream.WithDefaultTimeout(apiTimeout)); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	s.maxPayload = int(s.nc.MaxPayload())
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := s.streams(ctx, o); err != nil {
		return err
	}
	s.writer, err = newWriter(ctx, s)
	return err
}

func (s *Stream) connect(o *Options) (err error) {
	opts := []nats.Option{nats.Name("winnow"), nats.MaxReconnects(-1), nats.ErrorHandler(s.asyncError)}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	if s.nc, err = nats.Connect(o.URL, opts...); err != nil {
		return fmt.Errorf("stream: connect to NATS: %w", err)
	}
	return nil
}

func (s *Stream) embed(o *Options) (err error) {
	if s.broker, err = startBroker(o); err != nil {
		return err
	}
	s.nc, err = nats.Connect("", nats.InProcessServer(s.broker.server), nats.Name("winnow"),
		nats.MaxReconnects(-1), nats.ErrorHandler(s.asyncError))
	if err != nil {
		return fmt.Errorf("stream: connect to the embedded NATS server: %w", err)
	}
	return nil
}

func (s *Stream) asyncError(_ *nats.Conn, _ *nats.Subscription, err error) {
	s.log.Warn("NATS client", zap.Error(err))
}

// streams finds both streams. It makes them only where there never were any: a
// stream that has gone missing from a store that had it is a loss to look into,
// not a reason to begin anew.
func (s *Stream) streams(ctx context.Context, o *Options) (err error) {
	base := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, MaxAge: o.MaxAge,
		Replicas: max(o.Replicas, 1), DenyDelete: true, Duplicates: 100 * time.Millisecond,
		Metadata: map[string]string{"winnow.format": "1", "winnow.shards": "1"},
	}
	lg, ob := base, base
	lg.Name, lg.Subjects, lg.Discard, lg.MaxBytes = logName, []string{"winnow.log.*"}, jetstream.DiscardNew, o.MaxBytes
	lg.Description = "Winnow: everything that decides, in order"
	ob.Name, ob.Subjects, ob.Discard, ob.MaxBytes = outboxName, []string{"winnow.outbox.*"}, jetstream.DiscardNew, o.MaxBytes/outboxShare
	ob.Description = "Winnow: what was decided"
	if s.lg, err = s.findOrMake(ctx, lg); err != nil {
		return err
	}
	if s.ob, err = s.findOrMake(ctx, ob); err != nil {
		return err
	}
	if s.broker != nil {
		return s.broker.markProvisioned()
	}
	return nil
}

func (s *Stream) findOrMake(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	st, err := s.js.Stream(ctx, cfg.Name)
	if err == nil {
		return s.adjust(ctx, st, &cfg)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("stream %s: look up: %w", cfg.Name, err)
	}
	if s.broker != nil && s.broker.provisioned() {
		return s.repair(ctx, &cfg)
	}
	if st, err = s.js.CreateStream(ctx, cfg); err != nil {
		return nil, fmt.Errorf("stream %s: create: %w", cfg.Name, err)
	}
	return st, nil
}

// adjust brings the limits of a stream up to date. A stream of somebody else's
// cluster is theirs to change; where it differs, the log says so.
func (s *Stream) adjust(ctx context.Context, st jetstream.Stream, want *jetstream.StreamConfig) (jetstream.Stream, error) {
	have := st.CachedInfo().Config
	if have.MaxBytes == want.MaxBytes && have.MaxAge == want.MaxAge && have.Replicas == want.Replicas {
		return st, nil
	}
	if s.broker == nil {
		s.log.Warn("a stream has other limits than the flags say; the stream's hold", zap.String("stream", have.Name),
			zap.Int64("max_bytes", have.MaxBytes), zap.Duration("max_age", have.MaxAge), zap.Int("replicas", have.Replicas))
		return st, nil
	}
	have.MaxBytes, have.MaxAge, have.Replicas = want.MaxBytes, want.MaxAge, want.Replicas
	st, err := s.js.UpdateStream(ctx, have)
	if err != nil {
		return nil, fmt.Errorf("stream %s: change its limits: %w", want.Name, err)
	}
	return st, nil
}

// Extent says what a log holds: the sequences of its first and last message,
// zero when it is empty, and when the last one was stored.
type Extent struct {
	First, Last uint64
	FirstAt     alert.Time
	LastAt      alert.Time
}

// Log says what the log holds now.
func (s *Stream) Log(ctx context.Context) (Extent, error) { return extent(ctx, s.lg) }

// Outbox says what the outbox holds now.
func (s *Stream) Outbox(ctx context.Context) (Extent, error) { return extent(ctx, s.ob) }

func extent(ctx context.Context, st jetstream.Stream) (Extent, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	info, err := st.Info(ctx)
	if err != nil {
		return Extent{}, fmt.Errorf("stream %s: info: %w", st.CachedInfo().Config.Name, err)
	}
	e := Extent{First: info.State.FirstSeq, Last: info.State.LastSeq, FirstAt: alert.TimeOf(info.State.FirstTime), LastAt: alert.TimeOf(info.State.LastTime)}
	if info.State.Msgs == 0 {
		e.First = e.Last + 1
	}
	return e, nil
}

// ErrFenced says that another process has written to the outbox: it owns the
// shard now, and this one must stop.
var ErrFenced = errors.New("stream: another process owns this shard")

// LastCommit returns the newest commit record, its counter and its sequence in
// the outbox; nil and zeros when there is none.
func (s *Stream) LastCommit(ctx context.Context) (c *frame.Commit, counter, seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	msg, err := s.ob.GetLastMsgForSubject(ctx, outboxSubject)
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
	lo, hi := held.First, last+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		msg, err := s.ob.GetMsg(ctx, mid)
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
		if c.Input >= input || c.Input+1 == input && c.Partial > 0 {
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
	ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: outboxSubject, Data: record},
		jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithRetryAttempts(0))
	if err == nil {
		return ack.Sequence, nil
	}
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

// MaxRecord is the largest commit record that the server takes, in bytes.
func (s *Stream) MaxRecord() int { return s.maxPayload - 4096 } // room for headers

// Health says what keeps the stream from taking messages; nil when nothing does.
func (s *Stream) Health() error {
	if !s.nc.IsConnected() {
		return errors.New("stream: not connected to NATS")
	}
	if s.broker != nil {
		return s.broker.health()
	}
	return nil
}

// Close stops taking appends, lets what is under way finish, and stops the
// embedded server.
func (s *Stream) Close() error {
	if s.writer != nil {
		s.writer.close()
	}
	return s.shut()
}

func (s *Stream) shut() (err error) {
	if s.nc != nil {
		s.nc.Close()
	}
	if s.broker != nil {
		err = s.broker.stop()
	}
	return err
}
