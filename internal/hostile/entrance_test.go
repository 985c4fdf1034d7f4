package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v4"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/logs"
)

var now = func() time.Time {
	t, err := time.Parse(time.RFC3339, Now)
	if err != nil {
		panic("hostile: " + err.Error())
	}
	return t
}()

// kept is an ingest.Log that keeps a copy of every batch, or, to measure the
// memory of others, only counts.
type kept struct {
	batches []ingest.Batch
	count   bool
}

func (k *kept) Append(_ context.Context, b *ingest.Batch) error {
	if k.count {
		return nil
	}
	c := *b
	c.Alerts = make([]alert.Alert, len(b.Alerts))
	for i := range b.Alerts {
		c.Alerts[i] = b.Alerts[i].Clone()
	}
	c.Quarantined = make([]ingest.Quarantine, len(b.Quarantined))
	for i, q := range b.Quarantined {
		q.Raw = bytes.Clone(q.Raw)
		c.Quarantined[i] = q
	}
	k.batches = append(k.batches, c)
	return nil
}

// entrance is the doors of all sources, mounted, each with the same token.
type entrance struct {
	mux      *http.ServeMux
	log      kept
	registry *prometheus.Registry
	logged   bytes.Buffer
}

func newEntrance(t *testing.T) *entrance {
	t.Helper()
	e := &entrance{mux: http.NewServeMux(), registry: prometheus.NewRegistry()}
	var config ingest.Config
	text := "sources: {alertmanager: {tokens: [{token: " + Token + "}]}, prometheus: {tokens: [{token: " + Token + "}]}}"
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	config.Defaults()
	config.Deadline = time.Minute // the machine may be busy with other tests
	logger, err := logs.New(&e.logged, "debug", logs.JSON)
	if err != nil {
		t.Fatal(err)
	}
	doors, err := ingest.New(&e.log, ingest.Options{Config: config, Now: func() time.Time { return now }, Registerer: e.registry, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range doors.Routes() {
		e.mux.Handle(r.Method+" "+r.Pattern, r.Handler)
	}
	return e
}

// send makes the request of a case at one path.
func (e *entrance) send(c *Case, path string, body []byte) *httptest.ResponseRecorder {
	var src io.Reader = bytes.NewReader(body)
	if c.Breaks {
		src = io.MultiReader(src, iotest.ErrReader(errors.New("connection reset by peer")))
	}
	if c.Chunked {
		src = struct{ io.Reader }{src}
	}
	r := httptest.NewRequest(http.MethodPost, path, src)
	if c.Method != "" {
		r.Method = c.Method
	}
	r.Header.Set("Authorization", "Bearer "+Token)
	r.Header.Set("Content-Type", "application/json")
	for name, value := range c.Header {
		if r.Header.Set(name, value); value == "" {
			r.Header.Del(name)
		}
	}
	w := httptest.NewRecorder()
	e.mux.ServeHTTP(w, r)
	return w
}

// paths are the doors that a case goes through.
func paths(c *Case) []string {
	switch {
	case c.Path != "":
		return []string{c.Path}
	case c.Source == Alertmanager:
		return []string{"/ingest/alertmanager"}
	}
	return []string{"/ingest/prometheus", "/api/v2/alerts"}
}

// outcome is what became of one request.
type outcome struct {
	code        int
	answer      ingest.Result // of /ingest/...; the reasons alone at /api/v2/alerts
	reasons     []string
	batches     []ingest.Batch
	alerts      []alert.Alert
	quarantined int
	logged      string
}

func (e *entrance) try(t *testing.T, c *Case, path string, body []byte) *outcome {
	t.Helper()
	e.log = kept{}
	e.logged.Reset()
	w := e.send(c, path, body)
	o := &outcome{code: w.Code, batches: e.log.batches, logged: e.logged.String()}
	for i := range o.batches {
		o.alerts = append(o.alerts, o.batches[i].Alerts...)
		for _, q := range o.batches[i].Quarantined {
			o.quarantined += max(q.Alerts, 1)
		}
	}
	switch {
	case path == "/api/v2/alerts" && w.Code == http.StatusBadRequest:
		var all string
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
			t.Errorf("%s: the answer is no string of JSON: %v", c, err)
		}
		o.reasons = strings.Split(all, "\n")
	case w.Code == http.StatusOK && path != "/api/v2/alerts":
		if err := json.Unmarshal(w.Body.Bytes(), &o.answer); err != nil {
			t.Errorf("%s: the answer is no JSON: %v", c, err)
		}
		for _, p := range o.answer.Errors {
			o.reasons = append(o.reasons, p.String())
		}
	}
	return o
}
