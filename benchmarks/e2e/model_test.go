//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// delivery is one alert as a sender said it.
type delivery struct {
	labels  map[string]string
	resolve bool
}

// model counts what was delivered and works out what Winnow must make of it
// under the configuration of routes. It knows labels and the order of requests,
// and nothing else.
type model struct {
	mu        sync.Mutex
	critical  map[string]bool // alertname, cluster and namespace of which a critical alert has come
	alerts    map[string]*known
	groups    map[string]*modelGroup
	requests  int
	delivered int
	onsets    int
	resolved  int
	strays    int
	incidents int
	mute      map[string]int // onsets that page nobody, by disposition
}

type known struct {
	group  *modelGroup
	firing bool
}

// modelGroup is what Alertmanager's routing makes of a label set.
type modelGroup struct {
	key      string // dedup_key
	receiver string
	quiet    string // the disposition of alerts that page nobody, "" where they page
	firing   int
	open     bool
	opened   int // incidents so far
	brief    int // of them, those that ended so soon that they need not have paged
	split    int // requests that changed only a part of the group while its incident was open
}

func newModel() *model {
	return &model{critical: map[string]bool{}, alerts: map[string]*known{}, groups: map[string]*modelGroup{}, mute: map[string]int{}}
}

func text(labels map[string]string, names ...string) string {
	if names == nil {
		names = slices.Sorted(maps.Keys(labels))
	}
	var parts []string
	for _, n := range names {
		parts = append(parts, fmt.Sprintf("%s=%q", n, labels[n]))
	}
	return strings.Join(parts, ", ")
}

func kind(labels map[string]string) string { return text(labels, "alertname", "cluster", "namespace") }

// groupKey is Alertmanager's: the matchers down to the route, then the labels of
// the group.
func groupKey(labels map[string]string) (key, receiver string) {
	switch labels["severity"] {
	case "critical":
		return `{}/{severity="critical"}:{` + kind(labels) + `}`, "oncall"
	case "none":
		return `{}/{severity="none"}:{` + kind(labels) + `}`, "nobody"
	}
	return `{}:{` + kind(labels) + `}`, "platform"
}

// pageKey is what pages of a group are known by: its key, with the severity
// where that is above warning.
func pageKey(labels map[string]string) string {
	key, _ := groupKey(labels)
	if s := labels["severity"]; s == "critical" || s == "error" {
		return key + "#" + s
	}
	return key
}

// dedupKey is what Alertmanager's PagerDuty integration makes of a key.
func dedupKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// expect says which critical alerts will fire, so that those which they inhibit
// are known whatever comes first.
func (m *model) expect(ps []postable) {
	for _, p := range ps {
		if p.Labels["severity"] == "critical" {
			m.critical[kind(p.Labels)] = true
		}
	}
}

// of returns the group that a label set belongs to.
func (m *model) of(labels map[string]string) modelGroup {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.group(labels)
}

func (m *model) group(labels map[string]string) *modelGroup {
	key, receiver := groupKey(labels)
	g := m.groups[key]
	if g == nil {
		g = &modelGroup{key: dedupKey(pageKey(labels)), receiver: receiver}
		switch {
		case receiver == "nobody":
			g.quiet = "below_page_threshold"
		case labels["severity"] == "warning" && m.critical[kind(labels)]:
			g.quiet = "inhibited"
		}
		m.groups[key] = g
	}
	return g
}

// take counts one request that Winnow has accepted.
func (m *model) take(ds []delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	wasOpen := map[*modelGroup]bool{}
	grown, shrunk := map[*modelGroup]bool{}, map[*modelGroup]bool{}
	for _, d := range ds {
		m.delivered++
		a := m.alerts[text(d.labels)]
		if a == nil {
			if d.resolve {
				m.strays++
				continue
			}
			a = &known{group: m.group(d.labels)}
			m.alerts[text(d.labels)] = a
		}
		g := a.group
		if _, ok := wasOpen[g]; !ok {
			wasOpen[g] = g.open
		}
		switch {
		case d.resolve && a.firing:
			a.firing = false
			g.firing--
			m.resolved++
			shrunk[g] = true
		case !d.resolve && !a.firing:
			a.firing = true
			g.firing++
			m.onsets++
			grown[g] = true
			if g.quiet != "" {
				m.mute[g.quiet]++
			}
			if !g.open {
				g.open = true
				g.opened++
				m.incidents++
			}
		}
	}
	for g, open := range wasOpen {
		if open && (grown[g] || shrunk[g] && g.firing > 0) {
			g.split++
		}
	}
}

// closed notes that everybody has heard of the end of what is not firing: what
// fires from now on is another incident.
func (m *model) closed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.groups {
		if g.firing == 0 {
			g.open = false
		}
	}
}

// closedOne notes the same of one group.
func (m *model) closedOne(labels map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g := m.group(labels); g.firing == 0 {
		g.open = false
	}
}

// brief notes that an incident has ended before anybody saw its page.
func (m *model) brief(labels map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.group(labels).brief++
}

// paging lists the groups that page somebody.
func (m *model) paging() []modelGroup {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []modelGroup
	for _, key := range slices.Sorted(maps.Keys(m.groups)) {
		if m.groups[key].quiet == "" {
			out = append(out, *m.groups[key])
		}
	}
	return out
}

// books are the figures of a report that the model knows by itself.
type books struct {
	deliveries, onsets, incidents, pages int
	dispositions                         map[string]int
}

func (m *model) books() books {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := books{deliveries: m.delivered, onsets: m.onsets, incidents: m.incidents, dispositions: map[string]int{}}
	told := m.onsets
	for d, n := range m.mute {
		b.dispositions[d] = n
		told -= n
	}
	for _, g := range m.groups {
		if g.quiet == "" {
			b.pages += g.opened
		}
	}
	b.dispositions["paged"] = b.pages
	b.dispositions["grouped"] = told - b.pages
	b.dispositions["resolved"] = m.resolved
	b.dispositions["stray"] = m.strays
	b.dispositions["repeat"] = m.delivered - m.onsets - m.resolved - m.strays
	b.dispositions["pending"] = 0
	return b
}

// figures adds what was counted to the figures of a part.
func (m *model) figures(name string, pd *pager) {
	b := m.books()
	m.mu.Lock()
	defer m.mu.Unlock()
	figures.add(name, "alerts", len(m.alerts))
	figures.add(name, "deliveries", b.deliveries)
	figures.add(name, "onsets", b.onsets)
	figures.add(name, "incidents", b.incidents)
	figures.add(name, "pages", b.pages)
	figures.add(name, "resolves", pd.count("resolve"))
}
