package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/ladder"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// people are whom self-alerts reach, by a webhook of their own.
type people struct {
	mu    sync.Mutex
	deaf  int                  // attempts that fail first
	heard map[string]time.Time // "sink_failed raised" or "sink_failed over", when it came last
}

func (p *people) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rec := httptest.NewRecorder()
	if p.deaf > 0 {
		p.deaf--
		rec.WriteHeader(http.StatusServiceUnavailable)
		return rec.Result(), nil
	}
	var told struct {
		Cause  string
		Raised bool
	}
	if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
		return nil, err
	}
	p.heard[told.Cause+map[bool]string{true: " raised", false: " over"}[told.Raised]] = time.Now()
	return rec.Result(), nil
}

// when is the time at which people heard of a cause last; zero if they did not.
func (p *people) when(what string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[what]
}

// newToldSite is a site whose self-alerts reach people, with more configuration
// under the key winnow.
func newToldSite(t *testing.T, log stream.Options, winnow string) (*site, *people) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "self.url")
	if err := os.WriteFile(file, []byte("http://people.test/token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &people{heard: map[string]time.Time{}}
	s := &site{t: t, log: log, dir: t.TempDir(), kept: true, pager: sinktest.NewPagerDuty(), told: &http.Client{Transport: p}}
	s.text = settings + fmt.Sprintf("winnow:\n  self_alert: {webhook: {url_file: %s}}\n%s", file, winnow)
	s.network = sinktest.NewNetwork(s.pager)
	t.Cleanup(func() { s.network.Close() })
	s.start()
	return s, p
}

// bend flips a bit in the middle of a file of the site.
func (s *site) bend(pattern string) {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err != nil || len(names) == 0 {
		s.t.Fatalf("looking for %s: %v %v", pattern, names, err)
	}
	b, err := os.ReadFile(names[len(names)-1])
	if err != nil {
		s.t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(names[len(names)-1], b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// imbalance enters a delivery without a disposition, or that disposition.
func (s *site) imbalance(row correlate.Row) {
	s.t.Helper()
	if err := s.node.Engine().Query(s.t.Context(), func(sh *engine.Shard) { sh.Ledger.Fold(&row) }); err != nil {
		s.t.Fatal(err)
	}
}

// TestEveryCauseIsToldAndOver makes each trouble that there is a self-alert for:
// people hear of it, and that it is over where it can be.
func TestEveryCauseIsToldAndOver(t *testing.T) {
	const watched = "  ingest: {sources: {prometheus: {silent_after: 1m}}}\n  max_alerts: 1000\n"
	critical := sample{name: "Down", pod: "1", severity: "critical"}
	var free atomic.Uint64
	space := func(string) (uint64, uint64, error) { return free.Load(), 1 << 30, nil }
	var undo func() // of the trouble
	hang := func(s *site) { undo = s.hang(); s.post(critical) }
	mend := func(*site) { undo() }
	told := map[selfalert.Cause]bool{}
	f := func(cause selfalert.Cause, within time.Duration, trouble, over func(*site)) {
		t.Helper()
		told[cause] = true
		t.Run(cause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free.Store(1 << 29)
				s, p := newToldSite(t, stream.Options{MaxBytes: 15 << 20, Space: space}, watched)
				time.Sleep(15 * time.Second)
				if len(p.heard) > 0 {
					t.Fatalf("without trouble people heard %v", p.heard)
				}
				trouble(s)
				time.Sleep(within)
				if p.when(cause.String() + " raised").IsZero() {
					t.Errorf("people did not hear of it within %s; they heard %v", within, p.heard)
				}
				if !slices.Contains(s.node.alarm.Raised(), cause) && cause != selfalert.DiskFailed {
					t.Error("it does not stand")
				}
				if over != nil {
					over(s)
					time.Sleep(time.Minute)
					if p.when(cause.String() + " over").IsZero() {
						t.Errorf("people did not hear that it is over; they heard %v", p.heard)
					}
				}
				if err := stopIdle(s.node); (err != nil) != (cause == selfalert.DiskFailed) {
					t.Errorf("stop: %v", err)
				}
			})
		})
	}
	f(selfalert.LogDamaged, time.Second, func(s *site) {
		s.post(critical)
		s.stop()
		s.bend("jetstream/*/streams/WINNOW_LOG/msgs/*.blk")
		if err := os.RemoveAll(filepath.Join(s.dir, "snapshots")); err != nil { // else it is not read
			t.Fatal(err)
		}
		s.start()
	}, nil)
	f(selfalert.SnapshotFailed, time.Second, func(s *site) {
		s.stop()
		s.bend("snapshots/*.snapshot")
		s.start()
	}, nil)
	f(selfalert.LogUnavailable, time.Second,
		func(s *site) { free.Store(0); undo = s.fill() },
		func(s *site) { undo(); free.Store(1 << 29); time.Sleep(30 * time.Second); s.post(critical) })
	f(selfalert.BooksUnbalanced, booksEvery,
		func(s *site) { s.imbalance(correlate.Row{Action: correlate.Delivered}) },
		func(s *site) { s.imbalance(correlate.Row{Action: correlate.Moved, Now: correlate.Repeat}) })
	f(selfalert.CriticalUnheard, time.Second, func(s *site) { hang(s); time.Sleep(75 * time.Second); undo() }, nil)
	f(selfalert.CoreFailed, 2*booksEvery, hang, mend)
	f(selfalert.SinkFailed, 35*time.Second,
		func(s *site) { s.pager.Script(sinktest.Response{Status: http.StatusForbidden}); s.post(critical) },
		func(s *site) { s.post(sample{name: "Other", pod: "1", severity: "critical"}) })
	f(selfalert.ReloadFailed, time.Second,
		func(s *site) { undo = s.misspell("route:") },
		func(s *site) { undo(); _ = s.node.Reload(s.t.Context()) })
	f(selfalert.SourceSilent, 3*time.Minute,
		func(s *site) { s.post(critical) },
		func(s *site) { s.post(critical) })
	f(selfalert.SourceUnreadable, time.Second, func(s *site) {
		for range unreadableMany {
			s.ask(http.MethodPost, "/ingest/prometheus", "{")
		}
	}, nil)
	f(selfalert.PolicyUnpages, time.Second, func(s *site) {
		s.post(critical)
		time.Sleep(time.Minute)
		s.stop()
		good := s.text
		undo = func() { s.text = good }
		s.text = toNobody(good, "Down")
		s.start()
	}, func(s *site) { undo(); _ = s.node.Reload(s.t.Context()) })
	f(selfalert.DiskLow, 2*diskEvery,
		func(*site) { free.Store(1 << 20) },
		func(*site) { free.Store(1 << 29) })
	f(selfalert.DiskFailed, time.Second, func(s *site) {
		s.fillUp(func(block string) error { return os.Mkdir(block, 0o700) })
	}, nil)
	f(selfalert.Degraded, ladder.LagWithoutLookUps+3*time.Second, hang, func(s *site) { undo(); time.Sleep(ladder.GoodFor) })
	f(selfalert.LimitReached, limitsEvery+time.Second,
		func(s *site) { s.postMany(1001) },
		func(*site) { time.Sleep(limitOver) })
	f(selfalert.PageWaits, 30*time.Second+pagePatience+2*time.Second, func(s *site) {
		for range 5 { // a minute of it
			s.pager.Script(sinktest.Response{Status: http.StatusServiceUnavailable})
		}
		s.post(critical)
	}, func(*site) {})
	for c := range selfalert.NumCauses {
		if !told[c] {
			t.Errorf("no trouble is made that raises %s", c)
		}
	}
}

// misspell breaks the configuration and has it read.
func (s *site) misspell(key string) (undo func()) {
	good := s.text
	s.text = strings.Replace(good, key, "x"+key, 1)
	_ = s.node.Reload(s.t.Context()) // it fails
	return func() { s.text = good }
}
