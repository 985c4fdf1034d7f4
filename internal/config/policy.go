package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
	yaml2 "gopkg.in/yaml.v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// What the first route has where the file says nothing, as in Alertmanager.
const (
	defaultGroupWait      = 30 * time.Second
	defaultGroupInterval  = 5 * time.Minute
	defaultRepeatInterval = 4 * time.Hour
)

// translate says in correlate's words what Alertmanager's half of the file and
// Winnow's sinks decide about grouping and paging.
func translate(am *amconfig.Config, w *Winnow) (correlate.Policy, error) {
	p := correlate.Policy{ResolveTimeout: time.Duration(am.Global.ResolveTimeout), Storm: w.Storm, MaxAlerts: w.MaxAlerts}
	root := correlate.Route{
		GroupWait:      defaultGroupWait,
		GroupInterval:  defaultGroupInterval,
		RepeatInterval: defaultRepeatInterval,
	}
	var err error
	if p.Route, err = translateRoute(am.Route, &root, ""); err != nil {
		return p, err
	}
	for i := range am.InhibitRules {
		r, err := translateInhibit(&am.InhibitRules[i])
		if err != nil {
			return p, fmt.Errorf("inhibit_rules[%d]: %w", i, err)
		}
		p.Inhibit = append(p.Inhibit, r)
	}
	if p.Intervals, err = translateIntervals(am); err != nil {
		return p, err
	}
	for i := range am.Receivers {
		if name := am.Receivers[i].Name; name == correlate.CanaryReceiver {
			return p, fmt.Errorf("receivers[%d]: the name %q is Winnow's own; take another", i, name)
		}
		p.Receivers = append(p.Receivers, translateReceiver(&am.Receivers[i], w))
	}
	for _, name := range slices.Sorted(maps.Keys(w.Ingest.Sources)) {
		if after := w.Ingest.Sources[name].SilentAfter; after > 0 {
			p.Sources = append(p.Sources, correlate.Source{Name: name, SilentAfter: after})
		}
	}
	return p, nil
}

// translateRoute fills in what a route inherits. The parent's ID and Key are
// the beginning of its own; place is its number among its siblings, "" for the
// first route.
func translateRoute(r *amconfig.Route, parent *correlate.Route, place string) (correlate.Route, error) {
	out := *parent
	out.Routes, out.Continue = nil, r.Continue
	// These two are not inherited.
	out.MuteIntervals, out.ActiveIntervals = clone(r.MuteTimeIntervals), clone(r.ActiveTimeIntervals)

	ms, err := mergeMatchers(r.Match, r.MatchRE, r.Matchers)
	if err != nil {
		return out, fmt.Errorf("route: %w", err)
	}
	if out.Matchers, err = translateMatchers(ms); err != nil {
		return out, fmt.Errorf("route: %w", err)
	}
	out.ID, out.Key = ms.String(), ms.String()
	if place != "" {
		out.ID, out.Key = parent.ID+"/"+out.ID+"/"+place, parent.Key+"/"+out.Key
	}

	if r.Receiver != "" {
		out.Receiver = r.Receiver
	}
	if r.GroupBy != nil {
		out.GroupBy, out.GroupByAll = sortedNames(r.GroupBy), false
	} else if r.GroupByAll {
		out.GroupBy, out.GroupByAll = nil, true
	}
	inherit(&out.GroupWait, r.GroupWait)
	inherit(&out.GroupInterval, r.GroupInterval)
	inherit(&out.RepeatInterval, r.RepeatInterval)
	out.Labels = mergeLabels(parent.Labels, r.Labels)

	for i, child := range r.Routes {
		c, err := translateRoute(child, &out, strconv.Itoa(i))
		if err != nil {
			return out, err
		}
		out.Routes = append(out.Routes, c)
	}
	return out, nil
}

func inherit(dst *time.Duration, own *model.Duration) {
	if own != nil {
		*dst = time.Duration(*own)
	}
}

func clone(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func sortedNames(ns []model.LabelName) []string {
	var out []string
	for _, n := range ns {
		out = append(out, string(n))
	}
	slices.Sort(out)
	return out
}

func mergeLabels(parent alert.Labels, own model.LabelSet) alert.Labels {
	if len(own) == 0 {
		return parent
	}
	out := slices.Clone(parent)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		out = append(out, alert.Label{Name: string(name), Value: string(own[name])})
	}
	out.Sort() // of a name that stands twice, the later one wins
	return out
}

