//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// winnow is a Winnow under test.
type winnow struct{ *server }

// newWinnow starts one with an empty storage and waits until it is ready.
func newWinnow(t testing.TB, config string) *winnow {
	t.Helper()
	w := stoppedWinnow(t, config)
	w.start()
	return w
}

// stoppedWinnow is one that has not been started.
func stoppedWinnow(t testing.TB, config string) *winnow {
	t.Helper()
	binary, err := winnowBinary()
	if err != nil {
		t.Fatal("build winnow: ", err)
	}
	return &winnow{newServer(t, "winnow", binary, config)}
}

// report is what the tests read of winnow report.
type report struct {
	Deliveries    int            `json:"deliveries"`
	Onsets        int            `json:"onsets"`
	Incidents     int            `json:"incidents"`
	Notifications int            `json:"notifications"`
	Pages         int            `json:"pages"`
	Swallowed     int            `json:"swallowed_criticals"`
	Dispositions  map[string]int `json:"dispositions"`
	Pending       int            `json:"pending"`
	Balanced      bool           `json:"balanced"`
}

// report asks the running Winnow as people do, with the command.
func (w *winnow) report() (report, error) {
	var r report
	out, err := programs.Capture(context.Background(), "", w.binary, "report", "-o", "json", "--server", "http://"+w.address)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(out), &r)
}

// between is a range of counts, both ends included.
type between struct{ least, most int }

// accepted is every event that PagerDuty has taken, less those that were sent
// again.
func (p *pager) accepted(again int) func() between {
	return func() between {
		n := len(p.Events()) - again
		return between{n, n}
	}
}

// agrees waits until the report agrees with the model and with what PagerDuty
// has accepted. Spare is by how many deliveries the report may be ahead: those
// of requests that were cut off before their answer.
func (w *winnow) agrees(m *model, accepted func() between, spare int) report {
	w.t.Helper()
	var r report
	programs.Eventually(w.t, patience, "the report agrees with the count", func() error {
		var err error
		if r, err = w.report(); err != nil {
			return err
		}
		return r.compare(m.books(), accepted(), spare)
	})
	if faults := w.metric("winnow_engine_log_faults_total"); faults != 0 {
		w.t.Errorf("winnow found %v faults in its log", faults)
	}
	return r
}

func (r report) compare(b books, accepted between, spare int) error {
	var errs []error
	f := func(what string, got, want int) {
		if got != want {
			errs = append(errs, fmt.Errorf("%s: %d reported, %d counted", what, got, want))
		}
	}
	ahead := r.Deliveries - b.deliveries
	if ahead < 0 || ahead > spare {
		f("deliveries", r.Deliveries, b.deliveries)
	}
	f("onsets", r.Onsets, b.onsets)
	f("incidents", r.Incidents, b.incidents)
	f("pages", r.Pages, b.pages)
	if r.Notifications < accepted.least || r.Notifications > accepted.most {
		f("notifications", r.Notifications, accepted.most)
	}
	f("swallowed criticals", r.Swallowed, 0)
	f("pending", r.Pending, 0)
	b.dispositions["repeat"] += ahead
	for d, want := range b.dispositions {
		f(d, r.Dispositions[d], want)
	}
	for d, got := range r.Dispositions {
		if _, ok := b.dispositions[d]; !ok {
			f(d, got, 0)
		}
	}
	if !r.Balanced {
		errs = append(errs, errors.New("the books do not balance"))
	}
	return errors.Join(errs...)
}

// metric reads one sample without labels.
func (w *winnow) metric(name string) float64 {
	w.t.Helper()
	resp, err := http.Get(w.url("/metrics"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				w.t.Fatalf("metric %s: %v", name, err)
			}
			return f
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return 0
}

// pager is a fake PagerDuty on loopback.
type pager struct {
	*sinktest.PagerDuty
	url string

	conns atomic.Int64 // open

	// answered, if there is one, is called when the provider's answer to an
	// event has left.
	answered atomic.Pointer[func()]

	mu  sync.Mutex
	mum string // takes events of this action and answers nothing
}

func newPager(t testing.TB) *pager {
	t.Helper()
	p := &pager{PagerDuty: sinktest.NewPagerDuty()}
	server := httptest.NewUnstartedServer(p)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			p.conns.Add(1)
		case http.StateClosed:
			p.conns.Add(-1)
		}
	}
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if t.Failed() {
			t.Logf("PagerDuty got:\n%s", p.log())
		}
	})
	p.url = server.URL
	return p
}

// log is a line for each event.
func (p *pager) log() string {
	var b strings.Builder
	for _, e := range p.Events() {
		fmt.Fprintf(&b, "%s %-7s %.8s %v %v\n", e.At.Format("15:04:05.000"), e.Action, e.Key, e.Details["incident"], e.Details["reason"])
	}
	return b.String()
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	silent := p.mum != "" && bytes.Contains(body, []byte(`"event_action":"`+p.mum+`"`))
	p.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	if !silent {
		p.PagerDuty.ServeHTTP(w, again)
		if f := p.answered.Load(); f != nil {
			_ = http.NewResponseController(w).Flush() // a client that is gone has not got it
			(*f)()
		}
		return
	}
	p.PagerDuty.ServeHTTP(httptest.NewRecorder(), again)
	<-r.Context().Done()
}

