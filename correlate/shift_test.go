package correlate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

// TestClockSteps holds that what is to come comes as long from now as it would
// have, by how much the clock is ever set.
func TestClockSteps(t *testing.T) {
	for _, by := range []string{"1h", "-1h", "8784h", "-8784h", "3s", "-3s"} {
		f := func(script, notifications, dispositions string) {
			t.Helper()
			fact(t, basic(func(p *Policy) {
				p.Sources = []Source{{Name: "test", SilentAfter: 20 * time.Hour}}
			}), fmt.Sprintf(script, by), notifications, dispositions)
		}
		// Neither early nor late.
		f(`0s fire alertname=A
		   10s clock %s
		   1m wait`,
			`30s page oncall A`, `paged=1`)
		f(`0s fire alertname=A
		   29s clock %s
		   30s fire alertname=A
		   4h10m fire alertname=A`,
			`30s page oncall A
			 4h5m30s update oncall A (repeat interval elapsed)`, `paged=1 repeat=2`)
		// What its sender vouches for lasts as long as it would have.
		f(`0s fire+6m alertname=A
		   1m clock %s
		   7m fire alertname=B
		   1h wait`,
			`30s page oncall A
			 7m30s page oncall B
			 10m30s resolve oncall -A`, `paged=2`)
		// An end is heard, also of what began later than now.
		f(`0s fire alertname=A
		   2m clock %s
		   3m resolve alertname=A
		   4h wait`,
			`30s page oncall A
			 5m30s resolve oncall -A`, `paged=1 resolved=1`)
		// What is over stays so.
		f(`0s fire alertname=A
		   1m resolve alertname=A
		   2m clock %s
		   4h wait`,
			`30s page oncall A
			 5m30s resolve oncall -A`, `paged=1 resolved=1`)
		f(`0s silence s1 1m alertname=A
		   2m clock %s
		   3m fire alertname=A
		   4m wait`,
			`3m30s page oncall A`, `paged=1`)
		// Nobody is taken for silent who was not.
		f(`0s fire+22h alertname=A
		   10m clock %s
		   19h30m wait
		   19h31m fire alertname=B
		   23h wait`,
			`30s page oncall A
			 4h5m30s update oncall A (repeat interval elapsed)
			 8h10m30s update oncall A (repeat interval elapsed)
			 12h15m30s update oncall A (repeat interval elapsed)
			 16h20m30s update oncall A (repeat interval elapsed)
			 19h31m30s page oncall B
			 20h25m30s update oncall A (repeat interval elapsed)
			 22h0m30s resolve oncall -A`, `paged=2`)
	}
}

// TestSilenceEndsByTheClock holds that a silence in force goes by times of day.
func TestSilenceEndsByTheClock(t *testing.T) {
	fact(t, basic(), `0s silence s1 3h alertname=A
		1m fire alertname=A
		2m clock 1h
		1h50m wait
		2h10m wait`,
		`2h1m30s page oncall A`, `paged=1`)
	fact(t, basic(), `0s silence s1 3h alertname=A
		1m fire alertname=A
		2m clock -1h
		3h50m wait
		4h10m wait`,
		`4h1m30s page oncall A`, `paged=1`)
}

// TestRandomStoriesWithClockSteps tells each story twice, once with the clock set
// again and again: but for the times that it shows all is the same. The clock is
// set by whole weeks, so that the times of day at which a route is muted are what
// they were; no sender says when something began or ended, by which it would be
// off, and no reload asks; and nobody sets a silence.
func TestRandomStoriesWithClockSteps(t *testing.T) {
	const week = 7 * 24 * time.Hour
	steps := 0
	for seed := range uint64(150) {
		story := slices.DeleteFunc(workload(seed, 200), func(d deed) bool {
			return d.verb == "silence" || d.verb == "expire" || d.verb == "policy" && d.at != epoch
		})
		for i := range story {
			for k := range story[i].alerts {
				a := &story[i].alerts[k]
				if a.StartsAt = 0; a.Status == alert.Resolved {
					a.EndsAt = 0
				}
			}
		}
		policy := basic()
		still, err := NewCore(policy)
		if err != nil {
			t.Fatal(err)
		}
		set, err := NewCore(policy)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 11))
		var a, b Output
		var off time.Duration
		last := epoch
		for i := range story {
			d := story[i]
			if rng.IntN(8) == 0 {
				by := time.Duration(rng.IntN(9)-4) * week
				set.At(uint64(i + 1))
				set.Shift(&b, last.Add(off), by)
				b = Output{}
				off += by
				steps++
			}
			if rng.IntN(20) == 0 {
				r := wire.NewReader(state(set))
				if set, err = LoadCore(policy, r); err != nil || r.End() != nil {
					t.Fatalf("seed %d: %v %v", seed, err, r.End())
				}
			}
			apply(t, still, &a, &d, i+1)
			later := d
			later.at = d.at.Add(off)
			later.alerts = slices.Clone(d.alerts)
			for k := range later.alerts {
				later.alerts[k].EndsAt.Shift(off)
			}
			apply(t, set, &b, &later, i+1)
			unset(&a, 0)
			unset(&b, off)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d step %d (%s), the clock is off by %s: it decides\n%+v\n%+v\nand not\n%+v\n%+v", seed, i, d.verb, off, b.Rows, b.Notifications, a.Rows, a.Notifications)
			}
			if err := sound(set, later.at); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, i, err)
			}
			a, b = Output{}, Output{}
			if last = d.at; d.verb == "policy" {
				policy = d.policy
			}
		}
	}
	if steps < 1000 {
		t.Errorf("the clock was set %d times", steps)
	}
}

// unset takes the clock's error out of what was decided, and what it may change:
// when an alert began is its sender's word, and by that they are listed.
func unset(o *Output, off time.Duration) {
	for i := range o.Rows {
		o.Rows[i].At.Shift(-off)
		o.Rows[i].Until.Shift(-off)
	}
	for i := range o.Notifications {
		n := &o.Notifications[i]
		n.At.Shift(-off)
		n.Opened.Shift(-off)
		for k := range n.Alerts {
			n.Alerts[k].StartsAt = 0
			n.Alerts[k].EndsAt.Shift(-off)
		}
		slices.SortFunc(n.Alerts, func(a, b Member) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	}
}
