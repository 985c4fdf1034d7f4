//go:build e2e && k9

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// stormLimit is how many groups may open at a receiver within a minute where
// storm control is in force: so few that nearly all of a run is a storm. Which
// alerts share a group is then up to the time at which each came, so no count
// of groups is held; what is held is what people rely on: who is told of which
// alert, and that all ends.
// A reload makes it up to 12 times as many.
const stormLimit = 3

// naming is which alerts each key of the pager has named, read off its events.
type naming struct {
	mu     sync.Mutex
	read   int
	pods   map[string]map[string]bool // by key
	to     map[string]map[string]bool // by pod: the routing keys
	routed map[string]string          // by key
	twice  []string                   // keys that went to two receivers
	storms map[string]bool            // keys of storms
	among  map[string]bool            // pods that a storm has named
}

func newNaming() *naming {
	return &naming{pods: map[string]map[string]bool{}, to: map[string]map[string]bool{}, routed: map[string]string{}, storms: map[string]bool{}, among: map[string]bool{}}
}

// follow reads the events that came since. The caller holds n.mu, and has held
// it since before: a list that is older than what another has read is too short.
func (n *naming) follow(pd *pager) {
	events := pd.Events()
	for _, e := range events[n.read:] {
		if n.pods[e.Key] == nil {
			n.pods[e.Key] = map[string]bool{}
			n.routed[e.Key] = e.Routing
		}
		if n.routed[e.Key] != e.Routing {
			n.twice = append(n.twice, e.Key)
		}
		storm := strings.Contains(e.Summary, "storm of ")
		if storm {
			n.storms[e.Key] = true
		}
		for _, match := range podIn.FindAllStringSubmatch(fmt.Sprint(e.Details["firing"], e.Details["resolved"]), -1) {
			pod := match[1]
			n.pods[e.Key][pod] = true
			if n.to[pod] == nil {
				n.to[pod] = map[string]bool{}
			}
			n.to[pod][e.Routing] = true
			if storm {
				n.among[pod] = true
			}
		}
	}
	n.read = len(events)
}

// openFor reports whether an incident is open that has named one of the alerts.
func (k *k9) openFor(alerts []postable) bool {
	k.names.mu.Lock()
	defer k.names.mu.Unlock()
	open := k.pd.Open()
	k.names.follow(k.pd)
	return slices.ContainsFunc(open, func(i sinktest.Incident) bool {
		return slices.ContainsFunc(alerts, func(p postable) bool { return k.names.pods[i.Key][p.Labels["pod"]] })
	})
}

// stands reports what the pager does not show of what fires: each alert that
// pages has to be named by an incident that is open at its receiver, and nothing
// else stands open.
func (k *k9) stands() error {
	firing := map[string]string{} // pods, and where they belong
	for _, h := range k.crew {
		for _, c := range h.charge {
			if c.over || !c.pages {
				continue
			}
			for _, p := range c.alerts[:c.said] {
				_, receiver := groupKey(p.Labels)
				firing[p.Labels["pod"]] = receiver + "-key"
			}
		}
	}
	k.names.mu.Lock()
	defer k.names.mu.Unlock()
	open := k.pd.Open()
	k.names.follow(k.pd)
	for _, i := range open {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(k.names.pods[i.Key])), func(pod string) bool { return firing[pod] != "" }) {
			return fmt.Errorf("incident %s is open, and nothing that it has named fires: %s", i.Key, i.Summary)
		}
	}
	for pod, routing := range firing { // order: any of them will do
		if !slices.ContainsFunc(open, func(i sinktest.Incident) bool {
			return k.names.pods[i.Key][pod] && k.names.routed[i.Key] == routing
		}) {
			return fmt.Errorf("%s fires, and no open incident of %s names it", pod, routing)
		}
	}
	return nil
}

// judgeStorm is judge where storm control is in force.
func (k *k9) judgeStorm() {
	for _, e := range k.pd.Events()[k.heard:] {
		incident, _ := e.Details["incident"].(string)
		if e.Action == "resolve" {
			k.sum.resolves++
			continue
		}
		switch id := e.Key + " " + incident; {
		case !k.paged[id]:
			k.paged[id] = true
			k.sum.pages++
		case e.Details["reason"] == firstNotification:
			k.sum.repeatedPages++
		}
	}
	events := k.pd.Events()
	k.heard = len(events)
	k.names.mu.Lock()
	k.names.follow(k.pd)
	named := map[string]bool{}
	for _, h := range k.crew {
		for pod, p := range h.acked { // order: a set
			_, receiver := groupKey(p.Labels)
			named[pod] = k.names.to[pod][receiver+"-key"]
		}
	}
	k.sum.storms, k.sum.stormed = len(k.names.storms), len(k.names.among)
	if len(k.names.twice) > 0 {
		k.t.Errorf("two receivers were told under one key: %v", k.names.twice)
	}
	k.names.mu.Unlock()
	k.sum.stuck += len(k.pd.Open())
	k.sum.phantoms = len(k.pd.Phantoms())
	if k.sum.phantoms+k.sum.stuck > 0 {
		k.t.Errorf("%d incidents open at the end, phantoms: %+v", len(k.pd.Open()), k.pd.Phantoms())
	}
	k.heardOf(named)
	k.once()
	k.balance()
	k.m = newModel()
}
