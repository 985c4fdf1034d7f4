package correlate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

// unique groups by pod, which every alert has for itself, and lets n groups a
// minute open.
func unique(n int, change ...func(*Policy)) *Policy {
	return basic(append([]func(*Policy){func(p *Policy) {
		p.Route.GroupBy = []string{"pod"}
		p.Storm.NewGroups = n
	}}, change...)...)
}

func TestStorm(t *testing.T) {
	f := func(policy *Policy, script, notifications, dispositions string) {
		t.Helper()
		fact(t, policy, script, notifications, dispositions)
	}
	// Two open groups, the others of a minute share one; its end is one.
	f(unique(2), `
		0s fire alertname=A pod=a
		1s fire alertname=A pod=b
		2s fire alertname=A pod=c
		3s fire alertname=A pod=d
		4m resolve alertname=A pod=a
		4m resolve alertname=A pod=b
		4m resolve alertname=A pod=c
		4m resolve alertname=A pod=d
		1h wait`,
		`30s page oncall A/a
		 31s page oncall A/b
		 32s page oncall A/c,A/d storm of 2
		 5m30s resolve oncall -A/a
		 5m31s resolve oncall -A/b
		 5m32s resolve oncall -A/c,-A/d storm of 2`,
		`paged=3 storm=1 resolved=4`)
	// Names are told apart.
	f(unique(1), `
		0s fire alertname=A pod=a
		1s fire alertname=A pod=b
		1s fire alertname=B pod=c
		1s fire alertname=B pod=d
		2m wait`,
		`30s page oncall A/a
		 31s page oncall A/b storm of 1
		 31s page oncall B/c,B/d storm of 2`,
		`paged=3 storm=1`)
	// It is over when less than half of the limit came in a minute, and what
	// came in it stays where it is.
	f(unique(2), `
		0s fire alertname=A pod=a
		0s fire alertname=A pod=b
		0s fire alertname=A pod=c
		50s fire alertname=A pod=d
		111s fire alertname=A pod=e
		112s fire alertname=A pod=c
		10m wait`,
		`30s page oncall A/a
		 30s page oncall A/b
		 30s page oncall A/c storm of 1
		 2m21s page oncall A/e
		 5m30s update oncall A/c,A/d storm of 2`,
		`paged=4 repeat=1 storm=1`)
	// Another storm is another page, also while the first one's alerts fire.
	f(unique(1), `
		0s fire alertname=A pod=a
		0s fire alertname=A pod=b
		10m fire alertname=A pod=c
		10m fire alertname=A pod=d
		11m wait`,
		`30s page oncall A/a
		 30s page oncall A/b storm of 1
		 10m30s page oncall A/c
		 10m30s page oncall A/d storm of 1`,
		`paged=4`)
	// A critical that joins a storm that was paged pages again, soon.
	f(unique(1), `
		0s fire alertname=A pod=a
		0s fire alertname=A pod=b
		40s fire alertname=A pod=c severity=critical
		41s fire alertname=A pod=d severity=critical
		2m wait`,
		`30s page oncall A/a
		 30s page oncall A/b storm of 1
		 1m10s page oncall A/c,A/d,A/b (escalation) storm of 3 #critical`,
		`paged=3 storm=1`)
	// It is silenced as any other.
	f(unique(1), `
		0s fire alertname=B pod=a
		0s silence s1 20m alertname=A
		0s fire alertname=A pod=b
		0s fire alertname=A pod=c
		30m wait`,
		`30s page oncall B/a
		 20m30s page oncall A/b,A/c storm of 2`,
		`paged=2 storm=1`)
	// One that fires again before its end was told takes no other seat.
	f(unique(1), `
		0s fire alertname=A pod=a
		0s fire alertname=A pod=b
		10m resolve alertname=A pod=b
		10m10s fire alertname=A pod=b
		20m wait`,
		`30s page oncall A/a
		 30s page oncall A/b storm of 1`,
		`paged=2 storm=1 resolved=1`)
	// Two routes to one receiver share what it can take.
	two := unique(2, func(p *Policy) {
		p.Route.Routes = []Route{child("{}/1", "oncall", true, "pod=.+"), child("{}/2", "oncall", false, "pod=.+")}
		p.Route.Routes[0].GroupBy, p.Route.Routes[1].GroupBy = []string{"pod"}, []string{"pod"}
	})
	f(two, `
		0s fire alertname=A pod=a
		0s fire alertname=A pod=b
		1m wait`,
		`30s page oncall A/a
		 30s page oncall A/a
		 30s page oncall A/b storm of 1
		 30s page oncall A/b storm of 1`,
		`paged=2`)
	// Without a limit there is none.
	f(unique(-1), strings.Repeat("0s fire alertname=A pod=a\n", 3)+"0s fire alertname=A pod=b\n1m wait",
		`30s page oncall A/a
		 30s page oncall A/b`, `paged=2 repeat=2`)
}

