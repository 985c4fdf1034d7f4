package web

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/ledger"
)

// registerMetrics registers what the web server knows and what it can ask the
// engine for.
func (s *Server) registerMetrics() {
	s.reloadOK = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "winnow_config_last_reload_successful", Help: "1 when the last attempt to load the configuration succeeded.",
	})
	s.reloadTime = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "winnow_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded.",
	})
	s.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "winnow_config_reloads_total", Help: "Attempts to load the configuration while running, by how they ended.",
	}, []string{"outcome"})
	for _, outcome := range []Outcome{Taken, Forced, Refused, Failed} {
		s.reloads.WithLabelValues(string(outcome))
	}
	s.opts.Registerer.MustRegister(s.reloadOK, s.reloadTime, s.reloads, newBooks(s))
}

// books collects the accounts when they are scraped. A shard that is too busy
// to answer leaves them out; up stays with the scrape.
type books struct {
	server *Server

	info, deliveries, onsets, incidents, notifications, pages, swallowed, balanced, disposition *prometheus.Desc
	live, open, logSeq, lag, faults, recalled, ticks, commits, handed                           *prometheus.Desc
	version                                                                                     string
	all                                                                                         []*prometheus.Desc
}

const scrapeTimeout = 5 * time.Second

func newBooks(s *Server) *books {
	var all []*prometheus.Desc
	d := func(name, help string, labels ...string) *prometheus.Desc {
		all = append(all, prometheus.NewDesc(name, help, labels, nil))
		return all[len(all)-1]
	}
	b := &books{
		server: s, version: s.opts.Version,
		info:          d("winnow_build_info", "Always 1; the label says which version runs.", "version"),
		deliveries:    d("winnow_ledger_deliveries_total", "Alerts as sent, re-sends included (E of the funnel)."),
		onsets:        d("winnow_ledger_onsets_total", "Distinct alerts times their episodes (O)."),
		incidents:     d("winnow_ledger_incidents_total", "Incidents opened (I)."),
		notifications: d("winnow_ledger_notifications_total", "Notifications accepted by a sink (N)."),
		pages:         d("winnow_ledger_pages_total", "Pages accepted by a sink (P)."),
		swallowed:     d("winnow_ledger_swallowed_criticals", "Critical episodes nobody was told of, without a reason that accounts for it. Must be 0."),
		balanced:      d("winnow_ledger_balanced", "1 when deliveries equal the sum of their dispositions."),
		disposition:   d("winnow_ledger_dispositions", "Deliveries by what became of them.", "disposition"),
		live:          d("winnow_engine_live_alerts", "Alerts known, those that ended within the last hour included."),
		open:          d("winnow_engine_open_incidents", "Incidents open."),
		logSeq:        d("winnow_engine_log_sequence", "Log message applied last."),
		lag:           d("winnow_engine_log_lag_messages", "Log messages not yet applied."),
		faults:        d("winnow_engine_log_faults_total", "Log and outbox messages missing or unreadable. Must be 0."),
		recalled:      d("winnow_engine_recalled_alerts_total", "Alerts that were lost from the log and are in it again."),
		ticks:         d("winnow_engine_ticks_total", "Ticks published."),
		commits:       d("winnow_engine_commits_total", "Commit records written to the outbox."),
		handed:        d("winnow_engine_notifications_total", "Notifications handed to the sinks."),
	}
	b.all = all
	return b
}

// Describe implements prometheus.Collector. It asks no shard: at registration
// none runs yet.
func (b *books) Describe(to chan<- *prometheus.Desc) {
	for _, d := range b.all {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (b *books) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(b.info, 1, b.version)
	e := b.server.engine.Load()
	if e == nil {
		return // of a shard that another process owns there is nothing to say
	}
	st := e.Stats()
	counter(b.faults, st.Faults.Load())
	counter(b.recalled, st.Recalled.Load())
	counter(b.ticks, st.Ticks.Load())
	counter(b.commits, st.Commits.Load())
	counter(b.handed, st.Delivered.Load())

	var t ledger.Totals
	var live, open int
	var seq uint64
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	held, err := b.server.opts.Stream.Log(ctx)
	if err == nil {
		gauge(b.lag, float64(held.Last-min(st.Applied.Load(), held.Last)))
	}
	if !b.server.isReady() {
		return
	}
	if e.Query(ctx, func(sh *engine.Shard) {
		t, live, open, seq = sh.Ledger.Totals(), sh.Core.Live(), sh.Core.Groups(), sh.Seq()
	}) != nil {
		return
	}
	counter(b.deliveries, t.Deliveries)
	counter(b.onsets, t.Onsets)
	counter(b.incidents, t.Incidents)
	counter(b.notifications, t.Notifications)
	counter(b.pages, t.Pages)
	gauge(b.swallowed, float64(t.SwallowedCriticals))
	gauge(b.balanced, boolean(t.Balanced))
	for d, n := range t.Dispositions {
		if d := correlate.Disposition(d); d != correlate.NoDisposition {
			gauge(b.disposition, float64(n), d.String())
		}
	}
	gauge(b.live, float64(live))
	gauge(b.open, float64(open))
	gauge(b.logSeq, float64(seq))
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
