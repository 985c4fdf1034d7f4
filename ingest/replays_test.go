package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReplays(t *testing.T) {
	p := NewReplays()
	f := func(what string, i int, want bool) {
		t.Helper()
		if got := p.take(markOf(i)); got != want {
			t.Errorf("%s: taken %v", what, got)
		}
	}
	f("the first", 0, true)
	f("the first again", 0, false)
	p.forget(markOf(0))
	f("forgotten", 0, true)
	for i := 1; i < replayLimit-1; i++ { // 0 stands in the ring twice
		f("new", i, true)
	}
	f("the limit is reached", 0, false)
	f("the place of what was forgotten", replayLimit, true)
	f("still known: it was taken again", 0, false)
	f("the next place", replayLimit+1, true)
	f("the oldest has gone", 0, true)
	f("the one after it has not", 2, false)
	if len(p.at) > replayLimit || len(p.ring) != replayLimit {
		t.Errorf("%d marks in a ring of %d", len(p.at), len(p.ring))
	}
}

func markOf(i int) (m mark) {
	binary.BigEndian.PutUint64(m[:], uint64(i))
	return m
}

// life is a process before signed webhooks.
type life struct {
	t       *testing.T
	now     time.Time
	append  func(context.Context, *Batch) error
	replays *Replays
	doors   *Doors
}

func newLife(t *testing.T, file string, now time.Time) *life {
	t.Helper()
	l := &life{t: t, now: now, append: func(context.Context, *Batch) error { return nil }}
	var err error
	if l.replays, err = OpenReplays(file, now); err != nil {
		t.Fatal(err)
	}
	l.doors, err = New(memoryLog(func(ctx context.Context, b *Batch) error { return l.append(ctx, b) }),
		Options{Config: configOf(t, signedSources), Now: func() time.Time { return l.now }, Replays: l.replays})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// send posts what was signed at a given time under an identifier.
func (l *life) send(id string, signed time.Time, want int) {
	l.t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(oneAlert))
	for h := standard(oldKey, id, signed, oneAlert); len(h) > 0; h = h[2:] {
		r.Header.Set(h[0], h[1])
	}
	for _, route := range l.doors.Routes() {
		if route.Pattern == "/ingest/prometheus" {
			w := httptest.NewRecorder()
			if route.Handler.ServeHTTP(w, r); w.Code != want {
				l.t.Errorf("%s, signed %s ago: %d, want %d", id, l.now.Sub(signed), w.Code, want)
			}
		}
	}
}

// TestReplaysOutliveARestart: what was stored is admitted by no later life, be the
// one before stopped or killed; what was not stored, or never came, is.
func TestReplaysOutliveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "replays")
	start := time.Unix(1e9, 0)
	l := newLife(t, file, start)
	l.send("stored", start, 200)
	l.send("dated ahead", start.Add(4*time.Minute), 200)
	l.append = func(context.Context, *Batch) error { return errors.New("disk full") }
	l.send("not stored", start, 503)

	later := start.Add(4 * time.Minute)
	l = newLife(t, file, later) // the one before was killed
	l.send("stored", start, 401)
	l.send("not stored", start, 200)
	l.send("sent while nobody listened", start, 200)
	if err := l.replays.Close(); err != nil {
		t.Fatal(err)
	}

	l = newLife(t, file, later)
	for _, id := range []string{"stored", "not stored", "sent while nobody listened"} {
		l.send(id, start, 401)
	}
	l.send("new", later, 200)
	later = start.Add(9*time.Minute - time.Second)
	l = newLife(t, file, later)
	l.send("dated ahead", start.Add(4*time.Minute), 401)
	l.send("new", start.Add(4*time.Minute), 401)
	l = newLife(t, file, start.Add(30*time.Minute))
	if n := len(l.replays.at); n != 0 {
		t.Errorf("%d requests are remembered that no signature can be as old as", n)
	}
}

// TestDamagedReplays: a record that was cut off by a loss of power, or rotted, is
// forgotten, and no other.
func TestDamagedReplays(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := func(what string, damage func([]byte) []byte, known int) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "replays")
		p, err := OpenReplays(file, now)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if err := p.keep(markOf(i), now); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		for life, want := range []int{known, known + 1} {
			if p, err = OpenReplays(file, now); err != nil || len(p.at) != want {
				t.Errorf("%s, life %d: %d known, want %d: %v", what, life, len(p.at), want, err)
			}
			if err := p.keep(markOf(10+life), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("whole", bytes.Clone, 4)
	f("cut off", func(b []byte) []byte { return b[:len(b)-1] }, 3)
	f("empty", func([]byte) []byte { return nil }, 0)
	for at := range replayRecord {
		f("flipped", func(b []byte) []byte { b = bytes.Clone(b); b[2*replayRecord+at] ^= 16; return b }, 3)
	}
}

// TestReplayFilesAreBounded, and hold the latest as long as memory does.
func TestReplayFilesAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	file := filepath.Join(t.TempDir(), "replays")
	p, err := OpenReplays(file, now)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3*replayLimit + 5
	for i := range n {
		if err := p.keep(markOf(i), now); err != nil {
			t.Fatal(err)
		}
	}
	if p, err = OpenReplays(file, now); err != nil {
		t.Fatal(err)
	}
	if p.take(markOf(n-1)) || p.take(markOf(n-replayLimit)) {
		t.Error("one of the latest is admitted once more")
	}
	total := 0
	for _, name := range []string{file, file + replayOlder} {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		total += int(st.Size())
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", name, st.Mode())
		}
	}
	if total > 2*replayLimit*replayRecord {
		t.Errorf("%d bytes in the files", total)
	}
}

// TestReplaysThatCannotBeKept are refused in this life all the same, and alerts
// are accepted.
func TestReplaysThatCannotBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "replays")
	start := time.Unix(1e9, 0)
	l := newLife(t, file, start)
	if err := l.replays.files.file.Close(); err != nil {
		t.Fatal(err)
	}
	l.send("a", start, 200)
	l.send("a", start, 401)
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if p, err := OpenReplays(file, start); err == nil || p == nil || !p.take(markOf(1)) || p.take(markOf(1)) {
		t.Errorf("a folder in its place: %v, %v", p, err)
	}
}
