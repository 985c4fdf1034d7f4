//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

const (
	reloadOK   = "winnow_config_last_reload_successful"
	reloadTime = "winnow_config_last_reload_success_timestamp_seconds"
)

// reloaded sends SIGHUP and waits until the file is in force.
func (w *winnow) reloaded() {
	w.t.Helper()
	before := w.metric(reloadTime)
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Fatal(err)
	}
	programs.Eventually(w.t, patience, "the new configuration is in force", func() error {
		if w.metric(reloadTime) == before {
			return fmt.Errorf("the last one that was good is that of %v", before)
		}
		return nil
	})
}

func (w *winnow) postReload() (code int, answer string) {
	w.t.Helper()
	resp, err := http.Post(w.url("/-/reload"), "", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// heard waits until a key has got these actions, in this order, and no others.
func (p *pager) heard(t testing.TB, what, groupKey string, actions ...string) {
	t.Helper()
	want := strings.Join(actions, " ")
	programs.Eventually(t, patience, what, func() error {
		var got []string
		for _, e := range p.events(dedupKey(groupKey)) {
			got = append(got, e.Action)
		}
		if s := strings.Join(got, " "); s != want {
			return fmt.Errorf("%s got %q, want %q", groupKey, s, want)
		}
		return nil
	})
}

func namespace(rule, ns string) []postable {
	return []postable{{Labels: map[string]string{"alertname": rule, "cluster": "eu-west-1", "namespace": ns, "severity": "warning"}}}
}

func rootKey(ps []postable) string {
	key, _ := groupKey(ps[0].Labels)
	return key
}

// paymentsKey is the key under the route that the changed configuration adds.
func paymentsKey(ps []postable) string {
	return strings.Replace(rootKey(ps), "{}:", `{}/{namespace="payments"}:`, 1)
}

// withPayments adds a route of its own for the namespace payments.
func withPayments(config string, pd *pager) string {
	config = strings.Replace(config, "  routes:\n", "  routes:\n    - receiver: payments\n      matchers: [namespace=\"payments\"]\n", 1)
	return strings.Replace(config, "receivers:\n", "receivers:\n  - name: payments\n    pagerduty_configs:\n      - routing_key: payments-key\n        url: "+pd.url+"/v2/enqueue\n", 1)
}

// withoutRoute takes the route away again and leaves its receiver.
func withoutRoute(config string) string {
	return strings.Replace(config, "    - receiver: payments\n      matchers: [namespace=\"payments\"]\n", "", 1)
}

// TestReloadMidStory changes the configuration while alerts wait for their page
// and while others have had theirs, breaks it, and mends it.
func TestReloadMidStory(t *testing.T) {
	pd, other := newPager(t), newPager(t)
	at := timing{wait: 2 * time.Second, interval: 2 * time.Second}
	good := pd.routes(at, false)
	w := newWinnow(t, good)
	s := &sender{w: w, model: newModel()}

	steady, moving := namespace("KubePodCrashLooping", "checkout"), namespace("KubePodCrashLooping", "payments")
	s.send(t, firing(steady))
	s.send(t, firing(moving))
	pd.heard(t, "the steady group pages", rootKey(steady), "trigger")
	pd.heard(t, "the moving group pages by the old routes", rootKey(moving), "trigger")

	waiting := namespace("KubeJobFailed", "payments")
	s.send(t, firing(waiting))
	w.configure(withPayments(good, other))
	w.reloaded()
	other.heard(t, "what waited pages by the new routes", paymentsKey(waiting), "trigger")
	other.heard(t, "the new receiver hears of what fires already", paymentsKey(moving), "trigger")
	pd.heard(t, "what waited is none of the old receiver's business", rootKey(waiting))
	pd.heard(t, "nobody is paged a second time", rootKey(steady), "trigger")
	pd.heard(t, "nobody is paged a second time", rootKey(moving), "trigger")
	if got := w.metric(reloadOK); got != 1 {
		t.Errorf("%s is %v after a good reload", reloadOK, got)
	}

	w.configure(strings.Replace(good, "group_wait: 2s", "group_wait: soon", 1))
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	programs.Eventually(t, patience, "the broken configuration is noticed", func() error {
		if got := w.metric(reloadOK); got != 0 {
			return fmt.Errorf("%s is %v", reloadOK, got)
		}
		return nil
	})
	during := namespace("KubeHpaMaxedOut", "payments")
	s.send(t, firing(during))
	other.heard(t, "the configuration before the broken one stays in force", paymentsKey(during), "trigger")
	if code, answer := w.postReload(); code != http.StatusInternalServerError || !strings.Contains(answer, "soon") {
		t.Errorf("a reload of a broken file is answered %d %q", code, answer)
	}

	w.configure(withoutRoute(withPayments(good, other)))
	if code, answer := w.postReload(); code != http.StatusOK {
		t.Errorf("a reload of a good file is answered %d %q", code, answer)
	}
	if got := w.metric(reloadOK); got != 1 {
		t.Errorf("%s is %v after the file was mended", reloadOK, got)
	}
	pd.heard(t, "what moves back to the old routes pages there", rootKey(during), "trigger")

	for _, ps := range [][]postable{steady, moving, waiting, during} {
		s.send(t, over(ps))
	}
	for _, ps := range [][]postable{steady, moving, waiting, during} {
		pd.heard(t, "who was paged hears of the end", rootKey(ps), "trigger", "resolve")
	}
	for _, ps := range [][]postable{moving, waiting, during} {
		other.heard(t, "the receiver that no route leads to any more hears of the end", paymentsKey(ps), "trigger", "resolve")
	}
	if n := len(pd.Phantoms()) + len(other.Phantoms()); n > 0 {
		t.Errorf("%d phantom incidents", n)
	}
	programs.Eventually(t, patience, "the books balance", func() error {
		r, err := w.report()
		if err == nil && (!r.Balanced || r.Pending != 0 || r.Swallowed != 0 || r.Deliveries != 8) {
			return fmt.Errorf("%+v", r)
		}
		return err
	})
	figures.add("reload", "reloads", 4)

	w.signal(t, syscall.SIGTERM)
	w.configure("route: {receiver: nobody}\n")
	p := start(t, "winnow with a broken file", w.binary, "serve", "--config.file", w.config, "--storage.path", w.storage, "--web.listen-address", "127.0.0.1:0")
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatal("winnow goes on with a broken file")
	}
	if out := p.out.String(); p.err == nil || !strings.Contains(out, w.config) || !strings.Contains(out, "nobody") {
		t.Errorf("winnow ended with %v and said %q: it must name the file and the receiver that is missing", p.err, out)
	}
	if _, err := os.Stat(w.storage); err != nil {
		t.Error(err)
	}
}
