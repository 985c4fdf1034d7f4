//go:build e2e

package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// Prometheus repeats what fires at every interval and vouches for it for four,
// and repeats what has ended for a while. The intervals are a minute and fifteen
// there.
const (
	resendInterval = time.Second
	vouchedFor     = 4 * resendInterval
	resolvedKept   = 6 * resendInterval
	maxBatch       = 64
)

// prometheus sends alerts as Prometheus does, until it is stopped.
type prometheus struct {
	t testing.TB
	s *sender

	mu     sync.Mutex
	active []*active
	rounds int

	quit chan struct{}
	done sync.WaitGroup
}

type active struct {
	postable
	since, ended time.Time
	sent         time.Time
}

func newPrometheus(t testing.TB, s *sender) *prometheus {
	p := &prometheus{t: t, s: s, quit: make(chan struct{})}
	p.done.Go(p.run)
	t.Cleanup(p.stop)
	return p
}

func (p *prometheus) run() {
	tick := time.NewTicker(resendInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.round()
		case <-p.quit:
			return
		}
	}
}

func (p *prometheus) stop() {
	p.mu.Lock()
	select {
	case <-p.quit:
	default:
		close(p.quit)
	}
	p.mu.Unlock()
	p.done.Wait()
}

// fire starts alerts. One that has ended and is still repeated fires again.
func (p *prometheus) fire(ps []postable) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known()
	for _, ps := range ps {
		if a := known[text(ps.Labels)]; a != nil {
			a.since, a.ended = time.Now(), time.Time{}
			continue
		}
		p.active = append(p.active, &active{postable: ps, since: time.Now()})
	}
}

// end ends alerts.
func (p *prometheus) end(ps []postable) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known()
	for _, ps := range ps {
		known[text(ps.Labels)].ended = time.Now()
	}
}

func (p *prometheus) known() map[string]*active {
	out := map[string]*active{}
	for _, a := range p.active {
		out[text(a.Labels)] = a
	}
	return out
}

// round sends every alert once. A batch never cuts a group in two.
func (p *prometheus) round() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var kept []*active
	var batch []postable
	for i, a := range p.active {
		ends := a.ended
		if ends.IsZero() {
			ends = now.Add(vouchedFor)
			if !a.sent.IsZero() && now.Sub(a.sent) > vouchedFor-resendInterval/2 {
				p.t.Errorf("the machine is too slow for this test: an alert was not repeated for %s", now.Sub(a.sent))
			}
		}
		a.sent = now
		batch = append(batch, at([]postable{a.postable}, a.since, ends)...)
		if a.ended.IsZero() || now.Sub(a.ended) < resolvedKept {
			kept = append(kept, a)
		}
		last := i == len(p.active)-1
		if last || len(batch) >= maxBatch && kind(a.Labels) != kind(p.active[i+1].Labels) {
			if err := p.s.try(batch); err != nil {
				p.t.Errorf("winnow did not take a batch: %v", err)
			}
			batch = nil
		}
	}
	p.active = kept
	p.rounds++
}

// after waits for more rounds.
func (p *prometheus) after(rounds int) {
	p.t.Helper()
	p.mu.Lock()
	until := p.rounds + rounds
	p.mu.Unlock()
	programs.Eventually(p.t, patience, "alerts are repeated", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.rounds < until {
			return fmt.Errorf("%d rounds of %d", p.rounds, until)
		}
		return nil
	})
}

// TestPrometheusToPager sends alerts straight to Winnow's /api/v2/alerts.
func TestPrometheusToPager(t *testing.T) {
	at := timing{wait: 2 * time.Second, interval: 2 * time.Second}
	alerts := spread(first(catalog(t), 50), 5)
	m := newModel()
	pd := newPager(t)
	w := newWinnow(t, pd.routes(at, false))
	prom := newPrometheus(t, &sender{w: w, model: m})

	prom.fire(alerts)
	onsets(t, m, len(alerts))
	pd.settled(t, m)
	prom.after(8) // twice the time for which one delivery vouches
	runbooks(t, pd, m, alerts)

	loud := pick(alerts, func(p postable) bool { return p.Labels["severity"] != "none" })
	prom.end(loud)
	ends(t, m, len(loud))
	pd.settled(t, m)
	m.closed()
	prom.after(1) // what has ended is still being repeated

	returning := pick(loud, severity("warning"))[:10]
	prom.fire(returning)
	onsets(t, m, len(alerts)+len(returning))
	pd.settled(t, m)
	prom.after(8)
	prom.end(returning)
	ends(t, m, len(loud)+len(returning))
	pd.settled(t, m)

	prom.stop()
	w.agrees(m, pd.accepted(0), 0)
	pd.verify(t, m, 0)
	m.figures("Prometheus", pd)
}
