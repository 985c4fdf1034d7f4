package stream

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/winnowhq/winnow/internal/frame"
)

// flip changes one bit of a file.
func flip(t *testing.T, name string, at func(b []byte) int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at(b)] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Looking for the place to begin in an outbox that lacks a record failed each
// time, and nothing was delivered any more.
func TestMissingRecordStopsNoSearch(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	after := uint64(0)
	for i := range uint64(5) {
		record, err := frame.AppendCommit(nil, i+1, &frame.Commit{Epoch: 1, Input: i + 1})
		if err == nil {
			after, err = s.Commit(t.Context(), record, after)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if at, err := s.FindCommit(t.Context(), 4, after); at != 4 || err != nil {
		t.Errorf("in a whole outbox: record %d, %v; want 4", at, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	block := filepath.Join(s.broker.streamDir(outboxName), "msgs", "1.blk")
	flip(t, block, func(b []byte) int {
		size := int(binary.LittleEndian.Uint32(b) &^ withHeaders)
		return 2*size + size/2 // the third of five: where the search begins
	})
	s = open(t, dir)
	defer s.Close()
	if at, err := s.FindCommit(t.Context(), 4, after); at != 1 || err != nil {
		t.Errorf("with a damaged record: record %d, %v; want 1, so that all are read", at, err)
	}
}

func TestFlippedBitInADescriptionRefusesNoStart(t *testing.T) {
	for _, name := range []string{logName, outboxName} {
		dir := t.TempDir()
		s := open(t, dir)
		if _, err := s.AppendEvents(t.Context(), frame.Event{Kind: frame.Tick}); err != nil {
			t.Fatal(err)
		}
		record, err := frame.AppendCommit(nil, 1, &frame.Commit{Epoch: 1, Input: 1})
		if err == nil {
			_, err = s.Commit(t.Context(), record, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		flip(t, filepath.Join(s.broker.streamDir(name), "meta.inf"), func(b []byte) int { return len(b) / 2 })
		s = open(t, dir)
		if len(s.Faults()) != 1 {
			t.Errorf("%s: faults %v, want one", name, s.Faults())
		}
		if e, err := s.Log(t.Context()); err != nil || e.Last != 1 {
			t.Errorf("%s: the log holds %+v: %v", name, e, err)
		}
		if c, _, _, err := s.LastCommit(t.Context()); err != nil || c == nil {
			t.Errorf("%s: the outbox ends with %v: %v", name, c, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
