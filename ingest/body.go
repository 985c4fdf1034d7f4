package ingest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

const (
	// firstReadBytes is the most that is set aside on the word of a
	// Content-Length alone.
	firstReadBytes = 4 << 20

	// keptBufferBytes is the largest buffer that is kept for the next request.
	keptBufferBytes = 4 << 20

	// ratioFreeBytes may be decompressed at any ratio: a small batch of alike
	// alerts compresses very well.
	ratioFreeBytes = 512 << 10

	// drainBytes is how much of an oversized body is read and thrown away, so
	// that its sender gets to read the answer.
	drainBytes = 256 << 20
)

// errNoRoom says that the bodies of other requests take all the memory there is
// for bodies.
var errNoRoom = errors.New("no room for the body")

// room is the memory that the bodies of all requests may take together.
type room struct {
	limit int64
	used  atomic.Int64
}

func (r *room) take(n int) bool {
	if r.used.Add(int64(n)) > r.limit {
		r.used.Add(int64(-n))
		return false
	}
	return true
}

func (r *room) give(n int) { r.used.Add(int64(-n)) }

// body is what has been read of a request, decompressed.
type body struct {
	text  []byte
	short string // why it is not whole, "" where it is
	room  *room
}

var bodies = sync.Pool{New: func() any { return new(body) }}

// newBody takes a body with room for n bytes at least. Give it back with
// release.
func newBody(room *room, n int) (*body, error) {
	b := bodies.Get().(*body)
	b.room, b.short, b.text = room, "", b.text[:0]
	if !room.take(cap(b.text)) {
		b.text = nil
	}
	if cap(b.text) < n && !b.grow(n) {
		b.release()
		return nil, errNoRoom
	}
	return b, nil
}

// release gives b and all strings in it up.
func (b *body) release() {
	b.room.give(cap(b.text))
	if cap(b.text) > keptBufferBytes {
		b.text = nil
	}
	b.room = nil
	bodies.Put(b)
}

// grow makes room for n bytes in all.
func (b *body) grow(n int) bool {
	if !b.room.take(n) {
		return false
	}
	grown := make([]byte, len(b.text), n)
	copy(grown, b.text)
	b.room.give(cap(b.text))
	b.text = grown
	return true
}

// receive reads the body of r. An error means that the sender went away or that
// there is no room, so that it should send again; whatever is wrong with the
// bytes themselves is told in short.
func receive(r *http.Request, room *room, l *Limits) (*body, error) {
	length := int(min(max(r.ContentLength, 0), int64(l.BodyBytes)))
	b, err := newBody(room, min(length, firstReadBytes)+minReadBytes)
	if err != nil {
		return nil, err
	}
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		err = b.fill(r.Body, l, length)
	case "gzip", "x-gzip":
		err = b.inflate(r.Body, l)
	default:
		b.short = "the body has a Content-Encoding that Winnow does not read: send it plain or with gzip"
		err = b.fill(r.Body, l, length)
	}
	if err != nil {
		b.release()
		return nil, err
	}
	if b.short != "" {
		_, _ = io.CopyN(io.Discard, r.Body, drainBytes)
	}
	return b, nil
}

const minReadBytes = 512

// fill reads src to its end or to the limit for a body, less what is too long for
// one text in it, and keeps what it has read also when it returns the error of
// src. length is what is expected, 0 where it is not known: then pieces are read
// and put together at the end, which takes twice the body, where a buffer that
// doubles might take four times.
func (b *body) fill(src io.Reader, l *Limits, length int) error {
	err := b.fillTo(src, l.BodyBytes, length)
	if err == errTooLarge {
		return b.shorten(src, l)
	}
	return err
}

// errTooLarge says that a body goes on behind its limit.
var errTooLarge = errors.New("too large")

// fillTo is fill to a limit, or a little more with errTooLarge.
func (b *body) fillTo(src io.Reader, limit, length int) error {
	var pieces [][]byte // before b.text
	before := 0
	defer func() {
		for _, p := range pieces {
			b.room.give(cap(p))
		}
	}()
	for {
		switch {
		case len(b.text) < cap(b.text):
		case before == 0 && len(b.text) <= length:
			if !b.grow(length + minReadBytes) {
				return errNoRoom
			}
		default:
			n := min(max((before+len(b.text))/2, minPieceBytes), firstReadBytes, limit-before-len(b.text)+minReadBytes)
			if !b.room.take(n) {
				return errNoRoom
			}
			pieces, before = append(pieces, b.text), before+len(b.text)
			b.text = make([]byte, 0, n)
		}
		n, err := src.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		if before+len(b.text) > limit {
			if err := b.join(pieces, before+len(b.text)); err != nil {
				return err
			}
			return errTooLarge
		}
		if err != nil {
			if joinErr := b.join(pieces, before+len(b.text)); joinErr != nil {
				return joinErr
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// minPieceBytes is the least that is read at a time once the first buffer is
// full.
const minPieceBytes = 64 << 10

// join puts the pieces before b.text, which come to n bytes with it.
func (b *body) join(pieces [][]byte, n int) error {
	if len(pieces) == 0 {
		return nil
	}
	if !b.room.take(n) {
		return errNoRoom
	}
	whole := make([]byte, 0, n)
	for _, p := range pieces {
		whole = append(whole, p...)
	}
	whole = append(whole, b.text...)
	b.room.give(cap(b.text))
	b.text = whole
	return nil
}

// inflate reads src, which is compressed with gzip. A body that only claims to
// be is read as it is.
func (b *body) inflate(src io.Reader, l *Limits) error {
	z := inflaters.Get().(*inflater)
	defer z.release()
	z.wire = wire{src: src}
	z.buffer.Reset(&z.wire)
	if magic, _ := z.buffer.Peek(2); string(magic) != "\x1f\x8b" {
		return b.fill(&z.buffer, l, 0)
	}
	head, _ := z.buffer.Peek(z.buffer.Size())
	b.text = append(b.text[:0], head[:min(len(head), cap(b.text))]...)
	err := z.gzip.Reset(&z.buffer)
	if err == nil {
		b.text = b.text[:0]
		err = b.fill(&limitRatio{z, l.GzipRatio, 0}, l, 0)
	}
	switch {
	case err == nil || err == errNoRoom:
		return err
	case z.wire.err != nil:
		return z.wire.err
	case err == errRatio:
		b.short = fmt.Sprintf("the body is compressed more than %d times: what comes after was not read", l.GzipRatio)
	default:
		b.short = "the body is broken gzip: " + err.Error()
	}
	return nil
}

// inflater is what it takes to decompress a body; it is reused.
type inflater struct {
	wire   wire
	buffer bufio.Reader
	gzip   gzip.Reader
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

func (z *inflater) release() {
	z.wire = wire{}
	inflaters.Put(z)
}

// wire counts what comes in, and remembers if it broke off: that is no fault of
// the sender's gzip.
type wire struct {
	src io.Reader
	n   int
	err error
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.src.Read(p)
	w.n += n
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

var errRatio = errors.New("compressed too well")

// limitRatio decompresses until that yields more than ratio times what came in.
type limitRatio struct {
	z     *inflater
	ratio int
	n     int
}

func (l *limitRatio) Read(p []byte) (int, error) {
	n, err := l.z.gzip.Read(p[:min(len(p), ratioFreeBytes)])
	if l.n += n; l.n > ratioFreeBytes && l.n/l.ratio > l.z.wire.n {
		return n, errRatio
	}
	return n, err
}
