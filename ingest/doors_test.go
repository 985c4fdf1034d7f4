package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/winnowhq/winnow/alert"
)

// memoryLog is a Log whose Append does what a test needs.
type memoryLog func(ctx context.Context, b *Batch) error

func (l memoryLog) Append(ctx context.Context, b *Batch) error { return l(ctx, b) }

// bench is a set of doors, mounted, with what came through them.
type bench struct {
	t      *testing.T
	mux    *http.ServeMux
	reg    *prometheus.Registry
	logs   *observer.ObservedLogs
	append func(ctx context.Context, b *Batch) error // before it is kept; may be nil

	mu       sync.Mutex
	got      map[string]*reading // by source
	validity []time.Duration
	told     []string // by OnQuarantine
}

func newBench(t *testing.T, config string) *bench {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	b := &bench{t: t, mux: http.NewServeMux(), reg: prometheus.NewRegistry(), logs: logs, got: map[string]*reading{}}
	doors, err := New(memoryLog(b.keep), Options{
		Config: configOf(t, config), Now: time.Now, Registerer: b.reg, Logger: zap.New(core),
		OnQuarantine: func(source string, r *Result) { b.told = append(b.told, source+": "+r.Errors[0].Reason) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range doors.Routes() {
		if r.Scope != ScopeIngest {
			t.Errorf("%s has the scope %q", r.Pattern, r.Scope)
		}
		b.mux.Handle(r.Method+" "+r.Pattern, r.Handler)
	}
	return b
}

func (b *bench) keep(ctx context.Context, batch *Batch) error {
	if b.append != nil {
		if err := b.append(ctx, batch); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.got[batch.Source] == nil {
		b.got[batch.Source] = new(reading)
	}
	b.got[batch.Source].keep(b.t, batch.Source, batch)
	b.validity = append(b.validity, batch.Validity)
	return nil
}

// stored counts the alerts and quarantined pieces of a source.
func (b *bench) stored(source string) (alerts, quarantined int) {
	if r := b.got[source]; r != nil {
		return len(r.alerts), len(r.quarantined)
	}
	return 0, 0
}

// post sends a body; header holds names and values in turn.
func (b *bench) post(path string, body []byte, header ...string) *httptest.ResponseRecorder {
	return b.do(http.MethodPost, path, bytes.NewReader(body), header...)
}

func (b *bench) do(method, path string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, r)
	return w
}

// metric is the value of a counter or gauge, or the count of a histogram.
func (b *bench) metric(name string, labels ...string) float64 {
	b.t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "winnow_ingest_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetName()+"="+l.GetValue())
			}
			if slices.Equal(got, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return -1
}

func zipped(body []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(body)
	_ = z.Close()
	return out.Bytes()
}

const oneAlert = `[{"labels":{"alertname":"A","severity":"critical"}}]`

func TestDoors(t *testing.T) {
	f := func(method, path, body string, code int, answer string, header ...string) {
		t.Helper()
		b := newBench(t, `{}`)
		w := b.do(method, path, strings.NewReader(body), header...)
		if got := strings.TrimSpace(w.Body.String()); w.Code != code || got != answer {
			t.Errorf("%s %s: %d %s\nwant %d %s", method, path, w.Code, got, code, answer)
		}
	}
	webhook := `{"alerts":` + oneAlert + `}`
	f("POST", "/ingest/alertmanager", webhook, 200, `{"accepted":1,"quarantined":0}`)
	f("POST", "/ingest/alertmanager", `{"alerts":`+oneAlert+`,"truncatedAlerts":7}`, 200, `{"accepted":1,"quarantined":0,"withheld":7}`)
	f("POST", "/ingest/alertmanager", webhook, 200, `{"accepted":1,"quarantined":0}`, "Content-Type", "text/plain")
	f("POST", "/ingest/alertmanager", `{"alerts":[{"labels":[]},{"labels":{"a":"b"}}]}`, 200,
		`{"accepted":1,"quarantined":1,"errors":[{"pointer":"/alerts/0/labels","offset":21,"reason":"labels is an array, not an object"}]}`)
	f("POST", "/ingest/alertmanager", `{`, 200,
		`{"accepted":0,"quarantined":1,"errors":[{"pointer":"","offset":1,"reason":"the body ends where a name in quotes should stand"}]}`)
	f("POST", "/ingest/prometheus", oneAlert, 200, `{"accepted":1,"quarantined":0}`)
	f("POST", "/api/v2/alerts", oneAlert, 200, ``)
	f("POST", "/api/v2/alerts", `[]`, 200, ``)
	f("POST", "/api/v2/alerts", `[7,{"labels":{"a":"b"}}]`, 400, `"the alert is a number, not an object (at \"/0\", byte 1)"`)
	f("POST", "/api/v2/alerts", `[`+strings.Repeat(`7,`, 11)+`7]`, 400, `"`+strings.Join(numberedReasons(10), `\n`)+`\nand 2 more"`)
	f("GET", "/ingest/alertmanager", ``, 405, `Method Not Allowed`)
	f("PUT", "/api/v2/alerts", oneAlert, 405, `Method Not Allowed`)
	f("POST", "/ingest/nagios", `{}`, 404, `There is no source of this name; there are alertmanager, prometheus.`)
	f("POST", "/ingest/", `{}`, 404, `404 page not found`)
}

func numberedReasons(n int) (reasons []string) {
	for i := range n {
		reasons = append(reasons, strings.NewReplacer("#", string(rune('0'+i)), "@", itoa(1+2*i)).Replace(`the alert is a number, not an object (at \"/#\", byte @)`))
	}
	return reasons
}

// TestMethodWithoutARouter holds the handler itself to POST.
func TestMethodWithoutARouter(t *testing.T) {
	doors, err := New(memoryLog(func(context.Context, *Batch) error { return nil }), Options{Config: configOf(t, `{}`), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	doors.Routes()[0].Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ingest/alertmanager", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost {
		t.Errorf("%d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// TestALabelledAlertPagesWhateverElseIsWrongWithIt: a critical whose annotations
// are [], as PHP writes no annotations, went into quarantine and paged nobody.
func TestALabelledAlertPagesWhateverElseIsWrongWithIt(t *testing.T) {
	f := func(alert, labels, marks, problem string) {
		t.Helper()
		b := newBench(t, `{}`)
		w := b.post("/ingest/alertmanager", []byte(`{"alerts":[`+alert+`]}`))
		r := b.got["alertmanager"]
		if w.Code != 200 || r == nil || len(r.alerts) != 1 || len(r.quarantined) != 0 {
			t.Fatalf("%s: %d %s", alert, w.Code, w.Body)
		}
		a := &r.alerts[0]
		if a.Status.String() != "firing" || a.Labels.String() != labels || strings.Join(a.Marks.Names(), " ") != marks || !strings.Contains(w.Body.String(), problem) {
			t.Errorf("%s: %s %s, marks %q\n%s", alert, a.Status, a.Labels, a.Marks.Names(), w.Body)
		}
		if n := b.logs.Len(); n != 1 || len(b.told) != 0 {
			t.Errorf("%s: %d log entries, told %q", alert, n, b.told)
		}

		w = b.post("/api/v2/alerts", []byte(`[`+alert+`]`))
		if alerts, quarantined := b.stored("prometheus"); alerts != 1 || quarantined != 0 {
			t.Errorf("%s: %d alerts, %d in quarantine at the other door", alert, alerts, quarantined)
		}
		if wantStatus := !strings.Contains(alert, `"status"`); (w.Code == 400) != wantStatus {
			t.Errorf("%s: %d at the other door", alert, w.Code)
		}
	}
	const labels = `{a="b", severity="critical"}`
	good := func(rest string) string { return `{"labels":{"a":"b","severity":"critical"},` + rest + `}` }
	f(good(`"annotations":[]`), labels, "sanitised", `{"pointer":"/alerts/0/annotations","offset":67,"reason":"annotations is an array, not an object"}`)
	f(good(`"annotations":"down"`), labels, "sanitised", "annotations is a string, not an object")
	f(good(`"startsAt":1748778138`), labels, "clock", "startsAt is a number, not a string")
	f(good(`"endsAt":{}`), labels, "clock", "endsAt is an object, not a string")
	f(good(`"generatorURL":7,"startsAt":7`), labels, "sanitised clock", "generatorURL is a number, not a string")
	f(good(`"status":1`), labels, "sanitised", "status is a number, not a string")
	f(`{"labels":{"a":["b"]}}`, `{a="[\"b\"]"}`, "sanitised", `{"pointer":"/alerts/0/labels/a","offset":26,"reason":"the label's value is an array, not a string"}`)
}

// TestNamesOfMembersInAnotherCase: Alertmanager takes them, so an alert sent as
// {"Labels":…} went from paging into quarantine by coming here.
func TestNamesOfMembersInAnotherCase(t *testing.T) {
	f := func(path, source, body, labels, marks string) {
		t.Helper()
		b := newBench(t, `{}`)
		w := b.post(path, []byte(body))
		r := b.got[source]
		if w.Code != 200 || r == nil || len(r.alerts) != 1 || len(r.quarantined) != 0 {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		if a := &r.alerts[0]; a.Labels.String() != labels || strings.Join(a.Marks.Names(), " ") != marks || a.StartsAt == 0 {
			t.Errorf("%s: %s, marks %q, from %s", body, a.Labels, a.Marks.Names(), a.StartsAt)
		}
	}
	f("/ingest/prometheus", "prometheus", `[{"Labels":{"a":"b"},"StartsAt":"2025-06-01T11:00:00Z"}]`, `{a="b"}`, "")
	f("/ingest/alertmanager", "alertmanager", `{"Alerts":[{"LABELS":{"a":"b"},"startsat":"2025-06-01T11:00:00Z"}]}`, `{a="b"}`, "")
	f("/ingest/prometheus", "prometheus", `[{"labels":{"severity":"critical"},"Labels":{"severity":"info","a":"b"},"startsAt":"2025-06-01T11:00:00Z"}]`,
		`{a="b", severity="critical"}`, "duplicate_key")
}

// TestALineBreakInAStringKeepsTheAlertsBehindIt: one control character that was
// not escaped took the rest of the body into quarantine.
func TestALineBreakInAStringKeepsTheAlertsBehindIt(t *testing.T) {
	b := newBench(t, `{}`)
	b.post("/ingest/prometheus", []byte("\ufeff[{\"labels\":{\"a\":\"x\ny\"}},{\"labels\":{\"a\":\"b\"},\"more\":\"\t\"}]"))
	r := b.got["prometheus"]
	if len(r.alerts) != 2 || len(r.quarantined) != 0 || r.alerts[0].Labels.Get("a") != "x\ny" ||
		r.alerts[0].Marks != alert.MarkSanitised || r.alerts[1].Marks != 0 {
		t.Errorf("%s%s", r.alertText(), r.quarantineText())
	}
}

func TestGoodAlertsAreStoredBeforeTheBadAreNamed(t *testing.T) {
	b := newBench(t, `{}`)
	if w := b.post("/api/v2/alerts", []byte(`[7,{"labels":{"a":"b"}}]`)); w.Code != http.StatusBadRequest {
		t.Errorf("%d", w.Code)
	}
	if alerts, quarantined := b.stored("prometheus"); alerts != 1 || quarantined != 1 {
		t.Errorf("%d alerts, %d in quarantine", alerts, quarantined)
	}
	if want := []string{"prometheus: the alert is a number, not an object"}; !slices.Equal(b.told, want) {
		t.Errorf("told %q, want %q", b.told, want)
	}
	if n := b.logs.Len(); n != 1 {
		t.Errorf("%d log entries, want one for the request", n)
	}
}

func TestErrorsOfTheLogAreAnswered503(t *testing.T) {
	f := func(err error, sentence, level string) {
		t.Helper()
		b := newBench(t, `{}`)
		b.append = func(context.Context, *Batch) error { return err }
		for _, path := range []string{"/ingest/prometheus", "/api/v2/alerts"} {
			w := b.post(path, []byte(oneAlert))
			if w.Code != 503 || w.Header().Get("Retry-After") != "1" || strings.TrimSpace(w.Body.String()) != sentence {
				t.Errorf("%v at %s: %d %q, Retry-After %q", err, path, w.Code, w.Body, w.Header().Get("Retry-After"))
			}
		}
		if all := b.logs.All(); len(all) != 2 || all[0].Level.String() != level {
			t.Errorf("%v: %d log entries, want 2 at %s", err, len(all), level)
		}
		if got := b.metric("alerts_total", "source=prometheus"); got != 0 {
			t.Errorf("%v: %v alerts counted as durable", err, got)
		}
	}
	const again = "Winnow cannot make alerts durable now; nothing is lost if this is sent again."
	f(ErrUnavailable, again, "warn")
	f(errors.Join(errors.New("stream is full"), ErrUnavailable), again, "warn")
	f(errors.New("input/output error"), again, "error")
}

// TestOneFailedBatchFailsTheRequest: 2xx only when all of it is durable.
func TestOneFailedBatchFailsTheRequest(t *testing.T) {
	b := newBench(t, `{}`)
	calls := 0
	b.append = func(context.Context, *Batch) error {
		if calls++; calls == 4 {
			return ErrUnavailable
		}
		return nil
	}
	if w := b.post("/ingest/prometheus", apiBody(3000)); w.Code != 503 || calls != 4 {
		t.Errorf("%d after %d batches", w.Code, calls)
	}
	if w := b.post("/ingest/prometheus", apiBody(3000)); w.Code != 200 {
		t.Errorf("%d for the same request sent again", w.Code)
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, `deadline: 4s`)
		b.append = func(ctx context.Context, _ *Batch) error {
			<-ctx.Done()
			return ctx.Err()
		}
		start := time.Now()
		w := b.post("/ingest/prometheus", []byte(oneAlert))
		const want = "Winnow did not finish within 4s; nothing is lost if this is sent again."
		if took := time.Since(start); w.Code != 503 || strings.TrimSpace(w.Body.String()) != want || took != 4*time.Second {
			t.Errorf("%d %q after %s", w.Code, w.Body, took)
		}
	})
}

// TestSlowBodyIsCutOff serves one connection whose sender stops in the middle, or
// goes on at a rate: 5 s and one for each KiB are what a body may take, and the
// deadline at most.
func TestSlowBodyIsCutOff(t *testing.T) {
	alert := oneAlert[:len(oneAlert)-1]
	f := func(what, deadline string, length int, chunk int, every time.Duration, code string, after time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "deadline: "+deadline)
			client, server := net.Pipe()
			l := &oneConn{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
			l.conns <- server
			srv := &http.Server{Handler: b.mux}
			var wg sync.WaitGroup
			wg.Go(func() { _ = srv.Serve(l) })
			start := time.Now()
			body := alert + strings.Repeat(" ", length-len(alert)-1) + "]"
			wg.Go(func() {
				fmt.Fprintf(client, "POST /ingest/prometheus HTTP/1.1\r\nHost: winnow\r\nContent-Length: %d\r\n\r\n", length)
				for len(body) > 0 {
					n := min(chunk, len(body))
					if _, err := io.WriteString(client, body[:n]); err != nil {
						return
					}
					if body = body[n:]; every == 0 {
						break
					}
					time.Sleep(every)
				}
			})
			answer := make([]byte, 12)
			if _, err := io.ReadFull(client, answer); err != nil || string(answer) != "HTTP/1.1 "+code || time.Since(start) != after {
				t.Errorf("%s: %q, %v after %s; want %s after %s", what, answer, err, time.Since(start), code, after)
			}
			_ = client.Close()
			_ = srv.Close()
			wg.Wait()
			if alerts, quarantined := b.stored("prometheus"); alerts+quarantined != map[string]int{"200": 1, "503": 0}[code] {
				t.Errorf("%s: %d alerts and %d in quarantine", what, alerts, quarantined)
			}
		})
	}
	f("stops in the middle", "4s", 1000, 2, 0, "503", 4*time.Second)
	f("stops in the middle, long before its deadline", "60s", 1000, 2, 0, "503", 5*time.Second)
	f("a byte a second", "60s", 1000, 1, time.Second, "503", 5*time.Second)
	f("small, over a bad line", "60s", 400, 100, 1200*time.Millisecond, "200", 3600*time.Millisecond)
	f("1 KiB a second", "60s", 20<<10, 1<<10, time.Second, "200", 19*time.Second)
	f("half of that", "60s", 20<<10, 512, time.Second, "503", 9*time.Second)
	f("a good start does for as long as it was good for", "60s", 20<<10, 10<<10, 20*time.Second, "503", 15*time.Second)
	f("1 KiB a second, past the deadline", "10s", 20<<10, 1<<10, time.Second, "503", 10*time.Second)
}

type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestValidity(t *testing.T) {
	f := func(config, path, body string, want time.Duration) {
		t.Helper()
		b := newBench(t, config)
		b.post(path, []byte(body))
		if !slices.Equal(b.validity, []time.Duration{want}) {
			t.Errorf("%s %s: %v, want %v", config, path, b.validity, want)
		}
	}
	webhook := `{"alerts":` + oneAlert + `}`
	f(`{}`, "/ingest/alertmanager", webhook, 48*time.Hour)
	f(`{}`, "/api/v2/alerts", oneAlert, 0)
	f(`sources: {alertmanager: {resolve_after: 0s}}`, "/ingest/alertmanager", webhook, 0)
	f(`sources: {alertmanager: {resolve_after: 6h}}`, "/ingest/alertmanager", webhook, 6*time.Hour)
	f(`sources: {prometheus: {resolve_after: 10m}}`, "/api/v2/alerts", oneAlert, 10*time.Minute)
}

// TestReceiveTime: what has ended is decided by the clock of the shell.
func TestReceiveTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, `{}`) // the bubble's clock stands at 2000-01-01
		b.post("/api/v2/alerts", []byte(`[{"labels":{"a":"1"},"endsAt":"2000-01-01T00:00:00Z"},{"labels":{"a":"2"},"endsAt":"2000-01-01T00:00:01Z"}]`))
		got := b.got["prometheus"].alerts
		if got[0].Status != alert.Resolved || got[1].Status != alert.Firing {
			t.Errorf("%s %s", got[0].Status, got[1].Status)
		}
	})
}

