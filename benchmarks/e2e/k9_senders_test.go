//go:build e2e && k9

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// hand is a sender with alerts of its own. What has been answered 2xx it does
// not send again but now and then, as senders that send once do not.
type hand struct {
	k      *k9
	s      *sender
	rng    *rand.Rand
	index  int
	made   int
	left   atomic.Int64        // requests of this one that are under way
	acked  map[string]postable // what was said to fire in this chapter and answered 2xx, by pod
	rules  []rule
	charge []*charge
}

// charge is one group of alerts in the hand's care.
type charge struct {
	alerts  []postable
	key     string // dedup_key
	pages   bool
	said    int  // alerts that have been said to fire
	over    bool // said to have ended
	nothing bool // its end was said before it can have paged for certain
}

const chargesPerHand = 10

func newHand(k *k9, index int, seed uint64) *hand {
	h := &hand{k: k, index: index, rng: rand.New(rand.NewPCG(seed, uint64(index+1))), rules: builtinRules(), acked: map[string]postable{}}
	h.s = &sender{w: k.w, webhook: index%2 == 1}
	h.s.wrote = func() {
		h.left.Add(1)
		k.under.Add(1)
		k.wrote(1.5 * h.rng.Float64())
	}
	return h
}

// run acts until the test ends or something has failed.
func (h *hand) run() {
	pace := time.NewTicker(15 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-h.k.quit:
			return
		case <-pace.C:
		}
		h.k.gate.RLock()
		ok := h.act()
		h.k.gate.RUnlock()
		if !ok {
			return
		}
	}
}

// act does the next thing with one of its groups.
func (h *hand) act() bool {
	if len(h.charge) < chargesPerHand {
		h.charge = append(h.charge, h.fresh())
	}
	i := h.rng.IntN(len(h.charge))
	c := h.charge[i]
	open := c.pages && h.k.open(c)
	switch {
	case c.over && (open || !c.pages && h.rng.IntN(4) > 0): // not closed yet
		return true
	case c.over && c.pages && !c.nothing && h.rng.IntN(2) == 0: // it fires again
		h.k.m.closedOne(c.alerts[0].Labels)
		c.over, c.said = false, 0
		return h.fire(c)
	case c.over:
		h.charge[i] = h.fresh()
		return true
	case c.said < len(c.alerts):
		return h.fire(c)
	case h.rng.IntN(4) == 0:
		return h.send(firing(c.alerts)) // a repeat
	case h.rng.IntN(12) == 0 && !open || open && h.rng.IntN(3) == 0 || !c.pages:
		c.nothing = c.pages && !open
		return h.end(c)
	}
	return true
}

// open reports whether the pager shows an incident that has a group in it.
func (k *k9) open(c *charge) bool {
	if k.limit > 0 {
		return k.openFor(c.alerts)
	}
	return k.pd.IsOpen(c.key)
}

// fresh is a group that nobody has heard of.
func (h *hand) fresh() *charge {
	r := h.rules[h.rng.IntN(len(h.rules))]
	h.made++
	c := &charge{}
	for i := range 1 + h.rng.IntN(4) {
		labels := map[string]string{
			"alertname": r.Name, "severity": r.Labels["severity"], "cluster": "eu-west-1",
			"namespace": fmt.Sprintf("team-%d-%d", h.index, h.made), "pod": fmt.Sprintf("pod-%d-%d-%d", h.index, h.made, i),
		}
		c.alerts = append(c.alerts, postable{Labels: labels, Annotations: r.Annotations})
	}
	g := h.k.m.of(c.alerts[0].Labels)
	c.key, c.pages = g.key, g.quiet == ""
	return c
}

// fire says of some more of the alerts that they fire.
func (h *hand) fire(c *charge) bool {
	n := c.said + 1 + h.rng.IntN(len(c.alerts)-c.said)
	if !h.send(firing(c.alerts[c.said:n])) {
		return false
	}
	for _, p := range c.alerts[c.said:n] {
		h.acked[p.Labels["pod"]] = p
	}
	c.said = n
	return true
}

func (h *hand) end(c *charge) bool {
	c.over = true
	if !h.send(over(c.alerts[:c.said])) {
		return false
	}
	if c.nothing {
		h.k.m.brief(c.alerts[0].Labels)
	}
	return true
}

// endAll says of everything that fires that it is over. The senders are at rest.
func (h *hand) endAll() {
	for _, c := range h.charge {
		if !c.over && c.said > 0 {
			h.end(c)
		}
	}
	h.charge = nil
}

// send posts until it is accepted.
func (h *hand) send(ps []postable) bool {
	deadline := time.Now().Add(2 * patience)
	h.s.model = h.k.m
	for {
		began := time.Now()
		err := h.s.try(ps)
		h.k.under.Add(-h.left.Swap(0))
		if err == nil {
			h.k.took.Store(int64(time.Since(began)))
			return true
		}
		if errors.Is(err, errInDoubt) {
			h.k.cut.Add(1)
		}
		if time.Now().After(deadline) {
			h.k.t.Errorf("winnow has not accepted alerts for %s: %v", 2*patience, err)
			return false
		}
		<-time.After(5 * time.Millisecond)
	}
}

// fingerprint is how winnow explain knows an alert.
func fingerprint(labels map[string]string) string {
	var ls alert.Labels
	for name, value := range labels {
		ls = append(ls, alert.Label{Name: name, Value: value})
	}
	ls.Sort()
	return ls.Fingerprint().String()
}
