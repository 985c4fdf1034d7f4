//go:build e2e && limits

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// TestGrowth measures by how much the built program grows for one request, by its
// resident size at most until what is in it has been decided about, and holds
// that against the body. Each body gets a process of its own.
func TestGrowth(t *testing.T) {
	var line []string
	defer func() { figures.say("growth", strings.Join(line, " ")) }()
	f := func(what, path string, times float64, body []byte, header ...string) {
		p := newGrowing(t)
		mib := p.by(path, body, header...)
		ratio := float64(mib) / (float64(len(body)) / (1 << 20))
		line = append(line, fmt.Sprintf("%s=%.1fMiB+%dMiB(%.2f)", what, float64(len(body))/(1<<20), mib, ratio))
		if ratio > times {
			t.Errorf("%s: %d MiB for a body of %d bytes, %.2f times as much; want at most %.1f", what, mib, len(body), ratio, times)
		}
	}
	f("label", "/ingest/prometheus", 2, fmt.Appendf(nil, `[{"labels":{"alertname":"A","severity":"critical","x":"%s"}}]`, strings.Repeat("x", 20<<20)))
	f("annotations", "/ingest/prometheus", 2, fmt.Appendf(nil, `[{"labels":{"alertname":"A","severity":"critical"},"annotations":{%s"z":""}}]`, strings.Repeat(`"y":"`+strings.Repeat("y", 1<<20)+`",`, 20)))
	f("labels", "/ingest/prometheus", 2, manyLabels(1_000_000))
	f("empty-labels", "/ingest/prometheus", 2, fmt.Appendf(nil, `[{"labels":{%s"alertname":"A"}}]`, strings.Repeat(`"":"",`, 3_000_000)))

	// Ends of what nobody knows go through all but leave nothing: that is what the
	// door takes, the log and the core. The same as beginnings are 100,000 alerts,
	// and 100,000 names to page.
	f("ends", "/ingest/alertmanager", 3, webhookOf(100_000, "resolved"))
	f("alerts", "/ingest/alertmanager", 6, webhookOf(100_000, "firing"))

	p := newGrowing(t)
	zipped := zip(t, make([]byte, 64<<20))
	bomb := bytes.Repeat(zipped, 16) // of 1 GiB
	for range 3 {
		p.by("/ingest/prometheus", bomb, "Content-Encoding", "gzip")
	}
	before, most := p.cpu(), 0
	for range 20 {
		most = max(most, p.by("/ingest/prometheus", bomb, "Content-Encoding", "gzip"))
	}
	line = append(line, fmt.Sprintf("bomb=%.1fMiB+%dMiB cpu=%s", float64(len(bomb))/(1<<20), most, (p.cpu()-before)/20))
	if most > 4 { // 2 for it, and what a collection may be late by
		t.Errorf("a bomb: %d MiB; want at most 4", most)
	}
}

// growing is a Winnow whose size is watched.
type growing struct{ *winnow }

func newGrowing(t *testing.T) growing {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(hook.Close)
	p := growing{newWinnow(t, fmt.Sprintf("route: {receiver: r, group_by: [alertname], group_wait: 10s}\nreceivers: [{name: r, webhook_configs: [{url: %q}]}]\n", hook.URL))}
	p.by("/ingest/prometheus", []byte(`[{"labels":{"alertname":"Warm"}}]`))
	return p
}

// by is how much larger it was at most than before a request, in MiB, until the
// core had applied what is in it.
func (p growing) by(path string, body []byte, header ...string) int {
	p.t.Helper()
	before, _ := p.memory()
	// Has the kernel forget the peak so far.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url(path), bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("answered %d", resp.StatusCode)
	}
	programs.Eventually(p.t, patience, "the core has applied it", func() error {
		if lag := p.metric("winnow_engine_log_lag_messages"); lag > 0 {
			return fmt.Errorf("%v messages behind", lag)
		}
		return nil
	})
	_, most := p.memory()
	return most - before
}

// cpu is the time that the process has taken of a processor.
func (p growing) cpu() time.Duration {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, f := range fields[11:13] { // user and system
		n, err := strconv.Atoi(f)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

func manyLabels(n int) []byte {
	b := []byte(`[{"labels":{"alertname":"A"`)
	for i := range n {
		b = fmt.Appendf(b, `,"label%07d":"value"`, i)
	}
	return append(b, "}}]"...)
}

func webhookOf(n int, status string) []byte {
	b := []byte(`{"version":"4","alerts":[`)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"status":%q,"labels":{"alertname":"KubePodNotReady","cluster":"eu-west-1a","namespace":"payments","pod":"p-%06d","severity":"critical"},`+
			`"annotations":{"summary":"A pod does not become ready."},"startsAt":%q,"endsAt":"0001-01-01T00:00:00Z"}`, status, i, time.Now().UTC().Format(time.RFC3339))
	}
	return append(b, "]}"...)
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
