package engine

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// logged makes a log in memory: what a story of n messages would have written.
func logged(t testing.TB, n int) []stream.Message {
	t.Helper()
	at := alert.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	out := []stream.Message{message(t, 1, at, frame.Event{Kind: frame.Policy, Policy: testPolicy(), PolicyHash: "p1"})}
	for i := 1; i < n; i++ {
		at = at.Add(time.Duration(i%41) * time.Second)
		e := frame.Event{Kind: frame.Alerts, Source: "test"}
		for k := range 1 + i%4 {
			a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: fmt.Sprint("A", i%5)}, {Name: "pod", Value: fmt.Sprint(i * (k + 3) % 23)}, {Name: "severity", Value: []string{"warning", "critical"}[i%2]}}}
			if (i+k)%3 == 0 {
				a.Status = alert.Resolved
			}
			e.Alerts = append(e.Alerts, a)
		}
		if i%50 == 17 {
			e = frame.Event{Kind: frame.Receipt, Receipt: &correlate.Receipt{Incident: uint64(i / 50), Revision: 1, Kind: correlate.Page, Receiver: "oncall", Integration: "test[0]", Outcome: correlate.Accepted, Last: true, At: at}}
		}
		out = append(out, message(t, uint64(i+1), at, e))
	}
	return out
}

func message(t testing.TB, seq uint64, at alert.Time, e frame.Event) stream.Message {
	t.Helper()
	var s frame.Segment
	if err := s.Add(&e); err != nil {
		t.Fatal(err)
	}
	return stream.Message{Seq: seq, At: at, Data: frame.Append(nil, frame.Header{Counter: seq}, s.Append(nil))}
}

func fed(t testing.TB, messages []stream.Message) *Shard {
	t.Helper()
	s, err := NewShard(testPolicy())
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		s.Apply(&messages[i])
	}
	if f := s.Faults(); len(f) > 0 {
		t.Fatal(errors.Join(f...))
	}
	return s
}

func encoded(t testing.TB, s *Shard) []byte {
	t.Helper()
	b, err := EncodeSnapshot(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSnapshotGoesOnAsBefore takes a snapshot at many places of a log: what
// follows is decided alike, and ends in the same bytes.
func TestSnapshotGoesOnAsBefore(t *testing.T) {
	messages := logged(t, 600)
	live := fed(t, messages)
	want := encoded(t, live)
	for cut := 1; cut < len(messages); cut += 23 {
		s, err := DecodeSnapshot(encoded(t, fed(t, messages[:cut])))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for i := cut; i < len(messages); i++ {
			s.Apply(&messages[i])
		}
		if !bytes.Equal(encoded(t, s), want) {
			t.Fatalf("cut at %d: the shard ends otherwise", cut)
		}
	}
}

// TestSnapshotTakesNoMemoryOfItsSize: the state was written down as a whole before
// it was packed, in memory that grew with it; a start took three times what it
// left behind.
func TestSnapshotTakesNoMemoryOfItsSize(t *testing.T) {
	s := fed(t, nil)
	for seq := range uint64(100) {
		e := frame.Event{Kind: frame.Alerts, Source: "test"}
		for i := range uint64(100) {
			a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: fmt.Sprint("pod-", seq, "-", i)}}}
			for k := range uint64(16) { // what packs well, and is like nothing else
				a.Annotations = append(a.Annotations, alert.Label{Name: fmt.Sprintf("note-%02d", k), Value: strings.Repeat(fmt.Sprint(seq*100+i, "-", k, " "), 6)})
			}
			a.Fingerprint = a.Labels.Fingerprint()
			e.Alerts = append(e.Alerts, a)
		}
		m := message(t, seq+1, alert.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)), e)
		s.Apply(&m)
	}
	var whole wire.Writer
	if err := s.appendState(&whole); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := encoded(t, s)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; len(whole.B) < 5*snapshotPiece || took > uint64(4*snapshotPiece+2*len(b)) {
		t.Errorf("a state of %d bytes took %d to make %d of it", len(whole.B), took, len(b))
	}
	loaded, err := DecodeSnapshot(b)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.mark() != s.mark() || !bytes.Equal(encoded(t, loaded), b) {
		t.Error("it comes back as another")
	}
}

