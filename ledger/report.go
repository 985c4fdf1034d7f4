package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// Report is the noise report: the funnel, what each reduction cost, and where
// the noise comes from. It shares nothing with the books.
type Report struct {
	Since time.Time `json:"since,omitzero"` // of the first and the last row, in the log's time
	Until time.Time `json:"until,omitzero"`

	Deliveries    uint64 `json:"deliveries"`    // E: alerts as sent, re-sends included
	Onsets        uint64 `json:"onsets"`        // O: distinct alert × episode
	Incidents     uint64 `json:"incidents"`     // I
	Notifications uint64 `json:"notifications"` // N: accepted by an integration
	Pages         uint64 `json:"pages"`         // P: notifications that interrupt somebody

	// RawPages are those that went out past the core, one for each alert and
	// receiver. They are not in Pages.
	RawPages uint64 `json:"raw_pages"`

	// SwallowedCriticals are critical episodes of which nobody was told as
	// critical, and for which neither a person's decision, nor an inhibiting
	// alert, nor their own early end accounts.
	SwallowedCriticals uint64 `json:"swallowed_criticals"`
	// CriticalBelowThreshold are those whose receiver has nobody behind it:
	// the configuration says so, which does not make it right.
	CriticalBelowThreshold uint64 `json:"critical_below_threshold"`

	Dispositions map[string]uint64 `json:"dispositions"` // those that occur, and pending
	Pending      uint64            `json:"pending"`      // pending or held
	Balanced     bool              `json:"balanced"`     // deliveries = sum of dispositions, of all and of each source

	Ratios     Ratios           `json:"ratios"`
	AddedDelay map[string]Delay `json:"added_delay"` // by severity

	BySource    []Source  `json:"by_source"`    // all, most deliveries first
	TopRules    []Noise   `json:"top_rules"`    // most deliveries first
	TopServices []Noise   `json:"top_services"` // most deliveries first
	Flappers    []Flapper `json:"flappers"`     // most reopened first

	SelfResolved SelfResolvedCount `json:"self_resolved_under_5m"`
	Hours        []Hour            `json:"hours"` // those in which something was, of the last 31 days

	// Degraded are the times in which Winnow did less than all of its work.
	Degraded []Degradation `json:"degraded"`

	// The latest MaxListed of each, in the order of their onsets.
	Swallowed      []CriticalEpisode `json:"swallowed"`
	BelowThreshold []CriticalEpisode `json:"below_threshold"`
}

// Ratios are shares of 1, null where there is nothing to divide by. They are
// published together: each alone flatters.
type Ratios struct {
	Dedupe         *float64 `json:"dedupe"`          // 1 - onsets/deliveries
	Correlation    *float64 `json:"correlation"`     // 1 - incidents/onsets
	Page           *float64 `json:"page"`            // pages/onsets
	NoiseReduction *float64 `json:"noise_reduction"` // 1 - pages/deliveries
}

// Delay is the time from an onset's arrival to the decision to tell somebody.
// The percentiles are within 3.2 %, or half a millisecond; the maximum is exact.
type Delay struct {
	Count      uint64  `json:"count"`
	P50Seconds float64 `json:"p50_seconds"`
	P99Seconds float64 `json:"p99_seconds"`
	MaxSeconds float64 `json:"max_seconds"`
}

// Source is the books of one source.
type Source struct {
	Source        string            `json:"source"`
	Deliveries    uint64            `json:"deliveries"`
	Onsets        uint64            `json:"onsets"`
	Notifications uint64            `json:"notifications"`
	Pages         uint64            `json:"pages"`
	Dispositions  map[string]uint64 `json:"dispositions"`
	Balanced      bool              `json:"balanced"`
}

// Noise is what one rule or service sends.
type Noise struct {
	Name          string  `json:"name"` // empty: the alerts carry none
	Deliveries    uint64  `json:"deliveries"`
	Share         float64 `json:"share"` // of all deliveries
	Onsets        uint64  `json:"onsets"`
	Notifications uint64  `json:"notifications"`
	Pages         uint64  `json:"pages"`
	Suppressed    uint64  `json:"suppressed"` // held, flapping, silenced, inhibited, muted, resolved before the page, or below the threshold
}

