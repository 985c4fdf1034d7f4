package shape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/winnowhq/winnow/benchmarks/load"
)

// Latency is how long a page takes from the moment at which its alert was due
// to be sent until the pager has it, with a group_wait of 0, beside a steady
// load of repeats.
type Latency struct {
	Background float64 // alerts a second; 0 is an idle server
	Probes     int
	Every      time.Duration
}

const (
	backgroundBatch       = 64
	backgroundConnections = 8
	backgroundKnown       = 10_240
)

// Measure runs the probes once.
func (la *Latency) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	p, err := newPager()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	r, err := open(ctx, s, dir, &Policy{Webhook: p.url})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if la.Background > 0 {
		if err := r.prime(ctx, 0, backgroundKnown); err != nil {
			return nil, err
		}
	}
	var background *load.Run
	if la.Background > 0 {
		background = &load.Run{Address: r.server.Address, Connections: backgroundConnections, AlertsPerSecond: la.Background,
			Requests: universe.Render(load.API, 0, backgroundKnown, backgroundBatch, time.Now())}
		lasts := time.Duration(la.Probes)*la.Every + 2*warmUp
		requests := int(la.Background * lasts.Seconds() / backgroundBatch)
		background.Sequence = load.Rounds(len(background.Requests), requests/len(background.Requests)+1)[:requests]
	}
	due, f, err := la.probe(ctx, r, background)
	if err != nil {
		return nil, err
	}
	if err := p.wait(ctx, pageTimeout, func(ps []page) bool { return len(ps) >= la.Probes }); err != nil {
		return nil, err
	}
	h, err := arrivals(p.all(), due)
	if err != nil {
		return nil, err
	}
	f[P50], f[P99], f[Longest] = millis(h.Quantile(0.5)), millis(h.Quantile(0.99)), millis(h.Max())
	return f, nil
}

// warmUp is how long the background runs before the first probe.
const warmUp = time.Second

// probe sends the probes by the clock, beside the background, and returns when
// each was due.
func (la *Latency) probe(ctx context.Context, r *run, background *load.Run) ([]time.Time, Figures, error) {
	f := Figures{}
	var wg sync.WaitGroup
	var backgroundErr error
	if background != nil {
		wg.Go(func() {
			res, err := background.Do(ctx)
			if err != nil {
				backgroundErr = err
				return
			}
			f[AlertsPerSecond] = res.PerSecond()
			if res.PerSecond() < 0.9*la.Background {
				backgroundErr = fmt.Errorf("shape: %.0f alerts a second were taken, %.0f were to be: a page beside less load is no measurement", res.PerSecond(), la.Background)
			}
		})
	}
	start := time.Now().Add(warmUp)
	due := make([]time.Time, la.Probes)
	errs := make([]error, la.Probes)
	for i := range due {
		due[i] = start.Add(time.Duration(i) * la.Every)
		wg.Go(func() {
			select {
			case <-time.After(time.Until(due[i])):
				errs[i] = postProbe(ctx, r.server.Address, i)
			case <-ctx.Done():
				errs[i] = ctx.Err()
			}
		})
	}
	wg.Wait()
	return due, f, errors.Join(append(errs, backgroundErr)...)
}

// postProbe sends an alert that is a group of its own.
func postProbe(ctx context.Context, address string, i int) error {
	a := universe.Alert(1_000_000_000 + i)
	labels := map[string]string{}
	for _, l := range a.Labels {
		labels[l.Name] = l.Value
	}
	labels["probe"], labels["probe_id"], labels["severity"] = "true", probeID(i), "critical"
	annotations := map[string]string{}
	for _, l := range a.Annotations {
		annotations[l.Name] = l.Value
	}
	now := time.Now()
	body, err := json.Marshal([]any{map[string]any{"labels": labels, "annotations": annotations, "generatorURL": a.GeneratorURL, "startsAt": now, "endsAt": now.Add(time.Hour)}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+load.API.Path(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("shape: a probe was answered %s", resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

func probeID(i int) string { return "probe-" + strconv.Itoa(i) + "." }

// arrivals says how long after it was due each probe was paged. Each must have
// been, and once.
func arrivals(pages []page, due []time.Time) (*load.Histogram, error) {
	var h load.Histogram
	seen := make([]bool, len(due))
	for i := range pages {
		var w webhook
		if err := json.Unmarshal(pages[i].body, &w); err != nil || len(w.Alerts) != 1 {
			return nil, fmt.Errorf("shape: a page of %d alerts where each probe is one: %w", len(w.Alerts), err)
		}
		id := w.Alerts[0].Labels["probe_id"]
		for k := range due {
			if id != probeID(k) {
				continue
			}
			if seen[k] {
				return nil, fmt.Errorf("shape: %s was paged twice", id)
			}
			seen[k] = true
			h.Add(pages[i].at.Sub(due[k]))
		}
	}
	if h.N() != uint64(len(due)) {
		return nil, fmt.Errorf("shape: %d of %d probes were paged", h.N(), len(due))
	}
	return &h, nil
}
