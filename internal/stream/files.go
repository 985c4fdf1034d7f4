package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/highwayhash"

	"github.com/winnowhq/winnow/alert"
)

// Files are those of a stream that the embedded server keeps. They are read as
// they stand: without the server, which mends and truncates what it opens, and
// without the lock of the folder, so also while a process writes to them.
type Files struct{ dir, name, subject string }

// LogFiles are those of the log below a storage path.
func LogFiles(storage string) Files { return files(storage, logName, logSubject) }

// OutboxFiles are those of the outbox.
func OutboxFiles(storage string) Files { return files(storage, outboxName, outboxSubject) }

func files(storage, name, subject string) Files {
	return Files{(&broker{dir: storage}).streamDir(name), name, subject}
}

// A Piece of a block is a message, or a stretch that cannot be read.
type Piece struct {
	Message        // with the sequence 0 where it cannot be read
	Erased  bool   // the server keeps the place of a message that is gone
	File    string // the block
	Byte    int    // where in it; negative where there is no file
	Damage  error  // what is wrong with it
}

// stillWriting is how long a block whose end cannot be read is left alone before
// it is read again: a record may have been on its way into it.
const stillWriting = 100 * time.Millisecond

// Each calls each for the pieces of all blocks, the oldest first, until it
// returns an error. Data is valid until each returns. What has aged out while it
// was read is left out. Without a folder for the stream there is an error that
// wraps fs.ErrNotExist.
func (f Files) Each(each func(*Piece) error) error {
	msgs := filepath.Join(f.dir, "msgs")
	if _, err := os.Stat(msgs); err != nil {
		return fmt.Errorf("stream %s: %w", f.name, err)
	}
	names, err := blocks(msgs)
	if err != nil {
		return fmt.Errorf("stream %s: look for its blocks: %w", f.name, err)
	}
	for i, name := range names {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has aged out
		}
		if err != nil {
			return fmt.Errorf("stream %s: read a block: %w", f.name, err)
		}
		r, err := f.block(name)
		if err != nil {
			return err
		}
		if i == len(names)-1 && r.tornEnd(b) {
			time.Sleep(stillWriting)
			if b, err = os.ReadFile(name); err != nil {
				return fmt.Errorf("stream %s: read a block: %w", f.name, err)
			}
		}
		if err := r.each(b, each); err != nil {
			return err
		}
	}
	return nil
}

// MaxAge is how far back the stream reaches, by its description; 0 when that
// cannot be read.
func (f Files) MaxAge() time.Duration {
	var c struct {
		MaxAge time.Duration `json:"max_age"`
	}
	b, err := os.ReadFile(filepath.Join(f.dir, descriptions[0]))
	if err != nil || json.Unmarshal(b, &c) != nil {
		return 0
	}
	return c.MaxAge
}

// Descriptions says what is wrong with the server's own files on the stream. It
// makes them anew at a start, so nothing is lost with them. One that is not there
// is no fault of the index: the server writes it now and then.
func (f Files) Descriptions() (damage map[string]error) {
	damage = map[string]error{}
	text, sum := filepath.Join(f.dir, descriptions[0]), filepath.Join(f.dir, descriptions[1])
	b, err := os.ReadFile(text)
	if err != nil {
		damage[text] = err
	} else if want, err := os.ReadFile(sum); err != nil {
		damage[sum] = err
	} else if got, err := checksum(f.name, b); err != nil || hex.EncodeToString(got) != strings.TrimSpace(string(want)) {
		damage[text] = errors.Join(errors.New("its checksum is another"), err)
	}
	index := filepath.Join(f.dir, "msgs", "index.db")
	if b, err := os.ReadFile(index); err == nil {
		end := len(b) - highwayhash.Size64
		got, err := checksum(f.name, b[:max(end, 0)])
		if err != nil || end < 0 || string(got) != string(b[end:]) {
			damage[index] = errors.Join(errors.New("its checksum is another"), err)
		}
	}
	return damage
}

// checksum is the server's: a HighwayHash under a key that everybody knows.
func checksum(name string, parts ...[]byte) ([]byte, error) {
	key := sha256.Sum256([]byte(name))
	h, err := highwayhash.New64(key[:])
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil), nil
}

// blockReader reads the records of one block.
type blockReader struct {
	file    string
	subject string
	hash    *highwayhash.Digest64
}

func (f Files) block(name string) (*blockReader, error) {
	key := f.name + "-" + strings.TrimSuffix(filepath.Base(name), ".blk")
	sum := sha256.Sum256([]byte(key))
	h, err := highwayhash.NewDigest64(sum[:])
	return &blockReader{name, f.subject, h}, err
}

// each calls each for what is in a block. Behind damage it goes on at the next
// record that is whole.
func (r *blockReader) each(b []byte, each func(*Piece) error) error {
	for at := 0; at < len(b); {
		p, size, err := r.record(b[at:])
		if err != nil {
			p = Piece{Damage: err}
			size = r.next(b[at:])
		}
		p.File, p.Byte = r.file, at
		at += size
		if p.Damage == nil && p.Seq == 0 {
			continue // says of another message that it is gone
		}
		if err := each(&p); err != nil {
			return err
		}
	}
	return nil
}

// tornEnd reports whether the block ends in what is no whole record.
func (r *blockReader) tornEnd(b []byte) (torn bool) {
	_ = r.each(b, func(p *Piece) error { torn = p.Damage != nil; return nil })
	return torn
}

// next is how far it is to the next whole message, or to the end.
func (r *blockReader) next(b []byte) int {
	for at := 1; ; at++ {
		i := bytes.Index(b[min(at+recordHeader, len(b)):], []byte(r.subject))
		if i < 0 {
			return len(b)
		}
		at += i
		if _, _, err := r.record(b[at:]); err == nil {
			return at
		}
	}
}

// record reads the record that b begins with, and returns its size.
func (r *blockReader) record(b []byte) (p Piece, size int, err error) {
	if len(b) < recordHeader+recordSum {
		return p, 0, fmt.Errorf("%d bytes are no record", len(b))
	}
	length := binary.LittleEndian.Uint32(b)
	size = int(length &^ withHeaders)
	subject := int(binary.LittleEndian.Uint16(b[20:]))
	from := recordHeader + subject
	headers := 0
	if length&withHeaders != 0 {
		headers = 4
	}
	end := size - recordSum
	if size < recordHeader+recordSum || size > len(b) || from+headers > end {
		return p, 0, errors.New("its length leads nowhere")
	}
	r.hash.Reset()
	r.hash.Write(b[4:20])
	r.hash.Write(b[recordHeader:from])
	r.hash.Write(b[from+headers : end])
	var sum [highwayhash.Size64]byte
	if string(r.hash.Sum(sum[:0])) != string(b[end:size]) {
		return p, 0, errors.New("its checksum is another")
	}
	seq := binary.LittleEndian.Uint64(b[4:])
	if seq&recordDeletes != 0 {
		return p, size, nil
	}
	p.Seq, p.Erased = seq&^recordErased, seq&recordErased != 0
	p.At = alert.Time(binary.LittleEndian.Uint64(b[12:]))
	if headers > 0 {
		n := int(binary.LittleEndian.Uint32(b[from:]))
		if from+headers+n > end {
			return p, 0, errors.New("the length of its headers leads nowhere")
		}
		from += headers + n
	}
	if p.Data = b[from:end]; !p.Erased && string(b[recordHeader:recordHeader+subject]) != r.subject {
		p.Damage = fmt.Errorf("its subject is %q, want %s", b[recordHeader:recordHeader+subject], r.subject)
	}
	return p, size, nil
}
