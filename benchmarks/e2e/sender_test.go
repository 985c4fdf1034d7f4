//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// sender posts alerts to Winnow the way Prometheus does, and has the model count
// what was accepted.
type sender struct {
	w     *winnow
	model *model
	// spare counts the alerts of requests whose end nobody saw: the log may
	// have them.
	spare int
	// wrote is called when a request is about to leave.
	wrote func()
	// webhook has it post as Alertmanager does.
	webhook bool
}

var errInDoubt = errors.New("no answer")

// deliveries is what a request says: an alert whose end has passed is over.
func deliveries(ps []postable, now time.Time) []delivery {
	var out []delivery
	for _, p := range ps {
		d := delivery{labels: p.Labels}
		if end, err := time.Parse(time.RFC3339Nano, p.EndsAt); err == nil {
			d.resolve = !end.After(now)
		}
		out = append(out, d)
	}
	return out
}

func (s *sender) request(ps []postable) (path string, body []byte, err error) {
	if s.webhook {
		body, err = json.Marshal(asWebhook(ps, time.Now()))
		return "/ingest/alertmanager", body, err
	}
	body, err = json.Marshal(ps)
	return "/api/v2/alerts", body, err
}

// webhook is Alertmanager's, version 4.
type webhook struct {
	Version  string         `json:"version"`
	GroupKey string         `json:"groupKey"`
	Status   string         `json:"status"`
	Receiver string         `json:"receiver"`
	Alerts   []webhookAlert `json:"alerts"`
}

type webhookAlert struct {
	Status string `json:"status"`
	postable
}

// asWebhook says of one group what ps say.
func asWebhook(ps []postable, now time.Time) webhook {
	key, receiver := groupKey(ps[0].Labels)
	hook := webhook{Version: "4", GroupKey: key, Status: "resolved", Receiver: receiver}
	for i, d := range deliveries(ps, now) {
		a := webhookAlert{"resolved", ps[i]}
		if !d.resolve {
			a.Status, hook.Status = "firing", "firing"
			a.EndsAt = "0001-01-01T00:00:00Z"
		}
		hook.Alerts = append(hook.Alerts, a)
	}
	return hook
}

// try makes one attempt.
func (s *sender) try(ps []postable) error {
	path, body, err := s.request(ps)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, s.w.url(path), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if wrote := s.wrote; wrote != nil {
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { wrote() },
		}))
	}
	resp, err := http.DefaultClient.Do(req)
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return err
	}
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
	}
	if err != nil {
		s.spare += len(ps)
		return fmt.Errorf("%w: %w", errInDoubt, err)
	}
	s.model.take(deliveries(ps, time.Now()))
	return nil
}

// send posts until it is accepted.
func (s *sender) send(t testing.TB, ps []postable) {
	t.Helper()
	programs.Eventually(t, patience, "winnow accepts alerts", func() error { return s.try(ps) })
}

// at gives alerts a start and an end.
func at(ps []postable, starts, ends time.Time) []postable {
	out := make([]postable, len(ps))
	for i, p := range ps {
		out[i] = p
		out[i].StartsAt, out[i].EndsAt = starts.Format(time.RFC3339Nano), ends.Format(time.RFC3339Nano)
	}
	return out
}

// firing vouches for alerts for longer than any test lasts.
func firing(ps []postable) []postable {
	now := time.Now()
	return at(ps, now, now.Add(time.Hour))
}

// over says that alerts have ended.
func over(ps []postable) []postable {
	now := time.Now()
	return at(ps, now.Add(-time.Hour), now.Add(-time.Millisecond))
}
