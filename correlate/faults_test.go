package correlate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// flap has an alert fire for a part of each period for a day, and returns when
// something was said.
func flap(t *testing.T, p *Policy, period, fires func() time.Duration) (said []alert.Time) {
	t.Helper()
	c, err := NewCore(p)
	if err != nil {
		t.Fatal(err)
	}
	var out Output
	for now, seq := epoch, uint64(1); now < epoch.Add(24*time.Hour); {
		step := func(status alert.Status) {
			a := labelled("alertname=Flap", "severity=critical")
			if a.Status = status; status == alert.Resolved {
				a.EndsAt = now
			}
			c.At(seq)
			c.Advance(&out, now)
			c.Observe(&out, now, "test", 0, &a)
			c.Advance(&out, now)
			for j := range out.Notifications {
				said = append(said, out.Notifications[j].At)
			}
			out.Reset()
			seq++
		}
		rest := period()
		step(alert.Firing)
		on := fires()
		now = now.Add(on)
		step(alert.Resolved)
		now = now.Add(rest - on)
	}
	return said
}

// TestFlappingAlertIsToldWithinBounds has an alert fire and end, at random about
// once a second, or in step with its group's moments: somebody is paged within
// group_wait and a period, and no more is said than two groups may say.
func TestFlappingAlertIsToldWithinBounds(t *testing.T) {
	p := basic()
	most := 2 * int(24*time.Hour/p.Route.GroupInterval)
	f := func(what string, said []alert.Time, period time.Duration) {
		t.Helper()
		if len(said) == 0 || said[0] < epoch.Add(p.Route.GroupWait) || said[0] > epoch.Add(p.Route.GroupWait+period) {
			t.Errorf("%s: %d notifications, the first at %v", what, len(said), said[:min(1, len(said))])
		}
		if len(said) > most {
			t.Errorf("%s: %d notifications in a day, at most %d", what, len(said), most)
		}
	}
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 14))
		f(fmt.Sprint("seed ", seed), flap(t, p, func() time.Duration { return time.Second + time.Duration(rng.IntN(int(time.Second))) },
			func() time.Duration { return time.Duration(rng.IntN(int(time.Second))) }), 2*time.Second)
	}
	for _, period := range []time.Duration{time.Second, 2 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second} {
		f("each "+period.String(), flap(t, p, func() time.Duration { return period }, func() time.Duration { return period / 2 }), period)
	}
	// What fires for less than group_wait, and less often, is what that is for.
	if said := flap(t, p, func() time.Duration { return time.Minute }, func() time.Duration { return 20 * time.Second }); len(said) != 0 {
		t.Errorf("each minute for 20 s: %d notifications", len(said))
	}
}

// TestWhatWaitedInVainDoesNotWaitAgain: an alert that is back within group_wait of
// an onset which nobody was told of is told at once, with those of its group.
func TestWhatWaitedInVainDoesNotWaitAgain(t *testing.T) {
	fact(t, basic(), `0s fire alertname=A pod=a
		5m25s fire alertname=A pod=b
		5m28s resolve alertname=A pod=b
		5m35s fire alertname=A pod=b
		6m wait`,
		`30s page oncall A/a
		 5m35s update oncall A/a,A/b`, `paged=1 grouped=1 resolved_before_page=1 resolved=1`)
	// Later it is another matter, and so is one that people have heard of.
	fact(t, basic(), `0s fire alertname=A pod=a
		5m25s fire alertname=A pod=b
		5m28s resolve alertname=A pod=b
		6m fire alertname=A pod=b
		11m wait`,
		`30s page oncall A/a
		 10m30s update oncall A/a,A/b`, `paged=1 grouped=1 resolved_before_page=1 resolved=1`)
	fact(t, basic(), `0s fire alertname=A
		5m25s resolve alertname=A
		5m35s fire alertname=A
		7m wait`,
		`30s page oncall A
		 5m30s resolve oncall -A
		 6m5s page oncall A`, `paged=2 resolved=1`)
}

// TestAlertsOfOneFingerprintArePagedBoth: two label sets that come to the same
// hash are two alerts, to whoever is told.
func TestAlertsOfOneFingerprintArePagedBoth(t *testing.T) {
	for _, apart := range []bool{false, true} { // in one group, and each in its own
		c, err := NewCore(basic(func(p *Policy) {
			if apart {
				p.Route.GroupBy = []string{"pod"}
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		a, b := labelled("alertname=A", "pod=a", "severity=critical"), labelled("alertname=A", "pod=b", "severity=critical")
		b.Fingerprint = a.Fingerprint // made to collide
		c.Observe(&out, epoch, "test", 0, &a)
		c.Observe(&out, epoch, "test", 0, &b)
		c.Advance(&out, epoch.Add(time.Hour))
		pods := map[string]bool{}
		for i := range out.Notifications {
			for _, m := range out.Notifications[i].Alerts {
				pods[m.Labels.Get("pod")] = true
			}
		}
		if !pods["a"] || !pods["b"] || len(pods) != 2 {
			t.Errorf("apart %v: of the two, %v were named", apart, pods)
		}
	}
}
