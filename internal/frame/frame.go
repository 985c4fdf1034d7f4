// Package frame is the encoding of Winnow's log.
//
// A frame is one message of the log. It holds many events, compressed together,
// with a checksum of its own and a number that counts up by one from frame to
// frame, so that what the broker loses or bends is noticed by us. It is pure,
// and it never trusts a byte it reads: any input gives events or an error that
// says where it broke.
//
// The format, version 1. Integers are unsigned varints unless said otherwise.
//
//	frame     'W' 'F' version codec counter(8, little endian) rawLength body checksum(8, little endian)
//	codec     0 stored, 1 S2 block
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
package frame

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"

	"github.com/winnowhq/winnow/internal/wire"
)

const (
	version = 1

	codecStored = 0
	codecS2     = 1

	headerBytes   = 12
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

// Packer makes frames and reuses its memory from one to the next. The zero value
// is ready.
type Packer struct{ raw []byte }

// Append appends a frame that holds the given segments to dst.
func (p *Packer) Append(dst []byte, counter uint64, segments ...[]byte) []byte {
	p.raw = p.raw[:0]
	for _, s := range segments {
		p.raw = binary.AppendUvarint(p.raw, uint64(len(s)))
		p.raw = append(p.raw, s...)
	}
	return seal(dst, 'F', counter, p.raw)
}

// Append is that of a Packer that is used once.
func Append(dst []byte, counter uint64, segments ...[]byte) []byte {
	return new(Packer).Append(dst, counter, segments...)
}

// seal wraps raw in the envelope that frames and commit records share.
func seal(dst []byte, kind byte, counter uint64, raw []byte) []byte {
	at := len(dst)
	dst = append(dst, 'W', kind, version, codecS2)
	dst = binary.LittleEndian.AppendUint64(dst, counter)
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

// open checks the envelope and returns the counter and the raw body, which is in
// dst if it has room, or in msg where that was stored as it is.
func open(dst, msg []byte, kind byte) (counter uint64, raw []byte, err error) {
	if len(msg) < headerBytes+1+checksumBytes {
		return 0, nil, corrupt("%d bytes are too few", len(msg))
	}
	if msg[0] != 'W' || msg[1] != kind {
		return 0, nil, corrupt("it begins with %q, want %q", msg[:2], []byte{'W', kind})
	}
	end := len(msg) - checksumBytes
	if want, got := binary.LittleEndian.Uint64(msg[end:]), xxhash.Sum64(msg[:end]); want != got {
		return 0, nil, corrupt("checksum %016x, want %016x", got, want)
	}
	if msg[2] != version {
		return 0, nil, fmt.Errorf("frame of version %d: this program reads up to version %d; use a newer one", msg[2], version)
	}
	counter = binary.LittleEndian.Uint64(msg[4:])
	size, n := binary.Uvarint(msg[headerBytes:end])
	if n <= 0 || size > MaxRawBytes {
		return 0, nil, corrupt("length of the body")
	}
	body := msg[headerBytes+n : end]
	switch msg[3] {
	case codecStored:
		raw = body
	case codecS2:
		if got, err := s2.DecodedLen(body); err != nil || uint64(got) != size {
			return 0, nil, corrupt("body unpacks to %d bytes, want %d", got, size)
		}
		if raw, err = s2.Decode(dst[:0], body); err != nil {
			return 0, nil, corrupt("body: %v", err)
		}
	default:
		return 0, nil, corrupt("codec %d", msg[3])
	}
	if uint64(len(raw)) != size {
		return 0, nil, corrupt("body of %d bytes, want %d", len(raw), size)
	}
	return counter, raw, nil
}

// Counter reads a frame's number without decoding its events.
func Counter(msg []byte) (uint64, error) {
	counter, _, err := open(nil, msg, 'F')
	return counter, err
}
