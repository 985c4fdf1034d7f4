package correlate

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// heirs says whose history each group of a new policy has, by the key of the new
// one.
type heirs map[string]*group

// retired are the groups of before, by what a new one may have in common with
// them: its key, what the provider knows it by, or its receiver and labels.
type retired struct {
	byKey      map[string]*group
	byProvider map[uint64]*group
	byReceiver map[string]*group
}

// retire takes all groups out of service, to be taken over.
func retire(old []*group) retired {
	h := retired{map[string]*group{}, map[uint64]*group{}, map[string]*group{}}
	for _, g := range old {
		if g == nil {
			continue
		}
		if !g.retired {
			h.byKey[g.key] = g
		}
		g.retired = true
		if g.storm != 0 {
			continue // its alerts know it
		}
		h.byProvider[g.providerHash()] = g
		if k := receiverKey(g.route.Receiver, g.labels); h.byReceiver[k] == nil {
			h.byReceiver[k] = g
		}
	}
	return h
}

func receiverKey(receiver string, ls alert.Labels) string {
	return string(appendGroupKey(nil, &route{Route: &Route{ID: receiver}}, ls))
}

// inherit names the heirs. A group goes where alerts go that its receiver was
// told of, so that nobody hears of them twice: under its own key if that is where
// one of them stays. Strangers get only what is left then.
func (c *Core) inherit(old retired) heirs {
	h, given := heirs{}, map[*group]bool{}
	give := func(key string, g *group) {
		if g != nil && h[key] == nil && !given[g] {
			h[key], given[g] = g, true
		}
	}
	wanted, moved := c.claims(old, give)
	for i := range moved {
		give(moved[i].key, moved[i].group)
	}
	for i := range wanted {
		w := &wanted[i]
		if g := old.byKey[w.key]; g != nil && g.route.Receiver == w.route.Receiver {
			give(w.key, g)
		}
	}
	for i := range wanted { // one that was led elsewhere and back is known to its provider still
		give(wanted[i].key, old.byProvider[wanted[i].providerHash()])
	}
	for i := range wanted {
		w := &wanted[i]
		give(w.key, old.byReceiver[receiverKey(w.route.Receiver, w.labels)])
	}
	return h
}

// claim is that of the group with a key on the history of another.
type claim struct {
	key   string
	group *group
}

// claims lists the groups that the new policy gives the alerts, in the order of
// the alerts. Those that stay where their receiver was told of them are given it
// at once; the claims of those that have moved are returned.
func (c *Core) claims(old retired, give func(string, *group)) (wanted []group, moved []claim) {
	keys := map[string]int{}
	for ref := 1; ref < c.live.Len(); ref++ {
		if c.alert(dedupe.Ref(ref)).first.group == nil {
			continue
		}
		c.lsRoute = c.table.View(c.lsRoute[:0], dedupe.Ref(ref))
		c.routes = c.policy.match(c.routes[:0], c.policy.root, c.lsRoute)
		for _, r := range c.routes {
			c.lsB = r.groupLabels(c.lsB[:0], c.lsRoute)
			c.key = appendGroupKey(c.key[:0], r, c.lsB)
			at, ok := keys[string(c.key)]
			if !ok {
				at = len(wanted)
				wanted = append(wanted, group{route: r, key: string(c.key), labels: c.lsB.Clone()})
				keys[wanted[at].key] = at
			}
			w := &wanted[at]
			c.eachSeat(dedupe.Ref(ref), func(s *seat) {
				g := s.group
				if g.storm != 0 || !g.members[s.member].believed() || g.route.Receiver != r.Receiver || !g.labels.Equal(w.labels) {
					return
				}
				if old.byKey[w.key] == g {
					give(w.key, g)
				} else {
					moved = append(moved, claim{w.key, g})
				}
			})
		}
	}
	return wanted, moved
}
