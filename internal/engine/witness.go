package engine

import (
	"bufio"
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
	"github.com/winnowhq/winnow/correlate"
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
//	record  length(4) kind 0 0 0 sequence(8) at(8) checksum(8) frame
//
// Integers are little endian, a checksum is xxhash64 of the bytes before it.
// Applied and committed are the last message applied and the last one whose
// decisions are in the outbox; size is that of the records. The frame of a record
// is the message of that sequence itself, where it brought such alerts in full, to
// copy which costs nothing; or of alerts as they stood after it, and then for one
// that fires the validity says how long it was believed from then on. At is the
// log's time then.
//
// A file is written as the shard goes on and is not synced: the page cache
// outlives the process, and after a loss of power the log has not rotted too.
const (
	witnessVersion = 2
	witnessHeader  = 36
	witnessSuffix  = ".witness"
	recordHeader   = 32

	witnessBuffer = 256 << 10 // of a file that is read

	// Kinds of records.
	recordStood   = 0 // alerts as they stood after a message
	recordMessage = 1 // a message

	// maxWitnessBytes bounds one file. What begins once it is full is named and
	// not remembered, until a snapshot begins the next one.
	maxWitnessBytes = 128 << 20

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
	frame   []byte
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

// add appends a record of what is in the segment, as it stood after a message.
func (w *witness) add(seq uint64, at alert.Time) error {
	w.packed = w.segment.Append(w.packed[:0])
	w.frame = w.packer.Append(w.frame[:0], frame.Header{Counter: seq}, w.packed)
	return w.append(recordStood, seq, at, w.frame)
}

// append writes a record.
func (w *witness) append(kind byte, seq uint64, at alert.Time, frame []byte) error {
	if w.file == nil || w.full {
		return nil
	}
	if w.size+recordHeader+int64(len(frame)) > w.most {
		w.full = true
		return fmt.Errorf("witness: %d bytes are full before the next snapshot; what begins until then is in the log only", w.most)
	}
	b := binary.LittleEndian.AppendUint32(w.record[:0], uint32(len(frame)))
	b = append(b, kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
	w.record = append(b, frame...)
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

// witnessed is a record as it is read.
type witnessed struct {
	kind byte
	seq  uint64
	at   alert.Time // 0 in files of version 1
}

// readWitness calls each for the events of a file, if it is not nil. Of a damaged
// file it reads what is whole before the damage.
func readWitness(name string, each func(witnessed, *frame.Event)) (r reach, err error) {
	f, err := os.Open(name)
	if err != nil {
		return r, fmt.Errorf("witness: %w", err)
	}
	defer f.Close()
	var damage error
	var size uint64
	from := recordReader{in: bufio.NewReaderSize(f, witnessBuffer)}
	head := make([]byte, witnessHeader)
	if _, err := io.ReadFull(from.in, head); err != nil {
		damage = fmt.Errorf("%w: header: %w", wire.ErrCorrupt, err)
	} else if head[0] != 'W' || head[1] != 'W' || binary.LittleEndian.Uint64(head[28:]) != xxhash.Sum64(head[:28]) {
		damage = fmt.Errorf("%w: header", wire.ErrCorrupt)
	} else if from.version = head[2]; from.version == 0 || from.version > witnessVersion {
		return r, fmt.Errorf("witness %s is of version %d: this program reads versions up to %d; use a newer one", name, head[2], witnessVersion)
	} else {
		r = reach{binary.LittleEndian.Uint64(head[4:]), binary.LittleEndian.Uint64(head[12:])}
		size = binary.LittleEndian.Uint64(head[20:])
	}
	for {
		rec, err := from.next()
		if err == io.EOF {
			break
		}
		if err == nil && each != nil {
			err = from.frame.Events(func(e *frame.Event) error {
				each(rec, e)
				return nil
			})
		}
		if err != nil {
			damage = errors.Join(damage, err)
			break
		}
		r.applied = max(r.applied, rec.seq)
	}
	if damage == nil && from.read < size {
		damage = fmt.Errorf("%w: %d bytes of records, want %d", wire.ErrCorrupt, from.read, size)
	}
	if damage != nil {
		damage = fmt.Errorf("witness %s: %w", name, damage)
	}
	return r, damage
}

// recordReader reads the records of a file.
type recordReader struct {
	in      *bufio.Reader
	version byte
	read    uint64 // bytes
	b       []byte // of the record that was read last
	frame   frame.Decoder
}

// next opens the frame of the next record; io.EOF says that there is none.
func (r *recordReader) next() (rec witnessed, err error) {
	n := recordHeader
	if r.version == 1 {
		n = 4 // length(4) frame, of alerts as they stood after the message that is the frame's counter
	}
	if err := r.fill(n); err != nil {
		return rec, err
	}
	head := r.b
	length := binary.LittleEndian.Uint32(head)
	if r.version != 1 {
		if sum := recordHeader - 8; binary.LittleEndian.Uint64(head[sum:]) != xxhash.Sum64(head[:sum]) {
			return rec, fmt.Errorf("%w: head of a record", wire.ErrCorrupt)
		}
		rec = witnessed{head[4], binary.LittleEndian.Uint64(head[8:]), alert.Time(binary.LittleEndian.Uint64(head[16:]))}
	}
	if length > frame.MaxRawBytes {
		return rec, fmt.Errorf("%w: a record of %d bytes", wire.ErrCorrupt, length)
	}
	if err := r.fill(int(length)); err == io.EOF {
		return rec, fmt.Errorf("%w: %w", wire.ErrCorrupt, io.ErrUnexpectedEOF)
	} else if err != nil {
		return rec, err
	}
	h, err := r.frame.Open(r.b)
	if r.version == 1 {
		rec = witnessed{kind: recordStood, seq: h.Counter}
	}
	return rec, err
}

// fill reads n bytes into b; io.EOF where there is not one.
func (r *recordReader) fill(n int) error {
	r.b = slices.Grow(r.b[:0], n)[:n]
	got, err := io.ReadFull(r.in, r.b)
	r.read += uint64(got)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", wire.ErrCorrupt, err)
	}
	return err
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
		_, err := readWitness(name, func(rec witnessed, e *frame.Event) {
			for i := range e.Alerts {
				validity, ok := rec.believed(e, &e.Alerts[i])
				if !ok {
					continue
				}
				r := remembered{strings.Clone(e.Source), validity, e.Alerts[i].Clone(), contains(lost, rec.seq)}
				if r.alert.Status == alert.Firing {
					r.alert.EndsAt = 0
				}
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

// believed is for how long an alert of a record was believed to fire from then on,
// if the record is there for it. Of a message those are not that are no errors,
// that are Winnow's own, and that are over: what they ended has a record of its
// own.
func (rec witnessed) believed(e *frame.Event, a *alert.Alert) (validity time.Duration, ok bool) {
	switch {
	case rec.kind == recordStood:
		return e.Validity, true
	case a.Labels.Severity() < alert.Error || a.Status != alert.Firing || e.Source == correlate.CanarySource:
		return 0, false
	case a.EndsAt == 0:
		return e.Validity, true
	}
	return a.EndsAt.Sub(rec.at), a.EndsAt > rec.at
}
