package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// blocksChecked is how many of the newest blocks of a stream are looked at
	// before the server is: those that a start reads.
	blocksChecked = 8

	// maxGap is how many numbers a record may leave out behind the one before it.
	// Our streams leave out none; the server goes through them one by one.
	maxGap = 1 << 20

	recordHeader  = 22 // length(4) sequence(8) time(8) length of the subject(2)
	recordSum     = 8
	withHeaders   = 1 << 31 // in the length
	recordErased  = 1 << 63 // in the sequence
	recordDeletes = 1 << 62
)

// mendSequences looks for records whose sequence has changed into one that is
// far away. The server believes it before it looks at the record's checksum, and
// fills what lies between: it would neither come back from its start nor stop
// taking memory. Without its index of the stream it reads each record with its
// checksum, and gives up what is damaged.
func (b *broker) mendSequences() (faults []error, err error) {
	for _, name := range []string{logName, outboxName} {
		dir := filepath.Join(b.streamDir(name), "msgs")
		names, err := blocks(dir)
		if err != nil {
			return nil, fmt.Errorf("stream %s: look for its blocks: %w", name, err)
		}
		for _, block := range names[max(len(names)-blocksChecked, 0):] {
			data, err := os.ReadFile(block)
			if err != nil {
				return nil, fmt.Errorf("stream %s: look at a block: %w", name, err)
			}
			at, ok := bentSequence(data)
			if !ok {
				continue
			}
			index := filepath.Join(dir, "index.db")
			if err := os.Rename(index, index+setAside); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("stream %s: set aside the index of a damaged block: %w", name, err)
			}
			faults = append(faults, fmt.Errorf("stream %s: the sequence of the record at byte %d of %s is damaged; the messages from there on in that file are lost", name, at, block))
			break
		}
	}
	return faults, nil
}

func (b *broker) streamDir(name string) string {
	return filepath.Join(b.dir, "jetstream", "$G", "streams", name)
}

// blocks returns the names of the blocks in a folder, the oldest first.
func blocks(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".blk")); err == nil && strings.HasSuffix(e.Name(), ".blk") {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		names = append(names, filepath.Join(dir, fmt.Sprint(n, ".blk")))
	}
	return names, err
}

// bentSequence finds the first record whose sequence is far behind that of the
// one before. What else may be wrong with a block the server finds out itself.
func bentSequence(block []byte) (at int, found bool) {
	var last uint64
	for at+recordHeader <= len(block) {
		size := int(binary.LittleEndian.Uint32(block[at:]) &^ withHeaders)
		if size < recordHeader+recordSum || at+size > len(block) {
			return 0, false
		}
		if seq := binary.LittleEndian.Uint64(block[at+4:]); seq&recordDeletes == 0 {
			seq &^= recordErased
			if last > 0 && seq > last+maxGap {
				return at, true
			}
			last = max(last, seq)
		}
		at += size
	}
	return 0, false
}
