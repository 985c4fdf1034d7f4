package ingest

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep the values that we skip may nest. encoding/json allows
// 10,000; no sender needs more than a dozen.
const maxDepth = 512

// scanner reads one JSON text in one pass. It accepts what encoding/json
// accepts and gives the same values, with these differences:
//
//   - values nest at most maxDepth deep
//   - a byte order mark may stand before it
//   - a string may hold control characters that are not escaped: who writes
//     JSON by hand leaves line breaks as they are
//   - how names compare, and what a name means that stands twice, is for the
//     caller to decide
//   - a number is its literal text, of any size
//
// Strings alias the text unless they hold escapes or invalid UTF-8.
//
// The first fault sticks: it is kept in reason and offset, more returns false
// from then on, and everything else returns zero values.
type scanner struct {
	text []byte
	pos  int

	// first is set between an opening bracket and what follows it. One flag is
	// enough for all levels: it is false again when an inner value has ended.
	first bool

	// sanitised is set when a string held what is not UTF-8, or what JSON wants
	// escaped. Callers clear it.
	sanitised bool

	// controls is set when a string that was skipped held control characters.
	controls bool

	reason string
	offset int

	arena arena
}

// reset starts on text. The arena is kept: strings in it may still be in use.
func (s *scanner) reset(text []byte) {
	s.text, s.pos, s.first, s.sanitised, s.reason, s.offset = text, 0, false, false, "", 0
	if bytes.HasPrefix(text, byteOrderMark) {
		s.pos = len(byteOrderMark)
	}
}

var byteOrderMark = []byte("\ufeff")

func (s *scanner) failed() bool { return s.reason != "" }

func (s *scanner) fail(offset int, reason string) {
	if s.reason == "" {
		s.reason, s.offset = reason, offset
	}
}

// unexpected fails at the next byte, where want should have stood.
func (s *scanner) unexpected(want string) {
	if s.failed() {
		return
	}
	if s.pos >= len(s.text) {
		s.fail(s.pos, "the body ends where "+want+" should stand")
		return
	}
	c := s.text[s.pos]
	got := fmt.Sprintf("byte 0x%02x", c)
	if ' ' < c && c <= '~' {
		got = strconv.QuoteRune(rune(c))
	}
	s.fail(s.pos, got+" where "+want+" should stand")
}

// peek skips white space and returns the next byte without taking it, 0 at the
// end of the text.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) && s.text[s.pos] > ' ' {
		return s.text[s.pos]
	}
	return s.peekPastSpace()
}

func (s *scanner) peekPastSpace() byte {
	for ; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

// kind names the type of the next value, with its article.
func (s *scanner) kind() string {
	switch c := s.peek(); {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == 'n':
		return "null"
	case c == 't' || c == 'f':
		return "a boolean"
	case '0' <= c && c <= '9', c == '-' && s.pos+1 < len(s.text) && '0' <= s.text[s.pos+1] && s.text[s.pos+1] <= '9':
		return "a number"
	case s.pos >= len(s.text):
		return "nothing"
	}
	return "not JSON"
}

// open takes the opening bracket that peek has shown. The elements are then
// read by
//
//	for s.open(); s.more('}'); {
//		key := s.name()
//		// read the value
//	}
func (s *scanner) open() {
	s.pos++
	s.first = true
}

// more reports whether another element follows, and takes the comma before it
// or the closing bracket end.
func (s *scanner) more(end byte) bool {
	if s.failed() {
		return false
	}
	first := s.first
	s.first = false
	switch c := s.peek(); {
	case c == end:
		s.pos++
		return false
	case first:
		return true // whoever reads the element says what is wrong with it
	case c == ',':
		s.pos++
		return true
	}
	s.unexpected("a comma or the closing " + string(rune(end)))
	return false
}

// name reads the name of an object's member and the colon behind it.
func (s *scanner) name() string {
	if s.peek() != '"' {
		s.unexpected("a name in quotes")
		return ""
	}
	n := s.str()
	s.colon()
	return n
}

func (s *scanner) colon() {
	if s.peek() != ':' {
		s.unexpected("a colon")
		return
	}
	s.pos++
}

// literal reads a number, true, false or null and returns its text.
func (s *scanner) literal() string {
	c := s.peek()
	start := s.pos
	switch {
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	case c == '-' || '0' <= c && c <= '9':
		s.number()
	default:
		s.unexpected("a value")
	}
	if s.failed() {
		return ""
	}
	return view(s.text[start:s.pos])
}

func (s *scanner) word(w string) {
	for i := range len(w) {
		if s.pos >= len(s.text) || s.text[s.pos] != w[i] {
			s.unexpected("the rest of " + w)
			return
		}
		s.pos++
	}
}

// number takes a number as RFC 8259 has it: -?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?
func (s *scanner) number() {
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else {
		s.digits()
	}
	if s.at('.') {
		s.pos++
		s.digits()
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		s.digits()
	}
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.text) && s.text[s.pos] == c }

func (s *scanner) digits() {
	start := s.pos
	for s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == start {
		s.unexpected("a digit")
	}
}

// skip takes the next value, whatever it is, and checks it.
func (s *scanner) skip() { s.skipValue(1) }

func (s *scanner) skipValue(depth int) {
	switch s.peek() {
	case '"':
		s.skipString()
	case '{':
		if !s.enter(depth) {
			return
		}
		for s.open(); s.more('}'); {
			if s.peek() != '"' {
				s.unexpected("a name in quotes")
				return
			}
			s.skipString()
			s.colon()
			s.skipValue(depth + 1)
		}
	case '[':
		if !s.enter(depth) {
			return
		}
		for s.open(); s.more(']'); {
			s.skipValue(depth + 1)
		}
	default:
		s.literal()
	}
}

func (s *scanner) enter(depth int) bool {
	if depth > maxDepth {
		s.fail(s.pos, fmt.Sprintf("values nest more than %d deep", maxDepth))
	}
	return !s.failed()
}

// raw takes the next value and returns its text, which is UTF-8 like any string.
func (s *scanner) raw() string {
	s.peek()
	start := s.pos
	s.controls = false
	s.skip()
	if s.failed() {
		return ""
	}
	s.sanitised = s.sanitised || s.controls
	text := view(s.text[start:s.pos])
	if !utf8.ValidString(text) {
		s.sanitised = true
		return utf8Text(s.text[start:s.pos])
	}
	return text
}

// end fails unless nothing but white space is left.
func (s *scanner) end() {
	if s.failed() {
		return
	}
	if s.peek(); s.pos < len(s.text) {
		s.fail(s.pos, "the JSON value has ended, but the body goes on")
	}
}
