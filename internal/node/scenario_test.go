package node

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/preview"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// brief is a configuration whose stories end within minutes.
const brief = `
global: {resolve_timeout: 1h}
winnow: {fallback_receiver: second}
route:
  receiver: oncall
  group_by: [alertname, cluster]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 4h
  routes:
    - {receiver: nobody, matchers: ['severity="none"']}
receivers:
  - {name: nobody}
  - name: oncall
    pagerduty_configs:
      - {routing_key: 0123456789abcdef0123456789abcdef, url: 'http://pagerduty.test/v2/enqueue'}
  - name: second
    pagerduty_configs:
      - {routing_key: 00000000000000000000000000000000, url: 'http://pagerduty.test/v2/enqueue'}
`

const (
	briefWait     = 10 * time.Second
	secondRouting = "00000000000000000000000000000000"
)

// trouble is what happens to a scenario beside its crashes.
type trouble int

const (
	noTrouble trouble = iota
	serverErrors
	tooMany
	hanging
	refusal
	lostAnswers
	poisonous
	damagedSnapshot
	clockSet
	numTroubles
)

var troubleNames = [numTroubles]string{"none", "5xx", "429", "hang", "refused", "lost_answer", "poison", "snapshot", "clock"}

// figures are those of all scenarios together.
type figures struct {
	mu                                                 sync.Mutex
	scenarios, crashes, stops, reloads, posts          int
	crashed                                            [engine.NumPoints]int
	troubles                                           [numTroubles]int
	onTime                                             int
	slowest                                            time.Duration
	lost, phantoms, open, keys, unheard, late, unsound int
}

func (f *figures) add(n *int) {
	f.mu.Lock()
	*n++
	f.mu.Unlock()
}

// life is one run of a node. Where it is armed for a point, everything stands
// still once that is passed for the last of so many times.
type life struct {
	mu      sync.Mutex
	at      engine.Point
	left    int
	still   chan struct{} // closed when the world stands still
	release chan struct{} // closed when it may go on, and nobody looks any more
	bad     map[uint64]bool
}

func (l *life) pass(p engine.Point, m *stream.Message) {
	l.mu.Lock()
	stands := closed(l.still)
	if !stands && p == l.at && l.left > 0 {
		if l.left--; l.left == 0 {
			close(l.still)
			stands = true
		}
	}
	l.mu.Unlock()
	if stands {
		<-l.release
	}
	if p == engine.MessageRead && breaksCore(m, l.bad) {
		panic("poison")
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// breaksCore says whether a message does: the first of each with the label
// pod=poison; what its sender repeats does not.
func breaksCore(m *stream.Message, bad map[uint64]bool) bool {
	if bad == nil {
		return false
	}
	var d frame.Decoder
	found := false
	_, _ = d.Decode(m.Data, func(e *frame.Event) error {
		for i := range e.Alerts {
			found = found || e.Alerts[i].Labels.Get("pod") == "poison"
		}
		return nil
	})
	if found && (bad[m.Seq] || len(bad) == 0) {
		bad[m.Seq] = true
		return true
	}
	return false
}

// expected is a page for a group that did not exist before.
type expected struct {
	name      string
	at        time.Time
	disturbed bool
}

// scenario is one short story with crashes at chosen points.
type scenario struct {
	*site
	seed    uint64
	rng     *rand.Rand
	plan    []crashPoint
	trouble trouble
	f       *figures

	life     *life
	bad      map[uint64]bool
	machine  machine
	graves   sync.WaitGroup
	live     []sample
	heard    map[string]string // what has been posted: severity by name
	expected []expected
	disturb  bool // from now on
	names    int
	restarts int
}

type crashPoint struct {
	point engine.Point
	nth   int
}

// newScenario derives all that happens from the seed: 19 points by 9 troubles,
// and then by chance.
func newScenario(t *testing.T, seed uint64, f *figures) *scenario {
	s := &scenario{seed: seed, rng: rand.New(rand.NewPCG(seed, 12)), f: f, heard: map[string]string{}}
	points := uint64(engine.NumPoints)
	s.trouble = trouble(seed / points % uint64(numTroubles))
	first := crashPoint{engine.Point(seed % points), 1 + s.rng.IntN(3)}
	switch first.point {
	case engine.GivenUp:
		s.trouble, first.nth = poisonous, 1
	case engine.CommittedPart, engine.StopWritten, engine.CaughtUp, engine.PolicyWritten, engine.Resumed:
		first.nth = 1
	}
	s.plan = []crashPoint{first}
	for range s.rng.IntN(3) {
		s.plan = append(s.plan, crashPoint{engine.Point(s.rng.IntN(int(points))), 1 + s.rng.IntN(4)})
	}
	if s.trouble == poisonous {
		s.bad = map[uint64]bool{}
	}
	s.site = &site{t: t, dir: t.TempDir(), kept: true, text: brief, pager: sinktest.NewPagerDuty()}
	s.log.Clock = s.machine.tell
	if s.trouble == clockSet { // by hours: whoever speaks of an end has to say of what
		s.starts = map[string]time.Time{}
	}
	s.network = sinktest.NewNetwork(s.pager)
	return s
}

// do runs what may stand still in the middle, and crashes if it does; bury ends
// what is left then.
func (s *scenario) do(f func() error, bury func()) (err error, crashed bool) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err, false
	case <-s.life.still:
		s.crashAt(func() { <-done; bury() })
		return nil, true
	}
}

