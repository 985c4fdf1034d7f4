package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/durable"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/wire"
)

// The witness remembers beside the log what may not be forgotten with it: each
// alert of severity error or critical that began or ended since the oldest
// snapshot, and how far log and outbox had come. What it remembers is in the log
// as well; it is read when the log turns out to have lost a part.
//
//	file    'W' 'W' version 0 applied(8) committed(8) size(8) checksum(8) record...
//	record  length(4) frame
//
// Integers are little endian, the checksum is xxhash64 of the bytes before it.
// Applied and committed are the last message applied and the last one whose
// decisions are in the outbox; size is that of the records. A record is a frame
// of alerts as they stood after the message whose sequence is its counter; for
// one that fires the validity says how long it was believed from then on.
//
// A file is written as the shard goes on and is not synced: the page cache
// outlives the process, and after a loss of power the log has not rotted too.
const (
	witnessVersion = 1
	witnessHeader  = 36
	witnessSuffix  = ".witness"

	// maxWitnessBytes bounds one file. What begins once it is full is named and
	// not remembered, until a snapshot begins the next one.
	maxWitnessBytes = 64 << 20

	// maxWitnessFiles bounds the files of lives that came to no snapshot.
	maxWitnessFiles = 32
)

// reach is how far log and outbox had come.
type reach struct{ applied, committed uint64 }

// witness is that memory. It belongs to the goroutine that owns the shard.
type witness struct {
	dir   string
	file  *os.File // nil where it cannot be written
	size  int64    // of its records
	reach reach
	full  bool
	most  int64 // maxWitnessBytes

	segment frame.Segment
	record  []byte
	one     [1]alert.Alert // being written
	packed  []byte
	packer  frame.Packer
	head    [witnessHeader]byte
}

// openWitness learns how far earlier lives had come. What is wrong with their
// files comes back as faults.
func openWitness(dir string) (w *witness, faults []error) {
	w = &witness{dir: dir, most: maxWitnessBytes}
	names, err := w.list()
	if err != nil {
		faults = append(faults, err)
	}
	for _, name := range names {
		r, err := readWitness(name, nil)
		if err != nil {
			faults = append(faults, err)
		}
		w.reach.applied = max(w.reach.applied, r.applied)
		w.reach.committed = max(w.reach.committed, r.committed)
	}
	return w, faults
}

