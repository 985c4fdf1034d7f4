package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/durable"
	"github.com/winnowhq/winnow/internal/wire"
	"github.com/winnowhq/winnow/ledger"
)

// A snapshot is a shard's state after one message of the log:
//
//	'W' 'S' version codec sequence(8) rawLength(8) body checksum(8)
//
// Integers are little endian, the body is one S2 block of raw bytes, the
// checksum is xxhash64 of all that stands before it. The raw bytes are those
// that appendState writes. Nobody but us vouches for it: a snapshot is whole or
// it is not used.
const (
	snapshotVersion = 1
	snapshotHeader  = 20
	snapshotKept    = 3
	snapshotSuffix  = ".snapshot"
	maxSnapshotRaw  = 8 << 30
)

// ErrSnapshot is what faults of snapshots wrap.
var ErrSnapshot = errors.New("snapshot")

// errNoSnapshot says that there is none to load.
var errNoSnapshot = errors.New("no snapshot")

// snapshotPiece is how much of a state is packed at a time: writing a snapshot
// takes as much memory beside the packed one, however large the state is.
const snapshotPiece = 1 << 20

// EncodeSnapshot writes the shard's state: the same state always as the same
// bytes.
func EncodeSnapshot(s *Shard) ([]byte, error) {
	p := snapshotPacker{scratch: make([]byte, s2.MaxEncodedLen(snapshotPiece))}
	w := wire.NewPassingWriter(snapshotPiece, p.pack)
	if err := s.appendState(w); err != nil {
		return nil, err
	}
	p.pack(w.B)
	if p.raw > math.MaxUint32 {
		return nil, fmt.Errorf("snapshot: a state of %d bytes is more than one block holds", p.raw)
	}
	b := make([]byte, 0, snapshotHeader+binary.MaxVarintLen32+p.packed+8)
	b = append(b, 'W', 'S', snapshotVersion, 1)
	b = binary.LittleEndian.AppendUint64(b, s.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.raw))
	b = binary.AppendUvarint(b, uint64(p.raw))
	for _, piece := range p.pieces {
		b = append(b, piece...)
	}
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b)), nil
}

// snapshotPacker packs a state in pieces that together are one S2 block: one
// behind the other, with the length of all of them before the first.
type snapshotPacker struct {
	pieces      [][]byte
	raw, packed int
	scratch     []byte
}

func (p *snapshotPacker) pack(raw []byte) {
	b := s2.Encode(p.scratch, raw)
	_, n := binary.Uvarint(b) // its own length
	p.pieces = append(p.pieces, slices.Clone(b[n:]))
	p.raw += len(raw)
	p.packed += len(b) - n
}

// DecodeSnapshot makes a shard of what EncodeSnapshot wrote. Of anything else it
// makes an error.
func DecodeSnapshot(b []byte) (*Shard, error) {
	if len(b) < snapshotHeader+8 || b[0] != 'W' || b[1] != 'S' {
		return nil, fmt.Errorf("%w: no snapshot", wire.ErrCorrupt)
	}
	end := len(b) - 8
	if binary.LittleEndian.Uint64(b[end:]) != xxhash.Sum64(b[:end]) {
		return nil, fmt.Errorf("%w: checksum", wire.ErrCorrupt)
	}
	if b[2] != snapshotVersion || b[3] != 1 {
		return nil, fmt.Errorf("snapshot of version %d, codec %d: this program reads version %d; use a newer one", b[2], b[3], snapshotVersion)
	}
	seq, size := binary.LittleEndian.Uint64(b[4:]), binary.LittleEndian.Uint64(b[12:])
	if n, err := s2.DecodedLen(b[snapshotHeader:end]); err != nil || uint64(n) != size || size > maxSnapshotRaw {
		return nil, fmt.Errorf("%w: length", wire.ErrCorrupt)
	}
	raw, err := s2.Decode(nil, b[snapshotHeader:end])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", wire.ErrCorrupt, err)
	}
	s, err := loadShard(wire.NewReader(raw)) // b is let go of before it grows
	if err != nil {
		return nil, err
	}
	if s.seq != seq {
		return nil, fmt.Errorf("%w: sequence", wire.ErrCorrupt)
	}
	return s, nil
}

