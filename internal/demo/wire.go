package demo

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// prometheusAlert is an element of what Prometheus posts to an Alertmanager.
type prometheusAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

func encodePrometheus(start time.Time, _ *Sender, ds []Delivery) ([]byte, error) {
	out := make([]prometheusAlert, len(ds))
	for i := range ds {
		d := &ds[i]
		out[i] = prometheusAlert{
			Labels: object(d.Alert.Labels), Annotations: object(d.Alert.Annotations), GeneratorURL: d.Alert.GeneratorURL,
			StartsAt: start.Add(d.StartsAt).UTC(), EndsAt: start.Add(d.EndsAt).UTC(),
		}
	}
	return marshal(out)
}

// webhook is version 4 of Alertmanager's webhook.
type webhook struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []webhookAlert    `json:"alerts"`
}

type webhookAlert struct {
	Status      string `json:"status"`
	Fingerprint string `json:"fingerprint"`
	prometheusAlert
}

func encodeAlertmanager(start time.Time, s *Sender, ds []Delivery) ([]byte, error) {
	rule := ds[0].Alert.Rule
	out := webhook{
		Version: "4", GroupKey: fmt.Sprintf("{}:{alertname=%q}", rule.Name), Status: "resolved", Receiver: "winnow",
		GroupLabels:       map[string]string{"alertname": rule.Name},
		CommonLabels:      map[string]string{"alertname": rule.Name, "severity": rule.Severity, "cluster": cluster},
		CommonAnnotations: map[string]string{},
		ExternalURL:       "https://" + s.Name + ".shop.example",
	}
	for i := range ds {
		d := &ds[i]
		a := webhookAlert{"firing", fmt.Sprintf("%016x", uint64(d.Alert.Fingerprint)), prometheusAlert{
			Labels: object(d.Alert.Labels), Annotations: object(d.Alert.Annotations), GeneratorURL: d.Alert.GeneratorURL,
			StartsAt: start.Add(d.StartsAt).UTC(), // and no end while it fires: Go's zero time, as Alertmanager writes it
		}}
		if d.Resolved {
			a.Status, a.EndsAt = "resolved", start.Add(d.EndsAt).UTC()
		} else {
			out.Status = "firing"
		}
		out.Alerts = append(out.Alerts, a)
	}
	return marshal(out)
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("demo: encode alerts: %w", err)
	}
	return b, nil
}

func object(ls alert.Labels) map[string]string {
	out := make(map[string]string, len(ls))
	for _, l := range ls {
		out[l.Name] = l.Value
	}
	return out
}
