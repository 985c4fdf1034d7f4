//go:build e2e && reload

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// rig is a Winnow under load whose configuration is changed all the time.
type rig struct {
	t    testing.TB
	w    *winnow
	pd   *pager
	hook *alarmHook
	rng  *rand.Rand
	load *load

	text    string // in force
	edition int    // of it
	next    int    // the newest there is
	goods   map[int]bool
	probes  map[string]int // by name, to the edition that was in force when it was posted

	outcomes  map[verdict]int // of all reloads
	classes   map[string]int
	swapped   int
	signals   int
	failing   bool // the last one
	heard     int  // self-alerts, from raised to resolved
	unnoticed int
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// put has a file stand at the path at once.
func (r *rig) put(text string) {
	r.t.Helper()
	r.must(os.WriteFile(r.w.config+".new", []byte(text), 0o600))
	r.must(os.RemoveAll(r.w.config)) // a folder stands in the way of a rename
	r.must(os.Rename(r.w.config+".new", r.w.config))
}

// alarmHook hears the self-alerts.
type alarmHook struct {
	mu     sync.Mutex
	raised map[string]bool
	raises map[string]int
}

func (h *alarmHook) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	var a struct {
		Cause  string `json:"cause"`
		Raised bool   `json:"raised"`
	}
	if json.NewDecoder(req.Body).Decode(&a) != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.raised[a.Cause] = a.Raised
	if a.Raised {
		h.raises[a.Cause]++
	}
}

func (h *alarmHook) stands(cause string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.raised[cause]
}

// load posts what fires already over and over, and new criticals between.
type load struct {
	client    *http.Client
	url       string
	requests  atomic.Int64
	rejected  atomic.Int64
	criticals atomic.Int64
	took      [2]atomic.Int64 // all, and the longest, in microseconds

	mu  sync.Mutex
	why string // the last that was rejected
}

// post sends alerts once. What is not answered 200 counts as rejected.
func (l *load) post(ps []postable) {
	body, err := json.Marshal(ps)
	if err == nil {
		began := time.Now()
		var resp *http.Response
		if resp, err = l.client.Post(l.url, "application/json", strings.NewReader(string(body))); err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("answered %s", resp.Status)
			}
		}
		us := time.Since(began).Microseconds()
		l.took[0].Add(us)
		for old := l.took[1].Load(); us > old && !l.took[1].CompareAndSwap(old, us); old = l.took[1].Load() {
		}
	}
	l.requests.Add(1)
	if err != nil {
		l.rejected.Add(1)
		l.mu.Lock()
		l.why = err.Error()
		l.mu.Unlock()
	}
}

func probe(name string) postable {
	return postable{Labels: map[string]string{"alertname": "Probe", "probe": name, "severity": "critical"}}
}

func (l *load) critical(sender, n int) {
	l.criticals.Add(1)
	l.post(firing([]postable{probe(fmt.Sprintf("load-%d-%d", sender, n))}))
}

const (
	senders   = 4
	sendEvery = 60 * time.Millisecond // each
	newEvery  = 3                     // of a sender's requests, one brings a new critical
)

// send goes on until stop is closed, and reports how many criticals it has made.
func (l *load) send(sender int, stop <-chan struct{}) (criticals int) {
	var steady []postable
	for i := range 20 {
		steady = append(steady, postable{Labels: map[string]string{"alertname": "Steady", "probe": "steady", "severity": "warning", "instance": strconv.Itoa(i)}})
	}
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return criticals
		case <-tick.C:
		}
		if n%newEvery == 0 {
			l.critical(sender, criticals)
			criticals++
		} else {
			l.post(firing(steady))
		}
	}
}

// reloads is what the status says of the last one.
type reloads struct {
	Hash   string `json:"config_hash"`
	Reload *struct {
		At      time.Time `json:"at"`
		Outcome verdict   `json:"outcome"`
		Unpaged int       `json:"unpaged"`
	} `json:"reload"`
}

func (r *rig) status() (s reloads) {
	r.t.Helper()
	r.must(r.w.get("/api/v1/status", &s))
	return s
}