func (s *scenario) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.life.still:
		s.crashAt(s.stopper())
		s.begin()
	}
}

// rest sleeps that long, however often it crashes meanwhile.
func (s *scenario) rest(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.sleep(time.Until(end))
	}
}

// stopper stops the present node; its words are lost, and it may well say so.
func (s *scenario) stopper() func() {
	n := s.node
	return func() { _ = stopIdle(n) }
}

// crashAt goes on with what the disk holds while the world stands still. The
// node that is dead goes on in its own, where nobody hears of it.
func (s *scenario) crashAt(bury func()) {
	synctest.Wait()
	copied := s.t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(s.dir)); err != nil {
		s.t.Fatal(err)
	}
	s.network.Close()
	s.network = sinktest.NewNetwork(s.pager)
	dead := s.life
	s.node, s.dir, s.plan = nil, copied, s.plan[1:]
	s.f.mu.Lock()
	s.f.crashes++
	s.f.crashed[dead.at]++
	s.f.mu.Unlock()
	s.disturbed()
	close(dead.release)
	s.graves.Go(bury)
}

// begin starts a node, again if it crashes on the way.
func (s *scenario) begin() {
	for {
		s.restarts++
		s.life = &life{still: make(chan struct{}), release: make(chan struct{}), bad: s.bad}
		if len(s.plan) > 0 {
			s.life.at, s.life.left = s.plan[0].point, s.plan[0].nth
		}
		s.point = s.life.pass
		if s.trouble == damagedSnapshot && s.restarts > 1 && s.rng.IntN(2) == 0 {
			s.damageSnapshot()
		}
		if s.trouble == clockSet && s.restarts > 1 && s.rng.IntN(2) == 0 {
			s.setClock()
		}
		var n *Node
		mine, still := s.options(), s.life.still
		err, crashed := s.do(func() (err error) {
			if n, err = Start(s.t.Context(), mine); err != nil {
				return err
			}
			select {
			case <-n.Ready():
			case <-still:
			}
			return nil
		}, func() {
			if n != nil {
				_ = stopIdle(n)
			}
		})
		if err != nil {
			s.t.Fatalf("seed %d: start: %v", s.seed, err)
		}
		if !crashed {
			s.node = n
			return
		}
	}
}

// disturbed says that pages that are due now may be late.
func (s *scenario) disturbed() {
	for i := range s.expected {
		if e := &s.expected[i]; time.Since(e.at) <= briefWait+time.Second {
			e.disturbed = true
		}
	}
}

