package correlate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/wire"
)

// someRules have few targets and sources among them, and say the same thing in
// more than one way.
func someRules(rng *rand.Rand, n int) []InhibitRule {
	var targets, sources [6]alert.Matchers
	for i := range targets {
		targets[i], sources[i] = someMatchers(rng), someMatchers(rng)
	}
	var out []InhibitRule
	for range n {
		r := InhibitRule{Source: sources[rng.IntN(len(sources))], Target: slices.Clone(targets[rng.IntN(len(targets))])}
		if rng.IntN(2) == 0 {
			r.Source = someMatchers(rng)
		}
		if rng.IntN(4) == 0 {
			r.Target = someMatchers(rng)
		}
		rng.Shuffle(len(r.Target), func(i, j int) { r.Target[i], r.Target[j] = r.Target[j], r.Target[i] })
		if len(r.Target) > 0 && rng.IntN(8) == 0 {
			r.Target = append(r.Target, r.Target[0])
		}
		r.Equal = [][]string{nil, {"team"}, {"team"}, {"severity", "team"}, {"team", "severity"}}[rng.IntN(5)]
		out = append(out, r)
	}
	return out
}

// TestClasses: rules are of a class where their targets are the same, however they
// are written, and each stands in its class in order of the file.
func TestClasses(t *testing.T) {
	f := func(want string, rules ...InhibitRule) {
		t.Helper()
		var got []string
		for i, r := range classify(rules) {
			if uint32(i) == r.class.from {
				got = append(got, "|")
			}
			got = append(got, fmt.Sprint(r.place))
			if !r.class.has(uint32(i)) || r.class.single() != (r.class.to == r.class.from+1) {
				t.Errorf("rule %d is not of its class, %d to %d", i, r.class.from, r.class.to)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("classes %s, want %s", got, want)
		}
	}
	rule := func(equal []string, target ...string) InhibitRule {
		return InhibitRule{Target: matchers(target...), Equal: equal}
	}
	ab, ba := []string{"a", "b"}, []string{"b", "a"}
	f("")
	f("| 0", rule(nil))
	f("| 0 2 | 1", rule(nil, "a=x"), rule(nil, "a=y"), rule(nil, "a=x"))
	f("| 0 1", rule(nil, "a=x", "b=y"), rule(nil, "b=y", "a=x"))
	f("| 0 1", rule(nil, "a=x"), rule(nil, "a=x", "a=x"))
	f("| 0 1 | 2 | 3", rule(ab, "a=x"), rule(ba, "a=x"), rule(ab[:1], "a=x"), rule(nil, "a=x"))
	f("| 0 3 | 1 4 | 2", rule(ab, "a=x"), rule(ab, "a=y"), rule(nil, "a=x"), rule(ba, "a=x"), rule(ba, "a=y"))
	f("| 0 | 1", rule(nil, "a=x\",b=~\"y"), rule(nil, "a=x", "b=y"))
	f("| 0 | 1", rule([]string{"a\n\"b"}), rule(ab))
	notEqual, err := alert.NewMatcher("a", alert.NotRegexp, "x")
	if err != nil {
		t.Fatal(err)
	}
	f("| 0 | 1", rule(nil, "a=x"), InhibitRule{Target: alert.Matchers{notEqual}})
}

// TestClassesChangeNoDecision: whatever fires, ends, is forgotten, reloaded or
// loaded, an alert is inhibited by the one that a walk over all rules and all alerts
// finds.
func TestClassesChangeNoDecision(t *testing.T) {
	found, free, exempt, apart, shared, large := 0, 0, 0, 0, 0, 0
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 17))
		policy := func() *Policy {
			return basic(func(p *Policy) { p.Inhibit = someRules(rng, 1+rng.IntN(25)) })
		}
		p := policy()
		c, err := NewCore(p)
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		now := epoch
		for step := range 300 {
			now = now.Add(time.Duration(rng.Int64N(int64(3 * time.Minute))))
			c.Advance(&out, now)
			switch k := rng.IntN(100); {
			case k < 97:
				a := alert.Alert{Labels: append(alert.Labels{{Name: "a", Value: fmt.Sprint(rng.IntN(2))}}, someLabels(rng)...)}
				a.Fingerprint = a.Labels.Fingerprint()
				if k < 45 {
					a.Status, a.EndsAt = alert.Resolved, now
				}
				c.Observe(&out, now, "test", 10000*time.Hour, &a)
			case k < 99:
				p = policy()
				if err := c.SetPolicy(&out, now, p); err != nil {
					t.Fatal(err)
				}
			default:
				r := wire.NewReader(state(c))
				if c, err = LoadCore(p, r); err != nil || r.End() != nil {
					t.Fatal(err, r.End())
				}
			}
			out.Reset()
			if step%4 != 0 {
				continue
			}
			for _, r := range c.policy.rules {
				if !r.class.single() {
					shared++
				}
				for _, list := range r.class.causes.many { // order: only counted
					large = max(large, len(list))
				}
			}
			naive := suppressors{c: c, policy: p}
			for range 8 {
				ref := dedupe.Ref(1 + rng.IntN(c.live.Len()))
				if !c.table.Known(ref) {
					continue
				}
				want, passed := naive.inhibitedBy(ref, now)
				got, ok := c.inhibitedBy(ref, now)
				if got != want || ok != (want != 0) {
					t.Fatalf("seed %d, step %d: %v is inhibited by %v, want %v", seed, step, c.table.View(nil, ref), got, want)
				}
				switch {
				case want != 0 && passed:
					apart++
				case want != 0:
					found++
				case passed:
					exempt++
				default:
					free++
				}
			}
		}
	}
	if found < 2000 || apart < 2000 || exempt < 1000 || free < 1000 || shared < 5000 || large < 20 {
		t.Errorf("only %d were inhibited, %d behind an exemption, %d not for one, %d by nothing; %d rules shared a target, at most %d causes", found, apart, exempt, free, shared, large)
	}
	t.Logf("classes: inhibited=%d behind=%d exempt=%d free=%d shared=%d causes=%d", found, apart, exempt, free, shared, large)
}