// reload asks for one and returns its outcome by the answer: over HTTP, or with a
// signal, which answers nothing, by what the status says when it has changed.
func (r *rig) reload(signal bool) (verdict, string) {
	r.t.Helper()
	if !signal {
		code, answer := r.w.postReload()
		v, ok := map[int]verdict{http.StatusOK: good, http.StatusInternalServerError: broken, http.StatusConflict: dangerous}[code]
		if !ok {
			r.t.Fatalf("a reload is answered %d %s", code, answer)
		}
		return v, answer
	}
	r.signals++
	before := r.status().Reload
	r.must(r.w.cmd.Process.Signal(syscall.SIGHUP))
	var after reloads
	programs.Eventually(r.t, patience, "a signal reloads", func() error {
		if after = r.status(); after.Reload == nil || before != nil && after.Reload.At.Equal(before.At) {
			return fmt.Errorf("the status is as before")
		}
		return nil
	})
	return after.Reload.Outcome, ""
}

// try changes the file by a mutation, reloads and looks for what must have come
// of it everywhere.
func (r *rig) try(m mutation, signal bool) {
	r.t.Helper()
	r.next++
	text := r.pd.edition(r.next)
	m.put(r, text)
	r.classes[m.name]++
	got, answer := r.reload(signal)
	if got == good {
		b, err := os.ReadFile(r.w.config)
		r.must(err)
		r.text, r.edition, r.goods[r.next] = string(b), r.next, true
	}
	if got != m.want {
		r.unnoticed++
		r.t.Errorf("%s (edition %d): %s, want %s: %s", m.name, r.next, got, m.want, answer)
	}
	r.settle(m.name, got)
}

// settle holds status and self-alert to the outcome of a reload, and has a probe
// find out which configuration is in force.
func (r *rig) settle(name string, got verdict) {
	r.t.Helper()
	r.outcomes[got]++
	s := r.status()
	if hash := fmt.Sprintf("%016x", xxhash.Sum64String(r.text)); s.Hash != hash || s.Reload == nil || s.Reload.Outcome != got || (got == dangerous) != (s.Reload.Unpaged > 0) {
		r.unnoticed++
		r.t.Errorf("%s: after a reload that was %s the status says %s %+v, in force must be %s", name, got, s.Hash, s.Reload, hash)
	}
	programs.Eventually(r.t, patience, "the self-alert is as it must be after "+name, func() error {
		if r.hook.stands("reload_failed") != (got != good) {
			return fmt.Errorf("raised is %v after a reload that was %s", r.hook.stands("reload_failed"), got)
		}
		return nil
	})
	if got == good && r.failing {
		r.heard++
	}
	r.failing = got != good
	probed := fmt.Sprintf("after-%d", r.next)
	r.probes[probed] = r.edition
	r.load.post(firing([]postable{probe(probed)}))
}

// swap reloads while the file is being changed: by renames between a broken one
// and the one in force, or written in place, piece by piece.
func (r *rig) swap(inPlace bool) {
	r.t.Helper()
	r.swapped++
	r.next++
	text := r.pd.edition(r.next)
	const brokenText = "route: {receiver: nobody}\n"
	r.put(brokenText) // what stands there may be whole, though it was half when it was read
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if inPlace {
				r.trickle(text)
			} else if r.exchange([]string{r.text, brokenText}[i%2]) != nil {
				return
			}
		}
	}()
	got, _ := r.reload(false)
	close(stop)
	<-done
	if got == good && inPlace {
		r.text, r.edition, r.goods[r.next] = text, r.next, true
	}
	r.settle("a file that changes", got)
}

