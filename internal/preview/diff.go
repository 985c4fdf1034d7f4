package preview

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// named is how many of the alerts a Diff names.
const named = 10

// Diff is what another policy would have told people, beside the policy in force.
type Diff struct {
	Window   Span   `json:"window"`  // what was asked for
	Covered  Span   `json:"covered"` // what of it was replayed
	Messages uint64 `json:"messages"`
	Same     bool   `json:"same,omitempty"`  // the policies decide alike; nothing was replayed
	Limit    string `json:"limit,omitempty"` // why that is not all that the log holds of it

	Before Side `json:"before"`
	After  Side `json:"after"`

	// Unpaged counts the critical alerts and errors of which somebody was told
	// before and nobody after, UnpagedOnsets their firings; Alerts names some.
	Unpaged       int     `json:"unpaged"`
	UnpagedOnsets int     `json:"unpaged_onsets"`
	Alerts        []Alert `json:"alerts,omitempty"`

	Gained     int `json:"gained_onsets"`               // the other way round
	Waiting    int `json:"waiting_onsets,omitempty"`    // their page is due after what was replayed
	Uncompared int `json:"uncompared_onsets,omitempty"` // beyond what is followed

	Receivers []Receiver `json:"receivers,omitempty"` // those that lose or gain any

	// Breaks says how the core breaks under the other policy.
	Breaks string `json:"breaks,omitempty"`
}

// Span is a part of the log, by time.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

func (s Span) length() time.Duration { return s.To.Sub(s.From).Round(time.Second) }

// Side is what one policy tells. Told counts onsets of critical alerts and
// errors; pages and notifications are of all severities.
type Side struct {
	Told          int `json:"told"`
	Pages         int `json:"pages"`
	Notifications int `json:"notifications"`
}

// Alert is one that would be unpaged.
type Alert struct {
	Fingerprint string    `json:"fingerprint"`
	Rule        string    `json:"rule"`
	Service     string    `json:"service,omitempty"`
	Severity    string    `json:"severity"`
	Onsets      int       `json:"onsets"`
	At          time.Time `json:"at"`   // of the last one
	Told        []string  `json:"told"` // receivers, before
	Disposition string    `json:"disposition"`
	Cause       string    `json:"cause,omitempty"`
	Why         string    `json:"why"` // both in words

	fingerprint alert.Fingerprint
	severity    alert.Severity
}

// Receiver is one that is told of other critical alerts and errors than before.
// The numbers are onsets.
type Receiver struct {
	Name   string `json:"name"`
	Before int    `json:"before"`
	After  int    `json:"after"`
	Lost   int    `json:"lost"`
	Gained int    `json:"gained"`
}

// Dangerous reports whether somebody should say first that this is meant.
func (d *Diff) Dangerous() bool { return d.Unpaged > 0 || d.Breaks != "" }

// tallying is a Diff in the making.
type tallying struct {
	*Diff
	c         *Comparison
	losses    map[alert.Fingerprint]*Alert
	receivers map[string]*Receiver
}

// Diff says what the two sides have told by now.
func (c *Comparison) Diff() *Diff {
	t := tallying{
		Diff: &Diff{
			Covered: Span{c.from.Std(), c.to.Std()}, Messages: c.messages, Breaks: c.broke, Uncompared: max(c.before.beyond, c.after.beyond),
			Before: Side{Pages: c.before.pages, Notifications: c.before.notifications},
			After:  Side{Pages: c.after.pages, Notifications: c.after.notifications},
		},
		c: c, losses: map[alert.Fingerprint]*Alert{}, receivers: map[string]*Receiver{},
	}
	for _, f := range slices.Sorted(maps.Keys(c.before.onsets)) {
		for i := range c.before.onsets[f] {
			t.lost(f, &c.before.onsets[f][i])
		}
	}
	for _, f := range slices.Sorted(maps.Keys(c.after.onsets)) {
		for i := range c.after.onsets[f] {
			t.gained(f, &c.after.onsets[f][i])
		}
	}
	t.Unpaged = len(t.losses)
	alerts := slices.SortedFunc(maps.Values(t.losses), worse)
	for _, a := range alerts[:min(len(alerts), named)] {
		t.Alerts = append(t.Alerts, *a)
	}
	for _, name := range slices.Sorted(maps.Keys(t.receivers)) {
		if r := t.receivers[name]; r.Lost > 0 || r.Gained > 0 {
			t.Receivers = append(t.Receivers, *r)
		}
	}
	return t.Diff
}

