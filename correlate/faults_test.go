package correlate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// TestFlappingAlertIsToldWithinBounds has an alert fire and end about once a second
// for a day: somebody is paged soon, and no more is said than a group may say. When
// its group's moment comes at a time at which it happens not to fire, the next one
// counts, as in Alertmanager.
func TestFlappingAlertIsToldWithinBounds(t *testing.T) {
	const day, soon = 24 * time.Hour, 5 * time.Minute
	p := basic()
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 14))
		c, err := NewCore(p)
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		var said []alert.Time
		a := labelled("alertname=Flap", "severity=critical")
		now := epoch
		for i := 0; now < epoch.Add(day); i++ {
			b := a
			if i%2 == 1 {
				b.Status, b.EndsAt = alert.Resolved, now
			}
			c.At(uint64(i + 1))
			c.Advance(&out, now)
			c.Observe(&out, now, "test", 0, &b)
			c.Advance(&out, now)
			for j := range out.Notifications {
				said = append(said, out.Notifications[j].At)
			}
			out.Reset()
			now = now.Add(time.Duration(rng.IntN(int(time.Second))))
		}
		if len(said) == 0 || said[0] < epoch.Add(p.Route.GroupWait) || said[0] > epoch.Add(soon) {
			t.Fatalf("seed %d: %d notifications, the first at %v", seed, len(said), said[:min(1, len(said))])
		}
		if most := int(day/p.Route.GroupInterval) + 1; len(said) > most {
			t.Errorf("seed %d: %d notifications in a day, at most %d", seed, len(said), most)
		}
	}
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
