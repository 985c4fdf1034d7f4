package ledger

import (
	"cmp"
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// episode is one firing of an alert, from its onset on.
type episode struct {
	since    alert.Time // when the onset came
	until    alert.Time // Pending: when the page is due; told and over: since when
	dim      uint32
	now      correlate.Disposition
	severity alert.Severity
	paged    alert.Severity
	ended    bool // over, but its page was not decided yet
}

// episodes follows open episodes: for their length, and, of the critical ones,
// for whether somebody heard of them.
type episodes struct {
	open     openEpisodes // all but the critical ones
	critical openEpisodes

	ended, short, shortTold uint64 // measured, under SelfResolved, and of those paged or grouped

	swallowed, belowThreshold criticals
}

// of finds where an open episode is, nil where there is none.
func (es *episodes) of(fp alert.Fingerprint) (*openEpisodes, episode) {
	for _, o := range [...]*openEpisodes{&es.open, &es.critical} {
		if e, ok := o.get(fp); ok {
			return o, e
		}
	}
	return nil, episode{}
}

func (es *episodes) begin(r *correlate.Row) {
	if o, old := es.of(r.Fingerprint); o != nil {
		// Its end was never told. It is judged as it stands, lest a new onset
		// hide that nobody heard of the old one.
		es.settle(o, r.Fingerprint, old, r.At)
	}
	if r.Severity != alert.Critical && es.open.len() >= MaxEpisodes {
		return
	}
	es.listOf(r.Severity).add(r.Fingerprint, episode{since: r.At, until: r.Until, dim: r.Dim, now: r.Now, severity: r.Severity, paged: r.Paged})
}

func (es *episodes) move(r *correlate.Row) {
	o, e := es.of(r.Fingerprint)
	if o == nil {
		return
	}
	e.now, e.until, e.paged = r.Now, r.Until, r.Paged
	if e.ended && !waits(e.now) {
		es.settle(o, r.Fingerprint, e, r.At)
		return
	}
	o.put(r.Fingerprint, e)
}

// end measures an episode and returns it to be judged, unless there is none or
// what becomes of it is still to be told.
func (es *episodes) end(r *correlate.Row) (e episode, ok bool) {
	o, e := es.of(r.Fingerprint)
	if o == nil || e.ended {
		return e, false
	}
	if r.Now != correlate.NoDisposition {
		e.now = r.Now
	}
	if r.Paged != alert.Unset {
		e.paged = r.Paged
	}
	es.ended++
	if tells(e.now) {
		e.until = r.At
	}
	if r.At.Sub(e.since) < SelfResolved {
		es.short++
		if heard(e.now, e.paged) {
			es.shortTold++
		}
	}
	if e.severity == alert.Critical && waits(e.now) {
		e.ended = true
		o.put(r.Fingerprint, e)
		return e, false
	}
	o.remove(r.Fingerprint)
	return e, true
}

// short reports whether an episode that is over was so before people could do
// anything about it.
func (e *episode) short() bool { return e.until.Sub(e.since) < SelfResolved }

// heard reports whether somebody heard of an alert itself: a storm may have
// counted it only, and says then that nothing was paged for it.
func heard(d correlate.Disposition, paged alert.Severity) bool {
	return d == correlate.Paged || d == correlate.Grouped || d == correlate.Storm && paged != alert.Unset
}

// waits reports whether d is a disposition that another has to follow.
func waits(d correlate.Disposition) bool { return d == correlate.Pending || d == correlate.Held }

// listOf is where the open episodes of a severity are.
func (es *episodes) listOf(s alert.Severity) *openEpisodes {
	if s == alert.Critical {
		return &es.critical
	}
	return &es.open
}

// settle closes an episode of o and judges it.
func (es *episodes) settle(o *openEpisodes, fp alert.Fingerprint, e episode, at alert.Time) {
	o.remove(fp)
	es.count(fp, e, at)
}

// count judges an episode for good.
func (es *episodes) count(fp alert.Fingerprint, e episode, at alert.Time) {
	switch e.judge(at) {
	case swallowed:
		es.swallowed.add(critical{fp, e, false})
	case belowThreshold:
		es.belowThreshold.add(critical{fp, e, false})
	}
}

type judgement uint8

const (
	excused judgement = iota
	swallowed
	belowThreshold
)

// judge says whether a critical episode is accounted for at the time at: told
// to somebody as critical, kept back by a person's decision or a named alert,
// over before its page was due or anybody had confirmed it, or not due yet.
func (e *episode) judge(at alert.Time) judgement {
	if e.severity != alert.Critical {
		return excused
	}
	switch e.now {
	case correlate.Paged, correlate.Silenced, correlate.Inhibited, correlate.Muted, correlate.ResolvedBeforePage:
		return excused
	case correlate.Grouped, correlate.Storm:
		if e.paged == alert.Critical {
			return excused
		}
	case correlate.Pending:
		if e.until >= at {
			return excused
		}
	case correlate.BelowThreshold:
		return belowThreshold
	}
	return swallowed
}

// standing counts the critical episodes that are open, or over and in doubt, and
// not accounted for.
func (l *Ledger) standing(at alert.Time) (swallowedOnes, belowOnes uint64) {
	judge := func(_ alert.Fingerprint, e *episode) {
		switch e.judge(at) {
		case swallowed:
			swallowedOnes++
		case belowThreshold:
			belowOnes++
		}
	}
	for i := range l.episodes.critical.len() {
		judge(0, &l.episodes.critical.at(i).e)
	}
	l.unconfirmed.eachOver(judge)
	return swallowedOnes, belowOnes
}

// criticals returns the latest MaxListed criticals judged as j, ended or standing,
// in the order of their onsets.
func (l *Ledger) criticals(j judgement, at alert.Time) []critical {
	of := &l.episodes.swallowed
	if j == belowThreshold {
		of = &l.episodes.belowThreshold
	}
	out := slices.Clone(of.latest)
	for i := range l.episodes.critical.len() {
		if o := l.episodes.critical.at(i); o.e.judge(at) == j {
			out = append(out, critical{o.fp, o.e, !o.e.ended})
		}
	}
	l.unconfirmed.eachOver(func(fp alert.Fingerprint, e *episode) {
		if e.judge(at) == j {
			out = append(out, critical{fp, *e, false})
		}
	})
	slices.SortFunc(out, func(a, b critical) int {
		return cmp.Or(cmp.Compare(a.e.since, b.e.since), cmp.Compare(a.fp, b.fp), cmp.Compare(a.e.now, b.e.now))
	})
	return out[max(0, len(out)-MaxListed):]
}

// critical is an episode to be listed.
type critical struct {
	fp       alert.Fingerprint
	e        episode
	standing bool
}

// criticals counts all and keeps the latest.
type criticals struct {
	n      uint64
	latest []critical
}

func (cs *criticals) add(c critical) {
	cs.n++
	if len(cs.latest) == MaxListed {
		cs.latest = slices.Delete(cs.latest, 0, 1)
	}
	cs.latest = append(cs.latest, c)
}
