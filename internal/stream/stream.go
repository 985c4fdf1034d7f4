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
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
)

const (
	logName       = "WINNOW_LOG"
	logSubject    = "winnow.log.0"
	outboxName    = "WINNOW_OUTBOX"
	outboxSubject = "winnow.outbox.0"
	tenureName    = "WINNOW_TENURE"
	tenureSubject = "winnow.tenure.0"
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

	// Space says how much room the file system of a folder has and how large it
	// is, in bytes. Nil asks the system.
	Space func(dir string) (free, size uint64, err error)

	// Clock is the machine's own where it is nil.
	Clock Clock

	Logger *zap.Logger

	// Beside, for tests, is a Stream with an embedded server: that is reached as a
	// server of others, instead of URL. Line, for tests, wraps the line to it, or
	// to our own.
	Beside *Stream
	Line   func(net.Conn) net.Conn
}

const (
	defaultMaxBytes = 16 << 30
	defaultMaxAge   = 30 * 24 * time.Hour
	outboxShare     = 4 // the outbox may hold a quarter of what the log may
	tenureMaxBytes  = 1 << 20

	apiTimeout = 10 * time.Second

	// publishTimeout bounds what a sender waits for the log, so that it has its
	// answer within 2 s, with a page to a provider that is quick.
	publishTimeout = 1500 * time.Millisecond

	// askTimeout bounds one try of what is asked of several servers: what is asked
	// while there is no leader is never answered.
	askTimeout = 2 * time.Second

	// reconnectWait is the pause after all servers of others were tried in vain:
	// the client's own, of 2 s, would take most of what a takeover may.
	reconnectWait = 250 * time.Millisecond
)

// Stream is an open log and outbox.
type Stream struct {
	opts   Options
	log    *zap.Logger
	broker *broker // nil for an external cluster
	store  store   // how the embedded server's store fares
	tenure *tenure // nil for the embedded server

	mu      sync.Mutex
	link    *link         // nil while the embedded server starts anew
	changed chan struct{} // closed when link changes, or at Close
	closed  bool
	readers map[*Reader]struct{}

	writer     *writer
	logTail    tail
	outboxTail tail
	leaving    sync.WaitGroup // readers that take leave of the server
	maxPayload int
	faults     []error // found and mended by Open
	watching   sync.WaitGroup
}

// link is one connection to a server, and what stands there.
type link struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	lg, ob, tn jetstream.Stream // tn is nil for the embedded server
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
	if o.Space == nil {
		o.Space = space
	}
	if o.Clock == nil {
		o.Clock = machineClock()
	}
	s := &Stream{opts: o, log: o.Logger, changed: make(chan struct{}), readers: map[*Reader]struct{}{}, store: store{wake: make(chan struct{}, 1), broke: make(chan struct{})}}
	if err := s.open(ctx); err != nil {
		s.shut()
		return nil, err
	}
	return s, nil
}

func (s *Stream) open(ctx context.Context) (err error) {
	o := &s.opts
	switch {
	case o.Beside != nil:
		s.tenure = newTenure(s)
	case o.URL != "" && o.Dir != "":
		return errors.New("stream: give a storage path or a NATS URL, not both")
	case o.URL == "" && o.Dir == "":
		return errors.New("stream: neither a storage path nor a NATS URL is set")
	case o.Dir != "":
		if s.broker, err = startBroker(o, s.storeFailed); err != nil {
			return err
		}
		s.faults = append(s.faults, s.broker.faults...)
	default:
		s.tenure = newTenure(s)
	}
	l, err := s.connect(ctx)
	if l != nil {
		s.setLink(l)
	}
	if err != nil {
		return err
	}
	s.maxPayload = int(l.nc.MaxPayload())
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if s.writer, err = newWriter(ctx, s, l); err != nil {
		return err
	}
	if s.broker != nil {
		s.lookAtSpace()
		s.watching.Go(s.watch)
	}
	return nil
}