// TestMissingFrameIsNamed: a broker that has lost a message and closed the gap
// in its sequence is found out by the numbers of our frames.
func TestMissingFrameIsNamed(t *testing.T) {
	messages := logged(t, 10)
	s := fed(t, messages[:5])
	for _, m := range messages[6:] { // frame 6 is gone
		m.Seq--
		s.Apply(&m)
	}
	if got := fmt.Sprint(s.Faults()); got != "[log message 6: it is frame 7 after frame 5]" {
		t.Errorf("faults %s", got)
	}
}

// TestReplayKnowsNothingOfThePresentPolicy: sources that only the present
// configuration watches were watched from the beginning of a replay, which made
// them silent where they had not been.
func TestReplayKnowsNothingOfThePresentPolicy(t *testing.T) {
	messages := logged(t, 60)
	p := testPolicy()
	p.Sources = []correlate.Source{{Name: "test", SilentAfter: time.Minute}}
	s, err := NewShard(p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		s.Apply(&messages[i])
	}
	if !bytes.Equal(encoded(t, s), encoded(t, fed(t, messages))) {
		t.Fatal("the shard depends on the policy that it was made with")
	}
}

func TestDamagedSnapshotIsNotUsed(t *testing.T) {
	good := encoded(t, fed(t, logged(t, 60)))
	for i := range len(good) {
		bent := bytes.Clone(good)
		bent[i] ^= 0x10
		if _, err := DecodeSnapshot(bent); err == nil {
			t.Fatalf("byte %d changed, and it was loaded", i)
		}
		if _, err := DecodeSnapshot(good[:i]); err == nil {
			t.Fatalf("cut to %d bytes, and it was loaded", i)
		}
	}
}

func FuzzSnapshot(f *testing.F) {
	var w wire.Writer
	if err := fed(f, logged(f, 80)).appendState(&w); err != nil {
		f.Fatal(err)
	}
	f.Add(w.B)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := loadShard(wire.NewReader(b))
		if err == nil {
			s.mark()
		}
	})
}

// TestSnapshotGolden holds that snapshots of programs before version 2 of the
// states load; nothing can write them any more. That of v1 is of one that did not
// know where incidents stand.
func TestSnapshotGolden(t *testing.T) {
	for _, name := range []string{"v1", "v1-standing"} {
		b, err := os.ReadFile("testdata/" + name + ".snapshot")
		if err != nil {
			t.Fatal(err)
		}
		s, err := DecodeSnapshot(b)
		if err != nil {
			t.Fatal(err)
		}
		want := fed(t, logged(t, 200)).mark()
		if want.standing == 0 {
			t.Fatal("nothing stands anywhere: the snapshot proves nothing")
		}
		if name == "v1" {
			want.standing = 0
		}
		if got := s.mark(); got != want {
			t.Errorf("%s: it holds %+v, want %+v", name, got, want)
		}
	}
}

