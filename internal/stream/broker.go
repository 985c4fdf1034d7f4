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
	server *server.Server
	lock   *os.File
	logs   *brokerLogs
}

func startBroker(o *Options) (*broker, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("stream: storage path: %w", err)
	}
	b := &broker{dir: o.Dir, logs: &brokerLogs{log: o.Logger}}
	var err error
	if b.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: "winnow", DontListen: true, JetStream: true, StoreDir: o.Dir,
		JetStreamMaxMemory: embeddedMemory, JetStreamMaxStore: o.MaxBytes + o.MaxBytes/outboxShare + 1<<20,
		SyncAlways: true, NoSigs: true, NoSystemAccount: true, DisableJetStreamBanner: true, MaxPayload: embeddedMaxPayload,
	}
	if b.server, err = server.NewServer(opts); err != nil {
		return b, errors.Join(fmt.Errorf("stream: embedded NATS server: %w", err), b.stop())
	}
	b.server.SetLoggerV2(b.logs, false, false, false)
	b.server.Start()
	if !b.server.ReadyForConnections(startTimeout) {
		why := "it did not become ready"
		if msg := b.logs.fatal.Load(); msg != nil {
			why = *msg // Start reports nothing itself
		}
		return b, errors.Join(fmt.Errorf("stream: embedded NATS server on %s: %s", o.Dir, why), b.stop())
	}
	return b, nil
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
	if h := b.server.Healthz(nil); h.Status != "ok" {
		return fmt.Errorf("stream: embedded NATS server: %s %s", h.Status, h.Error)
	}
	return nil
}

func (b *broker) stop() error {
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
	return b.lock.Close() // gives up the lock
}

// brokerLogs passes the server's log on, and keeps what it calls fatal: it
// says there why it does not start, and then goes on.
type brokerLogs struct {
	log   *zap.Logger
	fatal atomic.Pointer[string]
}

func (l *brokerLogs) Noticef(format string, v ...any) { l.write(zap.DebugLevel, format, v) }
func (l *brokerLogs) Warnf(format string, v ...any)   { l.write(zap.WarnLevel, format, v) }
func (l *brokerLogs) Errorf(format string, v ...any)  { l.write(zap.ErrorLevel, format, v) }
func (l *brokerLogs) Debugf(string, ...any)           {}
func (l *brokerLogs) Tracef(string, ...any)           {}

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
