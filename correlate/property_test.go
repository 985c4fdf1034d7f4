package correlate

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/wire"
)

// deed is one random step of a workload.
type deed struct {
	at     alert.Time
	verb   string
	alerts []alert.Alert
	id     string
	length time.Duration
	policy *Policy
}

// workload makes a story from a seed: alerts that fire, repeat, flap, expire
// and resolve, silences, stops of ours and reloads; in the end all is resolved.
func workload(seed uint64, steps int) []deed {
	rng := rand.New(rand.NewPCG(seed, 7))
	now := epoch
	var out []deed
	if rng.IntN(2) == 0 {
		out = append(out, deed{at: now, verb: "policy", policy: randomPolicy(rng)})
	}
	universe := make([]alert.Alert, 12+rng.IntN(30))
	for i := range universe {
		universe[i] = labelled(
			"alertname="+string(rune('A'+rng.IntN(5))), fmt.Sprintf("pod=%d", i), "cluster="+string(rune('x'+rng.IntN(2))),
			"severity="+[]string{"info", "warning", "error", "critical", "odd"}[rng.IntN(5)], "team="+string(rune('a'+rng.IntN(4))))
	}
	for range steps {
		now = now.Add(time.Duration(rng.ExpFloat64() * float64(40*time.Second)))
		d := deed{at: now}
		switch k := rng.IntN(100); {
		case k < 80:
			d.verb = "alerts"
			for range 1 + rng.IntN(6) {
				a := universe[rng.IntN(len(universe))]
				switch rng.IntN(4) {
				case 0:
					a.Status, a.EndsAt = alert.Resolved, now.Add(-time.Duration(rng.IntN(90))*time.Second)
				case 1:
					a.EndsAt = now.Add(time.Duration(rng.IntN(600)) * time.Second)
				}
				if rng.IntN(5) == 0 {
					a.StartsAt = now.Add(-time.Duration(rng.IntN(1200)) * time.Second)
				}
				d.alerts = append(d.alerts, a)
			}
		case k < 86:
			d.verb, d.id, d.length = "silence", fmt.Sprint("s", rng.IntN(4)), time.Duration(rng.IntN(1800))*time.Second
		case k < 89:
			d.verb, d.id = "expire", fmt.Sprint("s", rng.IntN(4))
		case k < 92:
			d.verb, d.length = "resume", time.Duration(rng.IntN(3600))*time.Second
			d.at = now.Add(d.length)
			now = d.at
		case k < 93:
			a := universe[rng.IntN(len(universe))]
			d.verb, d.id = "bypass", []string{"oncall", "both"}[rng.IntN(2)]
			d.alerts = append(d.alerts, a)
		case k < 95:
			d.verb, d.policy = "policy", randomPolicy(rng)
		default:
			d.verb = "wait"
		}
		out = append(out, d)
	}
	end := deed{at: now.Add(time.Minute), verb: "alerts"}
	for _, a := range universe {
		a.Status = alert.Resolved
		end.alerts = append(end.alerts, a)
	}
	return append(out, end, deed{at: end.at.Add(2 * time.Hour), verb: "wait"})
}

func randomPolicy(rng *rand.Rand) *Policy {
	return basic(func(p *Policy) {
		p.Route.Receiver = []string{"oncall", "both", "chat"}[rng.IntN(3)]
		p.Route.GroupBy = [][]string{{"alertname"}, {"alertname", "cluster"}, {"pod"}, nil}[rng.IntN(4)]
		p.Route.GroupByAll = rng.IntN(8) == 0
		if rng.IntN(2) == 0 {
			p.Storm.NewGroups = 1 + rng.IntN(4)
		}
		p.ResolveTimeout = []time.Duration{5 * time.Minute, time.Hour}[rng.IntN(2)]
		if rng.IntN(2) == 0 {
			p.Route.Routes = []Route{child("{}/a/0", "both", rng.IntN(2) == 0, "team=a|b"), child("{}/b/1", "nobody", true, "team=b|c"), child("{}/c/2", "oncall", false, "severity=critical")}
		}
		if rng.IntN(2) == 0 {
			p.Inhibit = []InhibitRule{{Source: matchers("severity=critical"), Target: matchers("severity=warning|info"), Equal: []string{"cluster", "alertname"}}}
		}
		if rng.IntN(3) == 0 {
			p.Sources = []Source{{Name: "test", SilentAfter: time.Duration(1+rng.IntN(4)) * time.Minute}}
		}
		if rng.IntN(4) == 0 {
			p.Intervals = []Interval{{Name: "lunch", Times: "- times: [{start_time: '12:30', end_time: '14:00'}]"}}
			p.Route.MuteIntervals = []string{"lunch"}
		}
	})
}