// Flapper is a rule on a service whose alerts come back after they were resolved.
type Flapper struct {
	Rule     string `json:"rule"`
	Service  string `json:"service"`
	Reopened uint64 `json:"reopened"`
	Onsets   uint64 `json:"onsets"`
}

// SelfResolvedCount is of episodes that ended in less than five minutes, too
// soon for a person to have had a part in it.
type SelfResolvedCount struct {
	Episodes uint64   `json:"episodes"`
	Told     uint64   `json:"told"`  // of these, paged or grouped into a page
	Share    *float64 `json:"share"` // of all that ended
}

// Hour is one hour of the log's time.
type Hour struct {
	Start         time.Time `json:"start"` // UTC
	Deliveries    uint64    `json:"deliveries"`
	Onsets        uint64    `json:"onsets"`
	Incidents     uint64    `json:"incidents"`
	Notifications uint64    `json:"notifications"`
	Pages         uint64    `json:"pages"`
}

// CriticalEpisode names one episode, to be asked about with explain.
type CriticalEpisode struct {
	Fingerprint string    `json:"fingerprint"`
	Rule        string    `json:"rule"`
	Service     string    `json:"service"`
	Source      string    `json:"source"`
	At          time.Time `json:"at"` // of its onset
	Disposition string    `json:"disposition"`
	Standing    bool      `json:"standing"` // it fires still
}

// Report draws up the books. The rules, services and flappers listed are at
// most top; ties are in the order of names.
func (l *Ledger) Report(top int) *Report {
	t := l.Totals()
	r := &Report{
		Since: l.since.Std(), Until: l.until.Std(),
		Deliveries: t.Deliveries, Onsets: t.Onsets, Incidents: t.Incidents,
		Notifications: t.Notifications, Pages: t.Pages, RawPages: l.raw,
		SwallowedCriticals: t.SwallowedCriticals, CriticalBelowThreshold: t.CriticalBelowThreshold,
		Dispositions: named(&t.Dispositions), Pending: t.Pending, Balanced: t.Balanced,
		Ratios: Ratios{
			Dedupe:         oneMinus(ratio(t.Onsets, t.Deliveries)),
			Correlation:    oneMinus(ratio(t.Incidents, t.Onsets)),
			Page:           ratio(t.Pages, t.Onsets),
			NoiseReduction: oneMinus(ratio(t.Pages, t.Deliveries)),
		},
		AddedDelay: map[string]Delay{},
		SelfResolved: SelfResolvedCount{
			Episodes: l.episodes.short, Told: l.episodes.shortTold,
			Share: ratio(l.episodes.short, l.episodes.ended),
		},
		Swallowed:      l.list(swallowed),
		BelowThreshold: l.list(belowThreshold),
		Degraded:       l.Degraded(),
	}
	r.Dispositions[correlate.Pending.String()] += 0 // listed when it is none, too
	for severity := range l.delays {
		if h := &l.delays[severity]; h.n > 0 {
			r.AddedDelay[alert.Severity(severity).String()] = Delay{
				Count: h.n, P50Seconds: h.percentile(50).Seconds(), P99Seconds: h.percentile(99).Seconds(), MaxSeconds: h.longest.Seconds(),
			}
		}
	}
	l.breakdown(r, top)
	r.Hours = []Hour{}
	for _, h := range l.hours.upTo(l.until) {
		r.Hours = append(r.Hours, Hour{
			Start: time.Unix(h.hour*3600, 0).UTC(), Deliveries: h.deliveries, Onsets: h.onsets,
			Incidents: h.incidents, Notifications: h.notifications, Pages: h.pages,
		})
	}
	return r
}