func (s *scenario) damageSnapshot() {
	names, _ := filepath.Glob(filepath.Join(s.dir, "snapshots", "*.snapshot"))
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	b, err := os.ReadFile(names[len(names)-1])
	if err != nil {
		s.t.Fatal(err)
	}
	b[s.rng.IntN(len(b))] ^= 1 << s.rng.IntN(8)
	if err := os.WriteFile(names[len(names)-1], b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.f.add(&s.f.troubles[damagedSnapshot])
}

// setClock sets that of the machine, by seconds or by two days at most. That pages
// come late is no trouble that it may make while Winnow runs.
func (s *scenario) setClock() {
	by := time.Duration(float64(time.Second) * math.Exp(s.rng.Float64()*12))
	if s.rng.IntN(2) == 0 {
		by = -by
	}
	s.machine.set.Add(int64(by))
	s.f.add(&s.f.troubles[clockSet])
}

// makeTrouble has the provider misbehave at its next requests.
func (s *scenario) makeTrouble() {
	var r sinktest.Response
	n := 1 + s.rng.IntN(2)
	switch s.trouble {
	case serverErrors:
		r.Status, n = []int{500, 502, 503}[s.rng.IntN(3)], 1+s.rng.IntN(4)
	case tooMany:
		r.Status, r.RetryAfter = http.StatusTooManyRequests, fmt.Sprint(1+s.rng.IntN(40))
	case hanging:
		r.Hang, n = true, 1
	case refusal:
		r.Status, n = http.StatusForbidden, 1
	case lostAnswers:
		r.Drop, r.Apply = true, true
	case clockSet:
		s.setClock()
		return
	default:
		return
	}
	for range n {
		s.pager.Script(r)
	}
	s.f.add(&s.f.troubles[s.trouble])
	s.disturb = true // whichever request meets it
	s.disturbed()
}

func (s *scenario) stopAndStart() {
	s.disturbed()
	old := s.node
	time.Sleep(time.Millisecond) // as stopIdle does
	err, _ := s.do(old.Stop, func() {})
	if err != nil {
		s.t.Errorf("seed %d: stop: %v", s.seed, err)
	}
	s.f.add(&s.f.stops)
	time.Sleep(time.Duration(s.rng.IntN(120)) * time.Second)
	s.begin()
}

func (s *scenario) reload() {
	s.text = strings.Replace(brief, "group_interval: 1m", fmt.Sprintf("group_interval: %ds", 60+s.rng.IntN(10)), 1)
	old := s.node
	err, crashed := s.do(func() error {
		err := old.Reload(s.t.Context())
		if _, refused := errors.AsType[*preview.Refused](err); refused { // an alert that was short would have ended before
			err = old.ForceReload(s.t.Context())
		}
		return err
	}, s.stopper())
	if err != nil {
		s.t.Errorf("seed %d: reload: %v", s.seed, err)
	}
	s.f.add(&s.f.reloads)
	if crashed {
		s.begin()
	}
}

// fire posts alerts of a group, a new one or one that is known.
func (s *scenario) fire() {
	severities := []string{"critical", "critical", "error", "warning", "none"}
	k := s.rng.IntN(max(s.names, 1))
	if s.names == 0 || s.names < 6 && s.rng.IntN(2) == 0 {
		k = s.names
		s.names++
	}
	a := sample{name: fmt.Sprint("Group", k), severity: severities[(k+int(s.seed))%len(severities)]}
	var batch []sample
	for range 1 + s.rng.IntN(3) {
		a.pod = fmt.Sprint(s.rng.IntN(4))
		if !slices.Contains(batch, a) {
			batch = append(batch, a)
		}
	}
	s.send(batch...)
}

// send posts and remembers what must come of it.
func (s *scenario) send(batch ...sample) {
	s.post(batch...)
	name, severity := batch[0].name, batch[0].severity
	if s.heard[name] == "" && severity != "none" {
		s.expected = append(s.expected, expected{name: name, at: time.Now(), disturbed: s.disturb})
	}
	s.heard[name] = severity
	for _, a := range batch {
		if !slices.Contains(s.live, a) {
			s.live = append(s.live, a)
		}
	}
	s.f.add(&s.f.posts)
}

func (s *scenario) resolve(a sample) {
	s.live = slices.DeleteFunc(s.live, func(b sample) bool { return a == b })
	a.resolved = true
	s.post(a)
	s.f.add(&s.f.posts)
}

// patience is how long the first alert of a group fires at least: until its page
// has gone out, also if the provider does not take it at once. A page that its
// resolve overtakes is not told to anybody.
func (s *scenario) patience() time.Duration {
	if s.disturb {
		return 2 * time.Minute
	}
	return briefWait + 2*time.Second
}

// old finds an alert that may end; -1 where there is none.
func (s *scenario) old() int {
	return slices.IndexFunc(s.live, func(a sample) bool {
		return !slices.ContainsFunc(s.expected, func(e expected) bool { return e.name == a.name && time.Since(e.at) < s.patience() })
	})
}

// large has one message decide more than one commit record holds.
func (s *scenario) large() {
	for k := range 2 {
		var batch []sample
		for i := range 256 {
			batch = append(batch, sample{name: fmt.Sprint("Large", k), pod: fmt.Sprint(i), severity: "warning", text: strings.Repeat("x", 5000)})
		}
		s.send(batch...)
	}
	s.sleep(briefWait + 2*time.Second)
	for k := range 2 {
		var batch []sample
		for _, a := range s.live {
			if a.name == fmt.Sprint("Large", k) {
				a.resolved, a.text = true, ""
				batch = append(batch, a)
			}
		}
		s.post(batch...)
	}
	s.live = slices.DeleteFunc(s.live, func(a sample) bool { return strings.HasPrefix(a.name, "Large") })
}

// long has the log grow until a snapshot is due while running.
func (s *scenario) long() {
	a := sample{name: "Long", pod: "1", severity: "warning"}
	for range 210 {
		s.send(a)
	}
	s.sleep(6 * time.Minute)
}

// play tells the story.
func (s *scenario) play() {
	defer func() {
		s.graves.Wait()
		s.network.Close()
	}()
	first := s.plan[0].point
	s.begin()
	steps := 10 + s.rng.IntN(12)
	for i := range steps {
		s.sleep(time.Duration(s.rng.IntN(20_000)) * time.Millisecond)
		switch {
		case i == 3 && first == engine.CommittedPart:
			s.large()
		case i == 3 && first >= engine.SnapshotSynced && first <= engine.WitnessBegun && s.rng.IntN(2) == 0:
			s.long()
		case i == 4 && s.trouble == poisonous:
			s.disturbed()
			s.disturb = true
			s.send(sample{name: "Poison", pod: "poison", severity: "critical"})
			s.f.add(&s.f.troubles[poisonous])
		case i == 7 && s.trouble == poisonous:
			s.sleep(time.Minute)
			s.send(sample{name: "Poison", pod: "poison", severity: "critical"})
		case i%5 == 1:
			s.makeTrouble()
			s.fire()
		case i == 5 && first >= engine.SnapshotSynced, s.rng.IntN(24) == 0, i == 8 && s.trouble == damagedSnapshot:
			s.stopAndStart()
		case s.rng.IntN(20) == 0:
			s.reload()
		case s.rng.IntN(4) == 0 && s.old() >= 0:
			s.resolve(s.live[s.old()])
		default:
			s.fire()
		}
	}
	s.rest(s.patience())
	for len(s.live) > 0 {
		s.resolve(s.live[0])
	}
	for range 30 {
		if s.rest(30 * time.Second); len(s.pager.Open()) == 0 {
			break
		}
	}
	s.rest(90 * time.Second)
	s.check()
	s.plan, s.life.left = nil, 0
	if err := stopIdle(s.node); err != nil {
		s.t.Errorf("seed %d: the last stop: %v", s.seed, err)
	}
}

// check compares what people saw with what was posted.
func (s *scenario) check() {
	bad := func(n *int, format string, args ...any) {
		s.t.Helper()
		s.f.add(n)
		s.t.Errorf("seed %d (%s, %v): %s", s.seed, troubleNames[s.trouble], s.site.t.Name(), fmt.Sprintf(format, args...))
	}
	r := s.report()
	if r.Deliveries != s.sent {
		bad(&s.f.lost, "%d deliveries posted, %d in the books", s.sent, r.Deliveries)
	}
	if !r.Balanced || r.SwallowedCriticals != 0 || r.Pending != 0 {
		bad(&s.f.unsound, "balanced %v, swallowed %d, pending %d", r.Balanced, r.SwallowedCriticals, r.Pending)
	}
	if p := s.pager.Phantoms(); len(p) != 0 {
		bad(&s.f.phantoms, "phantoms: %v", p)
	}
	for _, i := range s.pager.Open() {
		// What stands at the fallback is forgotten over a restart.
		if strings.Contains(fmt.Sprint(s.routingOf(i.Key)), secondRouting) && s.restarts > 1 {
			continue
		}
		if s.trouble == refusal && s.pager.Refused(i.Key, "resolve") {
			continue // people are told to close it by hand
		}
		bad(&s.f.open, "all is resolved, and %s is open", i.Summary)
	}
	s.checkPages(bad)
	stats := s.node.Engine().Stats()
	if n := stats.Faults.Load(); n > 0 && s.trouble != damagedSnapshot && s.trouble != poisonous {
		bad(&s.f.unsound, "%d faults of a store that nothing was done to: %v", n, s.node.alarm.Raised())
	}
	if slices.Contains(s.node.alarm.Raised(), selfalert.BooksUnbalanced) {
		bad(&s.f.unsound, "self-alerts %v", s.node.alarm.Raised())
	}
}

func (s *scenario) routingOf(key string) (routings []string) {
	for _, e := range s.pager.Events() {
		if e.Key == key && !slices.Contains(routings, e.Routing) {
			routings = append(routings, e.Routing)
		}
	}
	return routings
}

// checkPages looks for each group's page, when it came and under which keys.
func (s *scenario) checkPages(bad func(*int, string, ...any)) {
	keys := map[string][]string{} // by routing and name
	first := map[string]time.Time{}
	for _, e := range s.pager.Events() {
		if e.Action != "trigger" {
			continue
		}
		for name := range s.heard {
			if !strings.Contains(e.Summary+" ", name+" ") {
				continue
			}
			if at := e.Routing + " " + name; !slices.Contains(keys[at], e.Key) {
				keys[at] = append(keys[at], e.Key)
			}
			if first[name].IsZero() {
				first[name] = e.At
			}
		}
	}
	for at, ks := range keys {
		if len(ks) > 1 {
			bad(&s.f.keys, "%s was paged under %d keys", at, len(ks))
		}
	}
	for _, x := range s.expected {
		took := first[x.name].Sub(x.at)
		switch {
		case first[x.name].IsZero():
			// What was on its way to the fallback is in memory only.
			if s.trouble != refusal || s.restarts == 1 {
				bad(&s.f.unheard, "nobody heard of %s, posted at %s", x.name, x.at)
			}
		case x.disturbed:
		case took < briefWait && s.trouble != clockSet || took > briefWait+time.Second:
			// By a clock that goes ahead an alert began long ago, and does not wait.
			bad(&s.f.late, "%s was paged after %s", x.name, took)
		default:
			s.f.mu.Lock()
			s.f.onTime++
			s.f.slowest = max(s.f.slowest, took)
			s.f.mu.Unlock()
		}
	}
}
