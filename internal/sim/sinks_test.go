package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/sinks"
)

// provider is somebody who is told. Those with keys behave as PagerDuty does:
// an answer says that an event was taken, a trigger opens an incident for its
// key or joins the one that is open, a resolve closes it and changes nothing
// where none is. What they took is listed in order; incidents are read off that
// list, so that nobody can ask a provider what it is about to believe.
type provider struct {
	name  string
	class correlate.Class
}

const (
	pagerOncall = iota
	pagerBoth
	chatBoth
	pagerNights
)

var providers = [...]provider{
	{"pagerduty[0]", correlate.WantsResolved},
	{"pagerduty[0]", correlate.WantsResolved},
	{"chat[1]", correlate.FiringOnly},
	{"pagerduty[0]", correlate.WantsResolved},
}

var behind = map[string][]int{
	"oncall": {pagerOncall},
	"both":   {pagerBoth, chatBoth},
	"nights": {pagerNights},
	"nobody": nil,
}

// fault is what a provider does in a window of time.
type fault uint8

const (
	unavailable fault = iota // 503, nothing taken
	throttled                // 429
	unheard                  // no answer, nothing taken
	lost                     // no answer, but taken
	refused                  // 400 to whatever is no resolve

	numFaults
)

var faultNames = [numFaults]string{"5xx", "429", "timeout", "answer_lost", "refused"}

type window struct {
	provider int
	from, to alert.Time
	fault    fault
}

const (
	keyLimit  = 6 // events of one key that a pager takes in keyWindow
	keyWindow = time.Minute
)

// lane is what one provider has still to be told about one group: in order, and
// of one incident only the newest state.
type lane struct {
	provider int
	group    string
	items    []*item
	next     alert.Time // no attempt before
}

type item struct {
	n       *correlate.Notification
	left    *int // receipts of n that are still to come
	page    bool // it, or one whose place it took, is a page that was not taken
	fresh   bool // before it the provider knew nothing of the incident
	unknown bool // an attempt may have arrived
	closed  int  // keys that a resolve has closed
}

// handOn queues a notification for each provider that it concerns and that has
// not answered.
func (w *world) handOn(d *engine.Delivery) {
	n, again := d.Notification, d.Again
	var to []int
	for _, p := range behind[n.Receiver] {
		switch {
		case n.Class&providers[p].class == 0:
		case answered(d, p):
			w.tally.passedOver++
		default:
			w.unanswered(n, p)
			to = append(to, p)
		}
	}
	left := len(to)
	if left == 0 && len(d.Answered) > 0 {
		w.receipt(correlate.Receipt{
			Incident: n.Incident, Revision: n.Revision, Kind: n.Kind, Receiver: n.Receiver,
			Integration: d.Answered[0].Integration, Outcome: correlate.Skipped, Last: true, At: w.wall(),
		})
		return
	}
	if left == 0 {
		panic(oracle("%s for %s concerns nobody", n.ID(), n.Receiver))
	}
	for _, p := range to {
		ln := w.lane(p, n.GroupKey)
		it := &item{
			n: n, left: &left, page: n.Kind == correlate.Page,
			fresh:   n.Kind == correlate.Page && n.Reason == correlate.FirstNotification,
			unknown: again && n.Kind != correlate.Resolve || n.Raw,
		}
		w.enqueue(ln, it)
		if w.roll(2) == 0 && len(ln.items) > 0 && ln.next <= w.now {
			w.attempt(ln) // before the next one is handed on
		}
	}
}

func answered(d *engine.Delivery, provider int) bool {
	for i := range d.Answered {
		if a := &d.Answered[i]; a.Receiver == d.Receiver && a.Integration == providers[provider].name {
			return true
		}
	}
	return false
}

func (w *world) lane(p int, group string) *lane {
	for _, ln := range w.life.lanes {
		if ln.provider == p && ln.group == group {
			return ln
		}
	}
	ln := &lane{provider: p, group: group}
	w.life.lanes = append(w.life.lanes, ln)
	return ln
}

func (w *world) enqueue(ln *lane, it *item) {
	for i, old := range ln.items {
		if old.n.Incident != it.n.Incident || sinks.Outlasts(old.n, it.n) {
			continue
		}
		if old.n.Revision >= it.n.Revision {
			w.report(ln, it, correlate.Superseded)
			return
		}
		w.tally.superseded++
		it.fresh, it.unknown = old.fresh, it.unknown || old.unknown
		it.page = it.page || old.page && it.n.Kind != correlate.Resolve
		w.report(ln, old, correlate.Superseded)
		ln.items = slices.Delete(ln.items, i, i+1)
		break
	}
	resolve := it.n.Kind == correlate.Resolve
	if resolve && (providers[ln.provider].class == correlate.FiringOnly || it.fresh && !it.unknown) {
		w.events = append(w.events, event{at: w.now, provider: ln.provider, kind: correlate.Resolve, n: it.n, outcome: correlate.Skipped})
		w.report(ln, it, correlate.Skipped)
		return
	}
	ln.items = append(ln.items, it)
}

