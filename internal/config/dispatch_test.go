package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

var (
	labelNames  = []string{"a", "b", "severity", "ünï", "x.y"}
	labelValues = []string{"", "1", "2", "12", "a b", `q"q`, "ü"}
	regexes     = []string{"1|2", ".*", ".+", "1.?", "", "[^1]", "(?i)Ü"}
)

// drawRoute writes a route of a random tree in flow style.
func drawRoute(t *rapid.T, depth int) string {
	var keys []string
	maybe := func(format string, draw func() any) {
		if rapid.Bool().Draw(t, format) {
			keys = append(keys, fmt.Sprintf(format, draw()))
		}
	}
	from := func(list ...string) func() any {
		return func() any { return rapid.SampledFrom(list).Draw(t, "of") }
	}
	if depth == 0 {
		keys = append(keys, "receiver: r0")
	} else {
		maybe("receiver: %s", from("r0", "r1", "r2"))
		maybe("matchers: [%s]", func() any { return drawMatchers(t) })
		maybe("match: {%s}", func() any {
			return fmt.Sprintf("severity: %q, b: %q", rapid.SampledFrom(labelValues).Draw(t, "v"), rapid.SampledFrom(labelValues).Draw(t, "v"))
		})
		maybe("match_re: {a: %q}", from(regexes...))
		maybe("continue: %s", from("true", "false"))
		maybe("mute_time_intervals: [%s]", from("n1", "n2, n1", ""))
		maybe("active_time_intervals: [%s]", from("n1", "n2, n1", ""))
	}
	maybe("group_by: %s", from("[]", "[b, a]", "['...']", "[severity]", "null"))
	maybe("group_wait: %s", from("0s", "1m"))
	maybe("group_interval: %s", from("1s", "10m"))
	maybe("repeat_interval: %s", from("1h", "7d"))
	maybe("labels: {%s}", from("x: '1'", "x: '2', y: z", "y: w"))
	if depth < 3 {
		var routes []string
		for range rapid.IntRange(0, 3).Draw(t, "children") {
			routes = append(routes, drawRoute(t, depth+1))
		}
		keys = append(keys, "routes: ["+strings.Join(routes, ", ")+"]")
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func drawMatchers(t *rapid.T) string {
	var out []string
	for range rapid.IntRange(0, 2).Draw(t, "matchers") {
		name := rapid.SampledFrom(labelNames).Draw(t, "name")
		m := fmt.Sprintf("%q=%q", name, rapid.SampledFrom(labelValues).Draw(t, "value"))
		switch rapid.IntRange(0, 3).Draw(t, "op") {
		case 1:
			m = fmt.Sprintf("%q!=%q", name, rapid.SampledFrom(labelValues).Draw(t, "value"))
		case 2:
			m = fmt.Sprintf("%q=~%q", name, rapid.SampledFrom(regexes).Draw(t, "regex"))
		case 3:
			m = fmt.Sprintf("%q!~%q", name, rapid.SampledFrom(regexes).Draw(t, "regex"))
		}
		out = append(out, fmt.Sprintf("%q", m))
	}
	return strings.Join(out, ", ")
}

func drawLabels(t *rapid.T) (alert.Labels, model.LabelSet) {
	var ls alert.Labels
	set := model.LabelSet{}
	for _, name := range labelNames {
		if v := rapid.SampledFrom(labelValues).Draw(t, name); v != "" {
			ls = append(ls, alert.Label{Name: name, Value: v})
			set[model.LabelName(name)] = model.LabelValue(v)
		}
	}
	ls.Sort()
	return ls, set
}

// The policy routes every label set as Alertmanager's own tree does, and each
// of its routes has what Alertmanager's has.
func TestPolicyRoutesAsAlertmanagerDoes(t *testing.T) {
	matched := 0
	rapid.Check(t, func(t *rapid.T) {
		text := "route: " + drawRoute(t, 0) + `
receivers: [{name: r0}, {name: r1}, {name: r2}]
time_intervals: [{name: n1, time_intervals: []}, {name: n2, time_intervals: []}]
`
		c, err := Parse("x", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		b, err := json.Marshal(c.Policy) // as correlate gets it: through the log
		if err != nil {
			t.Fatal(err)
		}
		var p correlate.Policy
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		want := dispatch.NewRoute(c.Alertmanager.Route, nil)
		compareRoutes(t, &p.Route, want)
		for range 10 {
			ls, set := drawLabels(t)
			var got, wanted []string
			for _, r := range match(&p.Route, ls) {
				got = append(got, r.ID)
			}
			for _, r := range want.Match(set) {
				wanted = append(wanted, r.ID())
			}
			if !slices.Equal(got, wanted) {
				t.Fatalf("%v: got %q, want %q\n%s", ls, got, wanted, text)
			}
			if len(got) > 1 || got[0] != "{}" {
				matched++
			}
		}
	})
	if matched < 100 {
		t.Errorf("only %d label sets left the first route", matched)
	}
}

// match is the walk that Alertmanager's documentation describes.
func match(r *correlate.Route, ls alert.Labels) []*correlate.Route {
	if !r.Matchers.Matches(ls) {
		return nil
	}
	var all []*correlate.Route
	for i := range r.Routes {
		found := match(&r.Routes[i], ls)
		all = append(all, found...)
		if found != nil && !r.Routes[i].Continue {
			break
		}
	}
	if len(all) == 0 {
		all = append(all, r)
	}
	return all
}

func compareRoutes(t *rapid.T, got *correlate.Route, want *dispatch.Route) {
	opts := want.RouteOpts
	f := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %s: got %v, want %v", got, what, got, want)
		}
	}
	f("ID", got.ID, want.ID())
	f("Key", got.Key, want.Key())
	f("Receiver", got.Receiver, opts.Receiver)
	f("Continue", got.Continue, want.Continue)
	f("GroupByAll", got.GroupByAll, opts.GroupByAll)
	if !opts.GroupByAll { // else its list says nothing
		names := []string{}
		for n := range opts.GroupBy {
			names = append(names, string(n))
		}
		slices.Sort(names)
		f("GroupBy", append([]string{}, got.GroupBy...), names)
	}
	f("GroupWait", got.GroupWait, opts.GroupWait)
	f("GroupInterval", got.GroupInterval, opts.GroupInterval)
	f("RepeatInterval", got.RepeatInterval, opts.RepeatInterval)
	f("MuteIntervals", append([]string{}, got.MuteIntervals...), append([]string{}, opts.MuteTimeIntervals...))
	f("ActiveIntervals", append([]string{}, got.ActiveIntervals...), append([]string{}, opts.ActiveTimeIntervals...))
	set := model.LabelSet{}
	for _, l := range got.Labels {
		set[model.LabelName(l.Name)] = model.LabelValue(l.Value)
	}
	f("Labels", set, opts.Labels)
	f("number of routes", len(got.Routes), len(want.Routes))
	for i := range got.Routes {
		compareRoutes(t, &got.Routes[i], want.Routes[i])
	}
}

// Inhibition rules match the alerts that Alertmanager's match.
func TestPolicyInhibitsAsAlertmanagerDoes(t *testing.T) {
	c, err := Load("testdata/valid/inhibition.yml")
	if err != nil {
		t.Fatal(err)
	}
	sources, targets := 0, 0
	for i, r := range c.Policy.Inhibit {
		want := inhibit.NewInhibitRule(c.Alertmanager.InhibitRules[i])
		for _, name := range []string{"ClusterDown", "NodeDown", "NodeNotReady", "Other", ""} {
			for _, severity := range []string{"critical", "warning", "info", ""} {
				for _, dc := range []string{"fra", "ams", ""} {
					ls := alert.Labels{{Name: "alertname", Value: name}, {Name: "datacenter.name", Value: dc},
						{Name: "severity", Value: severity}, {Name: "text", Value: `with "quotes"`}}
					ls.Sort()
					set := model.LabelSet{"alertname": model.LabelValue(name), "datacenter.name": model.LabelValue(dc),
						"severity": model.LabelValue(severity), "text": `with "quotes"`}
					check := func(what string, got bool, ms labels.Matchers, count *int) {
						if got != ms.Matches(set) {
							t.Errorf("rule %d, %s of %v: got %t", i, what, ls, got)
						}
						if got {
							*count++
						}
					}
					check("source", r.Source.Matches(ls), want.SourceMatchers, &sources)
					check("target", r.Target.Matches(ls), want.TargetMatchers, &targets)
				}
			}
		}
		if len(r.Equal) != len(want.Equal) {
			t.Errorf("rule %d: equal: got %v, want %v", i, r.Equal, want.Equal)
		}
	}
	if sources == 0 || targets == 0 {
		t.Errorf("%d sources and %d targets matched: the test shows nothing", sources, targets)
	}
}