func (s *Shard) appendState(w *wire.Writer) error {
	policy, err := json.Marshal(s.current)
	if err != nil {
		return fmt.Errorf("snapshot: policy: %w", err)
	}
	w.Uint(s.seq)
	w.Int(int64(s.now))
	w.Uint(s.counter)
	w.String(s.policy)
	w.Bytes(policy)
	ids := slices.SortedFunc(maps.Keys(s.undelivered), notificationID.compare)
	w.Uint(uint64(len(ids)))
	for _, id := range ids {
		w.Uint(id.incident)
		w.Uint(uint64(id.revision))
		w.Uint(s.undelivered[id])
	}
	s.Core.AppendState(w)
	s.Ledger.AppendState(w)
	if len(s.standing) > 0 {
		var part wire.Writer
		s.standing.append(&part)
		w.Byte(partStanding)
		w.Bytes(part.B)
	}
	if len(s.answered) > 0 {
		var part wire.Writer
		s.answered.append(&part)
		w.Byte(partAnswered)
		w.Bytes(part.B)
	}
	return nil
}

func loadShard(r *wire.Reader) (*Shard, error) {
	s := &Shard{undelivered: map[notificationID]uint64{}, answered: answers{}, standing: standing{}, current: &correlate.Policy{}}
	s.seq, s.now, s.counter, s.policy = r.Uint(), alert.Time(r.Int()), r.Uint(), r.String()
	policy := r.Bytes()
	if r.Err() != nil {
		return nil, r.Err()
	}
	if err := json.Unmarshal(policy, s.current); err != nil {
		return nil, fmt.Errorf("%w: policy: %w", wire.ErrCorrupt, err)
	}
	for range r.Count(3) {
		id := notificationID{r.Uint(), r.Uint32()}
		s.undelivered[id] = r.Uint()
	}
	var err error
	if s.Core, err = correlate.LoadCore(s.current, r); err != nil {
		return nil, err
	}
	s.Ledger = ledger.New(s.Core.Dim, ledger.Options{})
	if err := s.Ledger.LoadState(r); err != nil {
		return nil, err
	}
	for last := byte(0); r.Left() > 0; {
		kind := r.Byte()
		part := r.Part()
		if kind <= last || kind > partAnswered {
			r.Fail("part %d after part %d", kind, last)
			break
		}
		last = kind
		switch kind {
		case partStanding:
			s.standing.load(&part)
		case partAnswered:
			s.answered.load(&part)
		}
		if err := part.End(); err != nil {
			return nil, err
		}
	}
	return s, r.End()
}

// snapshots is a folder of them, named by sequence.
type snapshots struct{ dir string }

func (d snapshots) path(seq uint64) string {
	return filepath.Join(d.dir, fmt.Sprintf("%020d%s", seq, snapshotSuffix))
}

// list returns the names, the newest first.
func (d snapshots) list() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), snapshotSuffix) {
			names = append(names, filepath.Join(d.dir, e.Name()))
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// sweep removes what lives before this one were writing when they were cut off.
func (d snapshots) sweep() error {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), snapshotSuffix+durable.Suffix) {
			err = errors.Join(err, os.Remove(filepath.Join(d.dir, e.Name())))
		}
	}
	return err
}

// newest loads the newest snapshot that is whole. What is wrong with newer ones
// comes back as faults.
func (d snapshots) newest() (s *Shard, faults []error, err error) {
	names, err := d.list()
	if err != nil {
		return nil, nil, err
	}
	s, faults = NewestSnapshot(names, os.ReadFile)
	if s == nil {
		err = errNoSnapshot
	}
	return s, faults, err
}

// NewestSnapshot loads the first of names that is whole, nil when none is, and
// says what is wrong with those before it.
func NewestSnapshot(names []string, read func(string) ([]byte, error)) (s *Shard, faults []error) {
	for _, name := range names {
		b, err := read(name)
		if err == nil {
			if s, err = DecodeSnapshot(b); err == nil {
				return s, faults
			}
		}
		faults = append(faults, fmt.Errorf("snapshot %s cannot be used: %w", name, err))
	}
	return nil, faults
}

// save writes a snapshot so that it is there whole or not at all, and then
// removes the oldest.
func (d snapshots) save(s *Shard) error {
	if err := d.write(s, nil); err != nil {
		return err
	}
	_, err := d.prune()
	return err
}

// write calls synced, if there is one, before the snapshot has its name.
func (d snapshots) write(s *Shard, synced func()) error {
	b, err := EncodeSnapshot(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("snapshots: %w", err)
	}
	if err := durable.WriteFile(d.path(s.seq), b, synced); err != nil {
		return fmt.Errorf("snapshots: %w", err)
	}
	return nil
}

// prune removes the oldest and returns the sequence of the oldest that is left.
func (d snapshots) prune() (uint64, error) {
	names, err := d.list()
	if err != nil || len(names) == 0 {
		return 0, err
	}
	for _, name := range names[min(snapshotKept, len(names)):] {
		err = errors.Join(err, os.Remove(name))
	}
	return beginsAt(names[min(snapshotKept, len(names))-1]), err
}
