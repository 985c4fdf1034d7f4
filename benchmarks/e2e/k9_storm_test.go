//go:build e2e && k9

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// In a storm it depends on the order of requests which alerts have a group of
// their own and which share one, so a model that knows labels only cannot say
// which incidents there must be. It can say whom they must name: everything that
// fires is named in an incident that is open, and an incident in which nothing
// fires is closed.

// board is what the pager shows of the incidents that are open.
type board struct {
	pd *pager

	mu   sync.Mutex
	read int // events
	open map[string]*shown
	odd  []string
}

// shown is one incident: its name, and the pods that it has named as firing.
type shown struct {
	incident string
	pods     map[string]bool
}

func newBoard(pd *pager) *board { return &board{pd: pd, open: map[string]*shown{}} }

// look reads what has come. The caller holds b.mu.
func (b *board) look() {
	events := b.pd.EventsAfter(b.read)
	b.read += len(events)
	for i := range events {
		b.take(&events[i])
	}
}

func (b *board) take(e *sinktest.Event) {
	if e.Action == "resolve" {
		delete(b.open, e.Key)
		return
	}
	incident, _ := e.Details["incident"].(string)
	s := b.open[e.Key]
	if s == nil {
		s = &shown{incident, map[string]bool{}}
		b.open[e.Key] = s
	}
	if s.incident != incident {
		b.odd = append(b.odd, fmt.Sprintf("%s was paged under the key of %s, which is open", incident, s.incident))
	}
	for _, match := range podIn.FindAllStringSubmatch(fmt.Sprint(e.Details["firing"]), -1) {
		s.pods[match[1]] = true
	}
}

// names reports whether each of the alerts is named in an incident that is open.
func (b *board) names(ps []postable) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.look()
	for _, p := range ps {
		if !b.named(p.Labels["pod"]) {
			return false
		}
	}
	return len(ps) > 0
}

func (b *board) named(pod string) bool {
	for _, s := range b.open { // order: whether any does
		if s.pods[pod] {
			return true
		}
	}
	return false
}

// matches reports what differs between the incidents that are open and what the
// senders, who are at rest, have said to fire.
func (b *board) matches(crew []*hand) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.look()
	firing := map[string]bool{}
	for _, h := range crew {
		for _, c := range h.charge {
			if !c.pages || c.over {
				continue
			}
			for _, p := range c.alerts[:c.said] {
				pod := p.Labels["pod"]
				if firing[pod] = true; !b.named(pod) {
					return fmt.Errorf("%s fires, and no open incident names it", text(p.Labels))
				}
			}
		}
	}
	for key, s := range b.open { // order: any will do
		over := true
		for pod := range s.pods { // order: whether any does
			over = over && !firing[pod]
		}
		if over {
			return fmt.Errorf("%s is open under %s, and nothing fires in it", s.incident, key)
		}
	}
	return nil
}

// stormRoutes are the routes that page, as group keys begin with them.
var stormRoutes = map[string]string{`{}`: "platform", `{}/{severity="critical"}`: "oncall"}

// stormBases are the keys of all groups that a storm of the senders' alerts may
// make, with their receivers: one for each name, and one for what is too much.
func stormBases() map[string]string {
	bases := map[string]string{}
	for route, receiver := range stormRoutes { // order: a map
		bases[route+":storm{}"] = receiver
		for _, r := range builtinRules() {
			bases[route+`:storm{alertname="`+r.Name+`"}`] = receiver
		}
	}
	return bases
}

// besideStorm is the receiver of an incident of a second storm, while the first
// one's under the same key is open.
func besideStorm(key, incident string) (receiver string, known bool) {
	receiver, known = pagedUnder("~" + incident)[key]
	return receiver, known
}

// pagedUnder are the receivers of the groups that a storm may make, by the
// dedup_key of what they are paged under.
func pagedUnder(suffix string) map[string]string {
	keys := map[string]string{}
	for base, receiver := range stormBases() { // order: a map
		for _, level := range []string{"", "#error", "#critical"} {
			keys[dedupKey(base+suffix+level)] = receiver
		}
	}
	return keys
}

// grave are the alerts of which a storm must name each.
func grave(p postable) bool {
	return p.Labels["severity"] == "critical" || p.Labels["severity"] == "error"
}

// endedUnheard reports whether winnow explain says that an alert was over before
// anybody could hear of it: the only excuse for a critical of a storm that was
// named to nobody.
func endedUnheard(why string) bool {
	return strings.Contains(why, "\nNot paged because it ended before its page was due")
}

// compareStorm holds the report to what can be known of a storm: each delivery
// and each onset is accounted for, nothing is swallowed, and at least the
// incidents that people have seen are counted.
func (k *k9) compareStorm(r report, seen int) error {
	s := k.sum
	if n := r.Incidents - k.base; n < seen || n > s.onsets {
		return fmt.Errorf("%d incidents since the storm began, want at least the %d that were seen", n, seen)
	}
	return k.account(r)
}

// carry takes over how many incidents and pages the storm came to, by which the
// chapters after it are counted on.
func (k *k9) carry() {
	deadline := time.Now().Add(patience)
	for {
		r, err := k.w.report()
		if err == nil {
			err = k.account(r)
		}
		switch {
		case err == nil:
			k.sum.incidents, k.sum.opened, k.sum.brief = r.Incidents, r.Pages, 0
			return
		case time.Now().After(deadline):
			k.t.Errorf("the report does not agree with the count after a storm: %v", err)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

// wrong is what the board could not make sense of.
func (b *board) wrong() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.look()
	var errs []error
	for _, s := range b.odd {
		errs = append(errs, errors.New(s))
	}
	b.odd = nil
	return errors.Join(errs...)
}
