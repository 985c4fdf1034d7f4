//go:build e2e && limits

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// TestLimits floods Winnow with alerts that differ in every one, grouped so
// that each would be a group of its own, and holds that its memory stays within
// bounds, that the storm is paged as one and that every critical alert in it is
// named to somebody. Then it is killed and stopped with all of them alive.
//
// Its bounds are set by LIMITS_ALERTS, LIMITS_SENDERS, LIMITS_MIB (resident, at
// most), LIMITS_CALLS (at the provider, a minute and key) and LIMITS_SECONDS
// (until every critical is named). LIMITS_MEMORY is what the machine has, in MiB:
// Winnow is given four fifths of it as its GOMEMLIMIT, has to stay within all of
// it, and has to step down its ladder for it.
func TestLimits(t *testing.T) {
	f := &flood{
		t: t, alerts: fromEnv(t, "LIMITS_ALERTS", 1_000_000), senders: fromEnv(t, "LIMITS_SENDERS", 8),
		mib: fromEnv(t, "LIMITS_MIB", 1024), calls: fromEnv(t, "LIMITS_CALLS", 120),
		soon: time.Duration(fromEnv(t, "LIMITS_SECONDS", 90)) * time.Second, memory: fromEnv(t, "LIMITS_MEMORY", 0),
	}
	if f.memory > 0 {
		f.mib = f.memory
	}
	f.pd = newStormPager(t, f.criticals())
	f.w = stoppedWinnow(t, fmt.Sprintf(`
route: {receiver: oncall, group_by: [alertname, pod], group_wait: 10s, group_interval: 1m, repeat_interval: 4h}
receivers:
  - name: oncall
    pagerduty_configs: [{routing_key: oncall-key, url: %q}]
`, f.pd.url+"/v2/enqueue"))
	if f.memory > 0 {
		f.w.env = []string{fmt.Sprintf("GOMEMLIMIT=%dMiB", f.memory*4/5)}
	}
	f.w.start()
	defer func() { figures.say("limits", f.line()) }()
	quiet, _ := f.w.memory()
	f.figure("before", quiet, "MiB")
	watched := f.watch()
	f.post()
	f.hear()
	f.stepped()
	f.figure("peak", watched(), "MiB")
	f.books()
	f.restarts()
	f.verdict()
}

const (
	floodRules    = 40
	floodBatch    = 256
	criticalEvery = 50 // 2 %
	readyWithin   = 10 * time.Minute
)

// flood is one run and what was seen of it.
type flood struct {
	t       *testing.T
	alerts  int
	senders int
	mib     int
	memory  int // of the machine; 0 where it does not matter
	calls   int
	soon    time.Duration
	w       *winnow
	pd      *stormPager

	accepted    atomic.Int64
	unavailable atomic.Int64 // answers of 503, each of which was sent again
	refused     atomic.Int64 // any other answer
	taken       []time.Time  // when each critical was answered 2xx
	ended       time.Time    // of the flood
	peak        int
	figuresText []string
}

func (f *flood) figure(what string, n int, unit string) {
	f.figuresText = append(f.figuresText, fmt.Sprintf("%s=%d%s", what, n, unit))
}

func (f *flood) line() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "alerts=%d", f.alerts)
	for _, s := range f.figuresText {
		b.WriteString(" " + s)
	}
	return b.String()
}

func (f *flood) criticals() int { return (f.alerts + criticalEvery - 1) / criticalEvery }

// appendAlert writes the i-th alert as Prometheus posts it.
func appendAlert(b []byte, i int, starts, ends string) []byte {
	severity, pod := "warning", fmt.Sprintf("pod-%07d", i)
	if i%criticalEvery == 0 {
		severity, pod = "critical", criticalPod(i/criticalEvery)
	}
	return fmt.Appendf(b, `{"labels":{"alertname":"FloodOfRule%02d","severity":%q,"cluster":"eu-west-1","namespace":"team-%02d","pod":%q,"instance":"10.%d.%d.%d:8080"},`+
		`"annotations":{"summary":"%s is not well","runbook_url":"https://runbooks.example.org/flood"},"startsAt":%q,"endsAt":%q}`,
		i%floodRules, severity, i%23, pod, i>>16&255, i>>8&255, i&255, pod, starts, ends)
}

func criticalPod(n int) string { return fmt.Sprintf("critical-%07d", n) }

