package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/ladder"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/internal/web"
)

// level is the one that the status names.
func (s *site) level() string {
	s.t.Helper()
	var st web.Status
	if err := json.Unmarshal([]byte(s.get("/api/v1/status")), &st); err != nil {
		s.t.Fatal(err)
	}
	return st.Ladder.Level
}

func (s *site) wantLevel(want string) {
	s.t.Helper()
	if got := s.level(); got != want {
		s.t.Errorf("at %s, want %s", got, want)
	}
	raised := slices.Contains(s.node.alarm.Raised(), selfalert.Degraded)
	if raised != (want != "L0") {
		s.t.Errorf("at %s the self-alert stands: %v", want, raised)
	}
}

// wantBooks holds that the report tells of the levels, in order, each over.
func (s *site) wantBooks(levels ...int) {
	s.t.Helper()
	var got []int
	for _, d := range s.report().Degraded {
		got = append(got, d.Level)
		if d.Until.IsZero() || d.Cause == "" || d.Until.Before(d.Since) {
			s.t.Errorf("the books have %+v", d)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(levels) {
		s.t.Errorf("the books know levels %v, want %v", got, levels)
	}
}

func (s *site) code(path string) (int, http.Header) {
	rec := httptest.NewRecorder()
	s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, rec.Header()
}

// TestLadderByLag has the core hang for longer and longer: each level is reached
// by itself, is held for two minutes, and is in the books.
func TestLadderByLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		time.Sleep(5 * time.Second)
		s.wantLevel("L0")
		release := s.hang()
		s.post(sample{name: "A", pod: "1", severity: "warning"})
		time.Sleep(ladder.LagWithoutLookUps + 3*time.Second)
		if got := s.node.steps.level.Load(); got != 1 {
			t.Errorf("at level %d after 5 s", got)
		}
		time.Sleep(ladder.LagEssentials - ladder.LagWithoutLookUps)
		s.wantLevel("L2") // answered though the shard hangs
		if code, h := s.code("/api/v1/report"); code != http.StatusServiceUnavailable || h.Get("Retry-After") == "" {
			t.Errorf("a report is answered %d, Retry-After %q", code, h.Get("Retry-After"))
		}
		if !s.node.steps.essentials() {
			t.Error("snapshots are not put off")
		}
		time.Sleep(ladder.LagBypass - ladder.LagEssentials)
		s.wantLevel("L3")
		release()
		time.Sleep(ladder.GoodFor - 5*time.Second)
		s.wantLevel("L3")
		time.Sleep(10 * time.Second)
		s.wantLevel("L0")
		s.wantBooksSoon(1, 2, 3)
		if text := s.get("/api/v1/explain/INC-1"); !strings.Contains(text, "Winnow was degraded to L3 from ") {
			t.Errorf("the explanation does not say so:\n%s", text)
		}
		m := s.get("/metrics")
		for _, want := range []string{"winnow_ladder_level 0", `winnow_ladder_steps_total{level="L3"} 1`, `winnow_ladder_steps_total{level="L0"} 1`} {
			if !strings.Contains(m, want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
		s.stop()
	})
}

type brokenEnricher struct{}

func (brokenEnricher) Name() string { return "broken" }
func (brokenEnricher) Enrich(context.Context, *correlate.Notification, *enrich.Context) error {
	return errors.New("nothing can be looked up")
}

// TestLadderByLookUps has the look-ups fail: pages go out without them, and say
// so, until it is tried again.
func TestLadderByLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		p, err := enrich.New(enrich.Defaults(), enrich.Options{Extra: []enrich.Enricher{brokenEnricher{}}})
		if err != nil {
			t.Fatal(err)
		}
		s.node.delivery.pipeline.Swap(p).Close()
		for i := range ladder.FewLookUps {
			s.post(sample{name: fmt.Sprint("A", i), pod: "1", severity: "critical"})
		}
		time.Sleep(40 * time.Second)
		s.wantLevel("L1")
		s.post(sample{name: "B", pod: "1", severity: "critical"})
		time.Sleep(40 * time.Second)
		events := s.pager.Events()
		if raw, _ := json.Marshal(events[len(events)-1]); !strings.Contains(string(raw), "sent without look-ups: Winnow is degraded to L1") {
			t.Errorf("the page does not say that it has no look-ups: %s", raw)
		}
		time.Sleep(2 * ladder.GoodFor)
		s.wantLevel("L0")
		s.wantBooksSoon(1)
		s.stop()
	})
}

func TestLadderByMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before := debug.SetMemoryLimit(int64(m.HeapAlloc)) // what is alive is all of it, or nearly
		time.Sleep(3 * time.Second)
		s.wantLevel("L2")
		debug.SetMemoryLimit(before)
		time.Sleep(ladder.GoodFor + 3*time.Second)
		s.wantLevel("L0")
		s.wantBooksSoon(2)
		s.stop()
	})
}

// wantBooksSoon waits until the books tell of as many levels, for a step is
// written to the log a little after it was taken.
func (s *site) wantBooksSoon(levels ...int) {
	s.t.Helper()
	for range 30 {
		d := s.report().Degraded
		if len(d) >= len(levels) && !d[len(d)-1].Until.IsZero() {
			break
		}
		time.Sleep(time.Second)
	}
	s.wantBooks(levels...)
}

// TestLadderByBooks has the books lose a delivery.
func TestLadderByBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.node.steps.unbalanced.Store(true)
		time.Sleep(2 * time.Second)
		s.wantLevel("L3")
		time.Sleep(30*time.Second + ladder.GoodFor) // the watch of the books finds that they do balance
		s.wantLevel("L0")
		s.wantBooksSoon(3)
		s.stop()
	})
}

// TestLadderByPanics has the core break on one message after another.
func TestLadderByPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		for range ladder.ManyPanics {
			s.node.Engine().Stats().Breaks.Add(1)
		}
		time.Sleep(2 * time.Second)
		s.wantLevel("L3")
		time.Sleep(ladder.Window + ladder.GoodFor + 5*time.Second)
		s.wantLevel("L0")
		s.wantBooksSoon(3)
		s.stop()
	})
}

// TestStormIsToldInDigests has more criticals wait for a hung core than may be
// paged raw: within two minutes the pager has heard of every one of them.
func TestStormIsToldInDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		release := s.hang()
		const storm = 130
		for i := range storm {
			s.post(sample{name: fmt.Sprint("Down", i%3), pod: fmt.Sprint("pod-", i, "-"), severity: []string{"error", "critical"}[i%2]})
		}
		time.Sleep(ladder.LagBypass + 10*time.Second)
		raw, _ := json.Marshal(s.pager.Events())
		digests := 0
		for _, e := range s.pager.Events() {
			if strings.Contains(e.Summary, "WinnowDigest") {
				digests++
			}
		}
		if n := len(s.pager.Events()); digests != 1 || n != 21 {
			t.Errorf("%d pages, %d of them digests; want 20 and 1 digest", n, digests)
		}
		for i := range storm {
			if !strings.Contains(string(raw), fmt.Sprint("pod-", i, "-")) {
				t.Errorf("nobody was told of pod %d", i)
			}
		}
		if !strings.Contains(string(raw), "110 alerts wait") {
			t.Errorf("the digest does not count what waits")
		}
		release()
		time.Sleep(10 * time.Minute)
		for i := range storm {
			s.post(sample{name: fmt.Sprint("Down", i%3), pod: fmt.Sprint("pod-", i, "-"), severity: []string{"error", "critical"}[i%2], resolved: true})
		}
		time.Sleep(20 * time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("all is over, and %v stand open", open)
		}
		s.report()
		s.stop()
	})
}

