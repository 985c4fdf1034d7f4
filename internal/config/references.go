package config

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"
)

// names are the things of one kind that other parts of the file refer to.
type names struct {
	kind    string
	defined map[string]*yaml.Node

	// partial is set where a name is missing or misspelled. Then a name that
	// is not known is no news.
	partial bool
}

// checkReferences checks what the parts of the file say of each other: names
// used and names defined, and what the root of the routing tree may not have.
// Alertmanager's loader checks that too, but stops at the first mistake and
// does not know where it stands.
func (p *parser) checkReferences(root *yaml.Node) {
	receivers := p.define(root, "receiver", "receivers")
	intervals := p.define(root, "time interval", "mute_time_intervals", "time_intervals")

	route := get(root, "route")
	switch {
	case route == nil || isNull(route):
		p.fault(nil, "no route: a file needs at least a route with a receiver, and that receiver")
	case route.Kind == yaml.MappingNode:
		p.checkRoot(route)
		p.checkRoute(route, receivers, intervals)
	}
	for _, sink := range items(get(get(root, winnowKey), "sinks")) {
		p.refer(get(sink, "receiver"), receivers, "a sink")
	}
}

// define collects the names in the lists that stand under keys.
func (p *parser) define(root *yaml.Node, kind string, keys ...string) *names {
	ns := &names{kind: kind, defined: map[string]*yaml.Node{}}
	for _, key := range keys {
		list := get(root, key)
		ns.partial = ns.partial || list == nil && misspelled(root, key) || list != nil && list.Kind != yaml.SequenceNode
		for _, n := range items(list) {
			name := get(n, "name")
			if text(name) == "" {
				ns.partial = true
				continue
			}
			if first, twice := ns.defined[name.Value]; twice {
				p.fault(name, "%s %q is defined twice: it already stands in line %d", kind, name.Value, first.Line)
				continue
			}
			ns.defined[name.Value] = name
		}
	}
	return ns
}

func misspelled(root *yaml.Node, key string) bool {
	for _, p := range pairs(root, func(*yaml.Node) {}) {
		if nearest(p.key.Value, []string{key}) != "" {
			return true
		}
	}
	return false
}

// checkRoot holds the first route to being the one that catches every alert.
func (p *parser) checkRoot(route *yaml.Node) {
	if n := get(route, "receiver"); n == nil || n.Kind == yaml.ScalarNode && text(n) == "" {
		p.fault(route, "the first route needs a receiver: it takes every alert that no other route does")
	}
	for _, key := range []string{"match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals"} {
		if n := get(route, key); n != nil && len(n.Content) > 0 {
			p.fault(n, "the first route takes every alert, always, and may not have %s: put it into a route below", key)
		}
	}
	if n := get(route, "continue"); n != nil {
		var on bool
		if err := decodeV2(n, &on); err == nil && on {
			p.fault(n, "the first route has no neighbours to continue to")
		}
	}
}

func (p *parser) checkRoute(route *yaml.Node, receivers, intervals *names) {
	if n := get(route, "receiver"); text(n) != "" {
		p.refer(n, receivers, "a route")
	}
	for _, key := range []string{"mute_time_intervals", "active_time_intervals"} {
		for _, n := range items(get(route, key)) {
			p.refer(n, intervals, fmt.Sprintf("the %s of a route", key))
		}
	}
	for _, n := range items(get(route, "routes")) {
		p.checkRoute(n, receivers, intervals)
	}
}

func (p *parser) refer(n *yaml.Node, ns *names, user string) {
	if text(n) == "" || ns.partial {
		return
	}
	if _, ok := ns.defined[n.Value]; !ok {
		p.fault(n, "%s names an unknown %s %q%s", user, ns.kind, n.Value,
			suggestion(n.Value, slices.Collect(maps.Keys(ns.defined))))
	}
}