// post sends everything, as fast as it is taken.
func (f *flood) post() {
	f.taken = make([]time.Time, f.criticals())
	starts, ends := time.Now().Format(time.RFC3339), time.Now().Add(6*time.Hour).Format(time.RFC3339)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: f.senders}, Timeout: patience}
	var next atomic.Int64
	var senders sync.WaitGroup
	began := time.Now()
	for range f.senders {
		senders.Go(func() {
			var body []byte
			for {
				from := int(next.Add(floodBatch)) - floodBatch
				if from >= f.alerts {
					return
				}
				to := min(from+floodBatch, f.alerts)
				body = append(body[:0], '[')
				for i := from; i < to; i++ {
					if i > from {
						body = append(body, ',')
					}
					body = appendAlert(body, i, starts, ends)
				}
				if f.batch(client, append(body, ']')) {
					f.took(from, to)
				}
			}
		})
	}
	senders.Wait()
	f.ended = time.Now()
	took := f.ended.Sub(began)
	f.figure("accepted", int(f.accepted.Load()), "")
	f.figure("rate", int(float64(f.accepted.Load())/took.Seconds()), "/s")
	f.figure("unavailable", int(f.unavailable.Load()), "")
	f.figure("refused", int(f.refused.Load()), "")
	now, most := f.w.memory()
	f.figure("after-flood", now, "MiB")
	f.peak = max(f.peak, most)
	f.t.Logf("%d alerts in %s", f.accepted.Load(), took)
}

// batch posts until it is accepted; anything but 2xx and 503 is final.
func (f *flood) batch(client *http.Client, body []byte) bool {
	deadline := time.Now().Add(patience)
	for {
		resp, err := client.Post(f.w.url("/api/v2/alerts"), "application/json", bytes.NewReader(body))
		status := 0
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body) // only the status counts
			resp.Body.Close()
			status = resp.StatusCode
		}
		switch {
		case status/100 == 2:
			return true
		case status != 0 && status != http.StatusServiceUnavailable, time.Now().After(deadline):
			f.refused.Add(1)
			f.t.Errorf("a batch was answered %d: %v", status, err)
			return false
		}
		f.unavailable.Add(1)
		<-time.After(100 * time.Millisecond)
	}
}

func (f *flood) took(from, to int) {
	now := time.Now()
	f.accepted.Add(int64(to - from))
	for i := from; i < to; i++ {
		if i%criticalEvery == 0 {
			f.taken[i/criticalEvery] = now
		}
	}
}

// watch samples the resident size until the function that it returns is called,
// which returns the largest that there was.
func (f *flood) watch() func() int {
	quit, done := make(chan struct{}), make(chan int)
	go func() {
		most := 0
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, hwm := f.w.memory()
				most = max(most, hwm)
			case <-quit:
				done <- most
				return
			}
		}
	}()
	return func() int {
		close(quit)
		f.peak = max(f.peak, <-done)
		return f.peak
	}
}

// hear waits until every critical has been named, no longer than that may take.
func (f *flood) hear() {
	deadline := time.After(time.Until(f.ended.Add(f.soon)))
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for waiting := true; waiting && f.pd.unnamed() > 0; {
		select {
		case <-poll.C:
		case <-deadline:
			waiting = false
		}
	}
	var late time.Duration
	missing := 0
	for i, at := range f.pd.names() {
		if at.IsZero() || f.taken[i].IsZero() {
			missing++
			continue
		}
		// An alert may wait for the flood's end as well, which may be later.
		late = max(late, min(at.Sub(f.taken[i]), at.Sub(f.ended)))
	}
	f.figure("criticals", f.criticals(), "")
	f.figure("unnamed", missing, "")
	f.figure("named-within", int(late.Seconds())+1, "s")
	if missing > 0 {
		f.t.Errorf("%d of %d criticals were named to nobody within %s of the end of the flood", missing, f.criticals(), f.soon)
	}
	if late > f.soon {
		f.t.Errorf("a critical was named after %s, at most %s", late, f.soon)
	}
}

// stepped holds that it does less for want of memory. It stays down for two
// minutes at least, so that now is soon enough to look.
func (f *flood) stepped() {
	if f.memory == 0 {
		return
	}
	level := int(f.w.metric("winnow_ladder_level"))
	f.figure("level", level, "")
	if level < 2 {
		f.t.Errorf("it stands at level %d of its ladder in %d MiB, want 2: more alerts are needed to show anything", level, f.memory)
	}
}

