//go:build e2e && scorecard

package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// TestScorecard puts the same faults to Winnow and to a real Alertmanager, with
// the same file, and prints what became of them as a table. It fails where
// Winnow does not do what it promises; what Alertmanager does is only told.
func TestScorecard(t *testing.T) {
	trials := fromEnv(t, "SCORECARD_TRIALS", 3)
	made := 0
	var table strings.Builder
	fmt.Fprintf(&table, "| case | Winnow | Alertmanager %s |\n|---|---|---|\n", programs.AlertmanagerVersion)
	rows := slices.Concat(crashRows, sinkRows, inputRows)
	results := make([]map[string]*tried, len(rows))
	t.Run("rows", func(t *testing.T) {
		for i, r := range rows {
			results[i] = map[string]*tried{"winnow": {}, "alertmanager": {}}
			for name, into := range results[i] { // order: the trials do not know of each other
				for n := range min(trials, cmp.Or(r.most, trials)) {
					made++
					t.Run(fmt.Sprintf("row %d %s trial %d", i+1, name, n+1), func(t *testing.T) {
						if !r.alone {
							t.Parallel()
						}
						into.add(r.play(t, name))
					})
				}
			}
		}
	})
	broken := 0
	for i, r := range rows {
		w, am := results[i]["winnow"], results[i]["alertmanager"]
		fmt.Fprintf(&table, "| %s | %s | %s |\n", r.name, w, am)
		for class, n := range w.classes { // order: all are told
			if !strings.HasPrefix(class, r.want) {
				broken += n
				t.Errorf("%s: Winnow: %s, %d times; it promises: %s", r.name, class, n, r.want)
			}
		}
	}
	fmt.Printf("\n%s\n", table.String())
	figures.say("scorecard", fmt.Sprintf("rows=%d trials=%d broken=%d", len(rows), made, broken))
}

// row is one fault, played to either program.
type row struct {
	name  string
	want  string // what Winnow promises: how its class begins
	most  int    // trials at most, if not 0
	alone bool   // it looks at memory, or at time, and runs by itself
	play  func(t *testing.T, name string) outcome
}

// outcome is what a trial came to: a class in words, and numbers beside it.
type outcome struct {
	class   string
	numbers []number
}

type number struct {
	what, unit string
	n          int
}

// tried is what the trials of a row came to.
type tried struct {
	mu      sync.Mutex
	n       int
	classes map[string]int
	numbers map[string][]number
	order   []string
}

func (r *tried) add(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.classes == nil {
		r.classes, r.numbers = map[string]int{}, map[string][]number{}
	}
	r.n++
	r.classes[o.class]++
	for _, n := range o.numbers {
		if r.numbers[n.what] == nil {
			r.order = append(r.order, n.what)
		}
		r.numbers[n.what] = append(r.numbers[n.what], n)
	}
}

func (r *tried) String() string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(r.classes)) {
		parts = append(parts, fmt.Sprintf("%s, %d of %d", class, r.classes[class], r.n))
	}
	for _, what := range r.order {
		ns := r.numbers[what]
		least := slices.MinFunc(ns, func(a, b number) int { return cmp.Compare(a.n, b.n) }).n
		most := slices.MaxFunc(ns, func(a, b number) int { return cmp.Compare(a.n, b.n) }).n
		text := strconv.Itoa(least)
		if most != least {
			text += "–" + strconv.Itoa(most)
		}
		parts = append(parts, strings.TrimSpace(what+" "+text+" "+ns[0].unit))
	}
	return strings.Join(parts, "; ")
}

// bench is one program between a sender and what it tells people through.
type bench struct {
	*server
	pd   *pager
	sink *inbox
}

// begin starts a program that tells PagerDuty and a webhook of everything.
// More, if it is Winnow's own configuration, is for it alone.
func begin(t *testing.T, name, interval, more string) *bench {
	t.Helper()
	b := &bench{pd: newPager(t), sink: newInbox(t)}
	config := fmt.Sprintf(`
route: {receiver: all, group_by: [alertname], group_wait: 2s, group_interval: %s, repeat_interval: 4h}
receivers:
  - name: all
    webhook_configs: [{url: %q}]
    pagerduty_configs: [{routing_key: key, url: %q}]
  - name: other
    webhook_configs: [{url: %q}]
`, interval, b.sink.url+"/sink", b.pd.url+"/v2/enqueue", b.sink.url+"/other")
	if name == "winnow" {
		file := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(file, []byte(b.sink.url+"/trouble"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.server = stoppedWinnow(t, config+strings.Replace(more, "URL_FILE", strconv.Quote(file), 1)).server
	} else {
		dir, err := alertmanagerDir()
		if err != nil {
			t.Fatal("build Alertmanager: ", err)
		}
		b.server = newServer(t, name, filepath.Join(dir, "alertmanager"), config, "--cluster.listen-address", "")
	}
	b.start()
	return b
}

// say posts alerts by Alertmanager's API, which both have.
func (b *bench) say(ps ...postable) {
	b.t.Helper()
	body, err := json.Marshal(ps)
	if err != nil {
		b.t.Fatal(err)
	}
	if code, answer := b.post("/api/v2/alerts", body); code != http.StatusOK {
		b.t.Fatalf("%s answers %d: %s", b.name, code, answer)
	}
}

func (b *bench) post(path string, body []byte) (code int, answer string) {
	b.t.Helper()
	resp, err := http.Post(b.url(path), "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // for people only
	return resp.StatusCode, string(text)
}

// within reports whether f came true in the time.
func within(d time.Duration, f func() bool) bool {
	deadline := time.After(d)
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !f() {
		select {
		case <-poll.C:
		case <-deadline:
			return f()
		}
	}
	return true
}

func (b *bench) paged() bool { return b.pd.count("trigger") > 0 && b.sink.firing.Load() > 0 }

// inbox takes webhooks at /sink, with the status it is told to answer, and at
// /other.
type inbox struct {
	url     string
	status  atomic.Int32
	tries   atomic.Int32 // at /sink
	taken   atomic.Int32 // of them, those answered 200
	firing  atomic.Int32 // of them, those with something that fires
	largest atomic.Int64 // bytes of a body
	listed  atomic.Int64 // alerts in that body
	other   atomic.Int32 // at /other
	trouble atomic.Int32 // at /trouble
}

func newInbox(t testing.TB) *inbox {
	in := &inbox{}
	in.status.Store(http.StatusOK)
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		return
	case r.URL.Path == "/other":
		in.other.Add(1)
		return
	case r.URL.Path == "/trouble":
		in.trouble.Add(1)
		return
	}
	in.tries.Add(1)
	status := int(in.status.Load())
	if status == http.StatusOK {
		in.taken.Add(1)
		if bytes.Contains(body, []byte(`"status":"firing"`)) {
			in.firing.Add(1)
		}
		if n := int64(len(body)); n > in.largest.Load() {
			in.largest.Store(n)
			in.listed.Store(int64(bytes.Count(body, []byte(`"fingerprint"`))))
		}
	}
	w.WriteHeader(status)
}
