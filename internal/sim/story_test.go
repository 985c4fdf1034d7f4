package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
)

// story is what happens to the world, whatever it does about it.
type story struct {
	seed        uint64
	begins      alert.Time
	deeds       []deed
	plans       []*plan
	windows     []window // of providers
	outbox      []window // in which the outbox takes nothing
	recordBytes int

	universe []*alert.Alert
	standing []*alert.Alert // those that fire at the end of the story
}

type verb uint8

const (
	say        verb = iota + 1 // alerts
	silence                    // is set
	expire                     // a silence ends early
	reload                     // the policy
	snap                       // a snapshot is taken
	leap                       // the clock jumps
	stop                       // an orderly stop
	poison                     // a message that breaks the core
	unreadable                 // a body that cannot be read
	step                       // of the ladder
	raw                        // the guard pages past the core
	check                      // the oracle looks
)

type deed struct {
	at     alert.Time
	verb   verb
	events []frame.Event
	plan   int
	length time.Duration
	stage  stage
}

// stage is how far a story has come when the oracle looks.
type stage uint8

const (
	silencesStand stage = iota // the standing alerts fire for long, silences may keep them back
	nothingKeeps               // no silence and no interval is in force any more
	allOver                    // everything has ended
)

// plan is a policy as the story means it.
type plan struct {
	hash     string
	groupBy  []string
	wait     time.Duration
	interval time.Duration
	inhibit  bool
	lunch    bool
	watched  time.Duration
	moved    bool // team a's alerts go to nights
	policy   *correlate.Policy
}

func (p *plan) receiver(ls alert.Labels) string {
	switch team := ls.Get("team"); {
	case team == "a" && p.moved:
		return "nights"
	case team == "b":
		return "both"
	case team == "c":
		return "nights"
	case team == "d":
		return "nobody"
	}
	return "oncall"
}

// route is that of a label set.
func (p *plan) route(ls alert.Labels) *correlate.Route {
	root := &p.policy.Route
	for i := range root.Routes {
		if r := &root.Routes[i]; r.Matchers.Matches(ls) {
			return r
		}
	}
	return root
}

func (p *plan) compile() {
	route := func(id, receiver, team string) correlate.Route {
		r := correlate.Route{
			ID: id, Key: id, Receiver: receiver, GroupBy: p.groupBy, GroupWait: p.wait, GroupInterval: p.interval, RepeatInterval: 4 * time.Hour,
		}
		if team != "" {
			m, err := alert.NewMatcher("team", alert.Equal, team)
			if err != nil {
				panic(err)
			}
			r.Matchers = alert.Matchers{m}
		}
		return r
	}
	root := route("{}", "oncall", "")
	for _, team := range []string{"a", "b", "c", "d"} {
		ls := alert.Labels{{Name: "team", Value: team}}
		r := route("{}/{team="+team+"}/0", p.receiver(ls), team)
		if p.lunch && team == "c" {
			r.MuteIntervals = []string{"lunch"}
		}
		root.Routes = append(root.Routes, r)
	}
	p.policy = &correlate.Policy{
		Route: root, ResolveTimeout: 5 * time.Minute,
		Receivers: []correlate.Receiver{{Name: "oncall", Resolved: true}, {Name: "both", Resolved: true, FiringOnly: true}, {Name: "nights", Resolved: true}, {Name: "nobody"}},
	}
	if p.lunch {
		p.policy.Intervals = []correlate.Interval{{Name: "lunch", Times: "- times: [{start_time: '12:30', end_time: '14:00'}]"}}
	}
	if p.watched > 0 {
		p.policy.Sources = []correlate.Source{{Name: "prometheus", SilentAfter: p.watched}}
	}
	if p.inhibit {
		p.policy.Inhibit = []correlate.InhibitRule{{Source: regexps("severity", "critical"), Target: regexps("severity", "warning|info|error"), Equal: []string{"alertname", "cluster"}}}
	}
}

func regexps(name, pattern string) alert.Matchers {
	m, err := alert.NewMatcher(name, alert.Regexp, pattern)
	if err != nil {
		panic(err)
	}
	return alert.Matchers{m}
}

func (s *story) faultOf(p int, at alert.Time) (fault, bool) {
	for _, w := range s.windows {
		if w.provider == p && w.from <= at && at < w.to {
			return w.fault, true
		}
	}
	return 0, false
}

func (s *story) outboxDown(at alert.Time) bool {
	return slices.ContainsFunc(s.outbox, func(w window) bool { return w.from <= at && at < w.to })
}

// teller makes a story from its seed.
type teller struct {
	*story
	rng *rand.Rand
	now alert.Time

	since       map[alert.Fingerprint]alert.Time // when what fires began to
	skew, ahead time.Duration                    // of the machine's clock, now and at most
}

// bodyDeeds is how long stories are: short ones have as many turns, and are told
// more often.
const bodyDeeds = 15

