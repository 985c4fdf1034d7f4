// Package frame is the encoding of Winnow's log.
//
// A frame is one message of the log. It holds many events, compressed together,
// with a checksum of its own and a number that counts up by one from frame to
// frame, so that what the broker loses or bends is noticed by us. It is pure,
// and it never trusts a byte it reads: any input gives events or an error that
// says where it broke.
//
// The format, version 2. Integers are unsigned varints unless said otherwise,
// those with a number of bytes little endian.
//
//	frame     'W' 'F' version codec counter(8) time(8) previous(8) [step, zigzag] rawLength body checksum(8)
//	codec     0 stored, 1 S2 block
//	time      of its writer's clock, Unix ns
//	previous  the checksum of the frame before; 0 where there is none, or it is not known
//	step      by how much that clock was set since the frame before, ns
//	checksum  xxhash64 of all that stands before it
//	raw body  { segmentLength segment }...
//	segment   stringCount { length bytes }... eventCount { kind(1) length payload }...
//
// A segment is what one writer appended at once; its strings are numbered from
// 0 and its events refer to them by number. Payloads of rare kinds are JSON.
// Those of alerts:
//
//	alerts    source validity(ns) base(8, little endian: Unix ns) alertCount alert...
//	alert     flags(1) marks(1) labelCount { name value }... annotationCount { name value }...
//	          [startsAt - base, zigzag] [endsAt - base, zigzag] [generatorURL]
//	flags     1 resolved, 2 has startsAt, 4 has endsAt, 8 has generatorURL
//
// Version 1 has no time, previous and step.
//
// A commit record has the envelope of a frame, with 'C', the log's time as its
// own, and neither previous nor step:
//
//	raw body  headLength head stringCount { length bytes }... { alertCount member... }...
//	head      JSON of the record, its notifications without their alerts
//	member    flags(1) fingerprint(8) labelCount { name value }... annotationCount { name value }... deliveries
//	          [startsAt - time, zigzag] [endsAt - time, zigzag] [generatorURL]
//	flags     1 new, 2 has startsAt, 4 has endsAt, 8 has generatorURL
//
// The body of version 1 is JSON, alerts and all.
package frame

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

const (
	version       = 2 // of frames
	commitVersion = 2

	codecStored = 0
	codecS2     = 1

	headerBytes   = 12
	clockBytes    = 16 // time and previous
	checksumBytes = 8
)

// MaxBytes is the largest frame that is written: small enough that one bad
// record loses little and that any NATS server takes it.
const MaxBytes = 512 << 10

// MaxRawBytes is the largest body that is read back.
const MaxRawBytes = 64 << 20

// ErrCorrupt is what every error about bytes that are not a whole, sound frame
// wraps.
var ErrCorrupt = wire.ErrCorrupt

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Header is what a frame says of itself.
type Header struct {
	Counter uint64

	// At is what time it was for the writer; 0 in a frame of version 1, whose time
	// is that at which the broker stored it.
	At alert.Time

	// Previous is the checksum of the frame that this one was written behind; 0
	// where there was none, or its writer could not read it.
	Previous uint64

	// Step is by how much the writer's clock was set, or stood still, between the
	// frame before and this one: the time that all frames up to here are by is to
	// be taken as so much later.
	Step time.Duration
}

// Behind says what is wrong where the frame before has a checksum, 0 for one that
// is not known, and this one was written behind another.
func (h *Header) Behind(sum uint64) error {
	if sum == 0 || h.Previous == 0 || h.Previous == sum {
		return nil
	}
	return fmt.Errorf("it was written behind a frame with the checksum %016x, and stands behind one with %016x", h.Previous, sum)
}

// Packer makes frames and reuses its memory from one to the next. The zero value
// is ready.
type Packer struct{ raw []byte }

// Append appends a frame that holds the given segments to dst.
func (p *Packer) Append(dst []byte, h Header, segments ...[]byte) []byte {
	p.raw = p.raw[:0]
	for _, s := range segments {
		p.raw = binary.AppendUvarint(p.raw, uint64(len(s)))
		p.raw = append(p.raw, s...)
	}
	return seal(dst, 'F', version, h, p.raw)
}

