package ingest

import (
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// shortener leaves out of JSON what stands in a string behind so many bytes that
// nobody would keep it, and puts a hash of it in its place: two labels that differ
// there must not become one. It is for bodies that are too large otherwise.
type shortener struct {
	most int // bytes of a string

	in      bool // a string
	escaped bool // what comes next belongs to a backslash
	hex     int  // so many digits of an escape come next
	n       int  // bytes that the string comes to so far, at least
	drops   bool // what comes
	dropped xxhash.Digest
	head    [hashLen]byte // of what was dropped: so little is left as it is
	heads   int           // bytes of it
	gone    int           // bytes dropped
}

// newShortener returns one that leaves of each string more than a label may have,
// so that it is cut and marked as any other that is too long.
func newShortener(l *Limits) *shortener { return &shortener{most: l.LabelValueBytes + 1} }

// append appends what is left of text to dst, which may be the beginning of text:
// it never gets ahead of what it reads.
func (s *shortener) append(dst, text []byte) []byte {
	from := 0 // of what is neither in dst nor dropped yet
	for i, c := range text {
		switch {
		case !s.in:
			s.in, s.n = c == '"', 0
			continue
		case c == '"' && !s.escaped:
			if s.drops {
				s.drop(text[from:i])
				dst, from = s.end(dst), i
			}
			s.in = false
			continue
		case !s.drops && s.n >= s.most && !s.escaped && s.hex == 0 && (c < 0x80 || c >= 0xc0): // here a character begins
			dst = append(dst, text[from:i]...)
			from = i
			s.drops, s.gone, s.heads = true, 0, 0
			s.dropped.Reset()
		}
		s.count(c)
	}
	if s.drops {
		s.drop(text[from:])
		return dst
	}
	return append(dst, text[from:]...)
}

// count goes on by one byte of a string.
func (s *shortener) count(c byte) {
	switch {
	case s.hex > 0:
		s.hex--
	case s.escaped:
		s.escaped = false
		s.n++
		if c == 'u' {
			s.hex = len("0061")
		}
	case c == '\\':
		s.escaped = true
	default:
		s.n++
	}
}

func (s *shortener) drop(text []byte) {
	s.heads += copy(s.head[s.heads:], text)
	s.gone += len(text)
	_, _ = s.dropped.Write(text) // it never fails
}

// end appends what stands for what was dropped.
func (s *shortener) end(dst []byte) []byte {
	s.drops = false
	if s.gone <= hashLen {
		return append(dst, s.head[:s.heads]...)
	}
	return fmt.Appendf(dst, "%016x", s.dropped.Sum64())
}

// shorten goes on reading a body that is larger than it may be, of which b has the
// beginning, and leaves out what is too long in it. Where even that is too large
// it stops.
func (b *body) shorten(src io.Reader, l *Limits) error {
	s := newShortener(l)
	b.text = s.append(b.text[:0], b.text)
	chunk := make([]byte, minPieceBytes)
	for {
		left := cap(b.text) - len(b.text) - hashLen
		if len(b.text) > l.BodyBytes || left <= 0 {
			b.cutTo(l.BodyBytes)
			return nil
		}
		n, err := src.Read(chunk[:min(len(chunk), left)])
		b.text = s.append(b.text, chunk[:n])
		if err != nil && len(b.text) <= l.BodyBytes {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// cutTo keeps the beginning of a body and says so.
func (b *body) cutTo(limit int) {
	b.text = b.text[:min(limit, len(b.text))]
	b.short = fmt.Sprintf("the body is larger than %d bytes: what comes after was not read", limit)
}
