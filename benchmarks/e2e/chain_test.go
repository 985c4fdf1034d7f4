//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// recorder stands between Alertmanager and Winnow and counts the alerts of each
// webhook that Winnow has accepted.
type recorder struct {
	t      testing.TB
	target string
	url    string
	model  *model

	mu       sync.Mutex
	webhooks int
	keys     map[string]string    // groupKey of Alertmanager, by that of the model
	first    map[string]time.Time // of a group's first webhook, by dedup_key
}

func newRecorder(t testing.TB, target string, m *model) *recorder {
	t.Helper()
	r := &recorder{t: t, target: target, model: m, keys: map[string]string{}, first: map[string]time.Time{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // Alertmanager sends it again
	}
	resp, err := http.Post(r.target, req.Header.Get("Content-Type"), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		r.record(body)
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func (r *recorder) record(body []byte) {
	var hook struct {
		Version  string `json:"version"`
		GroupKey string `json:"groupKey"`
		Alerts   []struct {
			Status string            `json:"status"`
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if err := json.Unmarshal(body, &hook); err != nil || hook.Version != "4" || len(hook.Alerts) == 0 {
		r.t.Errorf("Alertmanager sent a webhook that is not version 4: %v: %s", err, body)
		return
	}
	var ds []delivery
	for _, a := range hook.Alerts {
		ds = append(ds, delivery{a.Labels, a.Status == "resolved"})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.webhooks++
	key, _ := groupKey(hook.Alerts[0].Labels)
	r.keys[key] = hook.GroupKey
	if id := dedupKey(pageKey(hook.Alerts[0].Labels)); r.first[id].IsZero() {
		r.first[id] = time.Now()
	}
	r.model.take(ds)
}

// alertmanager is a real one.
type alertmanager struct{ *server }

// newAlertmanager starts one with an empty storage.
func newAlertmanager(t testing.TB, config string) *alertmanager {
	t.Helper()
	dir, err := alertmanagerDir()
	if err != nil {
		t.Fatal("build Alertmanager: ", err)
	}
	am := &alertmanager{newServer(t, "alertmanager", filepath.Join(dir, "alertmanager"), config, "--cluster.listen-address", "")}
	am.start()
	return am
}

// toWebhook is a configuration whose receivers are all one webhook.
func toWebhook(url string) string {
	return fmt.Sprintf(`
route:
  receiver: platform
  group_by: [alertname, cluster, namespace]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 3s
  routes:
    - receiver: nobody
      matchers: [severity="none"]
    - receiver: oncall
      matchers: [severity="critical"]
receivers:
  - name: nobody
    webhook_configs: [{url: %[1]q}]
  - name: platform
    webhook_configs: [{url: %[1]q}]
  - name: oncall
    webhook_configs: [{url: %[1]q}]
`, url)
}

func (am *alertmanager) post(t testing.TB, ps []postable) {
	t.Helper()
	body, err := json.Marshal(ps)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(am.url("/api/v2/alerts"), "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("Alertmanager answers %s: %s", resp.Status, answer)
	}
}

// TestAlertmanagerToPager puts Winnow behind a real Alertmanager: hundreds of
// alerts with real names fire, are repeated, end, and some fire again.
func TestAlertmanagerToPager(t *testing.T) {
	at := timing{wait: 3 * time.Second, interval: 3 * time.Second}
	alerts := spread(first(catalog(t), 75), 4)
	m := newModel()
	m.expect(alerts)
	pd := newPager(t)
	w := newWinnow(t, pd.routes(at, true))
	r := newRecorder(t, w.url("/ingest/alertmanager"), m)
	am := newAlertmanager(t, toWebhook(r.url))

	am.post(t, firing(alerts))
	onsets(t, m, len(alerts))
	pd.settled(t, m)
	repeats(t, m)
	runbooks(t, pd, m, alerts)

	// What is inhibited ends first, or the end of what inhibits it would make
	// it page.
	inhibited := pick(alerts, func(p postable) bool { return m.of(p.Labels).quiet == "inhibited" })
	loud := pick(alerts, func(p postable) bool { return m.of(p.Labels).quiet == "" })
	am.post(t, over(inhibited))
	ends(t, m, len(inhibited))
	am.post(t, over(loud))
	ends(t, m, len(inhibited)+len(loud))
	pd.settled(t, m)
	m.closed()

	returning := pick(loud, severity("critical"))[:8]
	am.post(t, firing(returning))
	onsets(t, m, len(alerts)+len(returning))
	pd.settled(t, m)
	am.post(t, over(returning))
	ends(t, m, len(inhibited)+len(loud)+len(returning))
	pd.settled(t, m)

	am.signal(t, os.Interrupt) // nothing more comes while the books are compared
	w.agrees(m, pd.accepted(0), 0)
	pd.verify(t, m, 0)
	r.mu.Lock()
	defer r.mu.Unlock()
	for ours, theirs := range r.keys {
		if ours != theirs {
			t.Errorf("Alertmanager calls a group %s, the model %s", theirs, ours)
		}
	}
	for _, e := range pd.Events() {
		if first := r.first[e.Key]; e.Details["reason"] == firstNotification && !first.IsZero() {
			figures.page(e.At.Sub(first) - at.wait)
			delete(r.first, e.Key)
		}
	}
	figures.add("Alertmanager", "webhooks", r.webhooks)
	m.figures("Alertmanager", pd)
}

// onsets waits until the model has seen n.
func onsets(t testing.TB, m *model, n int) {
	t.Helper()
	programs.Eventually(t, patience, "all onsets have been delivered", func() error {
		if got := m.books().onsets; got != n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// ends waits until the model has seen n.
func ends(t testing.TB, m *model, n int) {
	t.Helper()
	programs.Eventually(t, patience, "all ends have been delivered", func() error {
		if got := m.books().dispositions["resolved"]; got != n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// repeats waits until alerts have been sent again.
func repeats(t testing.TB, m *model) {
	t.Helper()
	programs.Eventually(t, patience, "alerts are repeated", func() error {
		if b := m.books(); b.dispositions["repeat"] < b.onsets {
			return fmt.Errorf("%d of %d", b.dispositions["repeat"], b.onsets)
		}
		return nil
	})
}

// runbooks holds every page to its rule's runbook.
func runbooks(t testing.TB, pd *pager, m *model, alerts []postable) {
	t.Helper()
	want := map[string]string{}
	for _, p := range alerts {
		want[m.of(p.Labels).key] = p.Annotations["runbook_url"]
	}
	for _, e := range pd.Events() {
		if got := e.Details["runbook"]; got != want[e.Key] || got == "" {
			t.Errorf("%s: the page says runbook %q, the rule %q", e.Summary, got, want[e.Key])
		}
		if all := fmt.Sprint(e.Details["firing"]); !strings.Contains(all, want[e.Key]) {
			t.Errorf("%s: the list of alerts lacks the runbook %s: %s", e.Summary, want[e.Key], all)
		}
	}
}