func TestMetrics(t *testing.T) {
	b := newBench(t, `{}`)
	body := []byte(`{"alerts":[{"labels":{"a":"b"}},7],"truncatedAlerts":5}`)
	b.post("/ingest/alertmanager", body)
	b.post("/ingest/alertmanager", zipped(body), "Content-Encoding", "gzip")
	b.post("/ingest/nagios", body)
	f := func(want float64, name string, labels ...string) {
		t.Helper()
		if got := b.metric(name, labels...); got != want {
			t.Errorf("%s%v = %v, want %v", name, labels, got, want)
		}
	}
	f(2, "requests_total", "code=200", "source=alertmanager")
	f(1, "requests_total", "code=404", "source=unknown")
	f(2, "alerts_total", "source=alertmanager")
	f(2, "quarantined_total", "source=alertmanager")
	f(10, "withheld_alerts_total", "source=alertmanager")
	f(0, "short_bodies_total", "source=alertmanager")
	f(float64(2*len(body)), "body_bytes_total", "source=alertmanager")
	f(2, "request_duration_seconds", "source=alertmanager")
	f(0, "in_flight")
}

func TestMetricsGoOnAfterAReload(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		_, err := New(memoryLog(func(context.Context, *Batch) error { return nil }), Options{Config: configOf(t, `{}`), Now: time.Now, Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAHundredThousandAlerts sends the largest webhook there is. Its memory is
// that of the body and of one batch.
func TestAHundredThousandAlerts(t *testing.T) {
	const n = 100_000
	var text bytes.Buffer
	text.WriteString(`{"version":"4","alerts":[`)
	for i := range n {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(`{"status":"firing","labels":{"alertname":"KubePodNotReady","cluster":"eu-west-1a","namespace":"payments","pod":"p-` + itoa(i) +
			`","severity":"critical"},"annotations":{"summary":"A pod does not become\u0020ready."},"startsAt":"2025-06-01T11:42:18Z"}`)
	}
	text.WriteString(`]}`)
	body := text.Bytes()

	alerts, batches := 0, 0
	doors, err := New(memoryLog(func(_ context.Context, b *Batch) error {
		alerts += len(b.Alerts)
		batches++
		bytes := 0
		for i := range b.Alerts {
			bytes += size(&b.Alerts[i])
		}
		if len(b.Alerts) > MaxBatchAlerts || bytes > MaxBatchBytes {
			t.Fatalf("a batch of %d alerts, %d bytes", len(b.Alerts), bytes)
		}
		return nil
	}), Options{Config: configOf(t, `{}`), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	send := func(wire []byte, chunked bool, header ...string) (allocated uint64) {
		r := httptest.NewRequest("POST", "/ingest/alertmanager", bytes.NewReader(wire))
		if chunked {
			r.ContentLength = -1
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		alerts, batches = 0, 0
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		doors.Routes()[0].Handler.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		if w.Code != 200 || alerts != n || batches < n/MaxBatchAlerts {
			t.Errorf("%d, %d alerts in %d batches", w.Code, alerts, batches)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	f := func(what string, got uint64, most float64) {
		t.Helper()
		if times := float64(got) / float64(len(body)); times > most {
			t.Errorf("%s: %.2f times the body's %d bytes allocated, at most %.1f", what, times, len(body), most)
		}
	}
	// All that is allocated, also what is freed on the way, bounds what is held.
	f("with its length", send(body, false), 1.5)
	f("without", send(body, true), 3.5)
	f("compressed", send(zipped(body), false, "Content-Encoding", "gzip"), 3.5)
}

// TestAlertsThatDifferInInvalidBytesAreTwo: they were one, and only one of them
// was paged. What came is in what is kept.
func TestAlertsThatDifferInInvalidBytesAreTwo(t *testing.T) {
	f := func(one, other, shown string) {
		t.Helper()
		b := newBench(t, `{}`)
		body := `[{"labels":{"alertname":"A","host":"` + one + `"}},{"labels":{"alertname":"A","host":"` + other + `"}}]`
		for range 2 { // the same each time
			if w := b.post("/ingest/prometheus", []byte(body)); w.Code != 200 {
				t.Fatal(w.Code)
			}
		}
		got := b.got["prometheus"].alerts
		if len(got) != 4 || got[0].Fingerprint == got[1].Fingerprint || got[0].Labels.Equal(got[1].Labels) ||
			got[0].Fingerprint != got[2].Fingerprint || got[1].Fingerprint != got[3].Fingerprint {
			t.Fatalf("%q and %q: %v", one, other, got)
		}
		if s := got[0].Labels.String(); s != shown || got[0].Marks&alert.MarkSanitised == 0 {
			t.Errorf("%q: %s, want %s; marks %v", one, s, shown, got[0].Marks)
		}
	}
	f("caf\xe9", "caf\xe8", `{alertname="A", host="caf\uf7e9"}`)
	f("\xff", "\xfe", `{alertname="A", host="\uf7ff"}`)
	f("\xff", `\ufffd`, `{alertname="A", host="\uf7ff"}`)
	f(`\ud83d`, `\ud83e`, `{alertname="A", host="\ue03d"}`)
	f(`\udc80`, "\x80", `{alertname="A", host="\ue480"}`)
	f("\xe6\x9d", "\xe6", `{alertname="A", host="\uf7e6\uf79d"}`)
}
