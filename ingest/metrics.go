package ingest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts; no label value comes from a payload.
type metrics struct {
	requests    *prometheus.CounterVec // source, code
	alerts      *prometheus.CounterVec // source
	quarantined *prometheus.CounterVec // source
	bytes       *prometheus.CounterVec // source
	cut         *prometheus.CounterVec // source
	withheld    *prometheus.CounterVec // source
	refused     *prometheus.CounterVec // source, reason
	duration    *prometheus.HistogramVec
	inFlight    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests:    counter("winnow_ingest_requests_total", "Requests answered.", "source", "code"),
		alerts:      counter("winnow_ingest_alerts_total", "Alerts made durable.", "source"),
		quarantined: counter("winnow_ingest_quarantined_total", "Pieces of bodies that could not be read, made durable as they came.", "source"),
		bytes:       counter("winnow_ingest_body_bytes_total", "Bytes of bodies after decompression.", "source"),
		cut:         counter("winnow_ingest_short_bodies_total", "Bodies read in part: over a limit, or broken in their compression.", "source"),
		withheld:    counter("winnow_ingest_withheld_alerts_total", "Alerts that senders say they left out of their requests.", "source"),
		refused:     counter("winnow_ingest_refused_total", "Requests answered 401, by reason: credentials, clock, replay.", "source", "reason"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "winnow_ingest_request_duration_seconds",
			Help:    "Time from the header of a request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"source"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "winnow_ingest_in_flight", Help: "Requests being served."}),
	}
	if reg == nil {
		return m, nil
	}
	err := errors.Join(
		register(reg, &m.requests), register(reg, &m.alerts), register(reg, &m.quarantined), register(reg, &m.bytes),
		register(reg, &m.cut), register(reg, &m.withheld), register(reg, &m.refused), register(reg, &m.duration), register(reg, &m.inFlight))
	if err != nil {
		return nil, fmt.Errorf("ingest: register metrics: %w", err)
	}
	return m, nil
}

// register registers *c, or puts there what was registered before: after a
// reload the counts go on.
func register[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	err := reg.Register(*c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if earlier, ok := already.ExistingCollector.(C); ok {
			*c = earlier
			return nil
		}
	}
	return err
}

// doorMetrics are the children of one source, looked up once.
type doorMetrics struct {
	source   string
	requests map[int]prometheus.Counter
	refused  map[string]prometheus.Counter // by reason
	all      *prometheus.CounterVec

	alerts, quarantined, bytes, cut, withheld prometheus.Counter
	duration                                  prometheus.Observer
	inFlight                                  prometheus.Gauge
}

func (m *metrics) of(source string) *doorMetrics {
	d := &doorMetrics{
		source:      source,
		requests:    make(map[int]prometheus.Counter),
		refused:     make(map[string]prometheus.Counter),
		all:         m.requests,
		alerts:      m.alerts.WithLabelValues(source),
		quarantined: m.quarantined.WithLabelValues(source),
		bytes:       m.bytes.WithLabelValues(source),
		cut:         m.cut.WithLabelValues(source),
		withheld:    m.withheld.WithLabelValues(source),
		duration:    m.duration.WithLabelValues(source),
		inFlight:    m.inFlight,
	}
	for _, code := range []int{http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusServiceUnavailable} {
		d.requests[code] = m.requests.WithLabelValues(source, strconv.Itoa(code))
	}
	for _, reason := range []string{refusedCredentials, refusedClock, refusedReplay} {
		d.refused[reason] = m.refused.WithLabelValues(source, reason)
	}
	return d
}

func (d *doorMetrics) request(code int, took time.Duration) {
	c, ok := d.requests[code]
	if !ok {
		c = d.all.WithLabelValues(d.source, strconv.Itoa(code))
	}
	c.Inc()
	d.duration.Observe(took.Seconds())
}

func (d *doorMetrics) stored(r *Result) {
	d.alerts.Add(float64(r.Accepted))
	d.quarantined.Add(float64(r.Quarantined))
	d.withheld.Add(float64(r.Withheld))
}