func apply(t *testing.T, c *Core, out *Output, d *deed, seq int) {
	c.At(uint64(seq))
	if d.verb == "resume" {
		c.Resume(out, d.at.Add(-d.length), d.at)
	}
	c.Advance(out, d.at)
	do(t, c, out, d)
	c.Advance(out, d.at)
}

// do applies a deed when everything before it has happened.
func do(t *testing.T, c *Core, out *Output, d *deed) {
	switch d.verb {
	case "alerts":
		c.Heard(out, d.at, "test")
		for i := range d.alerts {
			c.Observe(out, d.at, "test", 0, &d.alerts[i])
		}
	case "silence":
		c.SetSilence(Silence{ID: d.id, StartsAt: d.at, EndsAt: d.at.Add(d.length), Matchers: []alert.Matchers{matchers("alertname=[A-C]")}})
	case "expire":
		c.ExpireSilence(d.at, d.id)
	case "bypass":
		c.Bypass(out, d.at, d.alerts[0].Fingerprint, d.id)
	case "policy":
		if err := c.SetPolicy(out, d.at, d.policy); err != nil {
			t.Fatal(err)
		}
	}
}

// books is the obvious ledger: it counts rows and complains when they do not
// make sense.
type books struct {
	delivered uint64
	n         [NumDispositions]int
}

func (b *books) enter(rows []Row) error {
	for i := range rows {
		r := &rows[i]
		switch r.Action {
		case Delivered:
			b.delivered++
			b.n[r.Now]++
		case Moved:
			if r.Was == r.Now && (r.Now != Pending || r.Until == 0) {
				return fmt.Errorf("row %+v moves nothing", r)
			}
			b.n[r.Was]--
			b.n[r.Now]++
		}
	}
	sum := 0
	for d, n := range b.n {
		if n < 0 {
			return fmt.Errorf("%d deliveries are %s", n, Disposition(d))
		}
		sum += n
	}
	if uint64(sum) != b.delivered {
		return fmt.Errorf("%d deliveries, %d accounted for", b.delivered, sum)
	}
	if b.n[NoDisposition] != 0 {
		return fmt.Errorf("%d deliveries without a disposition", b.n[NoDisposition])
	}
	return nil
}

// sound checks what must hold of a core's structure between any two calls.
func sound(c *Core, now alert.Time) error {
	pending := 0
	for ref := 1; ref < c.live.Len(); ref++ {
		l := c.alert(dedupe.Ref(ref))
		best := l.settled
		var err error
		c.eachSeat(dedupe.Ref(ref), func(s *seat) {
			if c.groups[s.group.slot] != s.group || int(s.member) >= len(s.group.members) || s.group.members[s.member].ref != dedupe.Ref(ref) {
				err = fmt.Errorf("alert %d has seat %d in a group that does not have it there", ref, s.member)
				return
			}
			if d := s.group.members[s.member].disposition; rank(d) > rank(best) {
				best = d
			}
		})
		if err != nil {
			return err
		}
		if l.first.group != nil && best != l.disposition {
			return fmt.Errorf("alert %d is %s, its groups say %s", ref, l.disposition, best)
		}
		if l.disposition == Pending && !l.ended() {
			pending++
			if l.first.group == nil {
				return fmt.Errorf("alert %d is pending without a group", ref)
			}
		}
	}
	seats := 0
	for slot, g := range c.groups {
		if g == nil {
			continue
		}
		if g.slot != slot || len(g.members) == 0 || g.next <= now || g.heirOf != nil || g.successor != nil {
			return fmt.Errorf("group %s: slot %d of %d, %d members, next at %v, now %v", g.key, g.slot, slot, len(g.members), g.next, now)
		}
		seats += len(g.members)
		for i := range g.members {
			found := false
			c.eachSeat(g.members[i].ref, func(s *seat) { found = found || s.group == g && int(s.member) == i })
			if !found {
				return fmt.Errorf("group %s has member %d, which does not know", g.key, i)
			}
		}
	}
	return nil
}

