package verify

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

func TestMain(m *testing.M) {
	ats.Register()
	os.Exit(m.Run())
}

// A store of these tests has so many frames and commit records.
const frames, commitRecords = 5, 3

// store makes one with a log, an outbox and a snapshot.
func store(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := stream.Open(t.Context(), stream.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	shard, err := engine.NewShard(&correlate.Policy{Route: correlate.Route{Receiver: "r"}, Receivers: []correlate.Receiver{{Name: "r"}}})
	if err != nil {
		t.Fatal(err)
	}
	for range frames {
		if _, err := s.AppendEvents(t.Context(), frame.Event{Kind: frame.Tick}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.ReadLog(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range frames {
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		shard.Apply(&m)
	}
	after := uint64(0)
	for i := range uint64(commitRecords) {
		after = commit(t, s, i+1, &frame.Commit{Epoch: 1, Input: i + 1}, after)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := engine.EncodeSnapshot(shard)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(snapshotsIn(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(snapshotsIn(dir), fmt.Sprintf("%020d.snapshot", frames)), b)
	return dir
}

// commit appends a record to the outbox behind the message after.
func commit(t *testing.T, s *stream.Stream, counter uint64, c *frame.Commit, after uint64) (seq uint64) {
	t.Helper()
	rec, err := frame.AppendCommit(nil, counter, c)
	if err == nil {
		seq, err = s.Commit(t.Context(), rec, after)
	}
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// look returns what is found, and the line of figures.
func look(t *testing.T, dir string) (found []string, figures string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { // it waits for somebody who may be writing
		f, err := Run(Folder(dir), func(x Finding) {
			found = append(found, strings.ReplaceAll(x.String(), dir, ""))
		})
		if err != nil {
			t.Fatal(err)
		}
		figures = f.String()
	})
	return found, figures
}

func block(dir, name string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", name, "msgs", "1.blk")
}

func TestWholeStore(t *testing.T) {
	found, figures := look(t, store(t))
	if len(found) > 0 || figures != "verify: log=1-5 frames=5 outbox=1-3 records=3 files=1 found=0" {
		t.Errorf("%s\n%s", strings.Join(found, "\n"), figures)
	}
}

// TestEveryFlippedByteIsNamed: of log, outbox, snapshot and the server's own
// descriptions, and of the first two the message it is in.
func TestEveryFlippedByteIsNamed(t *testing.T) {
	dir := store(t)
	flip := func(name string, message func(at int) []string) {
		t.Helper()
		b := read(t, name)
		for at := range b {
			bent := bytes.Clone(b)
			bent[at] ^= 1 << (at % 8)
			write(t, name, bent)
			found, _ := look(t, dir)
			if want := message(at); len(found) == 0 || !slices.ContainsFunc(want, func(s string) bool { return strings.Contains(found[0], s) }) {
				t.Errorf("%s, byte %d: found %q, want one of %q", filepath.Base(name), at, found, want)
			}
		}
		write(t, name, b)
	}
	in := func(name, one string, of int) func(int) []string {
		size := len(read(t, block(dir, name)))
		return func(at int) []string {
			n := at*of/size + 1 // they are all of one length
			want := []string{fmt.Sprintf("%s %d is damaged", one, n)}
			switch n {
			case 1: // which it was is known by what is whole before it
				want = append(want, "what stands before "+one+" 2 is damaged")
			case of:
				want = append(want, fmt.Sprintf("what stands behind %s %d is damaged", one, of-1))
			}
			return want
		}
	}
	flip(block(dir, "WINNOW_LOG"), in("WINNOW_LOG", "message", frames))
	flip(block(dir, "WINNOW_OUTBOX"), in("WINNOW_OUTBOX", "record", commitRecords))
	snapshots, err := filepath.Glob(filepath.Join(snapshotsIn(dir), "*"))
	if err != nil || len(snapshots) != 1 {
		t.Fatal(snapshots, err)
	}
	b := read(t, snapshots[0])
	for at := range b {
		bent := bytes.Clone(b)
		bent[at] ^= 4
		write(t, snapshots[0], bent)
		if found, _ := look(t, dir); len(found) == 0 || !strings.Contains(found[0], ".snapshot: ") {
			t.Errorf("snapshot, byte %d: found %q", at, found)
		}
	}
	write(t, snapshots[0], b)
	if found, _ := look(t, dir); len(found) > 0 {
		t.Errorf("whole again, found %q", found)
	}
}

// TestWhatIsMissing: records that are gone, twice, or from elsewhere, sound as
// each may be by itself.
func TestWhatIsMissing(t *testing.T) {
	dir := store(t)
	name := block(dir, "WINNOW_LOG")
	b := read(t, name)
	size := len(b) / frames
	rec := func(n int) []byte { return b[(n-1)*size : n*size] }
	f := func(want string, records ...[]byte) {
		t.Helper()
		write(t, name, bytes.Join(records, nil))
		found, _ := look(t, dir)
		for i, line := range found {
			found[i], _, _ = strings.Cut(line, " (")
		}
		if got := strings.Join(found, "; "); got != want {
			t.Errorf("found %s\nwant %s", got, want)
		}
	}
	const noEnd = ": copy the folder aside and look at the disk; alerts that still fire come again with their next repeat, an end may not"
	f("", b)
	f("log: message 3 is missing", rec(1), rec(2), rec(4), rec(5))
	f("log: messages 2 to 4 are missing", rec(1), rec(5))
	f("log: message 2 is missing; log: message 2 stands behind message 3", rec(1), rec(3), rec(2), rec(4), rec(5))
	f("log: message 4 stands behind message 4", b[:4*size], rec(4), rec(5))
	f("log: it ends at message 4; snapshots, witness or outbox know message 5"+noEnd, b[:4*size])
	f("log: message 3 is damaged", rec(1), rec(2), bytes.Repeat([]byte{0xff}, size), rec(4), rec(5))
	f("log: messages 2 to 4 are damaged", rec(1), bytes.Repeat([]byte("winnow.log.0"), size), rec(5))
	f("log: what stands behind message 5 is damaged", b, rec(1)[:size-1])
	bent := bytes.Clone(b)
	binary.LittleEndian.PutUint32(bent, 1<<31-1)
	f("log: what stands before message 2 is damaged", bent)
}

// TestOrderOfTheOutbox: a record of a life that was over, or of a message that
// was decided before.
func TestOrderOfTheOutbox(t *testing.T) {
	f := func(want string, commits ...frame.Commit) {
		t.Helper()
		dir := t.TempDir()
		s, err := stream.Open(t.Context(), stream.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for range 9 {
			if _, err := s.AppendEvents(t.Context(), frame.Event{Kind: frame.Tick}); err != nil {
				t.Fatal(err)
			}
		}
		after := uint64(0)
		for i := range commits {
			counter := uint64(i + 1)
			if commits[i].Partial == 7 {
				counter, commits[i].Partial = 7, 0
			}
			after = commit(t, s, counter, &commits[i], after)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		found, _ := look(t, dir)
		if got := strings.Join(found, "; "); got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	f("")
	f("", frame.Commit{Epoch: 1, Input: 3}, frame.Commit{Epoch: 1, Input: 3, Partial: 2}, frame.Commit{Epoch: 4, Input: 9})
	f("record 2 is out of order", frame.Commit{Epoch: 2, Input: 3}, frame.Commit{Epoch: 1, Input: 4})
	f("it is of message 3 of the log, behind one of message 4", frame.Commit{Epoch: 1, Input: 4}, frame.Commit{Epoch: 1, Input: 3})
	f("record 2 has the number 7, and 2 is its turn", frame.Commit{Epoch: 1, Input: 3}, frame.Commit{Epoch: 1, Input: 4, Partial: 7})
	f("log: it ends at message 9; snapshots, witness or outbox know message 12", frame.Commit{Epoch: 1, Input: 12})
}

func TestNoStore(t *testing.T) {
	if _, err := Run(Folder(t.TempDir()), func(Finding) {}); err == nil {
		t.Error("an empty folder is taken for a store")
	}
}

// TestNumbersBeginAnew where everything had aged out before the next message, and
// nowhere else.
func TestNumbersBeginAnew(t *testing.T) {
	const maxAge = time.Hour
	f := func(want int, later time.Duration, counter uint64) {
		t.Helper()
		found := 0
		r := records{name: "log", one: "message", maxAge: maxAge, found: func(Finding) { found++ }, decode: decodeFrame(new(frame.Decoder))}
		for i, c := range []uint64{7, counter, counter + 1} {
			p := stream.Piece{Message: stream.Message{Seq: uint64(i + 20), At: alert.Time(1).Add(time.Duration(i) * later), Data: frame.Append(nil, frame.Header{Counter: c})}}
			if err := r.take(&p); err != nil {
				t.Fatal(err)
			}
		}
		if found != want {
			t.Errorf("frame %d after frame 7, %s later: found %d, want %d", counter, later, found, want)
		}
	}
	f(0, time.Second, 8)
	f(1, time.Second, 9)
	f(1, maxAge-1, 1)
	f(0, maxAge, 1)
	f(1, maxAge, 2)
}

// TestAnExchangedFrameIsNamed puts a frame in the place of another, sound and with
// its number: the one behind it knows better.
func TestAnExchangedFrameIsNamed(t *testing.T) {
	for change := -1; change < 4; change++ {
		var found []string
		r := records{name: "log", one: "message", found: func(x Finding) { found = append(found, x.String()) }, decode: decodeFrame(new(frame.Decoder))}
		before := uint64(0)
		for i := range 5 {
			h := frame.Header{Counter: uint64(i + 1), At: alert.Time(i + 1), Previous: before}
			data := frame.Append(nil, h)
			before = frame.Checksum(data)
			if i == change {
				h.At += 100
				data = frame.Append(nil, h)
			}
			if err := r.take(&stream.Piece{Message: stream.Message{Seq: h.Counter, At: h.At, Data: data}}); err != nil {
				t.Fatal(err)
			}
		}
		if want := fmt.Sprintf("message %d is out of order", change+2); change < 0 && len(found) > 0 || change >= 0 && (len(found) != 1 || !strings.Contains(found[0], want)) {
			t.Errorf("message %d exchanged: found %q", change+1, found)
		}
	}
}

// TestStoreInUse is read again and again while its blocks grow and new ones
// begin, and nothing is found.
func TestStoreInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := stream.Open(t.Context(), stream.Options{Dir: dir, MaxBytes: 12 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	raw := make([]byte, 32<<10) // that cannot be packed
	rand.NewChaCha8([32]byte{}).Read(raw)
	large := frame.Event{Kind: frame.Quarantine, Source: "s", Quarantine: &frame.Quarantined{Raw: raw}}
	var written atomic.Int64
	wg.Go(func() {
		for ctx.Err() == nil && written.Load() < 200 {
			if _, err := s.AppendEvents(ctx, large); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			written.Add(1)
		}
	})
	for last := int64(0); last < 200 && !t.Failed(); {
		last = written.Load()
		f, err := Run(Folder(dir), func(x Finding) { t.Error(x) })
		if err != nil {
			t.Fatal(err)
		}
		if int64(f.Log.Messages) < last {
			t.Errorf("%d frames were stored before, and it says %s", last, f)
		}
	}
	if names, err := filepath.Glob(filepath.Join(dir, "jetstream", "$G", "streams", "WINNOW_LOG", "msgs", "*.blk")); err != nil || len(names) < 2 {
		t.Errorf("blocks: %v, %v; want several", names, err)
	}
}
