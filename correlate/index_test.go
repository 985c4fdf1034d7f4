package correlate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// someMatchers are of every operator, on few names and values, so that many
// match, and some on the absent label's value.
func someMatchers(rng *rand.Rand) alert.Matchers {
	var out alert.Matchers
	for range rng.IntN(4) {
		value := []string{"a", "b", "c", "d", ""}[rng.IntN(5)]
		op := []alert.Op{alert.Equal, alert.Equal, alert.Equal, alert.NotEqual, alert.Regexp, alert.NotRegexp}[rng.IntN(6)]
		if op == alert.Regexp || op == alert.NotRegexp {
			value = []string{"a|b", "[bc]", ".*", ".+", ""}[rng.IntN(5)]
		}
		m, err := alert.NewMatcher([]string{"team", "service", "severity"}[rng.IntN(3)], op, value)
		if err != nil {
			panic(err)
		}
		out = append(out, m)
	}
	return out
}

func someLabels(rng *rand.Rand) alert.Labels {
	out := alert.Labels{{Name: "alertname", Value: "A"}}
	for _, name := range []string{"service", "severity", "team"} {
		if v := []string{"a", "b", "c", "d", ""}[rng.IntN(5)]; v != "" {
			out = append(out, alert.Label{Name: name, Value: v})
		}
	}
	return out
}

// TestIndexChangesNoDecision: routes and inhibition rules found by their index
// are those that a walk over all of them finds, in the same order.
func TestIndexChangesNoDecision(t *testing.T) {
	indexed, several, links, both := 0, 0, 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 11))
		p := basic()
		var grow func(r *Route, depth int)
		grow = func(r *Route, depth int) {
			for i := range rng.IntN([]int{30, 12, 3}[depth]) {
				c := child(fmt.Sprintf("%s/%d", r.ID, i), "oncall", rng.IntN(2) == 0)
				c.Matchers = someMatchers(rng)
				if depth < 2 {
					grow(&c, depth+1)
				}
				r.Routes = append(r.Routes, c)
			}
		}
		grow(&p.Route, 0)
		p.Inhibit = someRules(rng, rng.IntN(60))
		c, err := NewCore(p)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := compile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range plain.routes {
			if r.byLabel != nil {
				indexed++
			}
			r.byLabel = nil
		}
		for range 50 {
			ls := someLabels(rng)
			var want, got []string
			for _, r := range plain.match(nil, plain.root, ls) {
				want = append(want, r.ID)
			}
			for _, r := range c.policy.match(nil, c.policy.root, ls) {
				got = append(got, r.ID)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: %v takes the routes %v, want %v", seed, ls, got, want)
			}
			if len(got) > 1 {
				several++
			}
			var wantLinks []link
			for i, r := range c.policy.rules {
				first := uint32(i) == r.class.from
				s, t := r.Source.Matches(ls), r.Target.Matches(ls)
				if s || t && first {
					wantLinks = append(wantLinks, newLink(uint32(i), s, t && first, r.class.equalHash(ls)))
				}
				if s && t {
					both++
				}
			}
			gotLinks := c.inhibitLinks(ls)
			if !slices.Equal(gotLinks, wantLinks) {
				t.Fatalf("seed %d: %v has the links %+v, want %+v", seed, ls, gotLinks, wantLinks)
			}
			links += len(gotLinks)
		}
	}
	if indexed < 300 || several < 1000 || links < 1000 || both < 100 {
		t.Errorf("only %d routes had an index, %d label sets several routes, %d links, %d to both sides", indexed, several, links, both)
	}
}

// TestSilencesAreTestedOnce: whenever silences are set, replaced, ended and
// dropped, an alert is silenced by the one that a walk over all of them finds.
func TestSilencesAreTestedOnce(t *testing.T) {
	found, dropped, replaced := 0, 0, 0
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 13))
		c, err := NewCore(basic())
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		now := epoch
		for i := range 30 {
			a := alert.Alert{Labels: append(alert.Labels{{Name: "a", Value: fmt.Sprint(i)}}, someLabels(rng)...)}
			a.Fingerprint = a.Labels.Fingerprint()
			c.Observe(&out, now, "test", 10000*time.Hour, &a)
		}
		set := 0
		for range 1500 {
			now = now.Add(time.Duration(rng.Int64N(int64(time.Hour))))
			c.Advance(&out, now)
			out.Reset()
			switch k := rng.IntN(10); {
			case k < 6:
				s := Silence{ID: fmt.Sprint("s", set), StartsAt: now.Add(time.Duration(rng.IntN(3)-1) * time.Hour), EndsAt: now.Add(time.Duration(rng.IntN(30)) * time.Hour)}
				if set++; k == 0 && set > 1 {
					s.ID = fmt.Sprint("s", rng.IntN(set))
					replaced++
				}
				for range 1 + rng.IntN(2) {
					s.Matchers = append(s.Matchers, append(someMatchers(rng), matchers("team=.*")...))
				}
				before := len(c.Silences())
				if c.SetSilence(s); len(c.Silences()) < before {
					dropped++
				}
			case k < 7:
				c.ExpireSilence(now, fmt.Sprint("s", rng.IntN(set+1)))
			}
			ref := dedupe.Ref(1 + rng.IntN(30))
			ls, want := c.table.Labels(nil, ref), ""
			for _, s := range c.Silences() {
				if s.StartsAt <= now && now < s.EndsAt && slices.ContainsFunc(s.Matchers, func(ms alert.Matchers) bool { return ms.Matches(ls) }) {
					want = s.ID
					found++
					break
				}
			}
			if got, ok := c.silencedBy(ref, now); got != want || ok != (want != "") {
				t.Fatalf("seed %d: %v is silenced by %q, want %q", seed, ls, got, want)
			}
		}
	}
	if found < 5000 || dropped < 20 || replaced < 1000 {
		t.Errorf("only %d were silenced, %d times silences were dropped, %d replaced", found, dropped, replaced)
	}
}

// TestIndexAfterALookUp adds a set under a value that was asked for just before.
func TestIndexAfterALookUp(t *testing.T) {
	var x index
	ls := alert.Labels{{Name: "team", Value: "a"}}
	for set := range int32(5) {
		m, err := alert.NewMatcher("team", alert.Equal, "a")
		if err != nil {
			t.Fatal(err)
		}
		x.add(set, alert.Matchers{m})
		if got := x.candidates(nil, ls); len(got) != int(set)+1 {
			t.Errorf("%d sets are listed and %v may match", set+1, got)
		}
	}
}