// person is a receiver with what stands at its provider: by receiver, class and
// key.
type person map[string]map[string]bool

func (p person) at(receiver string, class Class) map[string]bool {
	k := fmt.Sprint(receiver, class)
	if p[k] == nil {
		p[k] = map[string]bool{}
	}
	return p[k]
}

// raw is a page past the core, which all behind the receiver hear. The guard
// pages only where the routes lead, so one that goes elsewhere is no case.
func (p person) raw(c *Core, receiver string, a alert.Alert) {
	for _, ref := range c.table.Lookup(nil, a.Fingerprint) {
		c.eachSeat(ref, func(s *seat) {
			if s.group.route.Receiver == receiver {
				for _, class := range classes {
					p.at(receiver, class)[alert.PageKey(s.group.providerKey(), a.Labels.Severity())] = true
				}
			}
		})
	}
}

func (p person) hear(n *Notification) error {
	if n.Firing+n.Resolved == 0 || len(n.Alerts)+n.Omitted != n.Firing+n.Resolved {
		return fmt.Errorf("%s says nothing, or counts wrongly", n.ID())
	}
	for _, class := range classes {
		if n.Class&class == 0 {
			continue
		}
		open := p.at(n.Receiver, class)
		stands := false
		for _, key := range n.Keys {
			stands = stands || open[key]
		}
		switch n.Kind {
		case Resolve:
			if !stands {
				return fmt.Errorf("%s (%s) resolves %q, of which %s was never told; it has %v", n.ID(), n.Reason, n.Keys, n.Receiver, open)
			}
			for _, key := range n.Keys {
				delete(open, key)
			}
		case Update:
			if !stands && class == WantsResolved {
				return fmt.Errorf("%s (%s) updates %q, for which %s was never paged; it has %v", n.ID(), n.Reason, n.Keys, n.Receiver, open)
			}
		case Page:
			open[n.Key()] = true
		}
	}
	return nil
}

// names are those that stood in the notifications of an incident.
type names map[uint64]map[alert.Fingerprint]bool

func (ns names) hear(n *Notification) {
	for i := range n.Alerts {
		if ns[n.Incident] == nil {
			ns[n.Incident] = map[alert.Fingerprint]bool{}
		}
		ns[n.Incident][n.Alerts[i].Fingerprint] = true
	}
}

// check complains about a critical or an error that a storm is said to have
// told of, and that no notification named.
func (ns names) check(rows []Row) error {
	for i := range rows {
		r := &rows[i]
		if r.Action != Moved || r.Now != Storm || !grave(r.Severity) {
			continue
		}
		incident, err := ParseIncident(r.Cause)
		if err != nil {
			return fmt.Errorf("row %+v: %w", r, err)
		}
		if !ns[incident][r.Fingerprint] || r.Paged < r.Severity {
			return fmt.Errorf("%s %s was told of in a storm at %s, named in %s: %v", r.Severity, r.Fingerprint, r.Paged, r.Cause, ns[incident][r.Fingerprint])
		}
	}
	return nil
}

// joined is where alerts stand, as people were told, and how many joined others.
type joined struct {
	last map[alert.Fingerprint]*lastTold
	n    int
}

type lastTold struct {
	at     alert.Time
	stands map[string]bool // incident and class, or "raw"
}

func (j *joined) of(f alert.Fingerprint) *lastTold {
	if j.last[f] == nil {
		j.last[f] = &lastTold{stands: map[string]bool{}}
	}
	return j.last[f]
}

