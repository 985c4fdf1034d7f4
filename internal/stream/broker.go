package stream

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/winnowhq/winnow/internal/durable"
)

const (
	startTimeout = 60 * time.Second // a large store is read at start
	markerFile   = "provisioned"
	lockFile     = "lock"

	embeddedMaxPayload = 8 << 20
	embeddedMemory     = 64 << 20
)

// broker is the embedded NATS server on its own folder.
type broker struct {
	dir    string
	opts   server.Options
	server atomic.Pointer[server.Server]
	lock   *os.File
	logs   *brokerLogs
	faults []error // of the store, found before a start
	hangs  bool    // a start has not come back, and has the folder
}

// startBroker starts the server. What its store could not write is told to
// failed.
func startBroker(o *Options, failed func(error)) (*broker, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("stream: storage path: %w", err)
	}
	b := &broker{dir: o.Dir, logs: &brokerLogs{log: o.Logger, failed: failed}, opts: server.Options{
		ServerName: "winnow", DontListen: true, JetStream: true, StoreDir: o.Dir,
		JetStreamMaxMemory: embeddedMemory, JetStreamMaxStore: o.MaxBytes + o.MaxBytes/outboxShare + 1<<20,
		SyncAlways: true, NoSigs: true, NoSystemAccount: true, DisableJetStreamBanner: true, MaxPayload: embeddedMaxPayload,
	}}
	var err error
	if b.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	if err := b.boot(); err != nil {
		return b, errors.Join(err, b.stop())
	}
	return b, nil
}

// boot starts a server on the folder, which is ours already.
func (b *broker) boot() error {
	opts := b.opts // a server writes into its own
	b.logs.fatal.Store(nil)
	faults, err := b.mendSequences()
	if err != nil {
		return err
	}
	for _, f := range faults {
		b.logs.log.Error("the store is damaged", zap.Error(f))
	}
	b.faults = append(b.faults, faults...)
	srv, err := server.NewServer(&opts)
	if err != nil {
		return fmt.Errorf("stream: embedded NATS server: %w", err)
	}
	b.server.Store(srv)
	srv.SetLoggerV2(b.logs, false, false, false)
	if !within(startTimeout, srv.Start) {
		b.hangs = true
		return fmt.Errorf("stream: embedded NATS server on %s: %w within %s: its store is damaged, or too large for this machine; copy the folder aside before anything else, then start with an empty one to accept alerts again", b.dir, errHangs, startTimeout)
	}
	if !srv.ReadyForConnections(startTimeout) {
		why := "it did not become ready"
		if msg := b.logs.fatal.Load(); msg != nil {
			why = *msg // Start reports nothing itself
		}
		return fmt.Errorf("stream: embedded NATS server on %s: %s", b.dir, why)
	}
	return nil
}

// errHangs says that the server did not come back from its start. It cannot be
// ended by anything but the end of the process.
var errHangs = errors.New("it has not started")

// within runs f and reports whether it has ended in time.
func within(d time.Duration, f func()) bool {
	ended := make(chan struct{})
	go func() { f(); close(ended) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ended:
		return true
	case <-t.C:
		return false
	}
}

// lockDir keeps a second process out: the server itself would open the same
// store twice, and both would acknowledge.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("stream: storage path: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("stream: storage path %s is in use by another process: %w", dir, err)
	}
	return f, nil
}

func (b *broker) provisioned() bool {
	_, err := os.Stat(filepath.Join(b.dir, markerFile))
	return err == nil
}

func (b *broker) markProvisioned() error {
	if b.provisioned() {
		return nil
	}
	if err := durable.WriteFile(filepath.Join(b.dir, markerFile), []byte("streams: "+logName+" "+outboxName+"\n"), nil); err != nil {
		return fmt.Errorf("stream: storage path: %w", err)
	}
	return nil
}

func (b *broker) health() error {
	if h := b.server.Load().Healthz(nil); h.Status != "ok" {
		return fmt.Errorf("stream: embedded NATS server: %s %s", h.Status, h.Error)
	}
	return nil
}

// halt ends the server; the folder stays ours.
func (b *broker) halt() {
	if srv := b.server.Load(); srv != nil && !b.hangs {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

func (b *broker) stop() error {
	if b.hangs {
		return nil // the server still has the folder
	}
	b.halt()
	return b.lock.Close() // gives up the lock
}

// brokerLogs passes the server's log on, and keeps what it calls fatal: it
// says there why it does not start, and then goes on. What its store could not
// write it says nowhere else: who publishes gets no answer.
type brokerLogs struct {
	log    *zap.Logger
	fatal  atomic.Pointer[string]
	failed func(error)
}

func (l *brokerLogs) Noticef(format string, v ...any) { l.write(zap.DebugLevel, format, v) }

func (l *brokerLogs) Warnf(format string, v ...any) {
	l.write(zap.WarnLevel, format, v)
	if err := writeError(format, v); err != nil {
		l.failed(err)
	}
}

func (l *brokerLogs) Errorf(format string, v ...any) {
	l.write(zap.ErrorLevel, format, v)
	if err := writeError(format, v); err != nil {
		l.failed(err)
	}
}

func (l *brokerLogs) Debugf(string, ...any) {}
func (l *brokerLogs) Tracef(string, ...any) {}

func (l *brokerLogs) Fatalf(format string, v ...any) {
	msg := fmt.Sprintf(format, v...)
	l.fatal.Store(&msg)
	l.write(zap.ErrorLevel, format, v)
}

func (l *brokerLogs) write(level zapcore.Level, format string, v []any) {
	if ce := l.log.Check(level, "NATS server"); ce != nil {
		ce.Write(zap.String("said", fmt.Sprintf(format, v...)))
	}
}
