package sinks

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// outcomes of attempts, the label of winnow_sink_attempts_total.
const (
	attemptAccepted  = "accepted"
	attemptRetried   = "retried"   // it failed and will be made again
	attemptFailed    = "failed"    // it failed for good
	attemptAbandoned = "abandoned" // it did not return in time and was left to itself
)

type metrics struct {
	attempts  *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	queued    *prometheus.GaugeVec
	abandoned *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	by := []string{"receiver", "integration"}
	return &metrics{
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "winnow_sink_attempts_total",
			Help: "Attempts to send a notification, by how they ended: accepted, retried, failed or abandoned.",
		}, append(by[:2:2], "outcome")),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "winnow_sink_notification_latency_seconds",
			Help:    "Time from the decision to notify until the provider accepted it.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 21600},
		}, by),
		queued: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "winnow_sink_queue_length",
			Help: "Notifications that have not been accepted yet.",
		}, by),
		abandoned: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "winnow_sink_abandoned_calls",
			Help: "Calls past their deadline that have still not returned.",
		}, by),
	}
}
