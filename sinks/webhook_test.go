package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// sent is a request as a transport gets it.
type sent struct {
	url, body, again string // again is the body that GetBody returns
	header           http.Header
	length           int64
}

// recorder is a transport that accepts everything.
type recorder struct {
	last sent
	ours bool // whether the body was written here
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	_, r.ours = req.Body.(*payloadReader)
	r.last = sent{url: req.URL.String(), body: drain(req.Body), header: req.Header.Clone(), length: req.ContentLength}
	again, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	r.last.again = drain(again)
	return accepted(req), nil
}

func drain(body io.ReadCloser) string {
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return err.Error()
	}
	return string(b)
}

func accepted(req *http.Request) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
}

// recorded builds a webhook before a recorder. Where stock is set, Alertmanager's
// notifier writes all of its payloads.
func recorded(t testing.TB, conf string, stock bool) (*wrapped, *recorder) {
	t.Helper()
	w, r := buildOne(t, strings.ReplaceAll(conf, "URL", "http://h")).(*wrapped), &recorder{}
	w.first.base = r
	if stock {
		w.hook = nil
	}
	return w, r
}

// TestWebhookIsAlertmanagers: whatever a notification holds, the request is the
// one that Alertmanager's notifier makes of it.
func TestWebhookIsAlertmanagers(t *testing.T) {
	ours, ordinary := 0, 0
	for _, conf := range []string{"", ", send_resolved: false", ", max_alerts: 1", ", max_alerts: 4, send_resolved: true", ", timeout: 1h, http_config: {http_headers: {X-Key: {values: [a]}}}"} {
		synctest.Test(t, func(t *testing.T) { // where the clock stands still between the two
			conf = `webhook_configs: [{url: "http://h/hook?a=1&b=2"` + conf + `}]`
			in, got := recorded(t, conf, false)
			stock, want := recorded(t, conf, true)
			for seed := range uint64(600) {
				m := randomMessage(rand.New(rand.NewPCG(seed, 28)))
				in.tmpl.ExternalURL = &url.URL{Scheme: "http", Host: "w.example", RawQuery: []string{"", "a=<b>&c='d'"}[seed%2]}
				stock.tmpl.ExternalURL = in.tmpl.ExternalURL
				err, wantErr := in.Send(t.Context(), m), stock.Send(t.Context(), m)
				if err != nil || wantErr != nil {
					t.Fatalf("%s, seed %d: %v, %v", conf, seed, err, wantErr)
				}
				if !reflect.DeepEqual(got.last, want.last) {
					t.Fatalf("%s, seed %d: got\n%+v\nwant\n%+v", conf, seed, got.last, want.last)
				}
				if got.last.again != got.last.body || got.last.length != int64(len(got.last.body)) {
					t.Fatalf("%s, seed %d: %+v", conf, seed, got.last)
				}
				if want.ours {
					t.Fatal("the notifier's own way is not taken")
				}
				if got.ours {
					ours++
				} else {
					ordinary++
				}
			}
		})
	}
	if ours < 1000 || ordinary < 300 {
		t.Errorf("%d payloads written here, %d by the notifier", ours, ordinary)
	}
}

// oddStrings are those that JSON, HTML or a map makes something of.
var oddStrings = []string{
	"a", "checkout", "warning", "", "p99 > 2 s & <b>rising</b>", `C:\temp "x"`, "a\tb\nc\r\n", "\x00\x01\b\f\x1b\x7f", "\xff", "a\xc3", "\xed\xa0\x80",
	"\u2028", "a\u2029b", "\u0085", "\ufffd", "\ufeff", "名前", "Größe", "😀", "{{ .Status }}", strings.Repeat("x", 5000),
}

var oddNames = append([]string{
	"alertname", "instance", "job", "severity", "owner", "redelivered", "runbook_url", "winnow_note", "storm", "summary", "zone", "aa", "winnow",
}, oddStrings...)