// exchange puts a text in the file's place with one rename.
func (r *rig) exchange(text string) error {
	if err := os.WriteFile(r.w.config+".swap", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(r.w.config+".swap", r.w.config)
}

// trickle writes a file as an editor does that does not rename. The last piece is
// a large one: without its end of line only, the file would be a whole one.
func (r *rig) trickle(text string) {
	f, err := os.Create(r.w.config)
	if err != nil {
		return
	}
	defer f.Close()
	const piece = 200
	for at, next := 0, len(text)%piece; at < len(text); at, next = next, next+piece {
		_, _ = f.WriteString(text[at:next]) // what is missing shows in the outcome
	}
}

// paged counts, by probe, the first notifications that PagerDuty got.
func (r *rig) paged() (pages map[string]int, editions map[string]int) {
	pages, editions = map[string]int{}, map[string]int{}
	for _, e := range r.pd.Events() {
		name, _ := e.Details["probe"].(string)
		edition, err := strconv.Atoi(fmt.Sprint(e.Details["edition"]))
		if err != nil || !r.goods[edition] {
			r.t.Errorf("PagerDuty heard of %s from edition %v, which was never taken", name, e.Details["edition"])
		}
		if e.Action == "trigger" && e.Details["reason"] == firstNotification {
			pages[name]++
			editions[name] = edition
		}
	}
	return pages, editions
}

// caughtUp waits until every probe has been paged, by an edition that was in force
// when it came or since.
func (r *rig) caughtUp() {
	r.t.Helper()
	programs.Eventually(r.t, patience, "every probe is paged", func() error {
		pages, editions := r.paged()
		for name, edition := range r.probes {
			if pages[name] == 0 {
				return fmt.Errorf("%s is not", name)
			}
			if editions[name] < edition {
				r.t.Errorf("%s came under edition %d and was paged by %d", name, edition, editions[name])
			}
		}
		return nil
	})
}

func newRig(t testing.TB, seed uint64) *rig {
	t.Helper()
	r := &rig{
		t: t, pd: newPager(t), hook: &alarmHook{raised: map[string]bool{}, raises: map[string]int{}}, rng: rand.New(rand.NewPCG(seed, 1)),
		next: 1, edition: 1, goods: map[int]bool{1: true}, probes: map[string]int{}, outcomes: map[verdict]int{}, classes: map[string]int{},
	}
	server := httptest.NewServer(r.hook)
	t.Cleanup(server.Close)
	r.text = r.pd.edition(1)
	r.w = newWinnow(t, r.text)
	dir := filepath.Dir(r.w.config)
	beside(t, dir)
	r.must(os.WriteFile(filepath.Join(dir, "hook.url"), []byte(server.URL+"\n"), 0o600))
	r.load = &load{url: r.w.url("/api/v2/alerts"), client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * senders}}}
	return r
}

// TestReloadsUnderLoad reloads files that are broken, dangerous or good, one after
// the other, while senders go on.
func TestReloadsUnderLoad(t *testing.T) {
	began := time.Now()
	count, seed := fromEnv(t, "WINNOW_RELOADS", 500), fromEnv(t, "WINNOW_RELOAD_SEED", 1)
	r := newRig(t, uint64(seed))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again: WINNOW_RELOAD_SEED=%d make reload", seed)
		}
	})
	stop := make(chan struct{})
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			n := r.load.send(i, stop)
			r.t.Logf("sender %d made %d criticals", i, n)
		})
	}
	r.load.post(firing([]postable{probe("first")}))
	r.probes["first"] = 1
	r.caughtUp() // the log holds a critical that was paged

	r.all(count)

	close(stop)
	sending.Wait()
	r.caughtUp()
	lost, double := r.tally()
	r.force()
	r.metrics()
	r.finish(count, lost, double, time.Since(began))
}

// all plays the mutations in random order, each class of a verdict as often as the
// others.
func (r *rig) all(count int) {
	r.t.Helper()
	byVerdict := map[verdict][]mutation{}
	for _, m := range mutations() {
		byVerdict[m.want] = append(byVerdict[m.want], m)
	}
	turn := map[verdict]int{}
	for i := range count {
		switch k := r.rng.IntN(100); {
		case k < 4:
			r.swap(k < 2)
			continue
		case k < 60:
			r.turn(byVerdict, turn, broken)
		case k < 80:
			r.turn(byVerdict, turn, dangerous)
		default:
			r.turn(byVerdict, turn, good)
		}
		if i%50 == 49 {
			r.caughtUp()
		}
	}
}

func (r *rig) turn(by map[verdict][]mutation, turn map[verdict]int, v verdict) {
	r.t.Helper()
	of := by[v]
	r.try(of[turn[v]%len(of)], r.rng.IntN(8) == 0)
	turn[v]++
}

// tally waits for what is still on its way and counts what is missing and what
// came twice.
func (r *rig) tally() (lost, double int) {
	r.t.Helper()
	want := int(r.load.criticals.Load()) + len(r.probes) + 1 // and the steady ones
	var pages map[string]int
	deadline := time.Now().Add(patience)
	for poll := time.NewTicker(50 * time.Millisecond); len(pages) < want && time.Now().Before(deadline); <-poll.C {
		pages, _ = r.paged()
	}
	for name, n := range pages {
		if n > 1 {
			double++
			r.t.Errorf("%s was paged %d times", name, n)
		}
	}
	if lost = want - len(pages); lost != 0 {
		r.t.Errorf("%d of %d groups were paged", len(pages), want)
	}
	return lost, double
}