// connect reaches the server and finds the streams. What it returns beside an
// error has a connection to close.
func (s *Stream) connect(ctx context.Context) (*link, error) {
	o := &s.opts
	opts := []nats.Option{nats.Name("winnow"), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ErrorHandler(s.asyncError)}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	b := s.broker
	if o.Beside != nil {
		b = o.Beside.broker
	}
	if b != nil {
		opts = append(opts, nats.InProcessServer(pipe{b.server.Load(), o.Line}))
	}
	nc, err := nats.Connect(o.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("stream: connect to NATS: %w", err)
	}
	l := &link{nc: nc}
	if l.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout)); err != nil {
		return l, fmt.Errorf("stream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return l, s.streams(ctx, l)
}

// pipe is a line to a server that listens on no port.
type pipe struct {
	server *server.Server
	wrap   func(net.Conn) net.Conn
}

// InProcessConn implements nats.InProcessConnProvider.
func (p pipe) InProcessConn() (net.Conn, error) {
	conn, err := p.server.InProcessConn()
	if err == nil && p.wrap != nil {
		conn = p.wrap(conn)
	}
	return conn, err
}

func (s *Stream) asyncError(_ *nats.Conn, _ *nats.Subscription, err error) {
	s.log.Warn("NATS client", zap.Error(err))
}

// streams finds both streams. It makes them only where there never were any: a
// stream that has gone missing from a store that had it is a loss to look into,
// not a reason to begin anew.
func (s *Stream) streams(ctx context.Context, l *link) (err error) {
	o := &s.opts
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
	if l.lg, err = s.findOrMake(ctx, l.js, lg); err != nil {
		return err
	}
	if l.ob, err = s.findOrMake(ctx, l.js, ob); err != nil {
		return err
	}
	if s.broker != nil {
		return s.broker.markProvisioned()
	}
	tn := jetstream.StreamConfig{
		Name: tenureName, Subjects: []string{"winnow.tenure.*"}, Description: "Winnow: which process may send",
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: 1, MaxBytes: tenureMaxBytes, Replicas: max(o.Replicas, 1), Duplicates: 100 * time.Millisecond,
	}
	l.tn, err = s.findOrMake(ctx, l.js, tn)
	return err
}

func (s *Stream) findOrMake(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	st, err := js.Stream(ctx, cfg.Name)
	if err == nil {
		return s.adjust(ctx, js, st, &cfg)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("stream %s: look up: %w", cfg.Name, err)
	}
	if s.broker != nil && s.broker.provisioned() {
		return s.repair(ctx, js, &cfg)
	}
	if st, err = js.CreateStream(ctx, cfg); err != nil {
		return nil, fmt.Errorf("stream %s: create: %w", cfg.Name, err)
	}
	return st, nil
}

// adjust brings the limits of a stream up to date. A stream of somebody else's
// cluster is theirs to change; where it differs, the log says so.
func (s *Stream) adjust(ctx context.Context, js jetstream.JetStream, st jetstream.Stream, want *jetstream.StreamConfig) (jetstream.Stream, error) {
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
	st, err := js.UpdateStream(ctx, have)
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
func (s *Stream) Log(ctx context.Context) (Extent, error) {
	l, err := s.linked()
	if err != nil {
		return Extent{}, err
	}
	return s.extent(ctx, l.lg)
}

// Outbox says what the outbox holds now.
func (s *Stream) Outbox(ctx context.Context) (Extent, error) {
	l, err := s.linked()
	if err != nil {
		return Extent{}, err
	}
	return s.extent(ctx, l.ob)
}

func (s *Stream) extent(ctx context.Context, st jetstream.Stream) (Extent, error) {
	var info *jetstream.StreamInfo
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		info, err = st.Info(ctx)
		return err
	})
	if err != nil {
		return Extent{}, fmt.Errorf("stream %s: info: %w", st.CachedInfo().Config.Name, err)
	}
	e := Extent{First: info.State.FirstSeq, Last: info.State.LastSeq, FirstAt: alert.TimeOf(info.State.FirstTime), LastAt: alert.TimeOf(info.State.LastTime)}
	if info.State.Msgs == 0 {
		e.First = e.Last + 1
	}
	return e, nil
}

// ask has a question answered within apiTimeout. Of several servers nobody answers
// what is asked while they elect a leader, also when they have one: it is asked
// again.
func (s *Stream) ask(ctx context.Context, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if !s.Shared() {
		return question(ctx)
	}
	for {
		try, done := context.WithTimeout(ctx, askTimeout)
		err := question(try)
		done()
		if err == nil || !unanswered(err) {
			return err
		}
		select {
		case <-time.After(reconnectWait):
		case <-ctx.Done():
			return err
		}
	}
}

// unanswered reports whether an error says nothing of what was asked for.
func unanswered(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.Code == http.StatusServiceUnavailable ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders)
}

// MaxRecord is the largest commit record that the server takes, in bytes.
func (s *Stream) MaxRecord() int { return s.maxPayload - 4096 } // room for headers

// Health says what keeps the stream from taking messages; nil when nothing does.
func (s *Stream) Health() error {
	l, err := s.taking()
	if err != nil {
		return err
	}
	if !l.nc.IsConnected() {
		return errors.New("stream: not connected to NATS")
	}
	if s.broker != nil {
		return s.broker.health()
	}
	return s.tenure.health()
}

// Close stops taking appends, lets what is under way finish, and stops the
// embedded server.
func (s *Stream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.store.poke()
	s.watching.Wait() // it may be starting the server anew
	if s.writer != nil {
		s.writer.close()
	}
	if s.tenure != nil {
		s.tenure.end()
	}
	return s.shut()
}

func (s *Stream) shut() (err error) {
	s.mu.Lock()
	s.closed = true
	l := s.link
	s.link = nil
	s.tellChanged()
	s.mu.Unlock()
	if l != nil {
		l.nc.Close()
	}
	s.leaving.Wait()
	if s.broker != nil {
		err = s.broker.stop()
	}
	return err
}