func (f *flood) books() {
	if f.memory > 0 { // questions are put off: what is counted has to do
		deliveries, balanced := int(f.w.metric("winnow_ledger_deliveries_total")), f.w.metric("winnow_ledger_balanced")
		if deliveries < f.alerts || balanced != 1 {
			f.t.Errorf("%d deliveries are in the books, want %d; balanced %v", deliveries, f.alerts, balanced)
		}
		return
	}
	var r report
	programs.Eventually(f.t, patience, "the report is there", func() (err error) { r, err = f.w.report(); return err })
	if !r.Balanced || r.Swallowed != 0 || r.Onsets != f.alerts || r.Deliveries < f.alerts {
		f.t.Errorf("the report: %+v; want %d deliveries and onsets, balanced, nothing swallowed", r, f.alerts)
	}
	f.figure("incidents", r.Incidents, "")
	f.figure("pages", r.Pages, "")
	calls, worst := f.pd.calls()
	f.figure("calls", calls, "")
	f.figure("calls-a-minute", worst, "")
	if worst > f.calls {
		f.t.Errorf("%d calls within a minute for one key, at most %d", worst, f.calls)
	}
}

// restarts kill it, and stop it in order, with everything alive.
func (f *flood) restarts() {
	for _, end := range []struct {
		name   string
		signal syscall.Signal
	}{{"kill", syscall.SIGKILL}, {"stop", syscall.SIGTERM}} {
		began := time.Now()
		if err := f.w.cmd.Process.Signal(end.signal); err != nil {
			f.t.Fatal(err)
		}
		select {
		case <-f.w.done:
		case <-time.After(readyWithin):
			f.t.Fatalf("winnow did not end within %s of %v", readyWithin, end.signal)
		}
		f.figure(end.name, int(time.Since(began).Milliseconds()), "ms")
		began = time.Now()
		f.w.launch()
		programs.Eventually(f.t, readyWithin, "winnow is ready", func() error { return f.w.get("/-/ready", nil) })
		f.figure("ready-after-"+end.name, int(time.Since(began).Milliseconds()), "ms")
		if f.memory == 0 { // else the question is put off
			if live := int(f.w.metric("winnow_engine_live_alerts")); live != f.alerts {
				f.t.Errorf("%d alerts are known after the start, want %d", live, f.alerts)
			}
		}
		_, most := f.w.memory()
		f.figure("start-peak", most, "MiB")
		f.peak = max(f.peak, most)
	}
}

func (f *flood) verdict() {
	if n := int(f.accepted.Load()); n != f.alerts {
		f.t.Errorf("%d of %d alerts were accepted", n, f.alerts)
	}
	if f.peak > f.mib {
		f.t.Errorf("%d MiB resident, at most %d", f.peak, f.mib)
	}
	if calls, _ := f.pd.calls(); calls == 0 || f.alerts < floodBatch {
		f.t.Errorf("%d alerts and %d calls prove nothing", f.alerts, calls)
	}
}

// stormPager takes events of PagerDuty's API and keeps of each no more than
// which criticals it names, when, and under which routing key it came.
type stormPager struct {
	url string

	mu      sync.Mutex
	named   []time.Time // of each critical, when first
	left    int
	minutes map[string][]time.Time // of each routing key, when it was called, in order
}

func newStormPager(t testing.TB, criticals int) *stormPager {
	p := &stormPager{named: make([]time.Time, criticals), left: criticals, minutes: map[string][]time.Time{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *stormPager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var event struct {
		RoutingKey string `json:"routing_key"`
		DedupKey   string `json:"dedup_key"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.RoutingKey == "" {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	p.take(event.RoutingKey, body)
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"status":"success","dedup_key":%q}`, event.DedupKey)
}

func (p *stormPager) take(key string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.minutes[key] = append(p.minutes[key], now)
	const name, digits = "critical-", 7
	for {
		i := bytes.Index(body, []byte(name))
		if i < 0 || len(body) < i+len(name)+digits {
			return
		}
		body = body[i+len(name):]
		if n, err := strconv.Atoi(string(body[:digits])); err == nil && n < len(p.named) && p.named[n].IsZero() {
			p.named[n] = now
			p.left--
		}
	}
}

func (p *stormPager) unnamed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

func (p *stormPager) names() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.named)
}

// calls counts them, and the most that came within a minute under one key.
func (p *stormPager) calls() (all, worst int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.minutes { // order: a sum and a maximum
		all += len(at)
		from := 0
		for i := range at {
			for at[i].Sub(at[from]) >= time.Minute {
				from++
			}
			worst = max(worst, i-from+1)
		}
	}
	return all, worst
}
