package pager

import (
	"sync"

	"github.com/winnowhq/winnow/alert"
)

// Route is a node of the routing tree, as much of it as leads to a receiver and
// tells by what key its provider knows a group.
type Route struct {
	ID         string
	Key        string
	Matchers   alert.Matchers
	Continue   bool
	Receiver   string
	GroupBy    []string // sorted
	GroupByAll bool
	Routes     []Route
}

// Match appends the routes that ls takes.
func (r *Route) Match(dst []*Route, ls alert.Labels) []*Route {
	if !r.Matchers.Matches(ls) {
		return dst
	}
	before := len(dst)
	for i := range r.Routes {
		n := len(dst)
		if dst = r.Routes[i].Match(dst, ls); len(dst) > n && !r.Routes[i].Continue {
			break
		}
	}
	if len(dst) == before {
		dst = append(dst, r)
	}
	return dst
}

// PageKey is the key under which the core would page for a. alias says what the
// core has called a group, "" for one that goes by its own key.
func (r *Route) PageKey(a *alert.Alert, alias func(group string) string) string {
	labels := a.Labels.AppendOnly(nil, r.GroupBy, r.GroupByAll).String()
	key := alias(r.ID + ":" + labels)
	if key == "" {
		key = r.Key + ":" + labels
	}
	return alert.PageKey(key, a.Labels.Severity())
}

// Aliases are the groups whose pages go by other keys than those that their
// routes and labels make. The zero value is ready.
type Aliases struct {
	mu   sync.Mutex
	keys map[string]string
}

// Alias says by what key the provider knows a group, given by its route's ID, a
// colon and its labels; "" when it goes by its own again.
func (a *Aliases) Alias(group, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case key == "":
		delete(a.keys, group)
	case a.keys == nil:
		a.keys = map[string]string{group: key}
	default:
		a.keys[group] = key
	}
}

// ForgetAliases says that all groups go by their own keys.
func (a *Aliases) ForgetAliases() {
	a.mu.Lock()
	a.keys = nil
	a.mu.Unlock()
}

func (a *Aliases) of(group string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keys[group]
}
