package shape

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/load"
)

// Latency is how long a page takes from the moment at which its alert was due
// to be sent until the pager has it, with a group_wait of 0, beside a steady
// load of repeats; and how long the disk alone takes for what a page waits for.
type Latency struct {
	Background float64 // alerts a second; 0 is an idle server
	Probes     int
	Every      time.Duration
}

const (
	backgroundBatch       = 64
	backgroundConnections = 8
	backgroundKnown       = 10_240

	// probeConnections are so many that a probe need not wait for the one before.
	probeConnections = 16
)

// Measure runs the probes once.
func (la *Latency) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	syscall.Sync() // what runs before this one have left to be written is not its disk's
	floor, err := la.syncs(dir)
	if err != nil {
		return nil, err
	}
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
			Requests: universe.Render(load.API, 0, backgroundKnown, backgroundBatch, r.began())}
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
	f[SyncsP50], f[SyncsP99] = millis(floor.Quantile(0.5)), millis(floor.Quantile(0.99))
	return f, nil
}

// Units of what the disk alone takes for a page.
const (
	SyncsP50 = "2syncs-p50-ms"
	SyncsP99 = "2syncs-p99-ms"
)

// recordBytes is about what one alert adds to the log, and its page to the
// outbox.
const recordBytes = 1500

// syncs measures the least that a page waits for, on the disk and beside the
// neighbours that the server will have: one synced write to the log, and after
// it one to the outbox.
func (la *Latency) syncs(dir string) (_ *load.Histogram, err error) {
	var files [2]*os.File
	for i := range files {
		if files[i], err = os.CreateTemp(dir, "sync-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, files[i].Close(), os.Remove(files[i].Name())) }()
	}
	var h load.Histogram
	record := make([]byte, recordBytes)
	for range la.Probes {
		time.Sleep(la.Every)
		start := time.Now()
		for _, f := range files {
			if _, err := f.Write(record); err != nil {
				return nil, err
			}
			if err := f.Sync(); err != nil {
				return nil, err
			}
		}
		h.Add(time.Since(start))
	}
	return &h, nil
}

// warmUp is how long the background runs before the first probe.
const warmUp = time.Second

// probe sends the probes by the clock, beside the background, and returns when
// each was due.
func (la *Latency) probe(ctx context.Context, r *run, background *load.Run) ([]time.Time, Figures, error) {
	f := Figures{}
	probes, due := la.probes(time.Now().Add(warmUp))
	probes.Address = r.server.Address
	var wg sync.WaitGroup
	var backgroundErr, probeErr error
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
	wg.Go(func() { _, probeErr = probes.Do(ctx) })
	wg.Wait()
	return due, f, errors.Join(probeErr, backgroundErr)
}

// probes are written before the first is due, and sent by connections that are
// open by then: what is measured is the server. Each is a group of its own.
func (la *Latency) probes(begin time.Time) (*load.Run, []time.Time) {
	l := &load.Run{Connections: probeConnections, AlertsPerSecond: float64(time.Second) / float64(la.Every), Begin: begin, Sequence: load.Rounds(la.Probes, 1)}
	due := make([]time.Time, la.Probes)
	for i := range due {
		a := universe.Alert(1_000_000_000 + i)
		for k := range a.Labels {
			if a.Labels[k].Name == "severity" {
				a.Labels[k].Value = "critical"
			}
		}
		a.Labels = append(a.Labels, alert.Label{Name: "probe", Value: "true"}, alert.Label{Name: "probe_id", Value: probeID(i)})
		a.Labels.Sort()
		l.Requests = append(l.Requests, load.RenderOne(&a, begin))
		due[i] = begin.Add(time.Duration(i) * la.Every)
	}
	return l, due
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
