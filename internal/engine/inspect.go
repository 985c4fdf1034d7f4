package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/winnowhq/winnow/internal/frame"
)

// Kept is what the folder of the snapshots holds.
type Kept struct {
	Files     int    // snapshots, witnesses and the list of messages passed over
	Snapshot  uint64 // the message that the newest whole snapshot ends at; 0 without one
	Applied   uint64 // how far the log had come, by the witness
	Committed uint64 // the last message whose decisions are in the outbox, by the witness

	// Damaged says of each file that cannot be read to its end what is wrong.
	Damaged map[string]error
}

// Inspect reads that folder and changes nothing. Files that go while it reads
// are left out.
func Inspect(dir string) (*Kept, error) {
	k := &Kept{Damaged: map[string]error{}}
	names, err := snapshots{dir}.list()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var s *Shard
		k.note(name, func() error {
			b, err := os.ReadFile(name)
			if err == nil {
				s, err = DecodeSnapshot(b)
			}
			if err == nil && s.seq != beginsAt(name) {
				err = errors.New("it has the name of another")
			}
			return err
		})
		if k.Damaged[name] == nil && s != nil {
			k.Snapshot = max(k.Snapshot, s.seq)
		}
	}
	if names, err = (&witness{dir: dir}).list(); err != nil {
		return nil, err
	}
	for _, name := range names {
		k.note(name, func() error {
			r, err := readWitness(name, func(witnessed, *frame.Event) {}) // to the last alert
			k.Applied, k.Committed = max(k.Applied, r.applied), max(k.Committed, r.committed)
			return err
		})
	}
	name := filepath.Join(dir, poisonFile)
	if _, err := os.Stat(name); err == nil {
		k.note(name, func() error { _, err := loadPoison(dir); return err })
	}
	return k, nil
}

func (k *Kept) note(name string, read func() error) {
	err := read()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if k.Files++; err != nil {
		k.Damaged[name] = err
	}
}