func (j *joined) hear(n *Notification) {
	for i := range n.Alerts {
		a := &n.Alerts[i]
		told := j.of(a.Fingerprint)
		if told.at = n.At; a.Resolved() {
			delete(told.stands, "raw")
		}
		for _, class := range classes {
			if at := fmt.Sprint(n.Incident, class); n.Class&class != 0 && a.Resolved() {
				delete(told.stands, at)
			} else if n.Class&class != 0 {
				told.stands[at] = true
			}
		}
	}
}

// check complains about an alert that is said to have been told of beside others,
// and was not: what joins an incident is heard again, a more severe one as a page.
func (j *joined) check(rows []Row) error {
	for i := range rows {
		r := &rows[i]
		if r.Action == PagedRaw {
			j.of(r.Fingerprint).stands["raw"] = true
		}
		if r.Action != Moved || r.Now != Grouped {
			continue
		}
		j.n++
		if told := j.of(r.Fingerprint); told.at < r.At.Add(-r.Delay) && len(told.stands) == 0 {
			return fmt.Errorf("%s %s joined %s, and nobody was told of it: %+v", r.Severity, r.Fingerprint, IncidentName(r.Incident), told)
		}
		if grave(r.Severity) && r.Paged < r.Severity {
			return fmt.Errorf("%s %s joined %s, which was paged as %s", r.Severity, r.Fingerprint, IncidentName(r.Incident), r.Paged)
		}
	}
	return nil
}

// TestRandomStories tells stories: WINNOW_STORIES says how many.
func TestRandomStories(t *testing.T) {
	const steps = 250
	seeds := 400
	if s := os.Getenv("WINNOW_STORIES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal("WINNOW_STORIES: ", err)
		}
		seeds = max(seeds, n)
	}
	var seen [NumDispositions]int
	kinds, joins := map[string]int{}, 0
	for seed := range uint64(seeds) {
		story := workload(seed, steps)
		c, err := NewCore(basic())
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		var b books
		p, told, others := person{}, names{}, joined{last: map[alert.Fingerprint]*lastTold{}}
		for i := range story {
			listen := func() (err error) {
				for j := range out.Notifications {
					n := &out.Notifications[j]
					kinds[n.Kind.String()+" "+n.Reason.String()]++
					told.hear(n)
					others.hear(n)
					if err == nil {
						err = p.hear(n)
					}
				}
				out.Notifications = out.Notifications[:0]
				return err
			}
			var err error
			if story[i].verb == "bypass" {
				c.Advance(&out, story[i].at)
				err = listen()
				p.raw(c, story[i].id, story[i].alerts[0])
			}
			apply(t, c, &out, &story[i], i+1)
			err = errors.Join(err, listen(), b.enter(out.Rows), told.check(out.Rows), others.check(out.Rows), sound(c, story[i].at))
			if err != nil {
				t.Fatalf("seed %d step %d (%s): %v", seed, i, story[i].verb, err)
			}
			out.Reset()
		}
		for k, open := range p {
			if len(open) > 0 && strings.HasSuffix(k, fmt.Sprint(WantsResolved)) {
				t.Fatalf("seed %d: all is resolved, and %s still has %v open", seed, k, open)
			}
		}
		if c.Live() != 0 || c.Groups() != 0 || b.n[Pending] != 0 {
			t.Fatalf("seed %d: in the end %d alerts, %d groups, %d pending", seed, c.Live(), c.Groups(), b.n[Pending])
		}
		for d, n := range b.n {
			seen[d] += n
		}
		joins += others.n
	}
	// A run that never came to a place proves nothing about it.
	for _, d := range []Disposition{Paged, Grouped, Storm, Repeat, Silenced, Inhibited, Muted, ResolvedBeforePage, BelowThreshold, Closed, Stray} {
		if seen[d] < 50 {
			t.Errorf("only %d deliveries were %s", seen[d], d)
		}
	}
	for _, k := range []string{"page first notification", "page escalation", "update new alerts added", "update some alerts resolved", "resolve all alerts resolved"} {
		if kinds[k] < 50 {
			t.Errorf("only %d notifications were: %s", kinds[k], k)
		}
	}
	if joins < 1000 {
		t.Errorf("only %d alerts joined an incident", joins)
	}
	t.Logf("stories: stories=%d steps=%d joined=%d escalations=%d", seeds, seeds*steps, joins, kinds["page escalation"])
}