// list returns the names, the oldest first.
func (w *witness) list() ([]string, error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("witness: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), witnessSuffix) {
			names = append(names, filepath.Join(w.dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// begin starts another file: all that it will hold comes after message seq or
// was not remembered before.
func (w *witness) begin(seq uint64) error {
	w.close()
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	if err := w.create(); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	if err := w.write(); err != nil {
		return err
	}
	if err := os.Rename(w.file.Name(), filepath.Join(w.dir, fmt.Sprintf("%020d%s", seq, witnessSuffix))); err != nil {
		w.close()
		return fmt.Errorf("witness: %w", err)
	}
	return nil
}

// create opens the next file under a name that nobody reads: one that a kill has
// left without its header would be a damaged one at each start from then on.
func (w *witness) create() error {
	f, err := os.OpenFile(filepath.Join(w.dir, "next"+witnessSuffix+durable.Suffix), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err == nil {
		w.file, w.size, w.full = f, 0, false
	}
	return err
}

func (w *witness) close() {
	if w != nil && w.file != nil {
		_ = w.file.Close() // nothing waits in it
		w.file = nil
	}
}

// write brings the header up to date.
func (w *witness) write() error {
	if w.file == nil {
		return nil
	}
	copy(w.head[:], []byte{'W', 'W', witnessVersion, 0})
	binary.LittleEndian.PutUint64(w.head[4:], w.reach.applied)
	binary.LittleEndian.PutUint64(w.head[12:], w.reach.committed)
	binary.LittleEndian.PutUint64(w.head[20:], uint64(w.size))
	binary.LittleEndian.PutUint64(w.head[28:], xxhash.Sum64(w.head[:28]))
	if _, err := w.file.WriteAt(w.head[:], 0); err != nil {
		w.close()
		return fmt.Errorf("witness: %w", err)
	}
	return nil
}

// add appends a record of what is in the segment.
func (w *witness) add(seq uint64) error {
	if w.file == nil || w.full {
		return nil
	}
	w.packed = w.segment.Append(w.packed[:0])
	w.record = binary.LittleEndian.AppendUint32(w.record[:0], 0)
	w.record = w.packer.Append(w.record, frame.Header{Counter: seq}, w.packed)
	binary.LittleEndian.PutUint32(w.record, uint32(len(w.record)-4))
	if w.size+int64(len(w.record)) > w.most {
		w.full = true
		return fmt.Errorf("witness: %d bytes are full before the next snapshot; what begins until then is in the log only", w.most)
	}
	if _, err := w.file.WriteAt(w.record, witnessHeader+w.size); err != nil {
		w.close()
		return fmt.Errorf("witness: %w", err)
	}
	w.size += int64(len(w.record))
	return nil
}

// prune deletes the files that hold nothing from after message seq, the oldest
// snapshot's, and the oldest of too many.
func (w *witness) prune(seq uint64) error {
	names, err := w.list()
	for i := range names {
		if i+1 == len(names) || beginsAt(names[i+1]) > seq+1 && len(names)-i <= maxWitnessFiles {
			break
		}
		err = errors.Join(err, os.Remove(names[i]))
	}
	return err
}

// beginsAt reads a sequence off a file's name; 0 where there is none.
func beginsAt(name string) uint64 {
	var seq uint64
	_, _ = fmt.Sscanf(filepath.Base(name), "%d", &seq)
	return seq
}

// readWitness calls each for the events of a file, if it is not nil, with the
// message that they were remembered at. Of a damaged file it reads what is whole
// before the damage.
func readWitness(name string, each func(seq uint64, e *frame.Event)) (reach, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return reach{}, fmt.Errorf("witness: %w", err)
	}
	var r reach
	var damage error
	var size uint64
	if len(b) < witnessHeader || b[0] != 'W' || b[1] != 'W' || binary.LittleEndian.Uint64(b[28:]) != xxhash.Sum64(b[:28]) {
		damage = fmt.Errorf("%w: header", wire.ErrCorrupt)
	} else if b[2] != witnessVersion {
		return r, fmt.Errorf("witness %s is of version %d: this program reads version %d; use a newer one", name, b[2], witnessVersion)
	} else {
		r = reach{binary.LittleEndian.Uint64(b[4:]), binary.LittleEndian.Uint64(b[12:])}
		size = binary.LittleEndian.Uint64(b[20:])
	}
	b = b[min(len(b), witnessHeader):]
	if uint64(len(b)) < size {
		damage = fmt.Errorf("%w: %d bytes of records, want %d", wire.ErrCorrupt, len(b), size)
	}
	var d frame.Decoder
	for len(b) > 0 {
		n, err := oneRecord(b, &d, each)
		if err != nil {
			damage = errors.Join(damage, err)
			break
		}
		r.applied = max(r.applied, n.seq)
		b = b[n.bytes:]
	}
	if damage != nil {
		damage = fmt.Errorf("witness %s: %w", name, damage)
	}
	return r, damage
}

type recordRead struct {
	bytes int
	seq   uint64
}

func oneRecord(b []byte, d *frame.Decoder, each func(seq uint64, e *frame.Event)) (recordRead, error) {
	if len(b) < 4 {
		return recordRead{}, fmt.Errorf("%w: %w", wire.ErrCorrupt, io.ErrUnexpectedEOF)
	}
	n := uint64(binary.LittleEndian.Uint32(b)) + 4
	if n > uint64(len(b)) {
		return recordRead{}, fmt.Errorf("%w: %w", wire.ErrCorrupt, io.ErrUnexpectedEOF)
	}
	h, err := d.Open(b[4:n])
	if err != nil {
		return recordRead{}, err
	}
	err = d.Events(func(e *frame.Event) error {
		if each != nil {
			each(h.Counter, e)
		}
		return nil
	})
	return recordRead{int(n), h.Counter}, err
}

// remembered is an alert as it stood last.
type remembered struct {
	source   string
	validity time.Duration
	alert    alert.Alert
	lost     bool // the message at which it was remembered is not in the log
}

// standing returns the alerts whose last word is among the lost messages, as it
// was, in the order in which they were first heard of.
func (w *witness) standing(lost []span) ([]remembered, error) {
	names, errs := w.list()
	last := map[string]int{} // by source and labels, into all
	var all []remembered
	for _, name := range names {
		_, err := readWitness(name, func(seq uint64, e *frame.Event) {
			for i := range e.Alerts {
				r := remembered{strings.Clone(e.Source), e.Validity, e.Alerts[i].Clone(), contains(lost, seq)}
				key := e.Source + "\xff" + r.alert.Labels.String()
				if at, ok := last[key]; ok {
					// What began and ended in what is lost needs nothing any more.
					r.lost = r.lost && !(r.alert.Status == alert.Resolved && all[at].lost)
					all[at] = r
				} else {
					last[key] = len(all)
					all = append(all, r)
				}
			}
		})
		errs = errors.Join(errs, err)
	}
	return slices.DeleteFunc(all, func(r remembered) bool { return !r.lost }), errs
}
