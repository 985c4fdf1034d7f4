// Package logs builds the logger that the edges of Winnow write to: what a line
// looks like, and what a string may do to it.
//
// A line is one entry, whatever stands in its strings. Labels and annotations
// come from strangers, so control characters, escape sequences for terminals
// and characters that turn the direction of text are written as escapes, never
// raw. The package never decides what is worth a line, and it never sees a
// secret: who logs has redacted.
package logs

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The formats that New knows.
const (
	JSON   = "json"   // one object a line
	Logfmt = "logfmt" // key=value pairs, as Prometheus and Alertmanager write
)

// timeLayout is RFC 3339 with milliseconds. Times are always UTC.
const timeLayout = "2006-01-02T15:04:05.000Z"

// New returns a logger that writes each entry at or above level (debug, info,
// warn or error) to w with a single Write, one at a time. Durations are numbers
// of seconds in both formats. A line begins with ts, level and, where the logger
// has a name, logger; msg and the fields follow.
//
// Where w has a Sync method the logger's Sync calls it.
func New(w io.Writer, level, format string) (*zap.Logger, error) {
	least, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	var enc zapcore.Encoder
	switch format {
	case JSON:
		enc = newJSON()
	case Logfmt:
		enc = newLogfmt()
	default:
		return nil, fmt.Errorf("log format %q: want %s or %s", format, JSON, Logfmt)
	}
	return zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), least)), nil
}

// parseLevel takes fewer names than zap does: a logger that only speaks when
// the process panics is a mistake in somebody's flags.
func parseLevel(s string) (zapcore.Level, error) {
	for l := zapcore.DebugLevel; l <= zapcore.ErrorLevel; l++ {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", s)
}

func encoderConfig() zapcore.EncoderConfig {
	return zapcore.EncoderConfig{
		TimeKey:       "ts",
		LevelKey:      "level",
		NameKey:       "logger",
		CallerKey:     "caller",
		MessageKey:    "msg",
		StacktraceKey: "stacktrace",
		EncodeLevel:   zapcore.LowercaseLevelEncoder,
		EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
			enc.AppendString(t.UTC().Format(timeLayout))
		},
		EncodeDuration: zapcore.SecondsDurationEncoder,
		EncodeCaller:   zapcore.ShortCallerEncoder,
	}
}