// TestMoreTicksChangeNothing runs stories again with time passing in other
// steps: what is decided must not depend on how often the core is woken.
func TestMoreTicksChangeNothing(t *testing.T) {
	run := func(seed uint64, extra *rand.Rand) (rows []Row, said []Notification) {
		story := workload(seed, 150)
		c, err := NewCore(basic())
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		last := epoch
		for i := range story {
			if extra != nil && story[i].verb != "resume" { // a stop of ours is one message
				for at := last; at < story[i].at && extra.IntN(6) != 0; {
					at = at.Add(time.Duration(extra.Int64N(int64(story[i].at.Sub(at))) + 1))
					c.Advance(&out, at)
				}
			}
			apply(t, c, &out, &story[i], i+1)
			last = story[i].at
			rows = append(rows, out.Rows...)
			said = append(said, out.Notifications...)
			out.Rows, out.Notifications = nil, nil
		}
		for i := range rows {
			rows[i].Seq = 0 // the message that a timer fired with may be another
		}
		return rows, said
	}
	for seed := range uint64(100) {
		rows, said := run(seed, nil)
		rows2, said2 := run(seed, rand.New(rand.NewPCG(seed, 99)))
		if !reflect.DeepEqual(rows, rows2) || !reflect.DeepEqual(said, said2) {
			t.Fatalf("seed %d: with more ticks %d rows and %d notifications, without %d and %d, or others", seed, len(rows2), len(said2), len(rows), len(said))
		}
	}
}

func state(c *Core) []byte {
	var w wire.Writer
	c.AppendState(&w)
	return w.B
}

// TestStateGoesOnAsBefore takes the state in the middle of stories: a core made
// of it decides as the first one does, to the byte.
func TestStateGoesOnAsBefore(t *testing.T) {
	retired := 0
	for seed := range uint64(150) {
		story := workload(seed, 200)
		cut := 20 + int(seed)%180
		policy := basic()
		live, err := NewCore(policy)
		if err != nil {
			t.Fatal(err)
		}
		var a, b Output
		for i := range cut {
			apply(t, live, &a, &story[i], i+1)
			if story[i].verb == "policy" {
				policy = story[i].policy
			}
			a.Reset()
		}
		for _, g := range live.groups {
			if g != nil && g.retired {
				retired++
			}
		}
		before := state(live)
		r := wire.NewReader(before)
		loaded, err := LoadCore(policy, r)
		if err != nil || r.End() != nil {
			t.Fatalf("seed %d: %v %v", seed, err, r.End())
		}
		if !bytes.Equal(state(loaded), before) {
			t.Fatalf("seed %d: what was loaded is written otherwise", seed)
		}
		a = Output{}
		for i := cut; i < len(story); i++ {
			apply(t, live, &a, &story[i], i+1)
			apply(t, loaded, &b, &story[i], i+1)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d step %d: the loaded core decides otherwise", seed, i)
			}
			a, b = Output{}, Output{}
		}
		if !bytes.Equal(state(loaded), state(live)) {
			t.Fatalf("seed %d: the states have drifted apart", seed)
		}
	}
	if retired < 20 {
		t.Errorf("only %d groups without a route were taken along", retired)
	}
}

func FuzzLoadCore(f *testing.F) {
	for seed := range uint64(4) {
		c, err := NewCore(basic())
		if err != nil {
			f.Fatal(err)
		}
		var out Output
		for i, d := range workload(seed, 40)[:40] {
			if d.verb != "policy" {
				apply(nil, c, &out, &d, i+1)
			}
		}
		f.Add(state(c))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := LoadCore(basic(), wire.NewReader(b))
		if err != nil {
			return
		}
		// What it will decide is of no worth, but it must not break.
		now := epoch.Add(30 * 24 * time.Hour)
		var out Output
		a := labelled("alertname=A")
		if next, ok := c.Next(); !ok || next.Sub(now) < -90*24*time.Hour {
			return // a timer in the year 1700 would fire for minutes
		}
		c.Advance(&out, now)
		c.Observe(&out, now, "test", 0, &a)
	})
}