// lost looks for what the other policy makes of an onset under this one.
func (t *tallying) lost(f alert.Fingerprint, was *onset) {
	if !t.c.counts(was) {
		return
	}
	t.Before.Told++
	is := t.c.after.covering(f, was.seq)
	waits := is != nil && is.waits()
	for _, k := range was.receivers {
		r := t.receiver(t.c.before.receivers[k])
		r.Before++
		if !waits && (is == nil || !t.c.after.heardBy(is, r.Name)) {
			r.Lost++
		}
	}
	switch {
	case waits:
		t.Waiting++
	case is == nil || is.told == 0:
		t.unpaged(f, was, is)
	}
}

func (t *tallying) gained(f alert.Fingerprint, is *onset) {
	if !t.c.counts(is) {
		return
	}
	t.After.Told++
	was := t.c.before.covering(f, is.seq)
	waits := was != nil && was.waits()
	for _, k := range is.receivers {
		r := t.receiver(t.c.after.receivers[k])
		r.After++
		if !waits && (was == nil || !t.c.before.heardBy(was, r.Name)) {
			r.Gained++
		}
	}
	if !waits && (was == nil || was.told == 0) {
		t.Gained++
	}
}

func (t *tallying) receiver(name string) *Receiver {
	r := t.receivers[name]
	if r == nil {
		r = &Receiver{Name: name}
		t.receivers[name] = r
	}
	return r
}

// unpaged takes down an onset of which nobody would be told. Of several of one
// alert the last says why.
func (t *tallying) unpaged(f alert.Fingerprint, was, is *onset) {
	t.UnpagedOnsets++
	a := t.losses[f]
	if a == nil {
		dim := t.c.before.shard.Core.Dim(was.dim)
		a = &Alert{Fingerprint: f.String(), Rule: dim.Rule, Service: dim.Service, Severity: was.severity.String(), fingerprint: f, severity: was.severity}
		t.losses[f] = a
	}
	a.Onsets++
	a.At = was.at.Std()
	for _, k := range was.receivers {
		if name := t.c.before.receivers[k]; !slices.Contains(a.Told, name) {
			a.Told = append(a.Told, name)
		}
	}
	if is == nil {
		is = &onset{}
	}
	a.Disposition, a.Cause, a.Why = is.now.String(), is.cause, is.why()
}

// why says in words what keeps an onset from people.
func (o *onset) why() string {
	switch o.now {
	case correlate.BelowThreshold:
		return fmt.Sprintf("receiver %q has nobody behind it", o.cause)
	case correlate.Inhibited:
		return "inhibited by " + o.cause
	case correlate.Muted:
		return fmt.Sprintf("muted: time interval %q", o.cause)
	case correlate.Silenced:
		return "silenced by " + o.cause
	case correlate.ResolvedBeforePage:
		return "it ends before its page is due"
	case correlate.Pending:
		return fmt.Sprintf("its page is due only %s after it came", o.until.Sub(o.at).Round(time.Second))
	}
	return o.now.String()
}

// worse orders alerts by how much they matter.
func worse(a, b *Alert) int {
	return cmp.Or(
		cmp.Compare(b.severity, a.severity), cmp.Compare(b.Onsets, a.Onsets),
		b.At.Compare(a.At), cmp.Compare(a.fingerprint, b.fingerprint),
	)
}