func randomLabels(rnd *rand.Rand) alert.Labels {
	var ls alert.Labels
	for range rnd.IntN(9) {
		ls = append(ls, alert.Label{Name: oddNames[rnd.IntN(len(oddNames))], Value: oddStrings[rnd.IntN(len(oddStrings))]})
	}
	if rnd.IntN(50) == 0 {
		return ls // neither sorted nor each name once
	}
	slices.SortStableFunc(ls, func(a, b alert.Label) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(ls, func(a, b alert.Label) bool { return a.Name == b.Name })
}

// randomMessage has members that are much alike, or nothing would be common to all.
func randomMessage(rnd *rand.Rand) *Message {
	now := alert.TimeOf(time.Now())
	odd := func() string { return oddStrings[rnd.IntN(len(oddStrings))] }
	moment := func() alert.Time {
		return []alert.Time{0, 1, now, now.Add(-time.Second), now.Add(time.Nanosecond), now.Add(time.Hour), -1 << 63, 1<<63 - 1}[rnd.IntN(8)]
	}
	n := &correlate.Notification{
		Incident: rnd.Uint64N(100), Kind: []correlate.Kind{correlate.Page, correlate.Update, correlate.Resolve}[rnd.IntN(3)], Reason: correlate.Reason(rnd.IntN(8)),
		Receiver: []string{"oncall", "team-X.(page)", "<&>"}[rnd.IntN(3)], GroupLabels: randomLabels(rnd), At: moment(), Firing: rnd.IntN(3),
	}
	if rnd.IntN(3) == 0 {
		n.Storm = &correlate.StormSummary{Joined: rnd.Uint64N(3)}
	}
	if rnd.IntN(8) == 0 {
		n.RouteLabels = alert.Labels{{Name: "channel", Value: "{{ .Status }}"}}
	}
	labels, annotations := randomLabels(rnd), randomLabels(rnd)
	for range rnd.IntN(7) {
		member := correlate.Member{Labels: slices.Clone(labels), Annotations: slices.Clone(annotations), StartsAt: moment(), GeneratorURL: odd(), Deliveries: rnd.Uint64N(9)}
		for _, ls := range []alert.Labels{member.Labels, member.Annotations} {
			if len(ls) > 0 && rnd.IntN(2) == 0 {
				ls[rnd.IntN(len(ls))].Value = odd()
			}
		}
		if rnd.IntN(4) == 0 {
			member.Labels = randomLabels(rnd)
		}
		if rnd.IntN(2) == 0 {
			member.EndsAt = moment()
		}
		n.Alerts = append(n.Alerts, member)
	}
	m := &Message{Notification: n, Key: "{}:" + odd(), Page: rnd.IntN(2) == 0, Redelivered: rnd.IntN(3) == 0}
	if rnd.IntN(2) == 0 {
		m.Context = enrich.Context{Runbook: odd(), Owner: odd(), Degraded: odd()}
	}
	return m
}

// TestPayloadsLeftToTheNotifier: what a template of the configuration makes of the
// alerts is rendered from all of them, and a file is read at each attempt.
func TestPayloadsLeftToTheNotifier(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("http://h/{{ .CommonLabels.service }}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(conf string, wantURL, wantBody string, ours bool, change ...func(*correlate.Notification)) {
		t.Helper()
		in, r := recorded(t, "webhook_configs: [{"+conf+"}]", false)
		if err := send(t, in, change...); err != nil {
			t.Fatal(err)
		}
		if r.ours != ours || r.last.url != wantURL || !strings.Contains(r.last.body, wantBody) {
			t.Errorf("%s: written here: %v, to %s:\n%s", conf, r.ours, r.last.url, r.last.body)
		}
	}
	f(`url: "http://h/"`, "http://h/", `"alertname":"HighLatency"`, true)
	f(`url: "http://h/"`, "http://h/", `"groupLabels":{"service":"checkout","storm":"storm of 7 alerts","zone":"a"}`, true, func(n *correlate.Notification) {
		n.GroupLabels, n.Storm = append(n.GroupLabels, alert.Label{Name: "zone", Value: "a"}), &correlate.StormSummary{Joined: 7}
	})
	f(`url: "http://h/{{ .CommonLabels.service }}"`, "http://h/checkout", `"alertname":"HighLatency"`, false)
	f(`url_file: `+file, "http://h/checkout", `"alertname":"HighLatency"`, false)
	f(`url: "http://h/", payload: {said: "{{ .CommonLabels.service }}"}`, "http://h/", `{"said":"checkout"}`, false)
	f(`url: "http://h/"`, "http://h/", `"routeLabels":{"channel":"#checkout","deliveries":"3",`, false, func(n *correlate.Notification) {
		n.RouteLabels = alert.Labels{{Name: "channel", Value: "#{{ .CommonLabels.service }}"}}
	})
	f(`url: "http://h/"`, "http://h/", `"labels":{"a":"2","b":"1"}`, false, func(n *correlate.Notification) {
		n.Alerts[0].Labels = alert.Labels{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}}
	})
}