// TestReloadInAStorm: what was told in a storm's group stays in it where the
// routes lead to its receiver, and is not told again there.
func TestReloadInAStorm(t *testing.T) {
	w := newWorld(t, map[string]*Policy{
		"":          unique(1),
		"grouped":   basic(func(p *Policy) { p.Storm.NewGroups = 1 }),
		"elsewhere": basic(func(p *Policy) { p.Route.ID, p.Route.Key, p.Route.Receiver = "{}/x", "{}/x", "both" }),
	})
	w.run(`
		0s fire alertname=A pod=a
		0s fire alertname=A pod=b
		0s fire alertname=A pod=c
		1m policy grouped
		1m fire alertname=A pod=d
		10m policy elsewhere
		10m resolve alertname=A pod=b
		10m resolve alertname=A pod=c
		20m wait`)
	want := trimLines(`
		30s page oncall A/a
		30s page oncall A/b,A/c storm of 2
		1m0s page oncall A/a
		6m0s update oncall A/a,A/d
		10m0s page both A/a,A/b,A/c,A/d
		10m30s resolve oncall -A/b,-A/c storm of 2
		15m0s update both A/a,A/d,-A/b,-A/c`)
	if got := strings.Join(w.log, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestStormOfNames: names that are the alerts' own do not page one by one.
func TestStormOfNames(t *testing.T) {
	w := newWorld(t, map[string]*Policy{"": unique(10)})
	var script strings.Builder
	for i := range 500 {
		fmt.Fprintf(&script, "0s fire alertname=N%d pod=%d\n", i, i)
	}
	w.run(script.String() + "2h wait")
	if len(w.log) != 10+MaxStormGroups+1 {
		t.Errorf("%d notifications, want %d", len(w.log), 10+MaxStormGroups+1)
	}
	if last := w.log[len(w.log)-1]; !strings.Contains(last, fmt.Sprintf("storm of %d", 500-10-MaxStormGroups)) {
		t.Errorf("the last one is: %s", last)
	}
	if got := w.dispositions(); got != fmt.Sprintf("paged=%d storm=%d", 10+MaxStormGroups+1, 500-10-MaxStormGroups-1) {
		t.Error(got)
	}
}

// TestEveryCriticalIsNamed: a flush that has more of them than a notification
// lists goes on in further ones, whatever kind of group it is.
func TestEveryCriticalIsNamed(t *testing.T) {
	f := func(policy *Policy, all, every int, text string, notifications int) {
		t.Helper()
		c, err := NewCore(policy)
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		var criticals []alert.Fingerprint
		for i := range all {
			severity := "warning"
			if i%every == every-1 { // the last ones too
				severity = []string{"critical", "error"}[i/every%2]
			}
			a := labelled("alertname=A", fmt.Sprintf("pod=%d", i), "severity="+severity, "text="+text)
			if severity != "warning" {
				criticals = append(criticals, a.Fingerprint)
			}
			c.Observe(&out, epoch, "test", 0, &a)
		}
		c.Advance(&out, epoch.Add(time.Minute))
		heard := map[alert.Fingerprint]int{}
		for i := range out.Notifications {
			n := &out.Notifications[i]
			if len(n.Alerts) > MaxListed || len(n.Alerts)+n.Omitted != n.Firing+n.Resolved || n.Continued != (i > 0) || n.Revision != uint32(i+1) {
				t.Errorf("notification %d lists %d and omits %d of %d, continued: %v", i, len(n.Alerts), n.Omitted, n.Firing, n.Continued)
			}
			for j := range n.Alerts {
				heard[n.Alerts[j].Fingerprint]++
			}
		}
		for _, fp := range criticals {
			if heard[fp] != 1 {
				t.Fatalf("%s was named %d times", fp, heard[fp])
			}
		}
		if len(out.Notifications) != notifications {
			t.Errorf("%d alerts, each %d.: %d notifications, want %d", all, every, len(out.Notifications), notifications)
		}
		at := len(out.Notifications)
		if c.Advance(&out, epoch.Add(time.Hour)); len(out.Notifications) != at {
			t.Errorf("it says more an hour later: %d", len(out.Notifications))
		}
	}
	grouped := basic(func(p *Policy) { p.Route.RepeatInterval = 24 * time.Hour })
	f(grouped, 5000, 10, "", 1)
	f(grouped, 5000, 1, "", 2)
	f(grouped, 9000, 1, "", 3)
	f(grouped, 100, 2, strings.Repeat("x", 1<<20), 17) // by size
}

// TestCountedInAStormIsNotNamed: of the warnings for which a storm's page has no
// room the books say that they were counted, not that somebody read of them.
func TestCountedInAStormIsNotNamed(t *testing.T) {
	c, err := NewCore(unique(1))
	if err != nil {
		t.Fatal(err)
	}
	var out Output
	for i := range 6000 {
		a := labelled("alertname=A", fmt.Sprintf("pod=%d", i), "severity=warning")
		c.Observe(&out, epoch, "test", 0, &a)
	}
	c.Advance(&out, epoch.Add(time.Minute))
	listed := map[alert.Fingerprint]bool{}
	for i := range out.Notifications {
		for j := range out.Notifications[i].Alerts {
			listed[out.Notifications[i].Alerts[j].Fingerprint] = true
		}
	}
	counted := 0
	for i := range out.Rows {
		r := &out.Rows[i]
		if r.Action != Moved || r.Now != Storm {
			continue
		}
		if named := r.Paged != alert.Unset; named != listed[r.Fingerprint] {
			t.Fatalf("%s: named is %v in the books, %v in the notifications", r.Fingerprint, named, !named)
		}
		if !listed[r.Fingerprint] {
			counted++
		}
	}
	if counted == 0 || len(listed) == 0 {
		t.Errorf("%d were named and %d only counted", len(listed), counted)
	}
}

func TestStateOfVersion1Loads(t *testing.T) {
	c, err := NewCore(basic())
	if err != nil {
		t.Fatal(err)
	}
	var w wire.Writer
	c.AppendState(&w)
	if w.B[0] != stateVersion {
		t.Fatalf("version %d", w.B[0])
	}
	old := append([]byte{1}, w.B[1:4]...) // version, seq, order, incidents
	old = append(old, w.B[4+2:]...)       // without storms and rushes
	r := wire.NewReader(old)
	loaded, err := LoadCore(basic(), r)
	if err != nil || r.End() != nil || loaded.storms != 0 {
		t.Fatalf("%v, %v", err, r.End())
	}
}
