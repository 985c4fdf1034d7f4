package stream

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/frame"
)

// One flipped bit in the sequence of a record had the embedded server fill what
// lay between, for ever.
func TestFlippedSequenceDoesNotHangTheStart(t *testing.T) {
	whole := t.TempDir()
	s := open(t, whole)
	for range 4 {
		if _, err := s.AppendEvents(t.Context(), frame.Event{Kind: frame.Tick}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	block := filepath.Join("jetstream", "$G", "streams", logName, "msgs", "1.blk")
	data, err := os.ReadFile(filepath.Join(whole, block))
	if err != nil {
		t.Fatal(err)
	}
	second := len(data) / 4 // they are all of one length
	for bit := 20; bit < 62; bit += 3 {
		bent := append([]byte(nil), data...)
		bent[second+4+bit/8] ^= 1 << (bit % 8)
		if at, ok := bentSequence(bent); !ok || at != second {
			t.Errorf("bit %d: found at %d, %v; want at %d", bit, at, ok, second)
			continue // the server would hang
		}
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, block), bent, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if len(s.Faults()) != 1 || !strings.Contains(s.Faults()[0].Error(), "sequence") {
			t.Errorf("bit %d: faults %v", bit, s.Faults())
		}
		if e, err := s.Log(t.Context()); err != nil || e.First != 1 || e.Last != 1 {
			t.Errorf("bit %d: the log holds %+v, error %v; want message 1", bit, e, err)
		}
		if seq, err := s.AppendEvents(t.Context(), frame.Event{Kind: frame.Tick}); err != nil || seq != 2 {
			t.Errorf("bit %d: appended as message %d: %v", bit, seq, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if at, ok := bentSequence(data); ok {
		t.Errorf("a block that nothing was done to is damaged at %d", at)
	}
}

func TestStartThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		began := time.Now()
		if within(startTimeout, func() { <-release }) || time.Since(began) != startTimeout {
			t.Errorf("given up after %s, want %s", time.Since(began), startTimeout)
		}
		close(release)
		if !within(startTimeout, func() {}) {
			t.Error("what ends at once is given up")
		}
	})
}

// A server that hangs has the folder: it is not stopped, which would hang too,
// and the lock is not given up.
func TestHangingServerKeepsItsFolder(t *testing.T) {
	s := open(t, t.TempDir())
	s.broker.hangs = true
	if err := s.broker.stop(); err != nil {
		t.Error(err)
	}
	if _, err := lockDir(s.broker.dir); err == nil {
		t.Error("the folder was given up")
	}
	s.broker.hangs = false
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