// attempt sends the head of a lane.
func (w *world) attempt(ln *lane) {
	it := ln.items[0]
	w.watch(attemptBefore)
	f, bad := w.story.faultOf(ln.provider, w.now)
	keys := []string{it.n.Key()}
	if it.n.Kind == correlate.Resolve {
		keys = it.n.Keys[it.closed:]
	}
	if !bad && w.busy(ln.provider, keys[0]) {
		f, bad = throttled, true
	}
	if bad && f == refused && it.n.Kind == correlate.Resolve {
		bad = false
	}
	if bad {
		w.tally.faults[f]++
	}
	switch {
	case bad && f == refused:
		w.events = append(w.events, event{at: w.now, provider: ln.provider, key: keys[0], kind: it.n.Kind, n: it.n, outcome: correlate.Failed})
		w.watch(attemptRefused)
		ln.items = ln.items[1:]
		w.report(ln, it, correlate.Failed)
		return
	case bad && f != lost:
		it.unknown = it.unknown || f == unheard
		ln.next = w.now.Add(time.Duration(1+w.roll(20)) * time.Second)
		return
	}
	for i, key := range keys {
		w.events = append(w.events, event{at: w.now, provider: ln.provider, key: key, kind: it.n.Kind, n: it.n, outcome: correlate.Accepted})
		if i < len(keys)-1 {
			it.closed++
			w.watch(resolvePart)
		}
	}
	if bad {
		it.unknown = true
		it.closed = 0
		ln.next = w.now.Add(time.Duration(1+w.roll(20)) * time.Second)
		w.watch(attemptTaken)
		return
	}
	ln.items = ln.items[1:]
	w.report(ln, it, correlate.Accepted)
	w.watch(attemptAnswered)
}

// busy reports whether a pager has had enough of a key for now.
func (w *world) busy(p int, key string) bool {
	if providers[p].class != correlate.WantsResolved {
		return false
	}
	n := 0
	for i := len(w.events) - 1; i >= 0 && w.events[i].at > w.now.Add(-keyWindow); i-- {
		if w.events[i].provider == p && w.events[i].key == key {
			n++
		}
	}
	return n >= keyLimit
}

func (w *world) report(ln *lane, it *item, outcome correlate.Outcome) {
	*it.left--
	w.receipt(correlate.Receipt{
		Incident: it.n.Incident, Revision: it.n.Revision, Kind: it.n.Kind, Receiver: it.n.Receiver,
		Integration: providers[ln.provider].name, Outcome: outcome, Last: *it.left == 0, Attempts: 1, At: w.wall(),
	})
}

// receipt puts one on its way to the log. Most are there at once, some late, and
// those that a crash overtakes never.
func (w *world) receipt(r correlate.Receipt) {
	l := w.life
	due := w.now
	if w.roll(8) == 0 {
		due = due.Add(time.Duration(w.roll(90)) * time.Second)
		w.tally.late++
	}
	if n := len(l.receipts); n > 0 {
		due = max(due, l.receipts[n-1].due) // they keep their order
	}
	l.receipts = append(l.receipts, waiting{due, r})
}

// incident is what a pager shows to people.
type incident struct {
	provider int
	key      string
	number   uint64 // of the core's notification that opened it; 0 of one that the guard did, and nobody else
	last     *correlate.Notification
	phantom  bool
}

// level is the severity in a key.
func (i *incident) level() alert.Severity {
	switch {
	case strings.HasSuffix(i.key, "#critical"):
		return alert.Critical
	case strings.HasSuffix(i.key, "#error"):
		return alert.Error
	}
	return alert.Warning
}

// incidents reads the open incidents, and all phantoms, off what pagers took.
func incidents(events []event) (open []*incident, phantoms []*incident) {
	type place struct {
		provider int
		key      string
	}
	standing := map[place]*incident{}
	resolved := map[place]map[uint64]bool{}
	var order []place
	for i := range events {
		e := &events[i]
		if !e.taken() || providers[e.provider].class != correlate.WantsResolved {
			continue
		}
		at := place{e.provider, e.key}
		inc := standing[at]
		switch {
		case e.kind == correlate.Resolve:
			delete(standing, at)
			if resolved[at] == nil {
				resolved[at] = map[uint64]bool{}
			}
			resolved[at][e.n.Incident] = true
		case inc == nil:
			inc = &incident{provider: e.provider, key: e.key, number: e.n.Incident, last: e.n, phantom: !e.raw() && resolved[at][e.n.Incident]}
			standing[at] = inc
			order = append(order, at)
			if inc.phantom {
				phantoms = append(phantoms, inc)
			}
		case inc.number == 0 || !e.raw(): // the core's page is folded into a raw one, and the other way round
			inc.number, inc.last = e.n.Incident, e.n
		}
	}
	for _, at := range order {
		if inc := standing[at]; inc != nil && !slices.Contains(open, inc) {
			open = append(open, inc)
		}
	}
	return open, phantoms
}