func (l *Ledger) breakdown(r *Report, top int) {
	r.BySource = []Source{}
	for _, g := range l.grouped(func(d correlate.Dim) string { return d.Source }) {
		r.BySource = append(r.BySource, Source{
			Source: g.key, Deliveries: g.counts.deliveries, Onsets: g.counts.onsets,
			Notifications: g.counts.notifications, Pages: g.counts.pages,
			Dispositions: named(&g.counts.dispositions), Balanced: g.counts.balanced(),
		})
	}
	r.TopRules = l.noise(func(d correlate.Dim) string { return d.Rule }, top)
	r.TopServices = l.noise(func(d correlate.Dim) string { return d.Service }, top)

	flapping := groupBy(l, func(d correlate.Dim) ruleService { return ruleService{d.Rule, d.Service} })
	slices.SortFunc(flapping, func(a, b group[ruleService]) int {
		return cmp.Or(cmp.Compare(b.counts.reopened, a.counts.reopened), cmp.Compare(a.key.rule, b.key.rule), cmp.Compare(a.key.service, b.key.service))
	})
	r.Flappers = []Flapper{}
	for _, g := range flapping[:min(max(top, 0), len(flapping))] {
		if g.counts.reopened > 0 {
			r.Flappers = append(r.Flappers, Flapper{Rule: g.key.rule, Service: g.key.service, Reopened: g.counts.reopened, Onsets: g.counts.onsets})
		}
	}
}

type ruleService struct{ rule, service string }

// noise lists the groups with the most deliveries.
func (l *Ledger) noise(key func(correlate.Dim) string, top int) []Noise {
	out := []Noise{}
	for _, g := range l.grouped(key) {
		if len(out) >= top || g.counts.deliveries == 0 {
			break
		}
		out = append(out, Noise{
			Name: g.key, Deliveries: g.counts.deliveries, Share: float64(g.counts.deliveries) / float64(max(l.total.deliveries, 1)),
			Onsets: g.counts.onsets, Notifications: g.counts.notifications, Pages: g.counts.pages, Suppressed: g.counts.suppressed(),
		})
	}
	return out
}

// group is the sum of the dimensions that share a key.
type group[K comparable] struct {
	key    K
	counts counts
}

// grouped sums by one name, most deliveries first, ties by name.
func (l *Ledger) grouped(key func(correlate.Dim) string) []group[string] {
	out := groupBy(l, key)
	slices.SortFunc(out, func(a, b group[string]) int {
		return cmp.Or(cmp.Compare(b.counts.deliveries, a.counts.deliveries), cmp.Compare(a.key, b.key))
	})
	return out
}

// otherDim stands for what is not counted apart.
var otherDim = correlate.Dim{Source: "(other)", Rule: "(other)", Service: "(other)"}

// groupBy sums by a key, in the order of the dimensions' numbers.
func groupBy[K comparable](l *Ledger, key func(correlate.Dim) K) []group[K] {
	at := map[K]int{}
	var out []group[K]
	add := func(k K, c *counts) {
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, group[K]{key: k})
		}
		out[i].counts.add(c)
	}
	for dim := range l.byDim {
		if c := &l.byDim[dim]; *c != (counts{}) {
			add(key(l.dims(uint32(dim))), c)
		}
	}
	if l.other != (counts{}) {
		add(key(otherDim), &l.other)
	}
	return out
}

func (l *Ledger) list(j judgement) []CriticalEpisode {
	out := []CriticalEpisode{}
	for _, c := range l.criticals(j, l.until) {
		d := otherDim
		if int64(c.e.dim) < int64(len(l.byDim)) {
			d = l.dims(c.e.dim)
		}
		out = append(out, CriticalEpisode{
			Fingerprint: c.fp.String(), Rule: d.Rule, Service: d.Service, Source: d.Source,
			At: c.e.since.Std(), Disposition: c.e.now.String(), Standing: c.standing,
		})
	}
	return out
}

// named maps the dispositions that occur to their counts.
func named(ds *[correlate.NumDispositions]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for d := correlate.NoDisposition + 1; d < correlate.NumDispositions; d++ {
		if ds[d] > 0 {
			out[d.String()] = ds[d]
		}
	}
	return out
}

// ratio is nil where there is nothing to divide by.
func ratio(a, b uint64) *float64 {
	if b == 0 {
		return nil
	}
	q := float64(a) / float64(b)
	return &q
}

func oneMinus(q *float64) *float64 {
	if q != nil {
		*q = 1 - *q
	}
	return q
}
