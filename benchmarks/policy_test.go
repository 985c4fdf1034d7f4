package benchmarks

import (
	"fmt"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/benchmarks/stage"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/ledger"
)

// size is how much is in force while a figure is taken.
type size struct {
	routes, rules, silences int
	targets                 int // rules that share their target
}

var sizes = []struct {
	name string
	size
}{
	{"ordinary", size{routes: 10, rules: 10, silences: 10}},
	{"routes=1000", size{routes: 1000}},
	{"rules=1000", size{rules: 1000}},
	{"targets=1000", size{targets: 1000}},
	{"silences=10000", size{silences: 10_000}},
	{"all", size{routes: 1000, rules: 1000, silences: 10_000}},
}

func equals(tb testing.TB, pairs ...string) alert.Matchers {
	tb.Helper()
	var out alert.Matchers
	for i := 0; i < len(pairs); i += 2 {
		m, err := alert.NewMatcher(pairs[i], alert.Equal, pairs[i+1])
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// newLineUnder returns a core with a policy as large companies have it: a route
// for each team and one below it for its criticals, rules by which a critical
// hides the warnings of its service, silences of single instances. Few of them
// are about the alerts of the universe, as few are about any one alert. Where
// rules share their target, as with a list of what may be the root of it all, every
// one of them is about each warning of an API.
func newLineUnder(tb testing.TB, s size) *stage.Line {
	tb.Helper()
	route := func(id string, ms alert.Matchers, routes ...correlate.Route) correlate.Route {
		return correlate.Route{
			ID: id, Key: id, Receiver: "oncall", GroupBy: []string{"alertname", "cluster", "namespace"}, Matchers: ms,
			GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 24 * time.Hour, Routes: routes,
		}
	}
	api, err := alert.NewMatcher("service", alert.Regexp, ".*-api")
	if err != nil {
		tb.Fatal(err)
	}
	teams := []string{"storefront", "money", "discovery", "platform"}
	p := correlate.Policy{
		Route: route("{}", nil), Receivers: []correlate.Receiver{{Name: "oncall", Resolved: true}}, ResolveTimeout: time.Hour,
	}
	for i := 0; i < s.routes/2; i++ {
		team := fmt.Sprintf("team-%d", i)
		if i >= s.routes/2-len(teams) {
			team = teams[s.routes/2-1-i]
		}
		id := fmt.Sprintf("{}/%d", i)
		p.Route.Routes = append(p.Route.Routes, route(id, equals(tb, "team", team), route(id+"/0", equals(tb, "severity", "critical"))))
	}
	for i := range s.rules {
		service := fmt.Sprintf("service-%d", i)
		if i == s.rules/2 {
			service = "checkout-api"
		}
		p.Inhibit = append(p.Inhibit, correlate.InhibitRule{
			Source: equals(tb, "service", service, "severity", "critical"), Target: equals(tb, "service", service, "severity", "warning"), Equal: []string{"cluster", "pod"},
		})
	}
	for i := range s.targets {
		p.Inhibit = append(p.Inhibit, correlate.InhibitRule{
			Source: equals(tb, "alertname", fmt.Sprint("Root", i)), Target: append(equals(tb, "severity", "warning"), api), Equal: []string{"cluster"},
		})
	}
	core, err := correlate.NewCore(&p)
	if err != nil {
		tb.Fatal(err)
	}
	l := &stage.Line{Core: core, Ledger: ledger.New(core.Dim, ledger.Options{}), Now: alert.TimeOf(load.Started)}
	core.Advance(&l.Out, l.Now)
	for i := range s.silences {
		core.SetSilence(silence(l, tb, i))
	}
	return l
}

func silence(l *stage.Line, tb testing.TB, i int) correlate.Silence {
	return correlate.Silence{
		ID: fmt.Sprint("silence-", i), StartsAt: l.Now, EndsAt: l.Now.Add(100 * time.Hour),
		Matchers: []alert.Matchers{equals(tb, "alertname", "KubePodCrashLooping", "instance", fmt.Sprintf("10.43.%d.%d:8080", i/256, i%256))},
	}
}

// BenchmarkPolicyNew is an alert that nobody has seen.
func BenchmarkPolicyNew(b *testing.B) {
	const fresh = 20_000
	alerts := universe.Alerts(nil, 0, fresh)
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			firsts(b, func() *stage.Line { return newLineUnder(b, s.size) }, alerts)
		})
	}
}

// BenchmarkPolicyRepeat is an alert that is known: no policy is asked.
func BenchmarkPolicyRepeat(b *testing.B) {
	const known = 20_000
	alerts := universe.Alerts(nil, 0, known)
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			repeats(b, newLineUnder(b, s.size), alerts)
		})
	}
}

// BenchmarkPolicyFlush is what the moment of a group costs for each of its
// alerts: the first one, which tests and pages them, a later one at which
// nothing is new, and one after a silence was set that matches none of them.
func BenchmarkPolicyFlush(b *testing.B) {
	const known = 20_000
	alerts := universe.Alerts(nil, 0, known)
	for _, s := range sizes {
		for _, when := range []string{"first", "later", "silence"} {
			b.Run(s.name+"/"+when, func(b *testing.B) {
				b.ReportAllocs()
				w := watch(b)
				for b.Loop() {
					w.stop()
					l := newLineUnder(b, s.size)
					for i := range alerts {
						l.Observe(&alerts[i])
					}
					l.Out.Reset()
					next := l.Now.Add(30 * time.Second)
					if when != "first" {
						l.Core.Advance(&l.Out, next)
						next = next.Add(5 * time.Minute)
					}
					if when == "silence" {
						l.Core.SetSilence(silence(l, b, 1<<20))
					}
					l.Out.Reset()
					w.start()
					l.Core.Advance(&l.Out, next)
				}
				w.perAlert(known)
			})
		}
	}
}
