package correlate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
)

var epoch = alert.TimeOf(time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)) // a Monday

// world runs a script against a core and prints what it decides. A line is a
// time and a deed:
//
//	10s fire alertname=A pod=a        an alert without an end
//	10s fire+4m alertname=A           vouched for until 4m later
//	10s resolve alertname=A
//	10s silence s1 1h alertname=A     for an hour
//	10s expire s1
//	10s policy <name>                 reload
//	10s resume 5m                     nobody listened for the last 5m
//	10s bypass oncall alertname=A     it was paged past the core
//	10s clock -1h                     it is set back, which times in the script do not show
//	10s wait
type world struct {
	t        *testing.T
	core     *Core
	policies map[string]*Policy
	out      Output
	log      []string
	rows     []Row
	set      time.Duration // by how much the clock was, so far
}

func newWorld(t *testing.T, policies map[string]*Policy) *world {
	t.Helper()
	c, err := NewCore(policies[""])
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, core: c, policies: policies}
}

func (w *world) run(script string) {
	w.t.Helper()
	for i, line := range strings.Split(strings.TrimSpace(script), "\n") {
		when, deed, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields := strings.Fields(deed)
		w.core.At(uint64(i + 1))
		if fields[0] == "clock" {
			by, now := w.duration(fields[1]), epoch.Add(w.duration(when)+w.set)
			w.core.Advance(&w.out, now)
			w.drain()
			w.core.Shift(&w.out, now, by)
			w.set += by
		}
		now := epoch.Add(w.duration(when) + w.set)
		w.do(now, fields)
		w.core.Advance(&w.out, now)
		w.drain()
	}
}

func (w *world) do(now alert.Time, deed []string) {
	if deed[0] == "resume" {
		w.core.Resume(&w.out, now.Add(-w.duration(deed[1])), now)
	}
	w.core.Advance(&w.out, now)
	if deed[0] != "wait" && deed[0] != "clock" {
		w.core.Heard(&w.out, now, "test")
	}
	verb, ahead, _ := strings.Cut(deed[0], "+")
	switch verb {
	case "fire", "resolve":
		a := labelled(deed[1:]...)
		if verb == "resolve" {
			a.Status, a.EndsAt = alert.Resolved, now
		} else if ahead != "" {
			a.EndsAt = now.Add(w.duration(ahead))
		}
		w.core.Observe(&w.out, now, "test", 0, &a)
	case "silence":
		w.core.SetSilence(Silence{ID: deed[1], StartsAt: now, EndsAt: now.Add(w.duration(deed[2])), Matchers: []alert.Matchers{matchers(deed[3:]...)}})
	case "expire":
		w.core.ExpireSilence(now, deed[1])
	case "policy":
		if err := w.core.SetPolicy(&w.out, now, w.policies[deed[1]]); err != nil {
			w.t.Fatal(err)
		}
	case "bypass":
		a := labelled(deed[2:]...)
		w.core.Bypass(&w.out, now, a.Fingerprint, deed[1])
	case "wait", "resume", "clock":
	default:
		w.t.Fatalf("script: unknown deed %q", deed[0])
	}
}

// drain prints what came out and checks each step's accounts.
func (w *world) drain() {
	for i := range w.out.Notifications {
		n := &w.out.Notifications[i]
		n.At = n.At.Add(-w.set)
		w.log = append(w.log, describe(n))
	}
	for i := range w.out.Beyond {
		w.log = append(w.log, "beyond "+w.out.Beyond[i].Labels.Get("alertname"))
	}
	w.rows = append(w.rows, w.out.Rows...)
	w.out.Reset()
}

func (w *world) duration(s string) time.Duration {
	w.t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatalf("script: %v", err)
	}
	return d
}

// dispositions sums up the rows as a ledger would: name=count, in order.
func (w *world) dispositions() string {
	var n [NumDispositions]int
	for _, r := range w.rows {
		switch r.Action {
		case Delivered:
			n[r.Now]++
		case Moved:
			n[r.Was]--
			n[r.Now]++
		}
	}
	var out []string
	for d, k := range n {
		if k != 0 {
			out = append(out, fmt.Sprintf("%s=%d", Disposition(d), k))
		}
	}
	return strings.Join(out, " ")
}

func describe(n *Notification) string {
	var names []string
	for i := range n.Alerts {
		m := &n.Alerts[i]
		name := m.Labels.Get("alertname")
		if p := m.Labels.Get("pod"); p != "" {
			name += "/" + p
		}
		if m.Resolved() {
			name = "-" + name
		}
		names = append(names, name)
	}
	s := fmt.Sprintf("%v %s %s %s", time.Duration(n.At-epoch), n.Kind, n.Receiver, strings.Join(names, ","))
	if n.Reason == Escalation || n.Reason == RepeatInterval {
		s += " (" + n.Reason.String() + ")"
	}
	if n.Storm != nil {
		s += fmt.Sprintf(" storm of %d", n.Storm.Joined)
	}
	if n.Raw {
		s += " raw"
	}
	if n.Continued {
		s += " continued"
	}
	if _, level, ok := strings.Cut(n.Key(), "#"); ok && len(n.Keys) > 1 {
		s += " #" + level
	}
	return s
}

func labelled(pairs ...string) alert.Alert {
	var a alert.Alert
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		a.Labels = append(a.Labels, alert.Label{Name: k, Value: v})
	}
	a.Labels.Sort()
	a.Fingerprint = a.Labels.Fingerprint()
	return a
}

func matchers(pairs ...string) alert.Matchers {
	var out alert.Matchers
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m, err := alert.NewMatcher(k, alert.Regexp, v)
		if err != nil {
			panic(err)
		}
		out = append(out, m)
	}
	return out
}

// basic groups by alertname and tells oncall, with resolves.
func basic(change ...func(*Policy)) *Policy {
	p := &Policy{
		Route: Route{
			ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname"},
			GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour,
		},
		Receivers:      []Receiver{{Name: "oncall", Resolved: true}, {Name: "chat", FiringOnly: true}, {Name: "both", Resolved: true, FiringOnly: true}, {Name: "nobody"}},
		ResolveTimeout: 24 * time.Hour,
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func child(id, receiver string, cont bool, match ...string) Route {
	return Route{
		ID: id, Key: id, Receiver: receiver, GroupBy: []string{"alertname"}, Matchers: matchers(match...), Continue: cont,
		GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour,
	}
}
