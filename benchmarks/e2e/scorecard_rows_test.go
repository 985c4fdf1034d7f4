//go:build e2e && scorecard

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// grace is how long anybody is waited for who has five times less to wait.
const grace = 10 * time.Second

func oneAlert(name, severity string) []postable {
	return []postable{{Labels: map[string]string{"alertname": name, "severity": severity, "instance": "10.42.0.1:8080"}}}
}

// crashRows end the program at three moments. Nothing is sent again but where
// the row says so.
var crashRows = func() []row {
	var rows []row
	for _, s := range []struct {
		name   string
		signal os.Signal
	}{{"kill -9", syscall.SIGKILL}, {"SIGTERM", syscall.SIGTERM}} {
		rows = append(rows,
			row{name: "an alert is answered 2xx, " + s.name + " inside `group_wait`, nothing is sent again", want: "paged",
				play: func(t *testing.T, name string) outcome { return lostInWait(t, name, s.signal) }},
			row{name: "a page is out, " + s.name + ", the same alert is sent again", want: "no second page",
				play: func(t *testing.T, name string) outcome { return pagedTwice(t, name, s.signal) }},
			row{name: "a page is out, " + s.name + ", the alert ends", want: "incident closed",
				play: func(t *testing.T, name string) outcome { return stuckIncident(t, name, s.signal) }},
		)
	}
	return rows
}()

func lostInWait(t *testing.T, name string, s os.Signal) outcome {
	b := begin(t, name, "2s", "")
	b.say(firing(oneAlert("DiskFull", "critical"))...)
	b.signal(t, s)
	b.start()
	if within(grace, b.paged) {
		return outcome{class: "paged"}
	}
	return outcome{class: "never paged"}
}

// pagedOnce waits for the page and until it has been recorded.
func pagedOnce(t *testing.T, name string) *bench {
	b := begin(t, name, "2s", "")
	b.say(firing(oneAlert("DiskFull", "critical"))...)
	if !within(patience, b.paged) {
		t.Fatalf("%s does not page at all", name)
	}
	<-time.After(2 * time.Second)
	return b
}

func pagedTwice(t *testing.T, name string, s os.Signal) outcome {
	b := pagedOnce(t, name)
	b.signal(t, s)
	b.start()
	b.say(firing(oneAlert("DiskFull", "critical"))...)
	if within(grace, func() bool { return b.sink.firing.Load() > 1 }) {
		return outcome{class: "a second page"}
	}
	return outcome{class: "no second page"}
}

func stuckIncident(t *testing.T, name string, s os.Signal) outcome {
	b := pagedOnce(t, name)
	b.signal(t, s)
	b.start()
	b.say(over(oneAlert("DiskFull", "critical"))...)
	if within(grace, func() bool { return len(b.pd.Open()) == 0 }) {
		return outcome{class: "incident closed"}
	}
	return outcome{class: "incident stays open"}
}

// sinkRows have the webhook refuse for a while.
var sinkRows = []row{
	{name: "the sink answers 429 for 20 s, then 200", want: "delivered", play: func(t *testing.T, name string) outcome { return refused(t, name, 429) }},
	{name: "the sink answers 503 for 20 s, then 200", want: "delivered", play: func(t *testing.T, name string) outcome { return refused(t, name, 503) }},
	{name: "the sink answers 400", want: "another receiver is told", play: func(t *testing.T, name string) outcome { return refused(t, name, 400) }},
}

func refused(t *testing.T, name string, status int32) outcome {
	b := begin(t, name, "5m", `
winnow:
  fallback_receiver: other
  self_alert: {webhook: {url_file: URL_FILE}}
`)
	b.sink.status.Store(status)
	b.say(firing(oneAlert("DiskFull", "critical"))...)
	<-time.After(20 * time.Second)
	tries := number{"attempts in 20 s", "", int(b.sink.tries.Load())}
	b.sink.status.Store(http.StatusOK)
	o := outcome{class: "nobody is told", numbers: []number{tries}}
	recovered := time.Now()
	switch {
	case b.sink.other.Load() > 0 && b.sink.trouble.Load() > 0:
		o.class = "another receiver is told"
	case within(3*grace, func() bool { return b.sink.firing.Load() > 0 }):
		o.class = "delivered"
		o.numbers = append(o.numbers, number{"at most", "s after the sink was well", int(time.Since(recovered).Seconds()) + 1})
	}
	return o
}

