package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// replayLimit is how many signed requests are remembered. At the limit the
// oldest are forgotten: a request that was recorded could be sent once more
// within signatureWindow, where more than replayLimit signed requests came
// after it, which takes 218 a second. What it says is then a repeat.
const replayLimit = 1 << 16

// Replays remembers the signed requests that were admitted, so that none is
// admitted twice. It is safe for concurrent use.
type Replays struct {
	mu   sync.Mutex
	at   map[mark]int // its place in ring
	ring []mark       // oldest at next, once it is full
	next int

	files replayFiles
}

// NewReplays returns a memory of nothing that ends with the process. Keep it
// over a reload.
func NewReplays() *Replays { return &Replays{at: map[mark]int{}} }

// OpenReplays returns what earlier lives remembered in a file, and in another
// beside it, and goes on there. With an error it remembers all the same, as far
// as what it could not read or write allows. Nobody else may use the files.
func OpenReplays(name string, now time.Time) (*Replays, error) {
	p := NewReplays()
	p.files.name = name
	return p, p.files.open(now, func(m mark) { p.take(m) })
}

// take reports whether m is new, and remembers it.
func (p *Replays) take(m mark) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, seen := p.at[m]; seen {
		return false
	}
	if len(p.ring) < replayLimit {
		p.ring = append(p.ring, m)
		p.at[m] = len(p.ring) - 1
		return true
	}
	// A mark that was forgotten and taken again stands in the ring twice.
	if old := p.ring[p.next]; p.at[old] == p.next {
		delete(p.at, old)
	}
	p.ring[p.next] = m
	p.at[m] = p.next
	p.next = (p.next + 1) % replayLimit
	return true
}

// forget lets m be taken again.
func (p *Replays) forget(m mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, m)
}

// keep has the next life remember m, which was stored at a given time. Before it
// is stored it must not be kept: its sender would be refused after a crash that
// lost it.
func (p *Replays) keep(m mark, now time.Time) error { return p.files.add(m, now) }

// Close lets go of the files: what is admitted from then on they do not know.
func (p *Replays) Close() error {
	p.files.mu.Lock()
	defer p.files.mu.Unlock()
	p.files.name = ""
	return p.files.close()
}

// replayFiles are the memory of the next life: a file of records, and the one
// before it. When a file has replayLimit records it takes the place of the other,
// and the next one begins. A record is written before its request is answered
// and is not synced: the page cache outlives the process, and a disk that is slow
// keeps no sender waiting.
//
//	record  time(8, Unix ns) mark(32) checksum(8)
//
// Integers are little endian, the checksum is xxhash64 of what stands before it.
type replayFiles struct {
	mu   sync.Mutex
	name string // none where it is empty
	file *os.File
	n    int // of its records
}

const (
	replayRecord = 48
	replayOlder  = ".older"

	// replayKept is for how long a record says anything: a signature may be dated
	// as far ahead as behind.
	replayKept = 2 * signatureWindow
)

func (f *replayFiles) open(now time.Time, each func(mark)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(f.name), 0o700); err != nil {
		return fmt.Errorf("signed requests: %w", err)
	}
	_, olderErr := readReplays(f.name+replayOlder, now, each)
	if errors.Is(olderErr, fs.ErrNotExist) {
		olderErr = nil
	}
	n, err := readReplays(f.name, now, each)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(olderErr, err)
	}
	f.n = n
	return errors.Join(olderErr, f.begin())
}

// readReplays calls each for the marks of a file that still say anything, and
// returns behind how many records it goes on: the last one may be cut off, and
// one that rotted is passed over.
func readReplays(name string, now time.Time, each func(mark)) (n int, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("signed requests: %w", err)
	}
	for i := 1; i*replayRecord <= len(b); i++ {
		r := b[(i-1)*replayRecord : i*replayRecord]
		if binary.LittleEndian.Uint64(r[40:]) != xxhash.Sum64(r[:40]) {
			continue
		}
		n = i
		if at := time.Unix(0, int64(binary.LittleEndian.Uint64(r))); !at.Before(now.Add(-replayKept)) {
			each(mark(r[8:40]))
		}
	}
	return n, nil
}

// begin opens the file to be written behind its records.
func (f *replayFiles) begin() error {
	file, err := os.OpenFile(f.name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("signed requests: %w", err)
	}
	f.file = file
	return nil
}

func (f *replayFiles) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

func (f *replayFiles) add(m mark, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.name == "" {
		return nil
	}
	if f.n >= replayLimit {
		if err := errors.Join(f.close(), os.Rename(f.name, f.name+replayOlder)); err != nil {
			return fmt.Errorf("signed requests: %w", err)
		}
		f.n = 0
	}
	if f.file == nil {
		if err := f.begin(); err != nil {
			return err
		}
	}
	var r [replayRecord]byte
	binary.LittleEndian.PutUint64(r[:], uint64(now.UnixNano()))
	copy(r[8:], m[:])
	binary.LittleEndian.PutUint64(r[40:], xxhash.Sum64(r[:40]))
	if _, err := f.file.WriteAt(r[:], int64(f.n)*replayRecord); err != nil {
		return fmt.Errorf("signed requests: %w", err)
	}
	f.n++
	return nil
}
