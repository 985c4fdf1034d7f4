package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

func TestMain(m *testing.M) {
	ats.Register() // see internal/stream
	os.Exit(m.Run())
}

func testPolicy() *correlate.Policy {
	return &correlate.Policy{
		Route: correlate.Route{
			ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname"},
			GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour,
		},
		Receivers:      []correlate.Receiver{{Name: "oncall", Resolved: true}},
		ResolveTimeout: time.Hour,
	}
}

// life is one run of an engine over a folder.
type life struct {
	t      *testing.T
	stream *stream.Stream
	engine *Engine
	cancel context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	got    []string
	silent bool // sinks that report nothing
}

func begin(t *testing.T, dir string, p *correlate.Policy, hash string) *life {
	t.Helper()
	return beginWith(t, dir, p, hash, "")
}

func beginWith(t *testing.T, dir string, p *correlate.Policy, hash, snapshots string) *life {
	t.Helper()
	return beginOn(t, stream.Options{Dir: dir}, p, hash, snapshots)
}

func beginOn(t *testing.T, o stream.Options, p *correlate.Policy, hash, snapshots string) *life {
	t.Helper()
	s, err := stream.Open(t.Context(), o)
	if err == nil {
		err = s.Take(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, stream: s, ended: make(chan error, 1)}
	l.engine, err = New(t.Context(), Options{Stream: s, Policy: p, PolicyHash: hash, SnapshotDir: snapshots, Deliver: l.deliver})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() { l.ended <- l.engine.Run(ctx) }()
	select {
	case <-l.engine.Ready():
	case err := <-l.ended:
		t.Fatalf("the engine ended at once: %v", err)
	}
	return l
}

func (l *life) deliver(_ context.Context, n *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for i := range n.Alerts {
		names = append(names, n.Alerts[i].Labels.Get("alertname")+"/"+n.Alerts[i].Labels.Get("pod"))
	}
	l.got = append(l.got, fmt.Sprintf("%s %s %s", correlate.IncidentName(n.Incident), n.Kind, strings.Join(names, ",")))
	if !l.silent {
		l.engine.Report(correlate.Receipt{
			Incident: n.Incident, Revision: n.Revision, Kind: n.Kind, Receiver: n.Receiver, Integration: "test[0]",
			Outcome: correlate.Accepted, Last: true, Attempts: 1, At: alert.TimeOf(time.Now()),
		}, func() {})
	}
}

// end stops the engine in order and returns what was delivered in its life.
func (l *life) end() string {
	l.t.Helper()
	l.cancel()
	if err := <-l.ended; err != nil {
		l.t.Errorf("Run: %v", err)
	}
	if err := l.stream.Close(); err != nil {
		l.t.Errorf("Close: %v", err)
	}
	return l.seen()
}

func (l *life) seen() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.Join(l.got, "; ")
	l.got = nil
	return s
}

func (l *life) post(status alert.Status, pods ...string) {
	l.t.Helper()
	b := &ingest.Batch{Source: "test"}
	for _, pod := range pods {
		a := alert.Alert{Status: status, Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: pod}, {Name: "severity", Value: "critical"}}}
		a.Fingerprint = a.Labels.Fingerprint()
		b.Alerts = append(b.Alerts, a)
	}
	if err := l.stream.Append(l.t.Context(), b); err != nil {
		l.t.Fatal(err)
	}
}

// balance returns the accounts in short, and fails when they do not balance.
func (l *life) balance() string {
	l.t.Helper()
	var s string
	if err := l.engine.Query(l.t.Context(), func(sh *Shard) {
		r := sh.Ledger.Report(0)
		s = fmt.Sprintf("E=%d O=%d I=%d N=%d P=%d pending=%d swallowed=%d", r.Deliveries, r.Onsets, r.Incidents, r.Notifications, r.Pages, r.Pending, r.SwallowedCriticals)
		if !r.Balanced {
			l.t.Errorf("the books do not balance: %+v", r)
		}
	}); err != nil {
		l.t.Fatal(err)
	}
	return s
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestOnePageForAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, t.TempDir(), testPolicy(), "p1")
		l.post(alert.Firing, "a", "b")
		time.Sleep(time.Minute)
		want(t, "after group_wait", l.seen(), "INC-1 page A/a,A/b")
		l.post(alert.Firing, "a", "b")
		l.post(alert.Resolved, "a", "b")
		time.Sleep(10 * time.Minute)
		want(t, "after the end", l.seen(), "INC-1 resolve A/a,A/b")
		want(t, "accounts", l.balance(), "E=6 O=2 I=1 N=2 P=1 pending=0 swallowed=0")
		l.end()
	})
}

func TestDaysOfVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPolicy()
		p.ResolveTimeout = 48 * time.Hour
		l := begin(t, t.TempDir(), p, "p1")
		l.post(alert.Firing, "a")
		time.Sleep(24*time.Hour + time.Minute)
		// A page and a reminder every 4h, on the beat of group_interval.
		want(t, "in a day", strings.Repeat("x", strings.Count(l.seen(), ";")+1), "xxxxxx")
		l.end()
	})
}

func TestPageIsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, t.TempDir(), testPolicy(), "p1")
		l.post(alert.Firing, "a")
		time.Sleep(30*time.Second - time.Millisecond)
		want(t, "before group_wait", l.seen(), "")
		time.Sleep(time.Millisecond + tickSpacing)
		want(t, "at group_wait", l.seen(), "INC-1 page A/a")
		l.end()
	})
}

// TestRestartPagesNothingTwice stops in order and by crash, with and without
// receipts, in the wait of a group and after its page.
func TestRestartPagesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := begin(t, dir, testPolicy(), "p1")
		l.post(alert.Firing, "a")
		time.Sleep(10 * time.Second)
		want(t, "first life", l.end(), "")

		time.Sleep(5 * time.Second)
		l = begin(t, dir, testPolicy(), "p1")
		time.Sleep(14 * time.Second)
		want(t, "second life, before the page is due", l.seen(), "")
		time.Sleep(2 * time.Second)
		want(t, "second life", l.end(), "INC-1 page A/a")

		l = begin(t, dir, testPolicy(), "p1")
		l.post(alert.Firing, "a")
		time.Sleep(time.Hour)
		want(t, "third life", l.end(), "")

		// In the fourth its group's end is due while nobody runs.
		l = begin(t, dir, testPolicy(), "p1")
		l.post(alert.Resolved, "a")
		want(t, "fourth life", l.end(), "")
		time.Sleep(time.Hour)
		l = begin(t, dir, testPolicy(), "p1")
		time.Sleep(time.Second)
		want(t, "accounts", l.balance(), "E=3 O=1 I=1 N=2 P=1 pending=0 swallowed=0")
		want(t, "fifth life", l.end(), "INC-1 resolve A/a")
	})
}

func TestUnreportedIsDeliveredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := begin(t, dir, testPolicy(), "p1")
		l.silent = true
		l.post(alert.Firing, "a")
		time.Sleep(time.Minute)
		want(t, "first life", l.end(), "INC-1 page A/a")
		l = begin(t, dir, testPolicy(), "p1")
		time.Sleep(time.Second)
		want(t, "second life", l.end(), "INC-1 page A/a")
		l = begin(t, dir, testPolicy(), "p1")
		time.Sleep(time.Second)
		want(t, "third life", l.end(), "")
	})
}

// TestResolvedIsNotPagedAgain: a page and its resolve, heard both but not
// confirmed, were sent again one after the other, and the page opened anew what
// was over.
func TestResolvedIsNotPagedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := begin(t, dir, testPolicy(), "p1")
		l.silent = true
		l.post(alert.Firing, "a")
		time.Sleep(time.Minute)
		l.post(alert.Resolved, "a")
		time.Sleep(10 * time.Minute)
		want(t, "first life", l.end(), "INC-1 page A/a; INC-1 resolve A/a")
		l = begin(t, dir, testPolicy(), "p1")
		time.Sleep(time.Second)
		want(t, "second life", l.end(), "INC-1 resolve A/a")
		l = begin(t, dir, testPolicy(), "p1")
		time.Sleep(time.Second)
		want(t, "third life", l.end(), "")
	})
}

func TestOurAbsenceResolvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := begin(t, dir, testPolicy(), "p1")
		l.post(alert.Firing, "a")
		time.Sleep(time.Minute)
		want(t, "first life", l.end(), "INC-1 page A/a")
		time.Sleep(12 * time.Hour) // longer than the alert is believed
		l = begin(t, dir, testPolicy(), "p1")
		time.Sleep(10 * time.Minute)
		l.post(alert.Firing, "a")
		time.Sleep(10 * time.Minute)
		if got := l.end(); strings.Contains(got, "resolve") {
			t.Errorf("an alert that nobody ended was resolved: %s", got)
		}
	})
}

func TestReloadWithAnotherConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := begin(t, dir, testPolicy(), "p1")
		l.post(alert.Firing, "a")
		p := testPolicy()
		p.Route.GroupWait = 10 * time.Second
		if err := l.engine.SetPolicy(t.Context(), p, "p2"); err != nil {
			t.Fatal(err)
		}
		l.end()
		// The next life has yet another, and learns of it from its options.
		p = testPolicy()
		p.Route.Receiver, p.Receivers[0].Name = "others", "others"
		l = begin(t, dir, p, "p3")
		time.Sleep(time.Minute)
		var policy string
		if err := l.engine.Query(t.Context(), func(s *Shard) { policy = s.policy }); err != nil {
			t.Fatal(err)
		}
		want(t, "policy in force", policy, "p3")
		want(t, "delivered", l.end(), "INC-2 page A/a")
	})
}

func TestBrokenPolicyNeverReachesTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, t.TempDir(), testPolicy(), "p1")
		p := testPolicy()
		p.Route.Receiver = "gone"
		if err := l.engine.SetPolicy(t.Context(), p, "p2"); err == nil {
			t.Error("a policy with an unknown receiver was taken")
		}
		l.post(alert.Firing, "a")
		time.Sleep(time.Minute)
		want(t, "delivered under the old one", l.end(), "INC-1 page A/a")
	})
}

func TestZombieIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, t.TempDir(), testPolicy(), "p1")
		rec, err := frame.AppendCommit(nil, 1, &frame.Commit{Epoch: 9, Input: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.stream.Commit(t.Context(), rec, 0); err != nil {
			t.Fatal(err)
		}
		l.post(alert.Firing, "a")
		time.Sleep(time.Minute)
		if err := <-l.ended; err == nil || !strings.Contains(err.Error(), "another process owns this shard") {
			t.Errorf("Run returned %v, want that it was fenced", err)
		}
		want(t, "delivered by the one that lost", l.seen(), "")
		l.stream.Close()
	})
}

// TestSameSeedSameBytes holds that what is decided depends on what was logged
// and when, and on nothing else.
func TestSameSeedSameBytes(t *testing.T) {
	run := func() (records []string) {
		synctest.Test(t, func(t *testing.T) {
			l := begin(t, t.TempDir(), testPolicy(), "p1")
			for i := range 200 {
				status := alert.Firing
				if i%7 == 3 {
					status = alert.Resolved
				}
				l.post(status, fmt.Sprint(i*i%17), fmt.Sprint(i%5))
				time.Sleep(time.Duration(i%13) * 7 * time.Second)
			}
			e, err := l.stream.Outbox(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.stream.ReadOutbox(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			for range e.Last {
				m, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				_, c, err := frame.DecodeCommit(m.Data)
				if err != nil {
					t.Fatal(err)
				}
				// Which message a decision came with may differ, as may how many
				// appends shared a frame; what was decided, and for when, may not.
				decided, err := json.Marshal(c.Outputs)
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, string(decided))
			}
			r.Close()
			l.end()
		})
		return records
	}
	first := run()
	if len(first) < 10 {
		t.Fatalf("only %d records: too few to prove anything", len(first))
	}
	for i := range 2 {
		if again := run(); strings.Join(again, "\x00") != strings.Join(first, "\x00") {
			t.Fatalf("run %d decided otherwise: %d records, the first had %d", i+2, len(again), len(first))
		}
	}
}

// TestQuarantinedIsInTheBooks: what a door could not read counts as so many
// deliveries as it held, and as one where nobody can say.
func TestQuarantinedIsInTheBooks(t *testing.T) {
	s, err := NewShard(testPolicy())
	if err != nil {
		t.Fatal(err)
	}
	for i, alerts := range []int{3, 0} {
		m := message(t, uint64(i+1), 1, frame.Event{Kind: frame.Quarantine, Quarantine: &frame.Quarantined{Source: "test", Reason: "no labels", Alerts: alerts}})
		s.Apply(&m)
	}
	totals := s.Ledger.Totals()
	if n := totals.Dispositions[correlate.Quarantined]; n != 4 || totals.Deliveries != 4 || !totals.Balanced || len(s.Faults()) > 0 {
		t.Errorf("%d quarantined of %d deliveries, want 4 of 4; balanced: %v", n, totals.Deliveries, totals.Balanced)
	}
}

// TestPoisonIsGivenUp has an alert that breaks the core: after three tries its
// message is passed over, in this life and the next, and the others go on.
func TestPoisonIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		breaks := 0
		poison := func(e *frame.Event) {
			for i := range e.Alerts {
				if e.Alerts[i].Labels.Get("pod") == "poison" {
					breaks++
					panic("poison")
				}
			}
		}
		l := beginIn(t, dir)
		var given []uint64
		l.engine.opts.Poisoned = func(m *stream.Message, _ error) { given = append(given, m.Seq) }
		if err := l.engine.Query(t.Context(), func(s *Shard) { l.engine.owner.Probe, s.probe = poison, poison }); err != nil {
			t.Fatal(err)
		}
		l.post(alert.Firing, "a")
		time.Sleep(time.Minute)
		l.post(alert.Firing, "poison")
		l.post(alert.Firing, "b")
		time.Sleep(10 * time.Minute)
		if breaks != maxBreaks || len(given) != 1 {
			t.Errorf("the core broke %d times, %d messages were given up; want %d and 1", breaks, len(given), maxBreaks)
		}
		want(t, "the others", l.seen(), "INC-1 page A/a; INC-1 update A/a,A/b")
		want(t, "accounts", l.balance(), "E=3 O=2 I=1 N=2 P=1 pending=0 swallowed=0")
		l.end()

		// No snapshot covers the message: only the list keeps the replay from it.
		written, err := filepath.Glob(filepath.Join(dir, "snapshots", "*"+snapshotSuffix))
		if err != nil || len(written) == 0 {
			t.Fatalf("snapshots %v, %v", written, err)
		}
		for _, file := range written {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		l = beginIn(t, dir)
		if err := l.engine.Query(t.Context(), func(s *Shard) { l.engine.owner.Probe, s.probe = poison, poison }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		want(t, "accounts in the next life", l.balance(), "E=3 O=2 I=1 N=2 P=1 pending=0 swallowed=0")
		if breaks != maxBreaks {
			t.Errorf("it broke the next life too")
		}
		l.end()
	})
}
