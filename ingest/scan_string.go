package ingest

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// str reads the string whose opening quote peek has shown.
func (s *scanner) str() string {
	start := s.pos + 1
	i := plain(s.text, start)
	if i < len(s.text) && s.text[i] == '"' {
		s.pos = i + 1
		return view(s.text[start:i])
	}
	end, escapes, controls, invalid := s.measure(i)
	if s.failed() {
		return ""
	}
	s.pos = end + 1
	if controls || invalid > 0 {
		s.sanitised = true
	}
	if !escapes && invalid == 0 {
		return view(s.text[start:end])
	}
	// An escape never grows by decoding; a byte that is not UTF-8 becomes a rune
	// of three bytes.
	room := s.arena.grab(end - start + 2*min(invalid, maxReplaced))
	out, lone := unescape(room, s.text[start:end])
	s.arena.keep(out)
	if lone {
		s.sanitised = true
	}
	return view(out)
}

// What is no text stands in a string as a rune of its own, so that labels that
// differ in nothing else stay two, and what came can be told from what is shown.
// They are of the area that Unicode leaves to private use, each as long as the
// U+FFFD that encoding/json puts in place of all of them.
const (
	byteRunes      = 0xf700 // and the byte that is not UTF-8, 0x80 to 0xff
	surrogateRunes = 0xe000 // and how far the half of a pair is behind U+D800
)

// maxReplaced is how many bytes of a string that are not UTF-8 become such runes.
// Further ones become a question mark, which takes no more room than they did:
// a string of so many is no text.
const maxReplaced = 64 << 10

// skipString checks the string whose opening quote peek has shown.
func (s *scanner) skipString() {
	if end, _, controls, _ := s.measure(plain(s.text, s.pos+1)); !s.failed() {
		s.pos = end + 1
		s.controls = s.controls || controls
	}
}

// measure finds the closing quote of a string from i on, checks its escapes,
// looks for control characters, and counts the bytes that are not UTF-8.
func (s *scanner) measure(i int) (end int, escapes, controls bool, invalid int) {
	for i < len(s.text) {
		switch c := s.text[i]; {
		case c == '"':
			return i, escapes, controls, invalid
		case c == '\\':
			n := escapeLen(s.text[i:])
			if n == 0 {
				s.fail(i, "a string holds an escape that JSON does not have")
				return 0, false, false, 0
			}
			escapes = true
			i += n
		case c < ' ':
			controls = true
			i++
			continue
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(s.text[i:])
			if r == utf8.RuneError && n == 1 {
				invalid++
			}
			i += n
			continue // text that is not ASCII comes in runs
		}
		i = plain(s.text, i)
	}
	s.fail(len(s.text), "the body ends within a string")
	return 0, false, false, 0
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the index of the first byte from i on that is not simply
// itself in a string: a quote, a backslash, a control character, or a byte of
// what is not ASCII. It returns len(b) where there is none.
func plain(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		// The high bit of a byte is set by the subtraction where the byte is
		// below ' ', or is the quote or the backslash. A borrow may spoil the
		// bytes above such a one, never those below, and the lowest counts.
		m := ((x - ones*' ') | ((x ^ ones*'"') - ones) | ((x ^ ones*'\\') - ones) | x) & highs
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return len(b)
}

// escapeLen is the length of the escape at the start of b, 0 where it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if hex4(b[2:]) >= 0 {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits, -1 where b does not begin with them.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends the meaning of b, whose escapes have been checked, to dst.
// It reports whether an escape was half of a surrogate pair. That and what is not
// UTF-8 becomes a rune of private use.
func unescape(dst, b []byte) (out []byte, lone bool) {
	var bad replacer
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c >= utf8.RuneSelf:
			r, n := bad.decode(b[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		case c < ' ':
			dst = append(dst, c)
			i++
		case c != '\\':
			n := plain(b, i)
			dst = append(dst, b[i:n]...)
			i = n
		case b[i+1] != 'u':
			dst = append(dst, unescapeByte(b[i+1]))
			i += 2
		default:
			r := hex4(b[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' {
					low = hex4(b[i+2:])
				}
				if pair := utf16.DecodeRune(r, low); pair == utf8.RuneError {
					r += surrogateRunes - 0xd800
					lone = true
				} else {
					r = pair
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst, lone
}

// utf8Text is b with the bytes that are not UTF-8 replaced as in a string.
func utf8Text(b []byte) string {
	out := make([]byte, 0, len(b)+2*min(len(b), maxReplaced))
	var bad replacer
	for i := 0; i < len(b); {
		r, n := bad.decode(b[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return view(out)
}

// replacer counts the bytes of a string that it has replaced.
type replacer int

// decode is utf8.DecodeRune up to maxReplaced.
func (p *replacer) decode(b []byte) (rune, int) {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		r = byteRunes + rune(b[0])
		if *p++; *p > maxReplaced {
			r = '?'
		}
	}
	return r, n
}

func unescapeByte(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // quote, backslash, slash
}

// view is b as a string without a copy. b must not change while it is used.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// arena holds the strings that cannot alias the text. What it has given out
// stays where it is, also when it grows, until it is reset.
type arena struct{ chunk []byte }

const (
	minChunkBytes = 4 << 10
	maxChunkBytes = 1 << 20
)

// grab returns an empty slice with room for n bytes. What is put there becomes
// part of the arena by keep.
func (a *arena) grab(n int) []byte {
	if cap(a.chunk)-len(a.chunk) < n {
		a.chunk = make([]byte, 0, max(n, min(2*cap(a.chunk), maxChunkBytes), minChunkBytes))
	}
	return a.chunk[len(a.chunk):]
}

func (a *arena) keep(b []byte) { a.chunk = a.chunk[:len(a.chunk)+len(b)] }

// reset makes the room free again, and drops a chunk larger than is worth
// keeping.
func (a *arena) reset() {
	if cap(a.chunk) > maxChunkBytes {
		a.chunk = nil
	}
	a.chunk = a.chunk[:0]
}
