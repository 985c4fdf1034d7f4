// Package wire reads and writes the small binary pieces that logs and snapshots
// are made of: integers, strings, lists. It is pure. It never trusts a length:
// what does not fit into the bytes at hand is an error, not an allocation.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// ErrCorrupt is what every error of a Reader wraps.
var ErrCorrupt = errors.New("corrupt data")

// Writer appends to B.
type Writer struct {
	B []byte

	pass func([]byte) // nil where all stays in B
	size int          // of what is passed on at a time
}

// NewPassingWriter returns a Writer that passes on what is written in pieces of
// size bytes, each valid until pass returns. What is left at the end is in B.
func NewPassingWriter(size int, pass func([]byte)) *Writer {
	return &Writer{B: make([]byte, 0, size+size/8), pass: pass, size: size}
}

// Grow makes room for n bytes that will be written.
func (w *Writer) Grow(n int) {
	if w.pass == nil {
		w.B = slices.Grow(w.B, n)
	}
}

// wrote passes on what is enough for it.
func (w *Writer) wrote() {
	if w.pass == nil || len(w.B) < w.size {
		return
	}
	b := w.B
	for ; len(b) >= w.size; b = b[w.size:] {
		w.pass(b[:w.size])
	}
	w.B = append(w.B[:0], b...)
}

// Uint appends an unsigned integer, Int a signed one: small ones take few bytes.
func (w *Writer) Uint(v uint64) {
	w.B = binary.AppendUvarint(w.B, v)
	w.wrote()
}

// Int appends a signed integer.
func (w *Writer) Int(v int64) {
	w.B = binary.AppendVarint(w.B, v)
	w.wrote()
}

// Fixed appends eight bytes: for hashes, which are never small.
func (w *Writer) Fixed(v uint64) {
	w.B = binary.LittleEndian.AppendUint64(w.B, v)
	w.wrote()
}

// Byte appends one byte.
func (w *Writer) Byte(v byte) {
	w.B = append(w.B, v)
	w.wrote()
}

// Bool appends one byte.
func (w *Writer) Bool(v bool) {
	if v {
		w.Byte(1)
	} else {
		w.Byte(0)
	}
}

// String appends a length and the bytes.
func (w *Writer) String(s string) {
	w.Uint(uint64(len(s)))
	w.B = append(w.B, s...)
	w.wrote()
}

// Bytes appends a length and the bytes.
func (w *Writer) Bytes(b []byte) {
	w.Uint(uint64(len(b)))
	w.B = append(w.B, b...)
	w.wrote()
}

// Reader reads what a Writer wrote. It keeps its first error; after one, all
// that it reads is zero and every list is empty.
type Reader struct {
	b    []byte
	text string // the same bytes, to cut strings from; empty where each is copied
	at   int
	err  error
}

// NewReader reads b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// NewTextReader reads b, most of which is strings: they are cut from it, and are
// valid as long as nobody writes to it.
func NewTextReader(b []byte) *Reader {
	if len(b) == 0 {
		return &Reader{}
	}
	return &Reader{b: b, text: unsafe.String(&b[0], len(b))}
}

// Part reads a length and returns a Reader of as many bytes. It shares nothing
// with r but the bytes.
func (r *Reader) Part() Reader {
	n := r.Count(1)
	if r.err != nil {
		return Reader{err: r.err}
	}
	p := Reader{b: r.b[r.at : r.at+n : r.at+n]}
	if r.text != "" {
		p.text = r.text[r.at : r.at+n]
	}
	r.at += n
	return p
}

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Left is the number of bytes not yet read.
func (r *Reader) Left() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.at
}

// Fail makes an error of what a caller found wrong, unless there is one.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: at byte %d: %s", ErrCorrupt, r.at, fmt.Sprintf(format, args...))
	}
}

// End fails when bytes are left.
func (r *Reader) End() error {
	if n := r.Left(); n > 0 {
		r.Fail("%d bytes too many", n)
	}
	return r.err
}

// Uint reads an unsigned integer.
func (r *Reader) Uint() uint64 {
	if r.err != nil {
		return 0
	}
	if r.at < len(r.b) && r.b[r.at] < 0x80 { // most are small
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.Fail("bad integer")
		return 0
	}
	r.at += n
	return v
}

// Indexes reads n unsigned integers, each less than below, and appends them to
// dst. What is wrong with one fails r; dst is then of no use.
func (r *Reader) Indexes(dst []uint32, n, below int) []uint32 {
	if r.err != nil {
		return dst
	}
	b, at := r.b, r.at
	for range n {
		var v uint64
		switch {
		case at < len(b) && b[at] < 0x80:
			v = uint64(b[at])
			at++
		case at+1 < len(b) && b[at+1] < 0x80:
			v = uint64(b[at]&0x7f) | uint64(b[at+1])<<7
			at += 2
		default:
			k := 0
			if v, k = binary.Uvarint(b[at:]); k <= 0 {
				r.at = at
				r.Fail("bad integer")
				return dst
			}
			at += k
		}
		if v >= uint64(below) {
			r.at = at
			r.Fail("index %d of %d", v, below)
			return dst
		}
		dst = append(dst, uint32(v))
	}
	r.at = at
	return dst
}

// Skip reads n unsigned integers and returns none of them.
func (r *Reader) Skip(n int) {
	if r.err != nil {
		return
	}
	b, at := r.b, r.at
	for range n {
		switch {
		case at < len(b) && b[at] < 0x80:
			at++
		case at+1 < len(b) && b[at+1] < 0x80:
			at += 2
		default:
			_, k := binary.Uvarint(b[at:])
			if k <= 0 {
				r.at = at
				r.Fail("bad integer")
				return
			}
			at += k
		}
	}
	r.at = at
}

// Int reads a signed integer.
func (r *Reader) Int() int64 {
	u := r.Uint()
	return int64(u>>1) ^ -int64(u&1)
}

// Uint32 reads an unsigned integer of at most 32 bits.
func (r *Reader) Uint32() uint32 {
	v := r.Uint()
	if v > 1<<32-1 {
		r.Fail("%d is too large", v)
		return 0
	}
	return uint32(v)
}

// Fixed reads eight bytes.
func (r *Reader) Fixed() uint64 {
	if r.Left() < 8 {
		r.Fail("it ends too early")
		return 0
	}
	r.at += 8
	return binary.LittleEndian.Uint64(r.b[r.at-8:])
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.Left() < 1 {
		r.Fail("it ends too early")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

// Bool reads one byte that is 0 or 1.
func (r *Reader) Bool() bool {
	v := r.Byte()
	if v > 1 {
		r.Fail("%d is no truth value", v)
	}
	return v == 1
}

// Count reads the length of a list whose elements take at least size bytes each.
func (r *Reader) Count(size int) int {
	v := r.Uint()
	if v > uint64(r.Left()/max(size, 1)) {
		r.Fail("a list of %d in %d bytes", v, r.Left())
		return 0
	}
	return int(v)
}

// Bytes reads a length and as many bytes, which are not copied.
func (r *Reader) Bytes() []byte {
	n := r.Count(1)
	if r.err != nil {
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at : r.at]
}

// String reads a length and a string.
func (r *Reader) String() string {
	b := r.Bytes()
	if r.text != "" && r.err == nil {
		return r.text[r.at-len(b) : r.at]
	}
	return string(b)
}