// Append is that of a Packer that is used once.
func Append(dst []byte, h Header, segments ...[]byte) []byte {
	return new(Packer).Append(dst, h, segments...)
}

// seal wraps raw in the envelope that frames and commit records share.
func seal(dst []byte, kind, version byte, h Header, raw []byte) []byte {
	at := len(dst)
	dst = append(dst, 'W', kind, version, codecS2)
	dst = binary.LittleEndian.AppendUint64(dst, h.Counter)
	if version > 1 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(h.At))
		dst = binary.LittleEndian.AppendUint64(dst, h.Previous)
		dst = binary.AppendVarint(dst, int64(h.Step))
	}
	dst = binary.AppendUvarint(dst, uint64(len(raw)))
	body := len(dst)
	if room := s2.MaxEncodedLen(len(raw)); cap(dst)-body < room+checksumBytes {
		dst = append(make([]byte, 0, body+room+checksumBytes), dst...)
	}
	if packed := s2.Encode(dst[body:cap(dst)], raw); len(packed) < len(raw) {
		dst = dst[:body+len(packed)]
	} else {
		dst[at+3] = codecStored
		dst = append(dst[:body], raw...)
	}
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[at:]))
}

// Checksum is what the next frame has as its Previous. It does not look whether
// it is right.
func Checksum(msg []byte) uint64 {
	if len(msg) < checksumBytes {
		return 0
	}
	return binary.LittleEndian.Uint64(msg[len(msg)-checksumBytes:])
}

// ReadHeader checks the envelope and returns what it says.
func ReadHeader(msg []byte) (Header, error) {
	h, _, err := open(nil, msg, 'F', version)
	return h, err
}

// open checks the envelope and returns what it says and the raw body, which is
// in dst if it has room, or in msg where that was stored as it is.
func open(dst, msg []byte, kind, newest byte) (h Header, raw []byte, err error) {
	if len(msg) < headerBytes+1+checksumBytes {
		return h, nil, corrupt("%d bytes are too few", len(msg))
	}
	if msg[0] != 'W' || msg[1] != kind {
		return h, nil, corrupt("it begins with %q, want %q", msg[:2], []byte{'W', kind})
	}
	end := len(msg) - checksumBytes
	if want, got := Checksum(msg), xxhash.Sum64(msg[:end]); want != got {
		return h, nil, corrupt("checksum %016x, want %016x", got, want)
	}
	if msg[2] == 0 || msg[2] > newest {
		return h, nil, fmt.Errorf("frame of version %d: this program reads up to version %d; use a newer one", msg[2], newest)
	}
	r := wire.NewReader(msg[4:end])
	h.Counter = r.Fixed()
	if msg[2] > 1 {
		h.At, h.Previous, h.Step = alert.Time(r.Fixed()), r.Fixed(), time.Duration(r.Int())
	}
	size := r.Uint()
	if r.Err() != nil || size > MaxRawBytes {
		return h, nil, corrupt("length of the body")
	}
	if raw, err = unpack(dst, msg[end-r.Left():end], msg[3], size); err != nil {
		return h, nil, err
	}
	return h, raw, nil
}

// unpack returns the size bytes that a body holds.
func unpack(dst, body []byte, codec byte, size uint64) (raw []byte, err error) {
	switch codec {
	case codecStored:
		raw = body
	case codecS2:
		if got, err := s2.DecodedLen(body); err != nil || uint64(got) != size {
			return nil, corrupt("body unpacks to %d bytes, want %d", got, size)
		}
		if raw, err = s2.Decode(dst[:0], body); err != nil {
			return nil, corrupt("body: %v", err)
		}
	default:
		return nil, corrupt("codec %d", codec)
	}
	if uint64(len(raw)) != size {
		return nil, corrupt("body of %d bytes, want %d", len(raw), size)
	}
	return raw, nil
}