// silence has p take events of an action and answer nothing, so that nobody
// knows whether they arrived; "" ends it.
func (p *pager) silence(action string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mum = action
}

// timing of a configuration.
type timing struct{ wait, interval time.Duration }

// routes is a file as an Alertmanager has it: a root, criticals to the person on
// call, what is meant to fire always to nobody.
func (p *pager) routes(at timing, inhibit bool) string {
	text := fmt.Sprintf(`
route:
  receiver: platform
  group_by: [alertname, cluster, namespace]
  group_wait: %s
  group_interval: %s
  repeat_interval: 4h
  routes:
    - receiver: nobody
      matchers: [severity="none"]
    - receiver: oncall
      matchers: [severity="critical"]
receivers:
  - name: nobody
  - name: platform
    pagerduty_configs:
      - routing_key: platform-key
        url: %[3]s/v2/enqueue
        details: {reason: '{{ .NotificationReason }}', runbook: '{{ .CommonAnnotations.runbook_url }}'}
  - name: oncall
    pagerduty_configs:
      - routing_key: oncall-key
        url: %[3]s/v2/enqueue
        severity: critical
        details: {reason: '{{ .NotificationReason }}', runbook: '{{ .CommonAnnotations.runbook_url }}'}
`, at.wait, at.interval, p.url)
	if inhibit {
		text += `
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [alertname, cluster, namespace]
`
	}
	return text
}

// events lists what came for a key, oldest first.
func (p *pager) events(key string) []sinktest.Event {
	var out []sinktest.Event
	for _, e := range p.Events() {
		if e.Key == key {
			out = append(out, e)
		}
	}
	return out
}

// count counts the events of an action.
func (p *pager) count(action string) int {
	n := 0
	for _, e := range p.Events() {
		if e.Action == action {
			n++
		}
	}
	return n
}

// matches reports what differs between the incidents that are open and the groups
// that should have one.
func (p *pager) matches(groups []modelGroup) error {
	open := map[string]bool{}
	for _, i := range p.Open() {
		open[i.Key] = true
	}
	want := 0
	for _, g := range groups {
		switch {
		case g.firing > 0 && !open[g.key]:
			return fmt.Errorf("group %s fires and has no open incident", g.key)
		case g.firing == 0 && open[g.key]:
			return fmt.Errorf("group %s is over and its incident is open", g.key)
		case g.firing > 0:
			want++
		}
	}
	if len(open) != want {
		return fmt.Errorf("%d incidents are open, want %d", len(open), want)
	}
	return nil
}

// settled waits until the open incidents are those of the groups that fire.
func (p *pager) settled(t testing.TB, m *model) {
	t.Helper()
	programs.Eventually(t, patience, "the open incidents are those of the groups that fire", func() error { return p.matches(m.paging()) })
}

const firstNotification = "first notification"

// verify holds every event to the rules: an incident is triggered once and
// resolved once under the key of its group and severity, at the receiver of its
// route; what else was sent about it is an update for which there was a
// reason. Each of the kills may have cut one send off from its receipt, so that
// it was made again. It returns how many pages were.
func (p *pager) verify(t testing.TB, m *model, kills int) (repeated int) {
	t.Helper()
	total := 0
	for _, g := range m.paging() {
		total += len(p.events(g.key))
		repeated += p.verifyGroup(t, g, kills)
	}
	if n := len(p.Events()); n != total {
		t.Errorf("%d of %d events have a key that no group has", n-total, n)
	}
	if ph := p.Phantoms(); len(ph) > 0 {
		t.Errorf("%d phantom incidents: %+v", len(ph), ph)
	}
	return repeated
}

func (p *pager) verifyGroup(t testing.TB, g modelGroup, kills int) (repeated int) {
	t.Helper()
	pages, updates, resolves := map[string]int{}, 0, 0
	for _, e := range p.events(g.key) {
		incident, _ := e.Details["incident"].(string)
		switch {
		case e.Routing != g.receiver+"-key":
			t.Errorf("group %s: %s went to %s, want %s", g.key, e.Action, e.Routing, g.receiver)
		case e.Action == "resolve":
			resolves++
		case e.Details["reason"] == firstNotification:
			pages[incident]++
		default:
			updates++
		}
	}
	for incident, n := range pages {
		if incident == "" || n > 1+kills {
			t.Errorf("group %s: %d pages for incident %q: %+v", g.key, n, incident, p.events(g.key))
		}
		repeated += n - 1
	}
	ended := g.opened
	if g.firing > 0 {
		ended--
	}
	if len(pages) != g.opened || resolves < ended || resolves > ended+kills {
		t.Errorf("group %s: %d incidents paged and %d resolved, want %d and %d: %+v", g.key, len(pages), resolves, g.opened, ended, p.events(g.key))
	}
	if updates > g.split+kills {
		t.Errorf("group %s: %d updates, and it changed in part %d times: %+v", g.key, updates, g.split, p.events(g.key))
	}
	return repeated
}
