package correlate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"gopkg.in/yaml.v2"

	"github.com/winnowhq/winnow/alert"
)

// policy is a Policy made ready to decide by.
type policy struct {
	root           *route
	routes         []*route // by index
	rules          []rule
	sources        index // rules by what their sources match
	targets        index // the first rules of classes by what their targets match
	intervals      map[string][]timeinterval.TimeInterval
	resolveTimeout time.Duration
	newGroups      int // within a minute, at a receiver; 0 for any number
	maxAlerts      int

	scratch []int32 // candidates of an index, reused between calls
}

// indexFrom is how many children of a route are worth an index.
const indexFrom = 8

type route struct {
	*Route
	index    int
	children []*route
	byLabel  *index // of the children; nil where there are few
	classes  Class  // of the receiver
	rush     *rush  // of the receiver; nil until one is needed
}

func compile(p *Policy) (*policy, error) {
	c := &policy{intervals: map[string][]timeinterval.TimeInterval{}, resolveTimeout: p.ResolveTimeout, newGroups: max(p.Storm.NewGroups, 0), maxAlerts: cmp.Or(p.MaxAlerts, DefaultMaxAlerts)}
	var errs []error
	for _, iv := range p.Intervals {
		var times []timeinterval.TimeInterval
		if err := yaml.Unmarshal([]byte(iv.Times), &times); err != nil {
			errs = append(errs, fmt.Errorf("time interval %q: %w", iv.Name, err))
		}
		c.intervals[iv.Name] = times
	}
	classes := map[string]Class{}
	for _, r := range p.Receivers {
		var k Class
		if r.Resolved {
			k |= WantsResolved
		}
		if r.FiringOnly {
			k |= FiringOnly
		}
		classes[r.Name] = k
	}
	var build func(r *Route) *route
	build = func(r *Route) *route {
		n := &route{Route: r, index: len(c.routes)}
		c.routes = append(c.routes, n)
		k, ok := classes[r.Receiver]
		if !ok {
			errs = append(errs, fmt.Errorf("route %s: receiver %q is not defined", r.ID, r.Receiver))
		}
		n.classes = k
		for _, name := range slices.Concat(r.MuteIntervals, r.ActiveIntervals) {
			if _, ok := c.intervals[name]; !ok {
				errs = append(errs, fmt.Errorf("route %s: time interval %q is not defined", r.ID, name))
			}
		}
		for i := range r.Routes {
			n.children = append(n.children, build(&r.Routes[i]))
		}
		if len(n.children) >= indexFrom {
			n.byLabel = &index{}
			for i, child := range n.children {
				n.byLabel.add(int32(i), child.Matchers)
			}
		}
		return n
	}
	c.root = build(&p.Route)
	c.rules = classify(p.Inhibit)
	for i, r := range c.rules {
		c.sources.add(int32(i), r.Source)
		if uint32(i) == r.class.from {
			c.targets.add(int32(i), r.class.target)
		}
	}
	return c, errors.Join(errs...)
}

// match appends the routes that ls takes: depth first, left to right, the
// deepest of each branch, as Alertmanager has it.
func (c *policy) match(dst []*route, r *route, ls alert.Labels) []*route {
	if !r.Matchers.Matches(ls) {
		return dst
	}
	before := len(dst)
	if r.byLabel == nil {
		for _, child := range r.children {
			n := len(dst)
			if dst = c.match(dst, child, ls); len(dst) > n && !child.Continue {
				break
			}
		}
	} else {
		dst = c.matchCandidates(dst, r, ls)
	}
	if len(dst) == before {
		dst = append(dst, r)
	}
	return dst
}

// matchCandidates goes through those of the children that may match.
func (c *policy) matchCandidates(dst []*route, r *route, ls alert.Labels) []*route {
	from := len(c.scratch)
	c.scratch = r.byLabel.candidates(c.scratch, ls)
	to := len(c.scratch)
	for k := from; k < to; k++ { // what children put there lies behind
		child, n := r.children[c.scratch[k]], len(dst)
		if dst = c.match(dst, child, ls); len(dst) > n && !child.Continue {
			break
		}
	}
	c.scratch = c.scratch[:from]
	return dst
}

// groupLabels appends the labels of ls that r groups by.
func (r *route) groupLabels(dst, ls alert.Labels) alert.Labels {
	return ls.AppendOnly(dst, r.GroupBy, r.GroupByAll)
}

// mutedBy names the interval that mutes r at t: one of its mute intervals, or,
// when it has active intervals and t is in none, the first of those.
func (c *policy) mutedBy(r *route, t alert.Time) (name string, muted bool) {
	if len(r.MuteIntervals) == 0 && len(r.ActiveIntervals) == 0 {
		return "", false
	}
	now := t.Std()
	for _, name := range r.MuteIntervals {
		if c.contains(name, now) {
			return name, true
		}
	}
	for _, name := range r.ActiveIntervals {
		if c.contains(name, now) {
			return "", false
		}
	}
	if len(r.ActiveIntervals) > 0 {
		return "outside " + r.ActiveIntervals[0], true
	}
	return "", false
}

func (c *policy) contains(name string, now time.Time) bool {
	return slices.ContainsFunc(c.intervals[name], func(t timeinterval.TimeInterval) bool { return t.ContainsTime(now) })
}
