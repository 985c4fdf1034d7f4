package node

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/ledger"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

const settings = `
global: {resolve_timeout: 1h}
route:
  receiver: oncall
  group_by: [alertname, cluster]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - {receiver: nobody, matchers: ['severity="none"']}
inhibit_rules:
  - {source_matchers: ['alertname="NodeDown"'], target_matchers: ['severity="warning"'], equal: [cluster]}
receivers:
  - {name: nobody}
  - name: oncall
    pagerduty_configs:
      - {routing_key: 0123456789abcdef0123456789abcdef, url: 'http://pagerduty.test/v2/enqueue'}
`

// site is a node in a bubble with a pager that remembers everything.
type site struct {
	t        *testing.T
	dir      string
	kept     bool // snapshots are
	point    func(engine.Point, *stream.Message)
	log      stream.Options
	text     string
	pager    *sinktest.PagerDuty
	provider http.Handler // before the pager; the pager itself where nil
	network  *sinktest.Network
	node     *Node
	sent     uint64
	starts   map[string]time.Time // when alerts began, as their sender says with each, by its own clock; nil where it says nothing
	probe    func(*frame.Event)   // breaks the core
	told     *http.Client         // by which self-alerts go out
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteWith(t, stream.Options{})
}

func newSiteWith(t *testing.T, log stream.Options) *site {
	t.Helper()
	s := &site{t: t, log: log, dir: t.TempDir(), text: settings, pager: sinktest.NewPagerDuty()}
	s.network = sinktest.NewNetwork(s.pager)
	t.Cleanup(func() { s.network.Close() })
	s.start()
	return s
}

func (s *site) start() {
	s.t.Helper()
	s.launch()
	<-s.node.Ready()
}

func (s *site) launch() {
	s.t.Helper()
	n, err := Start(s.t.Context(), s.options())
	if err != nil {
		s.t.Fatal(err)
	}
	s.node = n
}

func (s *site) options() Options {
	if s.log.Beside == nil {
		s.log.Dir = s.dir
	}
	o := Options{
		Load:        func() (*config.Config, error) { return config.Parse("test.yml", []byte(s.text)) },
		Stream:      s.log,
		RawFile:     filepath.Join(s.dir, "raw.json"),
		ReplayFile:  filepath.Join(s.dir, "replays"),
		KeepFile:    filepath.Join(s.dir, "receivers.json"),
		Probe:       s.probe,
		ExternalURL: &url.URL{Scheme: "http", Host: "winnow.test"},
		HTTP:        []commoncfg.HTTPClientOption{commoncfg.WithDialContextFunc(s.network.DialContext), commoncfg.WithKeepAlivesDisabled()},
		point:       s.point,
		selfAlert:   s.told,
	}
	if s.kept {
		o.SnapshotDir = filepath.Join(s.dir, "snapshots")
	}
	return o
}

func (s *site) stop() {
	s.t.Helper()
	if err := stopIdle(s.node); err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// stopIdle stops a node when what is under way at this instant is through: a
// server that is stopped sleeps with a lock held, and in a bubble no sleep ends
// while somebody waits for a lock.
func stopIdle(n *Node) error {
	time.Sleep(time.Millisecond)
	return n.Stop()
}

// crash goes on with what the store held at this moment, as after kill -9: the
// node that runs is cut off from the pager first and its last words are lost.
// Nothing moves while the files are copied: a disk is of one moment.
func (s *site) crash() {
	s.t.Helper()
	synctest.Wait()
	copied := s.t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(s.dir)); err != nil {
		s.t.Fatal(err)
	}
	old := s.node
	s.network.Close()
	if err := stopIdle(old); err != nil {
		s.t.Logf("the node that crashed: %v", err)
	}
	if s.provider == nil {
		s.provider = s.pager
	}
	s.network = sinktest.NewNetwork(s.provider)
	s.dir = copied
	s.start()
}

type sample struct {
	name, pod, severity string
	resolved            bool
	text                string // an annotation
}

func (s *site) post(samples ...sample) {
	s.t.Helper()
	type wire struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt,omitzero"`
		EndsAt      time.Time         `json:"endsAt,omitzero"`
	}
	var body []wire
	for _, a := range samples {
		w := wire{Labels: map[string]string{"alertname": a.name, "cluster": "eu", "pod": a.pod, "severity": a.severity},
			Annotations: map[string]string{"runbook_url": "https://runbooks.test/" + a.name}}
		if a.text != "" {
			w.Annotations["text"] = a.text
		}
		if a.resolved {
			w.EndsAt = time.Now()
		}
		if key := a.name + a.pod; s.starts != nil {
			if s.starts[key].IsZero() {
				s.starts[key] = time.Now()
			}
			if w.StartsAt = s.starts[key]; a.resolved {
				delete(s.starts, key)
			}
		}
		body = append(body, w)
	}
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", bytes.NewReader(b)))
	if rec.Code != http.StatusOK {
		s.t.Fatalf("the door answers %d: %s", rec.Code, rec.Body)
	}
	s.sent += uint64(len(samples))
}

func (s *site) get(path string) string {
	s.t.Helper()
	rec := httptest.NewRecorder()
	s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	if rec.Code != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", path, rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// books is the report, whatever it says.
func (s *site) books() *ledger.Report {
	s.t.Helper()
	var r ledger.Report
	if err := json.Unmarshal([]byte(s.get("/api/v1/report")), &r); err != nil {
		s.t.Fatal(err)
	}
	return &r
}

func (s *site) report() *ledger.Report {
	s.t.Helper()
	r := s.books()
	if !r.Balanced || r.Deliveries != s.sent || r.SwallowedCriticals != 0 {
		s.t.Errorf("sent %d, the report says %d deliveries, balanced %v, %d swallowed criticals", s.sent, r.Deliveries, r.Balanced, r.SwallowedCriticals)
	}
	return r
}

func (s *site) events() string {
	var out []string
	for _, e := range s.pager.Events() {
		out = append(out, e.Action)
	}
	return strings.Join(out, " ")
}