func tell(seed uint64) *story {
	rng := rand.New(rand.NewPCG(seed, 11))
	begins := alert.TimeOf(time.Date(2026, 3, 2, 12, rng.IntN(60), 0, 0, time.UTC))
	t := &teller{story: &story{seed: seed, begins: begins, recordBytes: []int{1 << 20, 1 << 20, 1}[rng.IntN(3)]}, rng: rng, now: begins, since: map[alert.Fingerprint]alert.Time{}}
	for i := range 7 + rng.IntN(6) {
		ls := alert.Labels{
			{Name: "alertname", Value: string(rune('A' + rng.IntN(3)))}, {Name: "cluster", Value: string(rune('x' + rng.IntN(2)))},
			{Name: "pod", Value: fmt.Sprint(i)}, {Name: "severity", Value: []string{"info", "warning", "error", "critical", "critical", "odd"}[rng.IntN(6)]},
			{Name: "team", Value: string(rune('a' + rng.IntN(8)%5))},
		}
		t.universe = append(t.universe, &alert.Alert{Labels: ls, Fingerprint: ls.Fingerprint()})
	}
	t.plans = append(t.plans, t.draw())
	t.body()
	t.trouble()
	t.tail()
	return t.story
}

func (t *teller) draw() *plan {
	p := &plan{
		hash:     fmt.Sprint("p", len(t.plans)),
		groupBy:  [][]string{{"alertname"}, {"alertname", "cluster"}, nil}[t.rng.IntN(3)],
		wait:     time.Duration(10+t.rng.IntN(3)*10) * time.Second,
		interval: time.Duration(1+t.rng.IntN(4)) * time.Minute,
		inhibit:  t.rng.IntN(2) == 0, lunch: t.rng.IntN(3) == 0, moved: t.rng.IntN(4) == 0,
	}
	if t.rng.IntN(3) == 0 {
		p.watched = time.Duration(2+t.rng.IntN(3)) * time.Minute
	}
	p.compile()
	return p
}

func (t *teller) add(d deed) { d.at = t.now; t.deeds = append(t.deeds, d) }

// body is the random part of a story.
func (t *teller) body() {
	for range bodyDeeds {
		t.now = t.now.Add(time.Duration(t.rng.ExpFloat64() * float64(45*time.Second)))
		switch k := t.rng.IntN(100); {
		case k < 60:
			t.add(deed{verb: say, events: t.deliveries()})
			if t.rng.IntN(4) == 0 {
				t.now = t.now.Add(2 * time.Second)
				t.add(deed{verb: raw, plan: t.rng.IntN(len(t.universe))})
			}
		case k < 68:
			t.add(deed{verb: silence, length: time.Duration(30+t.rng.IntN(1800)) * time.Second, events: []frame.Event{t.silence()}})
		case k < 71:
			t.add(deed{verb: expire, events: []frame.Event{{Kind: frame.SilenceExpire, SilenceID: fmt.Sprint("s", t.rng.IntN(3))}}})
		case k < 75:
			t.plans = append(t.plans, t.draw())
			t.add(deed{verb: reload, plan: len(t.plans) - 1, events: []frame.Event{t.policy()}})
		case k < 84:
			t.add(deed{verb: snap})
		case k < 89:
			d := deed{verb: stop, length: time.Duration(t.rng.IntN(900)) * time.Second}
			if t.rng.IntN(2) == 0 {
				t.plans = append(t.plans, t.draw())
				d.plan = len(t.plans) - 1
			}
			t.add(d)
		case k < 92:
			t.leap(time.Duration(t.rng.IntN(1200)-300) * time.Second)
		case k < 94:
			t.add(deed{verb: poison, events: []frame.Event{t.poisoned()}})
		case k < 96:
			t.add(deed{verb: unreadable, events: []frame.Event{{Kind: frame.Quarantine, Source: "prometheus", Quarantine: &frame.Quarantined{Source: "prometheus", Reason: "no JSON", Alerts: 1 + t.rng.IntN(2)}}}})
		case k < 97:
			t.add(deed{verb: step, events: []frame.Event{{Kind: frame.Ladder, Ladder: &frame.Stepped{Level: uint8(t.rng.IntN(5)), Cause: "the core is behind"}}}})
		default: // a quiet while, in which alerts expire and sources fall silent
			t.now = t.now.Add(time.Duration(3+t.rng.IntN(8)) * time.Minute)
			t.add(deed{verb: snap})
		}
	}
}

func (t *teller) leap(d time.Duration) {
	t.skew += d
	t.ahead = max(t.ahead, t.skew)
	t.add(deed{verb: leap, length: d})
}

func (t *teller) policy() frame.Event {
	p := t.plans[len(t.plans)-1]
	return frame.Event{Kind: frame.Policy, Policy: p.policy, PolicyHash: p.hash}
}

func (t *teller) silence() frame.Event {
	ms := regexps("alertname", []string{"A", "A|B", "C"}[t.rng.IntN(3)])
	return frame.Event{Kind: frame.Silence, Silence: &correlate.Silence{ID: fmt.Sprint("s", t.rng.IntN(3)), Matchers: []alert.Matchers{ms}}}
}