func TestNewestWholeSnapshotIsUsed(t *testing.T) {
	d := snapshots{t.TempDir()}
	if _, _, err := d.newest(); !errors.Is(err, errNoSnapshot) {
		t.Fatalf("an empty folder: %v", err)
	}
	messages := logged(t, 100)
	for n := 10; n <= 50; n += 10 {
		if err := d.save(fed(t, messages[:n])); err != nil {
			t.Fatal(err)
		}
	}
	names, err := d.list()
	if err != nil || len(names) != snapshotKept {
		t.Fatalf("%d snapshots kept, %v", len(names), err)
	}
	if err := os.WriteFile(names[0], []byte("WS nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, faults, err := d.newest()
	if err != nil || s.seq != 40 || len(faults) != 1 {
		t.Errorf("loaded %v, faults %v, error %v; want the one of message 40 and one fault", s, faults, err)
	}
}

// restartable is a folder of a stream and one of snapshots.
func beginIn(t *testing.T, dir string) *life {
	t.Helper()
	return beginWith(t, dir, testPolicy(), "p1", filepath.Join(dir, "snapshots"))
}

func TestRestartFromSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := beginIn(t, dir)
		for i := range 400 {
			l.post(alert.Firing, fmt.Sprint(i%7))
			time.Sleep(3 * time.Second)
		}
		time.Sleep(2 * snapshotInterval)
		if n := l.engine.Stats().Snapshots.Load(); n == 0 {
			t.Error("no snapshot was written while running")
		}
		before := l.balance()
		l.end()

		l = beginIn(t, dir)
		if applied := l.engine.Stats().Messages.Load(); applied > 10 {
			t.Errorf("%d messages were replayed in spite of the snapshot", applied)
		}
		want(t, "accounts", l.balance(), before)
		l.post(alert.Resolved, "0", "1", "2", "3", "4", "5", "6")
		time.Sleep(10 * time.Minute)
		if got := l.end(); !strings.HasPrefix(got, "INC-1 resolve") {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestSnapshotsThatWereCutOffAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := beginIn(t, dir)
		l.post(alert.Firing, "1")
		l.end()
		cut := snapshots{filepath.Join(dir, "snapshots")}.path(7) + ".tmp"
		if err := os.WriteFile(cut, []byte("WS"), 0o600); err != nil {
			t.Fatal(err)
		}
		whole, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.snapshot"))
		if err != nil || len(whole) == 0 {
			t.Fatalf("snapshots %v: %v", whole, err)
		}
		l = beginIn(t, dir)
		defer l.end()
		if _, err := os.Stat(cut); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", cut, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*.snapshot")); len(left) < len(whole) {
			t.Errorf("of the snapshots %v only %v are left", whole, left)
		}
		if n := l.engine.Stats().Faults.Load(); n != 0 {
			t.Errorf("%d faults of a store that nothing was done to", n)
		}
	})
}

func TestLogThatLostItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := beginIn(t, dir)
		for i := range 30 {
			l.post(alert.Firing, fmt.Sprint(i))
			time.Sleep(10 * time.Second)
		}
		reached := l.engine.Stats().Applied.Load()
		l.end()
		// The broker comes back with an empty log; we remember.
		kept := t.TempDir()
		if err := os.CopyFS(filepath.Join(kept, "snapshots"), os.DirFS(filepath.Join(dir, "snapshots"))); err != nil {
			t.Fatal(err)
		}
		l = beginIn(t, kept)
		if n := l.engine.Stats().Faults.Load(); n == 0 {
			t.Error("nobody noticed that the log has lost its end")
		}
		if n := l.engine.Stats().Applied.Load(); n < reached {
			t.Errorf("the log goes on at message %d: up to %d all numbers stand for what was decided", n, reached)
		}
		known := l.engine.Stats().Faults.Load()
		l.post(alert.Resolved, "0")
		l.post(alert.Firing, "new")
		time.Sleep(10 * time.Minute)
		got := l.end()
		if n := l.engine.Stats().Faults.Load(); n != known {
			t.Errorf("%d more faults in what was written since", n-known)
		}
		if !strings.Contains(got, "A/new") || !strings.Contains(got, "INC-1 update") {
			t.Errorf("delivered %q: want the open incident to go on", got)
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	s, err := NewShard(testPolicy())
	if err != nil {
		b.Fatal(err)
	}
	const n = 100_000
	at := alert.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	for i := 0; i < n; i += 500 {
		e := frame.Event{Kind: frame.Alerts, Source: "test"}
		for k := range 500 {
			e.Alerts = append(e.Alerts, alert.Alert{
				Labels:      alert.Labels{{Name: "alertname", Value: fmt.Sprint("Rule", (i+k)%200)}, {Name: "cluster", Value: "eu"}, {Name: "namespace", Value: "shop"}, {Name: "pod", Value: fmt.Sprint("pod-", i+k)}, {Name: "severity", Value: "warning"}},
				Annotations: alert.Labels{{Name: "summary", Value: fmt.Sprint("something is wrong with pod ", i+k)}},
			})
		}
		m := message(b, uint64(i/500+1), at, e)
		s.Apply(&m)
	}
	var data []byte
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data = encoded(b, s)
		}
		b.ReportMetric(float64(len(data))/n, "B/alert")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeSnapshot(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
