//go:build e2e && k9

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestK9 kills Winnow over and over while senders are at work: inside requests,
// right after a provider has answered 2xx, at its start, as it writes a
// snapshot, as it reloads and as it stops. K9_KILLS says how often, K9_SEED
// which story. Every so many kills the senders pause, and what a fake PagerDuty
// has got must be what they were promised. K9_IN_DOUBT is how many messages of one
// integration may come again after a kill: one, where nothing takes over half a
// second, and as many as are sent at once on a busy machine. A part of the kills, stormShare of
// them, is made with storm control in force.
func TestK9(t *testing.T) {
	kills, seed := fromEnv(t, "K9_KILLS", 100), uint64(fromEnv(t, "K9_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("again: make k9 N=%d SEED=%d", kills, seed)
	storm := (kills + stormShare - 1) / stormShare
	var lines []string
	t.Run("apart", func(t *testing.T) { lines = append(lines, "apart: "+runK9(t, kills-storm, seed, 0)) })
	t.Run("storm", func(t *testing.T) { lines = append(lines, "storm: "+runK9(t, storm, seed, stormLimit)) })
	figures.say("k9", strings.Join(lines, "\n"))
	if t.Failed() {
		t.Logf("seed %d: make k9 N=%d SEED=%d", seed, kills, seed)
	}
}

func runK9(t *testing.T, kills int, seed uint64, limit int) string {
	k := newK9(t, seed, limit)
	defer func() { t.Log(k.line()) }() // also of a run that was given up
	for done := 0; done < kills; {
		n := min(killsPerChapter, kills-done)
		k.chapter(n)
		if done += n; done%500 == 0 {
			t.Log(k.line())
		}
	}
	k.vacuity(kills)
	return k.line()
}

const (
	killsPerChapter = 25
	stormShare      = 4
	k9Senders       = 4
	// recovery is how long after a start everybody may take to hear of
	// everything.
	recovery = 60 * time.Second
)

// k9 is one Winnow that is killed over and over, and what was seen of it.
type k9 struct {
	t    *testing.T
	rng  *rand.Rand
	w    *winnow
	pd   *pager
	hook *hook
	file *lines
	m    *model // of the chapter
	crew []*hand

	limit int // of new groups in a minute; 0: storm control is off
	names *naming

	process atomic.Pointer[os.Process]
	life    atomic.Int64 // how often it was started
	gate    sync.RWMutex // held by a sender while it acts
	quit    chan struct{}
	running sync.WaitGroup

	under  atomic.Int64 // requests that have left and are not answered
	cut    atomic.Int64 // requests that were never answered
	took   atomic.Int64 // nanoseconds that the last good request took
	armed  atomic.Bool  // kill inside the next request
	after  atomic.Int32 // kill after the next answer of 1: the pager, 2: the webhook
	hit    atomic.Bool  // the kill was made from such an answer
	caught atomic.Bool  // requests were under way when the kill was made

	keys  map[string]string // receivers of all groups so far, by dedup_key
	paged map[string]bool   // pages so far: key and incident
	noted map[string]bool   // pages of which the log has a receipt
	// unpaged are the incidents of whose page it has none: the end came while the
	// page was in doubt.
	unpaged map[string]bool
	heard   int // events of the pager that have been judged
	strays  int // events under a key of no group

	stopped map[int64]bool // lives that ended in order
	reloads int
	ready   []time.Duration
	kills   counts
	sum     k9sum
	settled time.Duration // the longest that a recovery took
	started time.Time     // when it was last ready
}

// counts count by name.
type counts map[string]int

// k9sum is what the chapters came to.
type k9sum struct {
	stops, unclean, inflight, after2xx       int
	deliveries, spare, onsets, opened, brief int
	incidents, alerts, pages, resolves       int
	lost, doubled, stuck, phantoms, mute     int
	overtaken                                int
	storms, stormed                          int // keys of storms, and alerts that they named
	repeatedPages                            int
	receipts, needless                       int // receipts looked at, and those of what was sent again with one in the log
}

func newK9(t *testing.T, seed uint64, limit int) *k9 {
	k := &k9{t: t, limit: limit, names: newNaming(), stopped: map[int64]bool{}, rng: rand.New(rand.NewPCG(seed, 0)), m: newModel(), quit: make(chan struct{}), kills: counts{}, keys: map[string]string{}, paged: map[string]bool{}, noted: map[string]bool{}, unpaged: map[string]bool{}}
	k.pd, k.hook = newPager(t), newHook(t, &k.life)
	k.file = &lines{incidents: map[string]bool{}, pods: map[string]bool{}, path: filepath.Join(t.TempDir(), "pages.jsonl")}
	for _, answered := range []struct {
		by int32
		to *atomic.Pointer[func()]
	}{{1, &k.pd.answered}, {2, &k.hook.answered}} {
		f := func() {
			if k.after.CompareAndSwap(answered.by, 0) {
				k.hit.Store(true)
				k.strike()
			}
		}
		answered.to.Store(&f)
	}
	k.w = stoppedWinnow(t, k.config())
	k.w.address = fixedAddress(t)
	k.begin()
	for i := range k9Senders {
		h := newHand(k, i, seed)
		k.crew = append(k.crew, h)
		k.running.Go(h.run)
	}
	t.Cleanup(func() {
		close(k.quit)
		k.running.Wait()
	})
	return k
}

// config is that of the other stories, with a webhook and a file beside
// PagerDuty: neither has a key to fold what comes twice. It differs from reload
// to reload in how often it repeats, and in how many groups are a storm, so that
// storms end and begin. Groups open faster here than people could
// bear; without a limit they are no storm, and each is followed by itself.
func (k *k9) config() string {
	text := k.pd.routes(timing{wait: 400 * time.Millisecond, interval: 500 * time.Millisecond}, false)
	text = strings.Replace(text, "repeat_interval: 4h", fmt.Sprintf("repeat_interval: %dh", 4+k.reloads%2), 1)
	for _, name := range []string{"platform", "oncall"} {
		text = strings.Replace(text, "  - name: "+name+"\n", "  - name: "+name+"\n    webhook_configs:\n      - url: "+k.hook.url+"\n", 1)
	}
	return text + fmt.Sprintf(`
winnow:
  storm: {new_groups_per_minute: %[2]d}
  sinks:
    - receiver: platform
      jsonl: {path: %[1]q}
    - receiver: oncall
      jsonl: {path: %[1]q}
`, k.file.path, k.limit*[...]int{1, 4, 12}[k.reloads%3])
}

// begin starts the next life.
func (k *k9) begin() {
	k.t.Helper()
	k.life.Add(1)
	began := time.Now()
	k.w.launch()
	k.process.Store(k.w.cmd.Process)
	k.w.ready()
	k.started = time.Now()
	k.ready = append(k.ready, k.started.Sub(began))
}

// strike kills the process. It is called from anywhere.
func (k *k9) strike() {
	if k.under.Load() > 0 {
		k.caught.Store(true)
	}
	_ = k.process.Load().Kill() // it may be dead already
}

// ended waits for the end and looks at what the life said and left.
func (k *k9) ended() {
	k.t.Helper()
	select {
	case <-k.w.done:
	case <-time.After(patience):
		k.t.Fatalf("winnow did not end within %s", patience)
	}
	k.armed.Store(false)
	k.after.Store(0)
	out := k.w.out.String()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "comes out elsewhere", "the log is damaged", "is missing from"} {
		if strings.Contains(out, bad) {
			k.t.Errorf("winnow said %q:\n%s", bad, k.w.out.Tail())
		}
	}
	if err := k.file.follow(k.life.Load()); err != nil {
		k.t.Error(err)
	}
}

// chapter makes so many kills, then pauses and looks at everything twice: as it
// stands, and when all alerts are over.
func (k *k9) chapter(kills int) {
	for n := 0; n < kills; {
		<-time.After(time.Duration(20+k.rng.IntN(180)) * time.Millisecond)
		f := k.pick()
		cut, hit := k.cut.Load(), k.hit.Swap(false)
		k.caught.Store(false)
		f.do(k)
		k.ended()
		if !f.orderly {
			n++
			k.kills[f.name]++
			if k.hit.Load() || hit {
				k.sum.after2xx++
			}
		} else {
			k.sum.stops++
		}
		k.begin()
		if !f.orderly && k.caught.Load() && k.cut.Load() > cut {
			k.sum.inflight++
		}
	}
	k.gate.Lock()
	defer k.gate.Unlock()
	k.settle("the alerts that fire have their incidents")
	for _, h := range k.crew {
		h.endAll()
	}
	k.settle("every incident is closed")
	if k.limit > 0 {
		k.judgeStorm()
		return
	}
	k.judge()
}

// settle waits until the pager shows what it should, at most for the time that
// a recovery may take.
func (k *k9) settle(what string) {
	began := time.Now()
	deadline := time.After(recovery - time.Since(k.started))
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	// What comes next has its own time, also after a failure: the resolves would
	// have none, and stand open for no other reason.
	defer func() { k.started = time.Now() }()
	for k.matches() != nil {
		select {
		case <-poll.C:
			continue
		case <-deadline:
			k.t.Errorf("%s: not within %s: %v", what, recovery, k.matches())
			return
		}
	}
	k.settled = max(k.settled, time.Since(began))
}

// matches reports what the pager shows otherwise than it should.
func (k *k9) matches() error {
	if k.limit > 0 {
		return k.stands()
	}
	return k.pd.matches(k.m.paging())
}

// fault is one way to end a life.
type fault struct {
	name    string
	weight  int
	orderly bool
	do      func(k *k9)
}

var faults = []fault{
	{"request", 6, false, (*k9).inRequest},
	{"sink", 6, false, (*k9).afterAnswer},
	{"start", 3, false, (*k9).inStart},
	{"snapshot", 2, false, (*k9).inSnapshot},
	{"reload", 2, false, (*k9).inReload},
	{"stopping", 1, false, (*k9).inStop},
	{"anytime", 2, false, (*k9).strike},
	{"SIGTERM", 2, true, (*k9).orderly},
}

func (k *k9) pick() fault {
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	n := k.rng.IntN(total)
	i := slices.IndexFunc(faults, func(f fault) bool { n -= f.weight; return n < 0 })
	return faults[i]
}

// or kills if nothing has within the time.
func (k *k9) or(within time.Duration) {
	select {
	case <-k.w.done:
	case <-time.After(within):
		k.strike()
	}
}

// inRequest kills between a request and its answer.
func (k *k9) inRequest() {
	k.armed.Store(true)
	k.or(5 * time.Second)
}

// wrote is called when a request has left.
func (k *k9) wrote(fraction float64) {
	if k.armed.CompareAndSwap(true, false) {
		go func() { // the request leaves when the callback has returned
			spin(time.Duration(fraction * float64(k.took.Load())))
			k.strike()
		}()
	}
}

// spin waits for less than a timer can.
func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

// afterAnswer kills when a provider has said 2xx: whether that was read and
// recorded, nobody knows.
func (k *k9) afterAnswer() {
	k.after.Store(1 + int32(k.rng.IntN(2)))
	k.or(5 * time.Second)
}

// inStart kills a life that has hardly begun.
func (k *k9) inStart() {
	k.strike()
	k.ended()
	k.life.Add(1)
	k.w.launch()
	k.process.Store(k.w.cmd.Process)
	usual := k.ready[len(k.ready)-1]
	<-time.After(time.Duration(1.1 * k.rng.Float64() * float64(usual)))
	k.strike()
}

// inSnapshot kills while a snapshot is being written: the one of an orderly
// stop.
func (k *k9) inSnapshot() {
	_ = k.w.cmd.Process.Signal(syscall.SIGTERM)
	dir := filepath.Join(k.w.storage, "snapshots")
	old, _ := filepath.Glob(filepath.Join(dir, "*.tmp"))
	for {
		now, _ := filepath.Glob(filepath.Join(dir, "*.tmp"))
		if slices.ContainsFunc(now, func(s string) bool { return !slices.Contains(old, s) }) {
			break
		}
		select {
		case <-k.w.done:
			return
		default:
		}
	}
	k.strike()
	<-k.w.done
	if now, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(now) > 0 {
		k.kills["snapshot cut off"]++
	}
}

// inReload kills while another configuration comes into force.
func (k *k9) inReload() {
	k.reloads++
	k.w.configure(k.config())
	_ = k.w.cmd.Process.Signal(syscall.SIGHUP)
	<-time.After(time.Duration(k.rng.IntN(30)) * time.Millisecond)
	k.strike()
}

// orderly stops it. One that says that it failed to has failed, but goes on in
// its next life.
func (k *k9) orderly() {
	_ = k.w.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.w.done:
		k.stopped[k.life.Load()] = k.w.err == nil
		if k.w.err != nil {
			k.sum.unclean++
			k.t.Errorf("winnow was asked to stop and ended with %v:\n%s", k.w.err, k.w.out.Tail())
		}
	case <-time.After(patience):
	}
}

// inStop kills a process that was asked to stop.
func (k *k9) inStop() {
	_ = k.w.cmd.Process.Signal(syscall.SIGTERM)
	<-time.After(time.Duration(k.rng.IntN(60)) * time.Millisecond)
	k.strike()
}
