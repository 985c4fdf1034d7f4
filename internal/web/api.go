package web

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/ledger"
)

const defaultTop = 10

// report answers with the noise report. The parameter top says how many rules
// and services it lists.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	top := defaultTop
	if v := r.URL.Query().Get("top"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 1000 {
			http.Error(w, "top: want a number from 0 to 1000", http.StatusBadRequest)
			return
		}
		top = n
	}
	var rep *ledger.Report
	if s.query(w, r, func(sh *engine.Shard) { rep = sh.Ledger.Report(top) }) {
		writeJSON(w, rep)
	}
}

// Incident is an open incident, as the API shows it.
type Incident struct {
	ID       string            `json:"id"`
	Receiver string            `json:"receiver"`
	Labels   map[string]string `json:"labels"`
	GroupKey string            `json:"group_key"`
	Severity string            `json:"severity"` // the highest paged; "unset" before the first page
	Pages    uint32            `json:"pages"`
	OpenedAt time.Time         `json:"opened_at"`
	NextAt   time.Time         `json:"next_at"`         // when it is looked at next
	Storm    uint64            `json:"storm,omitempty"` // alerts that came too many at once for groups of their own
}

func (s *Server) incidents(w http.ResponseWriter, r *http.Request) {
	var views []correlate.IncidentView
	if !s.query(w, r, func(sh *engine.Shard) { views = sh.Core.Incidents() }) {
		return
	}
	out := make([]Incident, 0, len(views))
	for i := range views {
		v := &views[i]
		out = append(out, Incident{
			ID: correlate.IncidentName(v.Incident), Receiver: v.Receiver, Labels: labelMap(v.Labels), GroupKey: v.GroupKey,
			Severity: v.Severity.String(), Pages: v.Pages, OpenedAt: v.OpenedAt.Std(), NextAt: v.NextAt.Std(),
		})
		if v.Storm != nil {
			out[i].Storm = v.Storm.Joined
		}
	}
	writeJSON(w, out)
}

func labelMap(ls alert.Labels) map[string]string {
	m := make(map[string]string, len(ls))
	for _, l := range ls {
		m[l.Name] = l.Value
	}
	return m
}

// explain answers in plain text: what became of an alert (by its fingerprint)
// or of an incident, and why.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var text bytes.Buffer
	found, err := false, error(nil)
	switch {
	case strings.HasPrefix(id, "INC-"):
		n, parseErr := correlate.ParseIncident(id)
		if parseErr != nil {
			http.Error(w, parseErr.Error(), http.StatusBadRequest)
			return
		}
		if !s.query(w, r, func(sh *engine.Shard) { found, err = explainIncident(&text, sh, n) }) {
			return
		}
	default:
		f, parseErr := alert.ParseFingerprint(id)
		if parseErr != nil {
			http.Error(w, parseErr.Error()+", or INC- and a number for an incident", http.StatusBadRequest)
			return
		}
		if !s.query(w, r, func(sh *engine.Shard) { found, err = explainAlert(&text, sh, f) }) {
			return
		}
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case !found:
		http.Error(w, "nothing is known of "+html.EscapeString(id)+": it never came, or it is older than the trail", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(text.Bytes())
	}
}

func explainAlert(w *bytes.Buffer, sh *engine.Shard, f alert.Fingerprint) (bool, error) {
	rows, older := sh.Ledger.Trail().Alert(f)
	views := sh.Core.Alerts(f, sh.Now())
	if len(rows) == 0 && len(views) == 0 {
		return false, nil
	}
	o := ledger.ExplainOptions{Older: older, Degraded: sh.Ledger.Degraded(), LabelsOf: labelsOf(sh)}
	if len(views) > 0 {
		o.Labels, o.Deliveries = views[0].Labels, views[0].Deliveries
		if len(views[0].Incidents) > 0 {
			o.Incident = summary(sh, views[0].Incidents[0])
		}
	}
	return true, ledger.Explain(w, rows, o)
}

