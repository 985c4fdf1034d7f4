package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type stoppedClock struct{}

func (stoppedClock) Now() time.Time {
	return time.Date(2026, 3, 1, 10, 0, 0, 123_456_789, time.FixedZone("", 3600))
}

func (stoppedClock) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

func newAt(t *testing.T, level, format string) (*zap.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	l, err := New(&out, level, format)
	if err != nil {
		t.Fatal(err)
	}
	return l.WithOptions(zap.WithClock(stoppedClock{})), &out
}

// request is an object with an object and an array in it.
type request struct{ path string }

func (r request) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("path", r.path)
	enc.AddDuration("took", 1500*time.Millisecond)
	return enc.AddObject("client", zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		enc.AddInt("port", 80)
		return nil
	}))
}

type team string

func TestLogfmt(t *testing.T) {
	f := func(want string, fields ...zap.Field) {
		t.Helper()
		l, out := newAt(t, "info", Logfmt)
		l.Info("hello", fields...)
		want = "ts=2026-03-01T09:00:00.123Z level=info msg=hello" + want + "\n"
		if got := out.String(); got != want {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
	}
	f("")
	f(" service=checkout", zap.String("service", "checkout"))
	f(` service=""`, zap.String("service", ""))
	f(` q="two words"`, zap.String("q", "two words"))
	f(` q="a=b"`, zap.String("q", "a=b"))
	f(` q="say \"no\""`, zap.String("q", `say "no"`))
	f(` q="back\\slash"`, zap.String("q", `back\slash`))
	f(" q=größe", zap.String("q", "größe"))

	// Nothing raw that could end the line, steer a terminal or reorder text.
	f(` q="one\ntwo\r\tthree"`, zap.String("q", "one\ntwo\r\tthree"))
	f(` q="\u001b[31mred"`, zap.String("q", "\x1b[31mred"))
	f(` q="nul\u0000"`, zap.String("q", "nul\x00"))
	f(` q="\u007f\u0085"`, zap.String("q", "\x7f\u0085"))
	f(` q="a\u202eb\u202a\u2066\u2069"`, zap.String("q", "a\u202eb\u202a\u2066\u2069"))
	f(` q="a\u2028b"`, zap.String("q", "a\u2028b"))
	f(` q="\u00a0"`, zap.String("q", "\u00a0"))
	f(` q="\udb40\udc41"`, zap.String("q", "\U000e0041"))
	f(` q="bad\ufffdutf8"`, zap.String("q", "bad\xffutf8"))

	// Keys are ours, but a label's name may become one.
	f(" two_words=1", zap.Int("two words", 1))
	f(" a_b_c_=1", zap.Int("a=b\"c\n", 1))
	f(" _=1", zap.Int("", 1))
	f(" a_b=1", zap.Int("a\u202eb", 1))
	f(" a_b=1", zap.Int("a\xffb", 1))

	f(" took=1.5 wait=0.000000001", zap.Duration("took", 1500*time.Millisecond), zap.Duration("wait", 1))
	f(" at=2026-03-01T09:00:00.123Z", zap.Time("at", stoppedClock{}.Now()))
	f(" n=-1 u=18446744073709551615 ok=true", zap.Int8("n", -1), zap.Uint64("u", math.MaxUint64), zap.Bool("ok", true))
	f(" f=0.25 g=0.1 nan=NaN inf=+Inf", zap.Float64("f", .25), zap.Float32("g", .1), zap.Float64("nan", math.NaN()), zap.Float64("inf", math.Inf(1)))
	f(" c=(1+2i) d=(0.5-1i)", zap.Complex128("c", 1+2i), zap.Complex64("d", .5-1i))
	f(` error="sink: 429"`, zap.Error(errors.New("sink: 429")))
	f(` raw="/w=="`, zap.Binary("raw", []byte{0xff}))
	f(" b=bytes", zap.ByteString("b", []byte("bytes")))

	// No nesting: dotted keys, and JSON for the rest.
	f(" req.path=/x req.took=1.5 req.client.port=80 after=1", zap.Object("req", request{"/x"}), zap.Int("after", 1))
	f(" path=/x took=1.5 client.port=80 after=1", zap.Inline(request{"/x"}), zap.Int("after", 1))
	f(" http.status=429 http.ok=false", zap.Namespace("http"), zap.Int("status", 429), zap.Bool("ok", false))
	f(` names="[\"a\",\"b c\"]"`, zap.Strings("names", []string{"a", "b c"}))
	f(` waits=[1,0.5]`, zap.Durations("waits", []time.Duration{time.Second, time.Second / 2}))
	f(` any="{\"a\":[1,null]}"`, zap.Any("any", map[string]any{"a": []any{1, nil}}))
	f(" any=null", zap.Any("any", nil))
	f(" team=payments", zap.Reflect("team", team("payments")))
	f(` bad=1 chError="json: unsupported type: chan int"`, zap.Int("bad", 1), zap.Reflect("ch", make(chan int)))
}

func TestLogfmtContext(t *testing.T) {
	l, out := newAt(t, "debug", Logfmt)
	child := l.Named("sinks").Named("pagerduty").With(zap.Int("try", 2), zap.Namespace("answer"), zap.Int("status", 429))
	child.Debug("one", zap.Int("after", 30))
	child.With(zap.Int("x", 1)).Warn("two")
	child.Error("three") // the child of before left no trace
	l.Info("four")
	want := `ts=2026-03-01T09:00:00.123Z level=debug logger=sinks.pagerduty msg=one try=2 answer.status=429 answer.after=30
ts=2026-03-01T09:00:00.123Z level=warn logger=sinks.pagerduty msg=two try=2 answer.status=429 answer.x=1
ts=2026-03-01T09:00:00.123Z level=error logger=sinks.pagerduty msg=three try=2 answer.status=429
ts=2026-03-01T09:00:00.123Z level=info msg=four
`
	if got := out.String(); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestLogfmtCallerAndStack(t *testing.T) {
	l, out := newAt(t, "info", Logfmt)
	l.WithOptions(zap.AddCaller(), zap.AddStacktrace(zap.ErrorLevel)).With(zap.Namespace("ns")).Error("hello")
	got := out.String()
	if !strings.Contains(got, " caller=logs/logs_test.go:") || !strings.Contains(got, ` stacktrace="github.com/winnowhq/winnow/internal/logs.TestLogfmtCallerAndStack\n\t`) {
		t.Errorf("got %s", got)
	}
	if strings.Count(got, "\n") != 1 {
		t.Errorf("want one line, got %q", got)
	}
}

func TestJSON(t *testing.T) {
	f := func(want string, fields ...zap.Field) {
		t.Helper()
		l, out := newAt(t, "info", JSON)
		l.Named("engine").Info("hello", fields...)
		want = `{"level":"info","ts":"2026-03-01T09:00:00.123Z","logger":"engine","msg":"hello"` + want + "}\n"
		if got := out.String(); got != want {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
	}
	f("")
	f(`,"took":1.5`, zap.Duration("took", 1500*time.Millisecond))
	f(`,"q":"one\ntwo\u001b\u0000"`, zap.String("q", "one\ntwo\x1b\x00"))
	f(`,"q":"größe 💥"`, zap.String("q", "größe 💥"))
	f(`,"q":"a\u202eb\u2066"`, zap.String("q", "a\u202eb\u2066"))
	f(`,"a\u202eb":"\u007f\u0085\u00a0"`, zap.String("a\u202eb", "\x7f\u0085\u00a0"))
	f(`,"q":"\udb40\udc41"`, zap.String("q", "\U000e0041"))
	f(`,"q":"bad\ufffdutf8\u202e"`, zap.String("q", "bad\xffutf8\u202e"))
	f(`,"any":{"a":"\u202e"}`, zap.Any("any", map[string]string{"a": "\u202e"}))
	f(`,"raw":{"a":"\ufffd"}`, zap.Any("raw", json.RawMessage("{\"a\":\"\xff\"}")))
}

func TestJSONContextIsKept(t *testing.T) {
	l, out := newAt(t, "info", JSON)
	l.With(zap.String("team", "\u202epay")).Info("hello")
	if !strings.Contains(out.String(), `"team":"\u202epay"`) {
		t.Errorf("got %s", out)
	}
}

func TestLevels(t *testing.T) {
	f := func(level string, want int) {
		t.Helper()
		for _, format := range []string{JSON, Logfmt} {
			l, out := newAt(t, level, format)
			l.Debug("")
			l.Info("")
			l.Warn("")
			l.Error("")
			if got := strings.Count(out.String(), "\n"); got != want {
				t.Errorf("%s at %s: %d lines, want %d", format, level, got, want)
			}
		}
	}
	f("debug", 4)
	f("info", 3)
	f("warn", 2)
	f("error", 1)
}

func TestNewRefuses(t *testing.T) {
	f := func(level, format, want string) {
		t.Helper()
		if _, err := New(new(bytes.Buffer), level, format); err == nil || err.Error() != want {
			t.Errorf("New(%q, %q): %v, want %s", level, format, err, want)
		}
	}
	f("loud", JSON, `log level "loud": want debug, info, warn or error`)
	f("", JSON, `log level "": want debug, info, warn or error`)
	f("fatal", JSON, `log level "fatal": want debug, info, warn or error`)
	f("INFO", JSON, `log level "INFO": want debug, info, warn or error`)
	f("info", "text", `log format "text": want json or logfmt`)
}

// syncer counts what reaches the writer behind a logger.
type syncer struct{ writes, syncs int }

func (s *syncer) Write(p []byte) (int, error) { s.writes++; return len(p), nil }
func (s *syncer) Sync() error                 { s.syncs++; return nil }

func TestOneWriteALineAndSyncReachesTheWriter(t *testing.T) {
	var s syncer
	l, err := New(&s, "info", Logfmt)
	if err != nil {
		t.Fatal(err)
	}
	l.Info("one", zap.String("k", "v"))
	l.Info("two\nthree")
	if err := l.Sync(); err != nil || s != (syncer{writes: 2, syncs: 1}) {
		t.Errorf("err %v, %+v", err, s)
	}
}