// inputRows send what nobody should.
var inputRows = []row{
	{name: "one alert with a label of 200 MiB", want: "the next alert pages, and the large one does", alone: true, play: hugeLabel},
	{name: "anybody posts a silence of ten years that matches everything", want: "refused, and the next alert pages", play: silencedByAnybody},
	{name: "100,000 alerts of one group in one request of 20 MB", want: "200, paged", alone: true, play: hundredThousand},
}

func hugeLabel(t *testing.T, name string) outcome {
	b := begin(t, name, "2s", "")
	before, _ := b.memory()
	var body bytes.Buffer
	body.WriteString(`[{"labels":{"alertname":"Huge","severity":"warning","blob":"`)
	body.Write(bytes.Repeat([]byte("x"), 200<<20))
	body.WriteString(`"}}]`)
	code, _ := b.post("/api/v2/alerts", body.Bytes())
	b.say(firing(oneAlert("DiskFull", "critical"))...)
	named := func(name string) func() bool {
		return func() bool {
			return slices.ContainsFunc(b.pd.Events(), func(e sinktest.Event) bool { return strings.Contains(e.Summary, name) })
		}
	}
	o := outcome{class: "the next alert pages"}
	switch {
	case code == http.StatusTooManyRequests || code == http.StatusRequestEntityTooLarge:
		o.class = "it is turned away"
	case !within(3*grace, named("DiskFull")):
		o.class = "the next alert does not page"
	case within(grace, named("Huge")):
		o.class += ", and the large one does"
	default:
		o.class += ", and the large one does not"
	}
	_, most := b.memory()
	o.numbers = []number{{"answer", "", code}, {"resident before", "MiB", before}, {"at most", "MiB", most}}
	return o
}

func silencedByAnybody(t *testing.T, name string) outcome {
	b := begin(t, name, "2s", "")
	now := time.Now()
	body, err := json.Marshal(map[string]any{
		"matchers": []map[string]any{{"name": "alertname", "value": ".+", "isRegex": true, "isEqual": true}},
		"startsAt": now, "endsAt": now.AddDate(10, 0, 0), "createdBy": "anybody", "comment": "quiet, please",
	})
	if err != nil {
		t.Fatal(err)
	}
	code, _ := b.post("/api/v2/silences", body)
	answer := "refused"
	if code/100 == 2 {
		answer = "taken"
	}
	b.say(firing(oneAlert("DiskFull", "critical"))...)
	o := outcome{class: answer + ", and the next alert pages", numbers: []number{{"answer", "", code}}}
	if !within(grace, b.paged) {
		o.class = answer + ", and nothing pages"
	}
	return o
}

// hundredThousand sends Winnow the webhook that an Alertmanager makes of such a
// group, and Alertmanager the alerts themselves.
func hundredThousand(t *testing.T, name string) outcome {
	b := begin(t, name, "2s", "")
	before, _ := b.memory()
	path, body := "/api/v2/alerts", []byte(nil)
	var ps []postable
	for i := range 100_000 {
		ps = append(ps, postable{
			Labels:      map[string]string{"alertname": "PodDown", "severity": "warning", "pod": fmt.Sprintf("checkout-%06d", i)},
			Annotations: map[string]string{"summary": fmt.Sprintf("checkout-%06d is down", i)},
		})
	}
	ps = firing(ps)
	var err error
	if name == "winnow" {
		path = "/ingest/alertmanager"
		body, err = json.Marshal(asWebhook(ps, time.Now()))
	} else {
		body, err = json.Marshal(ps)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	code, _ := b.post(path, body)
	took := time.Since(began)
	o := outcome{class: fmt.Sprintf("%d, paged", code)}
	if !within(patience, b.paged) {
		o.class = fmt.Sprintf("%d, not paged", code)
	}
	<-time.After(grace) // the first webhook may have left before all were in
	_, most := b.memory()
	o.numbers = []number{
		{"request", "MB", len(body) / 1e6}, {"answered after", "ms", int(took.Milliseconds())},
		{"resident before", "MiB", before}, {"at most", "MiB", most},
		{"largest webhook out", "KB", int(b.sink.largest.Load() / 1000)}, {"alerts listed in it", "", int(b.sink.listed.Load())},
	}
	return o
}