// fill posts until the log takes nothing: its second block cannot be written.
func (s *site) fill() (mended func()) {
	s.t.Helper()
	const device = "/dev/full"
	if _, err := os.Stat(device); err != nil {
		s.t.Skipf("no %s here to fail as a full disk does: %v", device, err)
	}
	return s.fillUp(func(block string) error { return os.Symlink(device, block) })
}

// fillUp is fill with something else where the second block would be.
func (s *site) fillUp(plant func(block string) error) (mended func()) {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "jetstream", "*", "streams", "WINNOW_LOG", "msgs"))
	if err != nil || len(found) != 1 {
		s.t.Fatalf("looking for the log's blocks: %v %v", found, err)
	}
	block := filepath.Join(found[0], "2.blk")
	if err := plant(block); err != nil {
		s.t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 400 {
		noise := make([]byte, 32<<10)
		for j := range noise {
			noise[j] = byte('0' + rng.IntN(75))
		}
		body, err := json.Marshal([]map[string]any{{
			"labels":      map[string]string{"alertname": "Filler", "pod": fmt.Sprint(i), "severity": "none"},
			"annotations": map[string]string{"noise": string(noise)},
		}})
		if err != nil {
			s.t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", bytes.NewReader(body)))
		if rec.Code != http.StatusOK {
			return func() {
				if err := os.Remove(block); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		s.sent++
	}
	s.t.Fatal("the log never came to its second block")
	return nil
}

// TestHandedOnIsInTheBooks has the log take nothing for a while: what was handed
// on past it is in the books once it takes something, and nobody is paged twice.
func TestHandedOnIsInTheBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Uint64
		s := newSiteWith(t, stream.Options{MaxBytes: 15 << 20, Space: func(string) (uint64, uint64, error) { return free.Load(), 1 << 30, nil }})
		mended := s.fill()
		for i := range 3 {
			s.post(sample{name: "Down", pod: fmt.Sprint(i), severity: "critical"})
		}
		time.Sleep(3 * time.Second)
		s.wantLevel("L4")
		if n := len(s.pager.Incidents()); n != 1 {
			t.Errorf("%d incidents at the pager, want 1", n)
		}
		mended()
		free.Store(1 << 29)
		time.Sleep(30 * time.Second)
		if n := s.node.stream.Restarts(); n != 1 {
			t.Fatalf("the server was started anew %d times, want once", n)
		}
		time.Sleep(time.Minute)
		if n := len(s.pager.Incidents()); n != 1 {
			t.Errorf("%d incidents at the pager once the log takes alerts, want 1", n)
		}
		for i := range 3 {
			s.post(sample{name: "Down", pod: fmt.Sprint(i), severity: "critical", resolved: true})
		}
		time.Sleep(10 * time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("it is over, and %v stand open", open)
		}
		s.wantLevel("L0")
		s.wantBooksSoon(4)
		s.stop()
	})
}

func TestLaterIsBounded(t *testing.T) {
	var l later
	e := frame.Event{Kind: frame.Quarantine}
	n := 0
	for l.add(e) {
		n++
	}
	if n != maxLaterBytes/sizeOf(&e) {
		t.Errorf("%d events of %d bytes fit", n, sizeOf(&e))
	}
	first := l.next()
	l.drop(len(first))
	if !l.add(e) || len(first) == 0 {
		t.Errorf("%d were taken away, and there is no room", len(first))
	}
}

// TestNoSnapshotWhereThereIsNoRoom holds that no second shard is made where the
// first one has half of the memory.
func TestNoSnapshotWhereThereIsNoRoom(t *testing.T) {
	s := &steps{node: &Node{log: zap.NewNop()}}
	f := func(limit float64, want bool) {
		t.Helper()
		s.limit = limit
		if got := s.holdsSnapshots(); got != want {
			t.Errorf("limit %g: %t, want %t", limit, got, want)
		}
	}
	runtime.GC() // what is alive is known after the first
	f(0, false)
	f(1, true)
	f(1<<60, false)
}
