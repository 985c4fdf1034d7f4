package enrich

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
)

// Limits of a Context. What is over them is left out.
const (
	MaxLinks     = 32
	MaxNotes     = 16
	MaxNoteBytes = 512
)

// Options of a Pipeline. The zero value works.
type Options struct {
	// Extra enrichers come after those of this package: they fill what is
	// still empty and add links and notes. Their names must be unique.
	Extra []Enricher

	Registerer prometheus.Registerer // nil: metrics are kept, but not exposed
	Logger     *zap.Logger           // nil: silent
}

// Pipeline runs all look-ups for a notification. It is safe for concurrent use.
type Pipeline struct {
	timeout time.Duration
	stages  []*stage
	cache   *linkCache
	metrics *metrics
	log     *zap.Logger
}

// stage is an enricher with its places.
type stage struct {
	enricher Enricher
	name     string
	places   chan struct{} // full: one more look-up waits, see take
	overdue  atomic.Int32  // look-ups that hold a place past their deadline
}

// New reads the catalogue and compiles the rules. It fails rather than run
// with less than was configured; the caller keeps the pipeline it had. The
// caller must Close what it got.
func New(cfg Config, opts Options) (*Pipeline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	rules, err := compileRules(cfg.Runbooks)
	if err != nil {
		return nil, err
	}
	cat, err := loadCatalog(cfg.Catalog)
	if err != nil {
		return nil, err
	}
	p := &Pipeline{timeout: cfg.Timeout, log: opts.Logger}
	if p.log == nil {
		p.log = zap.NewNop()
	}
	if p.metrics, err = newMetrics(opts.Registerer); err != nil {
		return nil, err
	}
	if p.cache, err = newLinkCache(cfg.CacheBytes, cfg.CacheTTL); err != nil {
		return nil, err
	}
	enrichers := append([]Enricher{
		&runbookEnricher{rules: rules, cache: p.cache},
		dashboardEnricher{},
		&ownerEnricher{catalog: cat, ownerLabels: cfg.OwnerLabels, serviceLabels: cfg.ServiceLabels},
	}, opts.Extra...)
	for _, e := range enrichers {
		name := e.Name()
		if slices.ContainsFunc(p.stages, func(s *stage) bool { return s.name == name }) {
			p.Close()
			return nil, fmt.Errorf("enrich: two enrichers are called %q", name)
		}
		p.stages = append(p.stages, &stage{enricher: e, name: name, places: make(chan struct{}, cfg.MaxInFlight)})
	}
	return p, nil
}

// Close gives back the cache. Runs under way, and later ones, work without it.
func (p *Pipeline) Close() { p.cache.close() }

// answer is what a stage had to say.
type answer struct {
	stage   int
	outcome outcome
	context Context
	err     error
}

// Run looks everything up side by side and returns at the deadline at the
// latest, with what there is then. It never fails. Neither n nor what it
// points to may change afterwards: a look-up that overran may still read it.
func (p *Pipeline) Run(ctx context.Context, n *correlate.Notification) Context {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()

	answers := make([]answer, len(p.stages))
	done := make(chan answer, len(p.stages)) // room for all: who comes late never blocks
	waiting := 0
	for i, s := range p.stages {
		answers[i] = answer{stage: i, outcome: outcomeTimeout, err: context.DeadlineExceeded}
		waiting++
		go func() {
			if s.take(ctx) {
				p.lookUp(ctx, i, n, done)
				return
			}
			done <- answer{stage: i, outcome: outcomeSkipped, err: fmt.Errorf("%d look-ups are under way already", cap(s.places))}
		}()
	}
	for waiting > 0 {
		select {
		case a := <-done:
			answers[a.stage] = a
			waiting--
			continue
		default: // an answer that is there counts, even at the deadline
		}
		select {
		case a := <-done:
			answers[a.stage] = a
			waiting--
		case <-ctx.Done():
			waiting = 0
		}
	}
	return p.merge(n, answers)
}