func (t *teller) poisoned() frame.Event {
	ls := alert.Labels{{Name: "alertname", Value: "P"}, {Name: "poison", Value: fmt.Sprint(len(t.deeds))}, {Name: "severity", Value: "critical"}}
	return frame.Event{Kind: frame.Alerts, Source: "prometheus", Alerts: []alert.Alert{{Labels: ls, Fingerprint: ls.Fingerprint()}}}
}

// deliveries are what one request says, or two that travel in one message.
func (t *teller) deliveries() (out []frame.Event) {
	for range 1 + t.rng.IntN(8)/7 {
		e := frame.Event{Kind: frame.Alerts, Source: []string{"prometheus", "prometheus", "other"}[t.rng.IntN(3)]}
		for range 1 + t.rng.IntN(4) {
			a := t.universe[t.rng.IntN(len(t.universe))].Clone()
			if t.since[a.Fingerprint] == 0 {
				t.since[a.Fingerprint] = t.now
			}
			if t.rng.IntN(4) > 0 {
				a.StartsAt = t.since[a.Fingerprint]
			}
			switch t.rng.IntN(5) {
			case 0, 1:
				a.Status, a.EndsAt = alert.Resolved, t.now.Add(-time.Duration(t.rng.IntN(60))*time.Second)
				delete(t.since, a.Fingerprint)
			case 2:
				a.EndsAt = t.now.Add(time.Duration(30+t.rng.IntN(400)) * time.Second)
			}
			if t.rng.IntN(8) == 0 {
				a.StartsAt = t.now.Add(-time.Duration(60+t.rng.IntN(900)) * time.Second)
			}
			if t.rng.IntN(6) == 0 { // its text moves, and back
				a.Annotations = alert.Labels{{Name: "summary", Value: "it is worse"}}
			}
			e.Alerts = append(e.Alerts, a)
		}
		out = append(out, e)
	}
	return out
}

// trouble is drawn for the body; the tail is without it.
func (t *teller) trouble() {
	length := int(t.now.Sub(t.begins))
	draw := func() window {
		from := t.begins.Add(time.Duration(t.rng.IntN(length)))
		return window{from: from, to: min(t.now, from.Add(time.Duration(20+t.rng.IntN(400))*time.Second))}
	}
	for range 1 + t.rng.IntN(5) {
		w := draw()
		w.provider, w.fault = t.rng.IntN(len(providers)), fault(t.rng.IntN(int(numFaults)))
		t.windows = append(t.windows, w)
	}
	for range t.rng.IntN(2) {
		t.outbox = append(t.outbox, draw())
	}
}

const (
	day = 24 * time.Hour

	// settle is time enough for a group to wait, for two of its intervals, and
	// for a provider's last bad minute.
	settle = 12 * time.Minute
)

// tail has some alerts fire and the others end for good, lets what keeps pages
// back go away, and then ends them all. It waits long enough for whatever is
// still under way, a restart included.
func (t *teller) tail() {
	t.now = t.now.Add(time.Minute)
	t.leap(t.ahead - t.skew) // or the log's time would stand still for long
	var fire, end frame.Event
	for _, e := range []*frame.Event{&fire, &end} {
		*e = frame.Event{Kind: frame.Alerts, Source: "prometheus", Validity: 4 * day}
	}
	for _, a := range t.universe {
		c := a.Clone()
		if t.rng.IntN(2) == 0 {
			t.standing = append(t.standing, a)
			c.StartsAt = t.now
			fire.Alerts = append(fire.Alerts, c)
			continue
		}
		c.Status = alert.Resolved
		end.Alerts = append(end.Alerts, c)
	}
	for _, e := range []frame.Event{fire, end} {
		if len(e.Alerts) > 0 {
			t.add(deed{verb: say, events: []frame.Event{e}})
		}
	}
	if len(fire.Alerts) > 0 { // as senders do
		for range 2 {
			t.now = t.now.Add(time.Minute)
			t.add(deed{verb: say, events: []frame.Event{fire}})
		}
	}
	t.now = t.now.Add(settle)
	t.add(deed{verb: check, stage: silencesStand})
	for i := range 3 {
		t.add(deed{verb: expire, events: []frame.Event{{Kind: frame.SilenceExpire, SilenceID: fmt.Sprint("s", i)}}})
	}
	t.leap(2 * time.Hour) // past every interval
	t.now = t.now.Add(settle)
	t.add(deed{verb: check, stage: nothingKeeps})
	over := frame.Event{Kind: frame.Alerts, Source: "prometheus"}
	for _, a := range t.universe {
		c := a.Clone()
		c.Status = alert.Resolved
		over.Alerts = append(over.Alerts, c)
	}
	t.add(deed{verb: say, events: []frame.Event{over}})
	t.now = t.now.Add(settle)
	t.add(deed{verb: check, stage: allOver})
}
