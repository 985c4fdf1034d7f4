package logs

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// logfmtEncoder writes key=value pairs. Logfmt has no nesting: the fields of an
// object or a namespace get a dotted key, arrays and reflected values are JSON
// in a quoted string.
type logfmtEncoder struct {
	pool   buffer.Pool
	json   zapcore.Encoder // for values that logfmt has no form for; never written to
	buf    *buffer.Buffer
	prefix string // of the keys within open namespaces
}

func newLogfmt() zapcore.Encoder {
	pool := buffer.NewPool()
	nested := zapcore.EncoderConfig{
		SkipLineEnding: true,
		EncodeTime:     encoderConfig().EncodeTime,
		EncodeDuration: encoderConfig().EncodeDuration,
	}
	return &logfmtEncoder{pool: pool, json: zapcore.NewJSONEncoder(nested), buf: pool.Get()}
}

func (e *logfmtEncoder) Clone() zapcore.Encoder { return e.clone() }

func (e *logfmtEncoder) clone() *logfmtEncoder {
	c := *e
	c.buf = e.pool.Get()
	c.buf.AppendBytes(e.buf.Bytes())
	return &c
}

func (e *logfmtEncoder) EncodeEntry(ent zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line := &logfmtEncoder{pool: e.pool, json: e.json, buf: e.pool.Get()}
	line.AddTime("ts", ent.Time)
	line.AddString("level", ent.Level.String())
	if ent.LoggerName != "" {
		line.AddString("logger", ent.LoggerName)
	}
	if ent.Caller.Defined {
		line.AddString("caller", ent.Caller.TrimmedPath())
	}
	line.AddString("msg", ent.Message)
	if e.buf.Len() > 0 {
		line.buf.AppendByte(' ')
		line.buf.AppendBytes(e.buf.Bytes())
	}
	line.prefix = e.prefix
	for i := range fields {
		fields[i].AddTo(line)
	}
	if ent.Stack != "" {
		line.prefix = ""
		line.AddString("stacktrace", ent.Stack)
	}
	line.buf.AppendByte('\n')
	return line.buf, nil
}

// key begins a pair.
func (e *logfmtEncoder) key(k string) {
	if e.buf.Len() > 0 {
		e.buf.AppendByte(' ')
	}
	e.buf.AppendString(e.prefix)
	e.buf.AppendString(cleanKey(k))
	e.buf.AppendByte('=')
}

// cleanKey replaces what would end a key, or hide in it, by an underscore.
func cleanKey(k string) string {
	if k == "" {
		return "_"
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '=' || r == '"' || r == '\\' || r == utf8.RuneError || !strconv.IsPrint(r) {
			return '_'
		}
		return r
	}, k)
}

// bare reports whether a value needs no quotes.
func bare(s string) bool {
	for _, r := range s {
		if r == ' ' || r == '=' || r == '"' || r == '\\' || r == utf8.RuneError || !strconv.IsPrint(r) {
			return false
		}
	}
	return s != ""
}

func (e *logfmtEncoder) AddString(k, v string) {
	e.key(k)
	if bare(v) {
		e.buf.AppendString(v)
		return
	}
	e.buf.AppendByte('"')
	appendEscaped(e.buf, v)
	e.buf.AppendByte('"')
}

func (e *logfmtEncoder) AddObject(k string, v zapcore.ObjectMarshaler) error {
	outer := e.prefix
	e.OpenNamespace(k)
	err := v.MarshalLogObject(e)
	e.prefix = outer
	return err
}

func (e *logfmtEncoder) OpenNamespace(k string) { e.prefix += cleanKey(k) + "." }

func (e *logfmtEncoder) AddArray(k string, v zapcore.ArrayMarshaler) error {
	return e.addJSON(k, func(enc zapcore.Encoder) error { return enc.AddArray("", v) })
}

func (e *logfmtEncoder) AddReflected(k string, v any) error {
	return e.addJSON(k, func(enc zapcore.Encoder) error { return enc.AddReflected("", v) })
}

func (e *logfmtEncoder) addJSON(k string, add func(zapcore.Encoder) error) error {
	enc := e.json.Clone()
	if err := add(enc); err != nil {
		return err
	}
	b, err := enc.EncodeEntry(zapcore.Entry{}, nil)
	if err != nil {
		return err
	}
	defer b.Free()
	const open, end = `{"":`, `}` // the object that the clone put around the value
	text := string(b.Bytes()[len(open) : b.Len()-len(end)])
	var s string
	if text[0] == '"' && json.Unmarshal([]byte(text), &s) == nil {
		text = s // a string type of its own: one pair of quotes is enough
	}
	e.AddString(k, text)
	return nil
}

func (e *logfmtEncoder) AddBinary(k string, v []byte) {
	e.AddString(k, base64.StdEncoding.EncodeToString(v))
}
func (e *logfmtEncoder) AddByteString(k string, v []byte) { e.AddString(k, string(v)) }
func (e *logfmtEncoder) AddBool(k string, v bool)         { e.key(k); e.buf.AppendBool(v) }
func (e *logfmtEncoder) AddInt64(k string, v int64)       { e.key(k); e.buf.AppendInt(v) }
func (e *logfmtEncoder) AddUint64(k string, v uint64)     { e.key(k); e.buf.AppendUint(v) }
func (e *logfmtEncoder) AddFloat64(k string, v float64)   { e.key(k); e.buf.AppendFloat(v, 64) }
func (e *logfmtEncoder) AddFloat32(k string, v float32)   { e.key(k); e.buf.AppendFloat(float64(v), 32) }
func (e *logfmtEncoder) AddTime(k string, v time.Time) {
	e.key(k)
	e.buf.AppendTime(v.UTC(), timeLayout)
}
func (e *logfmtEncoder) AddDuration(k string, v time.Duration) { e.AddFloat64(k, v.Seconds()) }

func (e *logfmtEncoder) AddComplex128(k string, v complex128) {
	e.AddString(k, strconv.FormatComplex(v, 'f', -1, 128))
}
func (e *logfmtEncoder) AddComplex64(k string, v complex64) {
	e.AddString(k, strconv.FormatComplex(complex128(v), 'f', -1, 64))
}
func (e *logfmtEncoder) AddInt(k string, v int)         { e.AddInt64(k, int64(v)) }
func (e *logfmtEncoder) AddInt32(k string, v int32)     { e.AddInt64(k, int64(v)) }
func (e *logfmtEncoder) AddInt16(k string, v int16)     { e.AddInt64(k, int64(v)) }
func (e *logfmtEncoder) AddInt8(k string, v int8)       { e.AddInt64(k, int64(v)) }
func (e *logfmtEncoder) AddUint(k string, v uint)       { e.AddUint64(k, uint64(v)) }
func (e *logfmtEncoder) AddUint32(k string, v uint32)   { e.AddUint64(k, uint64(v)) }
func (e *logfmtEncoder) AddUint16(k string, v uint16)   { e.AddUint64(k, uint64(v)) }
func (e *logfmtEncoder) AddUint8(k string, v uint8)     { e.AddUint64(k, uint64(v)) }
func (e *logfmtEncoder) AddUintptr(k string, v uintptr) { e.AddUint64(k, uint64(v)) }