// TestRedirectCarriesThePayload: on the wire and behind a redirect a webhook is
// what the notifier would have sent.
func TestRedirectCarriesThePayload(t *testing.T) {
	p := newProvider(t)
	n := note(correlate.Page, 42, 1)
	for len(n.Alerts) < 300 {
		n.Alerts = append(n.Alerts, n.Alerts[0])
	}
	hops := func(stock bool) (out []sent) {
		p.set(func(w http.ResponseWriter, r *http.Request) {
			out = append(out, sent{url: r.URL.Path, body: drain(r.Body), header: r.Header, length: r.ContentLength})
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/next", http.StatusTemporaryRedirect)
			}
		})
		in := p.build(t, hook).(*wrapped)
		if stock {
			in.hook = nil
		}
		if err := in.Send(t.Context(), &Message{Notification: n, Key: "g"}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	got, want := hops(false), hops(true)
	if !reflect.DeepEqual(got, want) || len(got) != 2 || got[1].body != got[0].body || len(got[0].body) < 100*300 {
		t.Errorf("got\n%.2000v\nwant\n%.2000v", got, want)
	}
}

// transport is one that does as it says.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestPayloadIsNotReusedWhileRead: a transport may answer before it has read the
// body, and go on reading.
func TestPayloadIsNotReusedWhileRead(t *testing.T) {
	in, _ := recorded(t, hook, false)
	var bodies []io.ReadCloser
	in.first.base = transport(func(req *http.Request) (*http.Response, error) {
		again, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, req.Body, again)
		return accepted(req), nil
	})
	tell := func(incident uint64) {
		t.Helper()
		if err := in.Send(t.Context(), &Message{Notification: note(correlate.Page, incident, 1), Key: "g"}); err != nil {
			t.Fatal(err)
		}
	}
	tell(1)
	bodies[0].Close() // the second one is read still
	tell(2)
	if got := drain(bodies[1]); !strings.Contains(got, `"incident":"INC-1"`) {
		t.Errorf("what was read late: %s", got)
	}

	// What is closed is not read any more, and its memory serves the next.
	var late func() (io.ReadCloser, error)
	in.first.base = transport(func(req *http.Request) (*http.Response, error) {
		bodies, late = append(bodies[:0], req.Body), req.GetBody
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
		return accepted(req), nil
	})
	tell(3)
	was := &in.first.buffer[:1][0]
	tell(4)
	if &in.first.buffer[:1][0] != was {
		t.Error("a buffer that nobody reads is not used again")
	}
	again, err := late()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []io.ReadCloser{bodies[0], again} {
		if n, err := body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("a body was read behind its end: %d, %v", n, err)
		}
	}
}

// TestLargePayloadIsNotKept: one storm does not set how much memory a webhook has
// from then on.
func TestLargePayloadIsNotKept(t *testing.T) {
	in, r := recorded(t, hook, false)
	many := func(n *correlate.Notification) { n.Alerts = slices.Repeat(n.Alerts, 4096) }
	if err := send(t, in, many); err != nil || !r.ours || len(r.last.body) < maxKeptBytes {
		t.Fatalf("%v, %d bytes", err, len(r.last.body))
	}
	if l := in.first; cap(l.buffer) > maxKeptBytes || cap(l.telling.list) > maxKeptBytes>>10 {
		t.Errorf("kept %d bytes and %d alerts", cap(l.buffer), cap(l.telling.list))
	}
}

// TestAnAlertMoreAllocatesNothing: nor does what was looked up for it.
func TestAnAlertMoreAllocatesNothing(t *testing.T) {
	in, _ := recorded(t, hook, false)
	in.first.base = transport(discard)
	allocs := func(alerts int) float64 {
		m := &Message{Notification: crowd(alerts), Key: "g", Context: enrich.Context{Owner: "payments"}}
		return testing.AllocsPerRun(20, func() {
			if err := in.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocs(10), allocs(500); many > few+10 { // a few come and go by themselves
		t.Errorf("%v allocations for 10 alerts, %v for 500", few, many)
	}
}

func discard(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return accepted(req), req.Body.Close()
}

// crowd is the first notification of a group, with labels and annotations as
// long as those of Kubernetes.
func crowd(alerts int) *correlate.Notification {
	return note(correlate.Page, 1, 1, func(n *correlate.Notification) {
		first := n.Alerts[0]
		n.Alerts = nil
		for i := range alerts {
			first.Labels = alert.Labels{
				{Name: "alertname", Value: "KubePodCrashLooping"}, {Name: "cluster", Value: "eu-west-1"}, {Name: "container", Value: "checkout-api"},
				{Name: "instance", Value: fmt.Sprintf("10.42.%d.%d:8080", i/256, i%256)}, {Name: "job", Value: "kube-state-metrics"}, {Name: "namespace", Value: "checkout"},
				{Name: "pod", Value: podName(i)}, {Name: "severity", Value: "critical"},
			}
			first.Annotations = alert.Labels{
				{Name: "description", Value: "The pod " + podName(i) + " is in waiting state (reason: \"CrashLoopBackOff\")."}, {Name: "summary", Value: "Pod is crash looping."},
			}
			first.GeneratorURL = "http://prometheus.example:9090/graph?g0.expr=kube_pod+%3E+1&g0.tab=1"
			n.Alerts = append(n.Alerts, first)
		}
	})
}

// BenchmarkWebhook is an attempt up to the transport, for an alert of a hundred.
func BenchmarkWebhook(b *testing.B) {
	const alerts = 100
	for _, name := range []string{"ours", "notifier"} {
		b.Run(name, func(b *testing.B) {
			in, _ := recorded(b, hook, name == "notifier")
			in.first.base = transport(discard)
			m := &Message{Notification: crowd(alerts), Key: "g", Page: true}
			b.ReportAllocs()
			for b.Loop() {
				if err := in.Send(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/alerts, "ns/alert")
		})
	}
}

// FuzzAppendString: a string is what encoding/json makes of it.
func FuzzAppendString(f *testing.F) {
	for _, s := range oddStrings {
		f.Add(s)
	}
	for c := range 0x80 {
		f.Add("a" + string(rune(c)) + "b")
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString([]byte("x"), s); !bytes.Equal(got[1:], want) {
			t.Errorf("%q: got %s, want %s", s, got[1:], want)
		}
	})
}
