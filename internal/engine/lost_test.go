package engine

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// folder is that of a stream in a storage path.
func folder(dir, name string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", name)
}

func copyFolder(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// paged leaves behind what a crash does: a life has ended in order, and in the
// one after it somebody was paged. Older is the store as the first one left it.
func paged(t *testing.T, silent bool) (crashed, older string) {
	t.Helper()
	dir := t.TempDir()
	beginIn(t, dir).end()
	older = filepath.Join(t.TempDir(), "older")
	copyFolder(t, older, dir)
	l := beginIn(t, dir)
	l.mu.Lock()
	l.silent = silent
	l.mu.Unlock()
	l.post(alert.Firing, "1")
	time.Sleep(time.Minute)
	synctest.Wait()
	crashed = filepath.Join(t.TempDir(), "crashed")
	copyFolder(t, crashed, dir)
	want(t, "before the crash", l.end(), "INC-1 page A/1")
	return crashed, older
}

// An outbox that has lost its end is named, and its pages are decided again:
// what has a receipt is not sent again, what has none is.
func TestOutboxThatLostItsEnd(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir, older := paged(t, silent)
			copyFolder(t, folder(dir, "WINNOW_OUTBOX"), folder(older, "WINNOW_OUTBOX"))
			l := beginIn(t, dir)
			time.Sleep(time.Minute)
			if l.engine.Stats().Faults.Load() == 0 {
				t.Error("nobody noticed that the outbox has lost its end")
			}
			again := ""
			if silent {
				again = "INC-1 page A/1"
			}
			want(t, "delivered again", l.end(), again)
		})
	}
}

// A log that ends before what the witness knows is named, though the newest
// snapshot knows no more than it, and the critical that is gone is in it again.
func TestLogThatLostMoreThanTheSnapshotKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, older := paged(t, false)
		copyFolder(t, folder(dir, "WINNOW_LOG"), folder(older, "WINNOW_LOG"))
		l := beginIn(t, dir)
		time.Sleep(time.Minute)
		stats := l.engine.Stats()
		if stats.Faults.Load() == 0 {
			t.Error("nobody noticed that the log has lost its end")
		}
		if n := stats.Recalled.Load(); n != 1 {
			t.Errorf("%d alerts were written to the log again, want 1", n)
		}
		if got := l.end(); !strings.Contains(got, "A/1") {
			t.Errorf("delivered %q: the critical is forgotten", got)
		}
	})
}

// What was decided, has no receipt and stood in a record that is damaged is
// handed on as the replay decides it again; what stands behind it is handed on
// too.
func TestPageInADamagedRecordIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := beginIn(t, dir)
		l.mu.Lock()
		l.silent = true
		l.mu.Unlock()
		l.post(alert.Firing, "1")
		time.Sleep(time.Minute)
		l.post(alert.Firing, "2")
		time.Sleep(10 * time.Minute)
		l.end()
		found, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.snapshot"))
		if err != nil || len(found) == 0 {
			t.Fatalf("snapshots %v: %v", found, err)
		}
		for _, f := range found { // as if it had ended before the first
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
		name := filepath.Join(folder(dir, "WINNOW_OUTBOX"), "msgs", "1.blk")
		block, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		first := int(binary.LittleEndian.Uint32(block) &^ (1 << 31))
		if first >= len(block) {
			t.Fatal("there is one record only")
		}
		block[first/2] ^= 1 // in the middle of the first record
		if err := os.WriteFile(name, block, 0o600); err != nil {
			t.Fatal(err)
		}
		l = beginIn(t, dir)
		time.Sleep(time.Minute)
		if l.engine.Stats().Faults.Load() == 0 {
			t.Error("nobody noticed that a record is damaged")
		}
		got := l.end()
		if !strings.Contains(got, "INC-1 page A/1") || !strings.Contains(got, "A/2") {
			t.Errorf("delivered %q: want the page of the damaged record and the one behind it", got)
		}
	})
}
