package correlate

import (
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// SilenceKept is how long an ended silence is listed at least, as in
// Alertmanager.
const SilenceKept = 120 * time.Hour

// silences are those known, and which of them an alert may match.
type silences struct {
	list []Silence // in order of arrival
	set  []uint32  // the version at which each was set last
	byID map[string]int32
	by   index
	past int // in the index, replaced since

	version uint32  // counts what was set
	renamed uint32  // the version from which on places in the list are as they are now
	latest  []int32 // what the latest versions have set, the newest last
}

// maxLatest is how many silences an alert is tested against one by one; for
// more that are new to it the index is asked.
const maxLatest = 16

// SetSilence adds a silence or replaces the one with its id. Long after they
// ended, silences are dropped from the list. It reports false for one more than
// MaxSilences, which it does not take.
func (c *Core) SetSilence(s Silence) bool {
	q := &c.silences
	at, known := q.byID[s.ID]
	if !c.TakesSilence(s.ID) {
		return false
	}
	if !known && len(q.list) >= MaxSilences {
		q.dropEnded(c.now.Add(-SilenceKept))
		q.build(c.now)
	}
	q.version++
	if known {
		q.list[at], q.set[at] = s, q.version
		q.past++
	} else {
		at = int32(len(q.list))
		q.list, q.set = append(q.list, s), append(q.set, q.version)
		q.byID[s.ID] = at
	}
	for _, ms := range s.Matchers {
		q.by.add(at, ms)
	}
	if q.latest = append(q.latest, at); len(q.latest) > maxLatest {
		q.latest = q.latest[1:]
	}
	switch n := len(q.list); {
	case !known && n >= 256 && n&(n-1) == 0: // what is listed depends on the list alone
		q.dropEnded(c.now.Add(-SilenceKept))
		q.build(c.now)
	case q.past > 64+n/2:
		q.build(c.now)
	}
	return true
}

// TakesSilence reports whether a silence with this id would be taken.
func (c *Core) TakesSilence(id string) bool {
	_, known := c.silences.byID[id]
	return known || len(c.silences.list) < MaxSilences ||
		slices.ContainsFunc(c.silences.list, func(s Silence) bool { return s.EndsAt < c.now.Add(-SilenceKept) })
}

// dropEnded drops what ended before t from the list. It changes nothing that
// is decided: time does not go back.
func (q *silences) dropEnded(t alert.Time) {
	kept := 0
	for i := range q.list {
		if q.list[i].EndsAt >= t {
			q.list[kept], q.set[kept] = q.list[i], q.set[i]
			kept++
		}
	}
	if kept == len(q.list) {
		return
	}
	clear(q.list[kept:])
	q.list, q.set = q.list[:kept], q.set[:kept]
	q.renamed, q.latest = q.version, nil
	q.number()
}

func (q *silences) number() {
	q.byID = make(map[string]int32, len(q.list))
	for i := range q.list {
		q.byID[q.list[i].ID] = int32(i)
	}
}

// build makes the index anew, of those that have not ended.
func (q *silences) build(now alert.Time) {
	q.by, q.past = index{}, 0
	for i := range q.list {
		if q.list[i].EndsAt <= now {
			continue
		}
		for _, ms := range q.list[i].Matchers {
			q.by.add(int32(i), ms)
		}
	}
}

// shift keeps begun what has, and ended too: whether it still stands in the index is
// not the same after a start, and nobody wants it back.
func (q *silences) shift(now alert.Time, by time.Duration) {
	for i := range q.list {
		s := &q.list[i]
		if s.EndsAt <= now {
			s.EndsAt = min(s.EndsAt, now.Add(by))
		}
		if s.StartsAt <= now {
			s.StartsAt = min(s.StartsAt, now.Add(by), s.EndsAt)
		}
	}
}

// ExpireSilence ends a silence now. It reports whether there was one to end.
func (c *Core) ExpireSilence(now alert.Time, id string) bool {
	at, known := c.silences.byID[id]
	if !known || c.silences.list[at].EndsAt <= now {
		return false
	}
	c.silences.list[at].EndsAt = now
	return true
}

// silencedBy finds a silence in force at t that matches ref: of several the one
// that came first.
func (c *Core) silencedBy(ref dedupe.Ref, t alert.Time) (id string, ok bool) {
	if len(c.silences.list) == 0 {
		return "", false
	}
	a := c.alert(ref)
	if a.silenceVersion != c.silences.version {
		c.testSilences(a, ref, t)
	}
	for _, i := range a.silencedBy() {
		if s := &c.silences.list[i]; s.StartsAt <= t && t < s.EndsAt {
			return s.ID, true
		}
	}
	return "", false
}

// testSilences tests an alert against what was set since it was tested last.
func (c *Core) testSilences(a *liveAlert, ref dedupe.Ref, t alert.Time) {
	q := &c.silences
	since := a.silenceVersion
	a.silenceVersion = q.version
	if since < q.renamed {
		since = 0
		a.setSilences(nil)
	}
	if len(a.silencedBy()) > 0 {
		a.beside.silences = slices.DeleteFunc(a.beside.silences, func(i uint32) bool { return q.set[i] > since })
	}
	c.lsA = c.table.View(c.lsA[:0], ref)
	if n := int(q.version - since); n <= len(q.latest) {
		c.picked = append(c.picked[:0], q.latest[len(q.latest)-n:]...)
	} else {
		c.picked = q.by.candidates(c.picked[:0], c.lsA)
	}
	for _, i := range c.picked {
		s := &q.list[i]
		if q.set[i] <= since || s.EndsAt <= t || !matchesAny(s.Matchers, c.lsA) {
			continue
		}
		if at, found := slices.BinarySearch(a.silencedBy(), uint32(i)); !found {
			a.aside().silences = slices.Insert(a.silencedBy(), at, uint32(i))
		}
	}
}

func matchesAny(sets []alert.Matchers, ls alert.Labels) bool {
	for _, ms := range sets {
		if ms.Matches(ls) {
			return true
		}
	}
	return false
}

// Silences lists all silences known, ended ones included for SilenceKept, in
// order of arrival.
func (c *Core) Silences() []Silence { return c.silences.list }