func explainIncident(w *bytes.Buffer, sh *engine.Shard, n uint64) (bool, error) {
	rows, older := sh.Ledger.Trail().Incident(n)
	s := summary(sh, n)
	if len(rows) == 0 && s == nil {
		return false, nil
	}
	return true, ledger.ExplainIncident(w, rows, ledger.ExplainOptions{Older: older, Incident: s, Degraded: sh.Ledger.Degraded(), LabelsOf: labelsOf(sh)})
}

func summary(sh *engine.Shard, n uint64) *ledger.IncidentSummary {
	v, ok := sh.Core.Incident(n, sh.Now())
	if !ok {
		return nil
	}
	s := &ledger.IncidentSummary{ID: n, Opened: v.OpenedAt, Severity: v.Severity, Receiver: v.Receiver}
	for i := range v.Alerts {
		if v.Alerts[i].EndsAt == 0 {
			s.Firing++
		} else {
			s.Resolved++
		}
	}
	return s
}

func labelsOf(sh *engine.Shard) func(alert.Fingerprint) alert.Labels {
	return func(f alert.Fingerprint) alert.Labels {
		if v := sh.Core.Alerts(f, sh.Now()); len(v) > 0 {
			return v[0].Labels
		}
		return nil
	}
}

// Status is what /api/v1/status answers.
type Status struct {
	Version    string    `json:"version"`
	Ready      bool      `json:"ready"`
	ConfigHash string    `json:"config_hash"`
	Config     string    `json:"config"` // secrets hidden
	LogTime    time.Time `json:"log_time"`
	LogSeq     uint64    `json:"log_seq"`
	LogLag     uint64    `json:"log_lag"`
	LiveAlerts int       `json:"live_alerts"`
	Incidents  int       `json:"open_incidents"`
	Reload     *Reload   `json:"reload,omitempty"` // the last attempt of this life

	Ladder Ladder `json:"ladder"`
}

// Ladder is how much of its work Winnow does.
type Ladder struct {
	Level string    `json:"level"` // L0 is all of it
	Cause string    `json:"cause,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	c := s.config.Load()
	st := Status{Version: s.opts.Version, Ready: s.isReady(), ConfigHash: c.Hash, Config: c.Redacted(), Reload: s.reloaded.Load(), Ladder: s.ladder()}
	if _, shed := s.shed(); !st.Ready || shed { // whatever holds the shard up, this is answered
		if e := s.engine.Load(); e != nil {
			st.LogSeq = e.Stats().Applied.Load()
		}
		s.lag(r, &st)
		writeJSON(w, st)
		return
	}
	if s.query(w, r, func(sh *engine.Shard) {
		st.LogTime, st.LogSeq, st.LiveAlerts, st.Incidents = sh.Now().Std(), sh.Seq(), sh.Core.Live(), sh.Core.Groups()
	}) {
		s.lag(r, &st)
		writeJSON(w, st)
	}
}

// lag fills in how much of the log is not yet applied.
func (s *Server) lag(r *http.Request, st *Status) {
	if held, err := s.opts.Stream.Log(r.Context()); err == nil {
		st.LogLag = held.Last - min(st.LogSeq, held.Last)
	}
}

// front is the page at /: where things are.
func (s *Server) front(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	fmt.Fprint(w, `<!doctype html><html lang="en"><meta charset="utf-8"><title>Winnow</title><h1>Winnow</h1><ul>`)
	for _, r := range s.Routes() {
		if r.Method == http.MethodGet && !strings.Contains(r.Pattern, "{") {
			fmt.Fprintf(w, `<li><a href="%[1]s">%[1]s</a></li>`, html.EscapeString(r.Pattern))
		}
	}
	fmt.Fprint(w, `</ul><p>Alertmanager: <code>webhook_configs: [{url: http://…/ingest/alertmanager}]</code>; Prometheus: <code>/api/v2/alerts</code>.</p></html>`)
}