// force takes a dangerous file with force, which must then do what was foretold,
// and mends it.
func (r *rig) force() {
	r.t.Helper()
	r.next++
	r.put(strings.Replace(r.pd.edition(r.next), "  - receiver: oncall\n      matchers", "  - receiver: nobody\n      matchers", 1))
	resp, err := http.Post(r.w.url("/-/reload?force=true"), "", nil)
	r.must(err)
	resp.Body.Close()
	if s := r.status(); resp.StatusCode != http.StatusOK || s.Reload.Outcome != "forced" || s.Reload.Unpaged == 0 {
		r.t.Errorf("a forced reload is answered %s, the status says %+v", resp.Status, s.Reload)
	}
	r.goods[r.next] = true
	r.load.post(firing([]postable{probe("forced")}))
	programs.Eventually(r.t, patience, "a critical goes to nobody, as was asked for", func() error {
		var b report
		b, err := r.w.report()
		if err == nil && b.Dispositions["below_page_threshold"] == 0 {
			return fmt.Errorf("%+v", b.Dispositions)
		}
		return err
	})
	r.next++
	r.put(r.pd.edition(r.next))
	got, answer := r.reload(false)
	if got != good {
		r.t.Errorf("to mend a forced configuration: %s %s", got, answer)
	}
	r.outcomes[good]++
	r.text, r.edition, r.goods[r.next] = r.pd.edition(r.next), r.next, true
	r.probes["forced"] = r.next
	r.caughtUp()
}

// metrics holds the counters to what was seen from outside.
func (r *rig) metrics() {
	r.t.Helper()
	f := func(metric string, want int) {
		r.t.Helper()
		if got := r.w.metric(metric); got != float64(want) {
			r.unnoticed++
			r.t.Errorf("%s is %v, counted %d", metric, got, want)
		}
	}
	f(`winnow_config_reloads_total{outcome="taken"}`, r.outcomes[good])
	f(`winnow_config_reloads_total{outcome="refused"}`, r.outcomes[dangerous])
	f(`winnow_config_reloads_total{outcome="failed"}`, r.outcomes[broken])
	f(`winnow_config_reloads_total{outcome="forced"}`, 1)
	f(`winnow_self_alerts_total{cause="reload_failed"}`, r.outcomes[broken]+r.outcomes[dangerous])
	f(`winnow_self_alert_raised{cause="reload_failed"}`, 0)
	f("winnow_engine_log_faults_total", 0)
	f("winnow_ledger_balanced", 1)
	f("winnow_ledger_swallowed_criticals", 0)
}

// finish prints the figures and fails a run that has proven too little.
func (r *rig) finish(count, lost, double int, took time.Duration) {
	r.t.Helper()
	l := r.load
	rejected, requests := int(l.rejected.Load()), int(l.requests.Load())
	if rejected > 0 {
		r.t.Errorf("%d of %d requests were rejected, the last because: %s", rejected, requests, l.why)
	}
	classes := mutations()
	unused := slices.DeleteFunc(classes, func(m mutation) bool { return r.classes[m.name] > 0 })
	for _, m := range unused {
		r.t.Errorf("no file was ever %s: %d reloads are too few", m.name, count)
	}
	if r.swapped < 2 || r.signals < 5 || r.heard < 10 || requests < count || l.criticals.Load() < int64(count/4) {
		r.t.Errorf("too little happened: %d swaps, %d signals, %d self-alerts over, %d requests, %d criticals", r.swapped, r.signals, r.heard, requests, l.criticals.Load())
	}
	line := fmt.Sprintf("reload: reloads=%d broken=%d dangerous=%d good=%d classes=%d swapped=%d signals=%d rejected=%d lost=%d double=%d unnoticed=%d requests=%d criticals=%d self_alerts=%d mean=%s max=%s took=%s",
		count, r.outcomes[broken], r.outcomes[dangerous], r.outcomes[good]-1, len(r.classes), r.swapped, r.signals, rejected, lost, double, r.unnoticed,
		requests, l.criticals.Load()+int64(len(r.probes)), r.heard, (time.Duration(l.took[0].Load()/int64(max(requests, 1))) * time.Microsecond).Round(100*time.Microsecond),
		(time.Duration(l.took[1].Load()) * time.Microsecond).Round(time.Millisecond), took.Round(time.Second))
	r.t.Log(line)
	if path := os.Getenv("WINNOW_RELOAD_FIGURES"); path != "" {
		r.must(os.WriteFile(path, []byte(line+"\n"), 0o644))
	}
}