// take gets a place for a look-up. A burst waits for its turn; places that are
// held past their deadline are those of an enricher that does not return, and
// nobody waits for that.
func (s *stage) take(ctx context.Context) bool {
	select {
	case s.places <- struct{}{}:
		return true
	default:
	}
	if int(s.overdue.Load()) >= cap(s.places) {
		return false
	}
	select {
	case s.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// lookUp runs one enricher and gives its place back when it returns, however
// late that is.
func (p *Pipeline) lookUp(ctx context.Context, i int, n *correlate.Notification, done chan<- answer) {
	s := p.stages[i]
	late := context.AfterFunc(ctx, func() { s.overdue.Add(1) })
	// Stands unless Enrich returns: a panic, or an end of the goroutine.
	a := answer{stage: i, outcome: outcomePanicked, err: errors.New("did not return")}
	begin := time.Now()
	defer func() {
		if r := recover(); r != nil {
			a.context, a.err = Context{}, fmt.Errorf("panicked: %v", r)
			p.log.Error("enricher panicked", zap.String("enricher", s.name), zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
		}
		p.metrics.took(s.name, time.Since(begin))
		if !late() {
			s.overdue.Add(-1)
		}
		<-s.places
		done <- a
	}()
	var c Context
	err := s.enricher.Enrich(ctx, n, &c)
	switch {
	case err == nil:
		a.outcome = outcomeOK
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		a.outcome = outcomeTimeout
	default:
		a.outcome = outcomeError
	}
	a.err, a.context = err, c
}

// merge takes of each field the first answer, in the order of the stages. What
// an enricher found before it failed is kept.
func (p *Pipeline) merge(n *correlate.Notification, answers []answer) Context {
	var out Context
	for i := range answers {
		a := &answers[i]
		name := p.stages[i].name
		p.metrics.count(name, a.outcome)
		if a.outcome != outcomeOK {
			out.Failed = append(out.Failed, name)
			p.log.Warn("a page goes without the answer of an enricher", zap.String("enricher", name),
				zap.String("outcome", string(a.outcome)), zap.String("notification", n.ID()), zap.Error(a.err))
		}
		c := &a.context
		out.Owner, out.Tier = first(out.Owner, c.Owner), first(out.Tier, c.Tier)
		out.Runbook = first(out.Runbook, out.checked(name, "runbook", c.Runbook))
		out.Dashboard = first(out.Dashboard, out.checked(name, "dashboard", c.Dashboard))
		for _, note := range c.Notes {
			out.note(note)
		}
		for _, l := range c.Links {
			out.link(l.Title, out.checked(name, "link", l.URL))
		}
	}
	// A link that became the runbook or the dashboard is not shown twice.
	out.Links = slices.DeleteFunc(out.Links, func(l Link) bool { return l.URL == out.Runbook || l.URL == out.Dashboard })
	if len(out.Links) == 0 {
		out.Links = nil
	}
	return out
}

// checked lets links through that webURL accepts, whoever found them.
func (c *Context) checked(enricher, what, link string) string {
	if link == "" {
		return ""
	}
	u, err := webURL(link)
	if err != nil {
		c.note(fmt.Sprintf("the %s of enricher %s is ignored: %v", what, enricher, err))
		return ""
	}
	return u.String()
}

func (c *Context) link(title, url string) {
	if url == "" || len(c.Links) >= MaxLinks || slices.ContainsFunc(c.Links, func(l Link) bool { return l.URL == url }) {
		return
	}
	c.Links = append(c.Links, Link{Title: first(title, url), URL: url})
}

func (c *Context) note(s string) {
	if len(s) > MaxNoteBytes {
		s = cut(s, MaxNoteBytes) + "…"
	}
	if s == "" || len(c.Notes) >= MaxNotes || slices.Contains(c.Notes, s) {
		return
	}
	c.Notes = append(c.Notes, s)
}
