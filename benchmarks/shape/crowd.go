package shape

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Units of a crowd.
const (
	Memory   = "rss-MB"        // of the whole process, while it answers
	Resent   = "resent-p99-ms" // requests of alerts that are known
	PageTook = "page-ms"       // from a critical alert to the pager
)

// Crowd is a server that knows so many live alerts and still answers: the first of
// them are sent again, and a critical alert that nobody has seen is paged.
type Crowd struct {
	Live int
	// Limit is what it is told of the memory that there is, in GOMEMLIMIT's form.
	Limit string
}

// Measure runs it once.
func (cr *Crowd) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	p, err := newPager()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	limited := *s
	limited.Env = append([]string{"GOMEMLIMIT=" + cr.Limit}, s.Env...)
	r, err := open(ctx, &limited, dir, &Policy{Webhook: p.url, MaxAlerts: cr.Live + cr.Live/2})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.prime(ctx, 0, cr.Live); err != nil {
		return nil, err
	}
	res, err := r.again(ctx, min(cr.Live, renderAtOnce), 1)
	if err != nil {
		return nil, err
	}
	if _, err := r.server.Get(ctx, "/-/ready"); err != nil {
		return nil, err
	}
	probe, due := (&Latency{Probes: 1, Every: time.Second}).probes(time.Now().Add(time.Millisecond))
	probe.Address = r.server.Address
	if _, err := probe.Do(ctx); err != nil {
		return nil, err
	}
	var at time.Time
	if err := p.wait(ctx, pageTimeout, func(ps []page) bool { at = pagedAt(ps, probeID(0)); return !at.IsZero() }); err != nil {
		return nil, fmt.Errorf("shape: a critical alert beside %d live ones: %w", cr.Live, err)
	}
	now, peak, err := r.server.Memory()
	return Figures{
		Memory: float64(now) / 1e6, PeakMemory: float64(peak) / 1e6, MemoryPerAlert: float64(now) / float64(cr.Live),
		Resent: millis(res.Latency.Quantile(0.99)), PageTook: millis(at.Sub(due[0])),
	}, err
}

// pagedAt is when a probe was paged; zero when it was not.
func pagedAt(pages []page, id string) time.Time {
	for i := range pages {
		var w webhook
		if json.Unmarshal(pages[i].body, &w) != nil {
			continue
		}
		for _, a := range w.Alerts {
			if a.Labels["probe_id"] == id {
				return pages[i].at
			}
		}
	}
	return time.Time{}
}
