package enrich

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome says how one look-up ended.
type outcome string

const (
	outcomeOK       outcome = "ok"
	outcomeError    outcome = "error"
	outcomeTimeout  outcome = "timeout"  // no answer before the deadline
	outcomePanicked outcome = "panicked" // our bug, or a plugged-in enricher's
	outcomeSkipped  outcome = "skipped"  // too many of its look-ups were under way
)

type metrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// newMetrics registers the metrics, or takes those that an earlier pipeline
// registered: a reload makes a new pipeline and must not reset counters.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "winnow_enrich_total",
			Help: "Look-ups for notifications, by enricher and outcome (ok, error, timeout, panicked, skipped).",
		}, []string{"enricher", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "winnow_enrich_duration_seconds",
			Help:    "Time an enricher took to return, past the deadline too.",
			Buckets: []float64{0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30},
		}, []string{"enricher"}),
	}
	if reg == nil {
		return m, nil
	}
	var err error
	if m.total, err = registerOrReuse(reg, m.total); err != nil {
		return nil, err
	}
	if m.duration, err = registerOrReuse(reg, m.duration); err != nil {
		return nil, err
	}
	return m, nil
}

func registerOrReuse[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := reg.Register(c)
	if err == nil {
		return c, nil
	}
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if earlier, ok := already.ExistingCollector.(C); ok {
			return earlier, nil
		}
	}
	return c, fmt.Errorf("enrich: registering metrics: %w", err)
}

func (m *metrics) count(enricher string, o outcome) {
	m.total.WithLabelValues(enricher, string(o)).Inc()
}

func (m *metrics) took(enricher string, d time.Duration) {
	m.duration.WithLabelValues(enricher).Observe(d.Seconds())
}
