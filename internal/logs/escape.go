package logs

import (
	"strconv"
	"unicode/utf8"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// appendEscaped appends s with JSON's escapes for quotes, backslashes and every
// rune that is not printable: controls, U+202A to U+202E and U+2066 to U+2069
// (they reorder what a person reads), line separators, spaces other than the
// ordinary one. Invalid UTF-8 becomes U+FFFD.
func appendEscaped(b *buffer.Buffer, s string) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.AppendByte('\\')
			b.AppendByte(s[i])
		case r == '\n':
			b.AppendString(`\n`)
		case r == '\r':
			b.AppendString(`\r`)
		case r == '\t':
			b.AppendString(`\t`)
		case r == utf8.RuneError && n == 1:
			b.AppendString(`\ufffd`)
		case !strconv.IsPrint(r):
			appendUnicode(b, r)
		default:
			b.AppendString(s[i : i+n])
		}
		i += n
	}
}

// appendUnicode writes \uXXXX, as a surrogate pair above U+FFFF: the one
// spelling that both JSON's and logfmt's readers take.
func appendUnicode(b *buffer.Buffer, r rune) {
	if r > 0xffff {
		r -= 0x10000
		appendUnicode(b, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	const hex = "0123456789abcdef"
	b.AppendString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		b.AppendByte(hex[r>>shift&0xf])
	}
}

// jsonEncoder is zap's, with what zap leaves raw (DEL, controls above U+007F,
// characters that turn the direction of text) escaped afterwards. Outside its
// strings JSON is ASCII, so the encoded line can be rewritten rune by rune.
type jsonEncoder struct {
	zapcore.Encoder
	pool buffer.Pool
}

func newJSON() zapcore.Encoder {
	return &jsonEncoder{Encoder: zapcore.NewJSONEncoder(encoderConfig()), pool: buffer.NewPool()}
}

func (e *jsonEncoder) Clone() zapcore.Encoder {
	return &jsonEncoder{Encoder: e.Encoder.Clone(), pool: e.pool}
}

func (e *jsonEncoder) EncodeEntry(ent zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	raw, err := e.Encoder.EncodeEntry(ent, fields)
	if err != nil || plainASCII(raw.Bytes()) {
		return raw, err
	}
	defer raw.Free()
	out := e.pool.Get()
	line := raw.Bytes()
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		if r == '\n' || strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			out.AppendBytes(line[i : i+n])
		} else {
			appendUnicode(out, r)
		}
		i += n
	}
	return out, nil
}

// plainASCII reports whether there is nothing that zap could have left raw.
func plainASCII(line []byte) bool {
	for _, c := range line {
		if c >= 0x7f {
			return false
		}
	}
	return true
}