// mergeMatchers joins the three ways to write matchers, in Alertmanager's
// order. An old match_re reads "^(?:...)$" from here on, as it does there.
func mergeMatchers(match map[string]string, matchRE amcommon.MatchRegexps, matchers amcommon.Matchers) (labels.Matchers, error) {
	out := make(labels.Matchers, 0, len(match)+len(matchRE)+len(matchers))
	add := func(t labels.MatchType, name, value string) error {
		m, err := labels.NewMatcher(t, name, value)
		if err != nil {
			return fmt.Errorf("matcher on %q: %w", name, err)
		}
		out = append(out, m)
		return nil
	}
	for name, value := range match {
		if err := add(labels.MatchEqual, name, value); err != nil {
			return nil, err
		}
	}
	for name, re := range matchRE {
		if err := add(labels.MatchRegexp, name, re.String()); err != nil {
			return nil, err
		}
	}
	out = append(out, matchers...)
	sort.Sort(out)
	return out, nil
}

var ops = map[labels.MatchType]alert.Op{
	labels.MatchEqual:     alert.Equal,
	labels.MatchNotEqual:  alert.NotEqual,
	labels.MatchRegexp:    alert.Regexp,
	labels.MatchNotRegexp: alert.NotRegexp,
}

func translateMatchers(ms labels.Matchers) (alert.Matchers, error) {
	var out alert.Matchers
	for _, m := range ms {
		t, err := alert.NewMatcher(m.Name, ops[m.Type], m.Value)
		if err == nil {
			err = t.Check()
		}
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func translateInhibit(r *amcommon.InhibitRule) (correlate.InhibitRule, error) {
	out := correlate.InhibitRule{Name: r.Name, Equal: clone(r.Equal)}
	slices.Sort(out.Equal)
	out.Equal = slices.Compact(out.Equal)
	source, err := mergeMatchers(r.SourceMatch, r.SourceMatchRE, r.SourceMatchers)
	if err != nil {
		return out, err
	}
	target, err := mergeMatchers(r.TargetMatch, r.TargetMatchRE, r.TargetMatchers)
	if err != nil {
		return out, err
	}
	if out.Source, err = translateMatchers(source); err != nil {
		return out, err
	}
	out.Target, err = translateMatchers(target)
	return out, err
}

func translateIntervals(am *amconfig.Config) ([]correlate.Interval, error) {
	var out []correlate.Interval
	add := func(name string, times []timeinterval.TimeInterval) error {
		text, err := writeTimes(times)
		if err != nil {
			return fmt.Errorf("time interval %q: %w", name, err)
		}
		out = append(out, correlate.Interval{Name: name, Times: text})
		return nil
	}
	for _, in := range am.MuteTimeIntervals {
		if err := add(in.Name, in.TimeIntervals); err != nil {
			return nil, err
		}
	}
	for _, in := range am.TimeIntervals {
		if err := add(in.Name, in.TimeIntervals); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// writeTimes writes what Alertmanager's types read back. Their own writer drops
// an empty list, which is not the same: with "weekdays: []" an interval never
// applies, without it on all days.
func writeTimes(times []timeinterval.TimeInterval) (string, error) {
	out := make([]yaml2.MapSlice, len(times))
	for i, t := range times {
		add := func(key string, there bool, value any) {
			if there {
				out[i] = append(out[i], yaml2.MapItem{Key: key, Value: value})
			}
		}
		add("times", t.Times != nil, t.Times)
		add("weekdays", t.Weekdays != nil, t.Weekdays)
		add("days_of_month", t.DaysOfMonth != nil, t.DaysOfMonth)
		add("months", t.Months != nil, t.Months)
		add("years", t.Years != nil, t.Years)
		add("location", t.Location != nil, t.Location)
	}
	b, err := yaml2.Marshal(out)
	return string(b), err
}

// translateReceiver looks at what every integration of a receiver says about
// resolved alerts. A receiver without any pages nobody, which is allowed.
func translateReceiver(r *amconfig.Receiver, w *Winnow) correlate.Receiver {
	out := correlate.Receiver{Name: r.Name}
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		list := v.Field(i)
		if list.Kind() != reflect.Slice {
			continue
		}
		for j := range list.Len() {
			in, ok := list.Index(j).Interface().(interface{ SendResolved() bool })
			if !ok {
				continue
			}
			if in.SendResolved() {
				out.Resolved = true
			} else {
				out.FiringOnly = true
			}
		}
	}
	for i := range w.Sinks {
		if w.Sinks[i].Receiver == r.Name {
			out.Resolved = true // stdout and jsonl both write resolves
		}
	}
	return out
}
