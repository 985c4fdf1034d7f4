package stream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
)

// disk is a store whose next block is a device that fails as a disk does.
type disk struct {
	t    *testing.T
	dir  string
	free atomic.Uint64
}

func (d *disk) open() *Stream {
	d.t.Helper()
	s, err := Open(d.t.Context(), Options{Dir: d.dir, MaxBytes: 15 << 20, Space: func(string) (uint64, uint64, error) { return d.free.Load(), 1 << 30, nil }})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// fill puts a device in the way that fails as a disk does, and appends until a
// block of the log would be written there. It returns how many messages the log
// holds, what takes the device away, and how the append that failed was answered.
func (d *disk) fill(s *Stream, device string) (held int, mended func(), failed error) {
	d.t.Helper()
	if _, err := os.Stat(device); err != nil {
		d.t.Skipf("no %s here to fail as a disk does: %v", device, err)
	}
	found, err := filepath.Glob(filepath.Join(d.dir, "jetstream", "*", "streams", logName, "msgs"))
	if err != nil || len(found) != 1 {
		d.t.Fatalf("looking for the stream's blocks: %v %v", found, err)
	}
	block := filepath.Join(found[0], "2.blk")
	if err := os.Symlink(device, block); err != nil {
		d.t.Fatal(err)
	}
	mended = func() {
		if err := os.Remove(block); err != nil {
			d.t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for ; held < 200; held++ {
		b := batch("test", fmt.Sprint(held))
		noise := make([]byte, 48<<10)
		for i := range noise {
			noise[i] = byte(' ' + rng.IntN(90))
		}
		b.Alerts[0].Annotations = alert.Labels{{Name: "noise", Value: string(noise)}}
		if err := s.Append(d.t.Context(), b); err != nil {
			return held, mended, err
		}
	}
	d.t.Fatal("the log never came to its second block")
	return held, mended, nil
}

func onDisk(t *testing.T, f func(t *testing.T, d *disk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{t: t, dir: t.TempDir()}
		d.free.Store(1 << 29)
		f(t, d)
	})
}

// A store that ran out of room takes messages again by itself once there is
// some, without a new process; readers miss nothing and see nothing twice.
func TestGoesOnWhenThereIsRoomAgain(t *testing.T) {
	onDisk(t, func(t *testing.T, d *disk) {
		s := d.open()
		defer s.Close()
		r, err := s.ReadLog(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		d.free.Store(0)
		held, mended, failed := d.fill(s, "/dev/full")
		if !errors.Is(failed, ingest.ErrUnavailable) {
			t.Fatalf("an append that finds no room: %v", failed)
		}
		if s.Health() == nil {
			t.Error("a server that takes nothing is healthy")
		}
		begun := time.Now()
		if err := s.Append(t.Context(), batch("test", "lost")); !errors.Is(err, ingest.ErrUnavailable) || time.Since(begun) > 0 {
			t.Errorf("the next append answers %v after %v; want at once", err, time.Since(begun))
		}
		time.Sleep(time.Hour)
		if n := s.Restarts(); n != 0 {
			t.Errorf("started anew %d times while there was no room", n)
		}
		mended()
		d.free.Store(1 << 29)
		time.Sleep(30 * time.Second)
		if n := s.Restarts(); n != 1 {
			t.Fatalf("started anew %d times within 30 s of room, want once", n)
		}
		for i := range 3 {
			if err := s.Append(t.Context(), batch("test", fmt.Sprint(held+i))); err != nil {
				t.Fatal(err)
			}
		}
		for seq := 1; seq <= held+3; seq++ {
			if m, err := r.Next(); err != nil || m.Seq != uint64(seq) {
				t.Fatalf("the reader from before says %d, %v; want message %d", m.Seq, err, seq)
			}
		}
		got, _ := pods(t, s)
		for i, pod := range got {
			if pod != fmt.Sprint(i) || len(got) != held+3 {
				t.Fatalf("the log holds %v, want 0 to %d", got, held+2)
			}
		}
		r.Close()
	})
}

// A reader goes on behind what it has returned, wherever the restart meets it.
func TestReadersGoOnOverRestarts(t *testing.T) {
	onDisk(t, func(t *testing.T, d *disk) {
		s := d.open()
		defer s.Close()
		var wg sync.WaitGroup
		const rounds, each = 4, 25
		for _, read := range []func() (*Reader, error){
			func() (*Reader, error) { return s.ReadLog(t.Context(), 1) },
			func() (*Reader, error) { return s.ReadLogSince(t.Context(), time.Now().Add(-time.Minute)) },
		} {
			r, err := read()
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				defer r.Close()
				for seq := uint64(1); seq <= rounds*each; seq++ {
					if m, err := r.Next(); err != nil || m.Seq != seq {
						t.Errorf("message %d %v, want %d", m.Seq, err, seq)
						return
					}
				}
			})
		}
		for round := range rounds {
			for i := range each {
				if err := s.Append(t.Context(), batch("test", fmt.Sprint(round*each+i))); err != nil {
					t.Fatal(err)
				}
			}
			s.broker.logs.Errorf(serverSays, "$G", logName, &os.PathError{Op: "write", Path: "2.blk", Err: syscall.ENOSPC})
			time.Sleep(2 * failingEvery)
		}
		wg.Wait()
		if n := s.Restarts(); n != rounds {
			t.Errorf("started anew %d times, want %d", n, rounds)
		}
		last, err := s.Outbox(t.Context())
		if err != nil || last.Last != 0 {
			t.Errorf("the outbox holds %+v %v", last, err)
		}
	})
}

// serverSays is how the server tells of a stream that takes nothing any more;
// that it still does is held by make disk.
const serverSays = "JetStream stream '%s > %s' critical write error: %v"

func TestWhatTheServerSaysOfItsDisk(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		got := "broken"
		if noRoom(err) || !ofTheSystem(err) {
			got = "stuck"
		}
		if got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	f(&os.PathError{Op: "write", Path: "1.blk", Err: syscall.ENOSPC}, "stuck")
	f(&os.PathError{Op: "write", Path: "1.blk", Err: syscall.EDQUOT}, "stuck")
	f(errors.New("Error creating msg block file: open 2.blk: no space left on device"), "stuck")
	f(errors.New("no message cache"), "stuck")
	f(&os.PathError{Op: "sync", Path: "1.blk", Err: syscall.EIO}, "broken")
	f(&os.PathError{Op: "write", Path: "1.blk", Err: syscall.EROFS}, "broken")
	f(errors.New("Error creating msg block file: open 2.blk: input/output error"), "broken")
	if err := writeError("Filestore [%s] Ignoring non-write error: %v", []any{"WINNOW_LOG", errors.New("no message cache")}); err != nil {
		t.Errorf("taken for a failed write: %v", err)
	}
}

// The lock stays held while the server is started anew.
func TestFolderStaysOursOverARestart(t *testing.T) {
	onDisk(t, func(t *testing.T, d *disk) {
		s := d.open()
		defer s.Close()
		if err := s.restart(); err != nil {
			t.Fatal(err)
		}
		if _, err := lockDir(d.dir); err == nil {
			t.Error("a second process gets the folder")
		}
	})
}

// Once a write has failed otherwise than for want of room nothing is accepted
// any more, not even when the disk seems to be well again.
func TestNothingIsAcceptedAfterAWriteThatFailed(t *testing.T) {
	onDisk(t, func(t *testing.T, d *disk) {
		s := d.open()
		defer s.Close()
		s.broker.logs.Errorf(serverSays, "$G", logName, &os.PathError{Op: "sync", Path: "2.blk", Err: syscall.EIO})
		<-s.Broke()
		if err := s.Broken(); !errors.Is(err, syscall.EIO) {
			t.Errorf("broken says %v, want the I/O error", err)
		}
		time.Sleep(time.Hour)
		if err := s.Append(t.Context(), batch("test", "b")); !errors.Is(err, ingest.ErrUnavailable) || !errors.Is(err, syscall.EIO) {
			t.Errorf("an append after it: %v", err)
		}
		rec, err := frame.AppendCommit(nil, 1, &frame.Commit{Epoch: 1, Input: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), rec, 0); !errors.Is(err, syscall.EIO) {
			t.Errorf("a commit after it: %v", err)
		}
		if n := s.Restarts(); n != 0 {
			t.Errorf("started anew %d times on a disk that fails", n)
		}
	})
}

func TestSpaceOfAFileSystem(t *testing.T) {
	free, size, err := space(t.TempDir())
	if err != nil || size == 0 || free > size {
		t.Errorf("free %d of %d, %v", free, size, err)
	}
	if _, _, err := space(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there has room")
	}
	if r := (Space{Free: 15, Size: 100}).FreeRatio(); r != 0.15 {
		t.Errorf("free ratio %v", r)
	}
	if r := (Space{}).FreeRatio(); r != 1 {
		t.Errorf("free ratio of what is not known: %v", r)
	}
}
