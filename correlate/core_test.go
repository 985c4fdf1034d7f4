package correlate

import (
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// fact runs a script and compares the notifications, one a line, and the
// dispositions in which the deliveries ended.
func fact(t *testing.T, policy *Policy, script, notifications, dispositions string) {
	t.Helper()
	w := newWorld(t, map[string]*Policy{"": policy})
	w.run(script)
	if got, want := strings.Join(w.log, "\n"), trimLines(notifications); got != want {
		t.Errorf("script:\n%s\nnotified:\n%s\nwant:\n%s", trimLines(script), got, want)
	}
	if got := w.dispositions(); got != dispositions {
		t.Errorf("script:\n%s\naccounts: %s\n    want: %s", trimLines(script), got, dispositions)
	}
}

func trimLines(s string) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func TestGroups(t *testing.T) {
	f := func(script, notifications, dispositions string) {
		t.Helper()
		fact(t, basic(), script, notifications, dispositions)
	}
	// One page for the group after group_wait; the trigger is the most severe.
	f(`0s fire alertname=A pod=a
	   5s fire alertname=A pod=b severity=critical
	   4h wait`,
		`30s page oncall A/b,A/a`,
		`paged=1 grouped=1`)
	// Re-sends are repeats, whoever sends them.
	f(`0s fire alertname=A
	   1m fire alertname=A
	   2m fire alertname=A
	   10m wait`,
		`30s page oncall A`, `paged=1 repeat=2`)
	// A newcomer is told at the group's next interval, and the end of all as one.
	f(`0s fire alertname=A pod=a
	   1m fire alertname=A pod=b
	   7m resolve alertname=A pod=a
	   8m resolve alertname=A pod=b
	   1h wait`,
		`30s page oncall A/a
		 5m30s update oncall A/a,A/b
		 10m30s resolve oncall -A/a,-A/b`,
		`paged=1 grouped=1 resolved=2`)
	// One of two ends.
	f(`0s fire alertname=A pod=a
	   1s fire alertname=A pod=b
	   2m resolve alertname=A pod=a
	   7m wait`,
		`30s page oncall A/a,A/b
		 5m30s update oncall A/b,-A/a`,
		`paged=1 grouped=1 resolved=1`)
	// What is over before its page was due wakes nobody.
	f(`0s fire alertname=A
	   10s resolve alertname=A
	   1h wait`, ``, `resolved_before_page=1 resolved=1`)
	// It goes on: the reminder after repeat_interval, on the interval's beat.
	f(`0s fire alertname=A
	   4h10m wait`,
		`30s page oncall A
		 4h5m30s update oncall A (repeat interval elapsed)`, `paged=1`)
	// Two groups are two incidents.
	f(`0s fire alertname=A
	   0s fire alertname=B
	   1m wait`,
		`30s page oncall A
		 30s page oncall B`, `paged=2`)
	f(`0s resolve alertname=A
	   1m wait`, ``, `stray=1`)
	// An end in the past is a resolve; a timeout is one too.
	f(`0s fire+4m alertname=A
	   3m fire+4m alertname=A
	   12m wait`,
		`30s page oncall A
		 10m30s resolve oncall -A`, `paged=1 repeat=1`)
	// Fired again before its end was told: nobody hears of the gap.
	f(`0s fire alertname=A
	   1m resolve alertname=A
	   2m fire alertname=A
	   20m wait`,
		`30s page oncall A`, `paged=1 grouped=1 resolved=1`)
	// Fired again after: a new incident.
	f(`0s fire alertname=A
	   1m resolve alertname=A
	   10m fire alertname=A
	   12m wait`,
		`30s page oncall A
		 5m30s resolve oncall -A
		 10m30s page oncall A`, `paged=2 resolved=1`)
}

func TestEscalationPagesAgain(t *testing.T) {
	f := func(script, notifications, dispositions string) {
		t.Helper()
		fact(t, basic(), script, notifications, dispositions)
	}
	f(`0s fire alertname=A pod=a severity=warning
	   1m fire alertname=A pod=b severity=critical
	   6m fire alertname=A pod=c severity=critical
	   11m wait`,
		`30s page oncall A/a
		 5m30s page oncall A/b,A/a (escalation) #critical
		 10m30s update oncall A/b,A/c,A/a #critical`,
		`paged=2 grouped=1`)
	f(`0s fire alertname=A pod=a severity=critical
	   1m fire alertname=A pod=b severity=warning
	   6m wait`,
		`30s page oncall A/a
		 5m30s update oncall A/a,A/b`, `paged=1 grouped=1`)
	// No severity ranks as a warning: a warning is no escalation of it.
	f(`0s fire alertname=A pod=a
	   1m fire alertname=A pod=b severity=warning
	   2m fire alertname=A pod=c severity=info
	   6m wait`,
		`30s page oncall A/a
		 5m30s update oncall A/a,A/b,A/c`, `paged=1 grouped=2`)
}

func TestReceivers(t *testing.T) {
	to := func(receiver string) *Policy { return basic(func(p *Policy) { p.Route.Receiver = receiver }) }
	script := `0s fire alertname=A pod=a
	           1m fire alertname=A pod=b
	           7m resolve alertname=A pod=a
	           12m resolve alertname=A pod=b
	           30m wait`
	fact(t, to("oncall"), script,
		`30s page oncall A/a
		 5m30s update oncall A/a,A/b
		 10m30s update oncall A/b,-A/a
		 15m30s resolve oncall -A/b`, `paged=1 grouped=1 resolved=2`)
	fact(t, to("chat"), script,
		`30s page chat A/a
		 5m30s update chat A/a,A/b`, `paged=1 grouped=1 resolved=2`)
	fact(t, to("both"), script,
		`30s page both A/a
		 5m30s update both A/a,A/b
		 10m30s update both A/b,-A/a
		 15m30s resolve both -A/b`, `paged=1 grouped=1 resolved=2`)
	fact(t, to("nobody"), script, ``, `below_page_threshold=2 resolved=2`)
}

func TestRoutes(t *testing.T) {
	p := basic(func(p *Policy) {
		p.Route.Routes = []Route{
			child("{}/a/0", "chat", true, "team=a"),
			child("{}/a/1", "oncall", false, "team=a"),
			child("{}/b/2", "nobody", true, "team=b"),
			child("{}/b/3", "chat", false, "team=b"),
		}
	})
	fact(t, p, `0s fire alertname=A team=a
	            0s fire alertname=B team=b
	            0s fire alertname=C team=c
	            1m wait`,
		`30s page chat A
		 30s page oncall A
		 30s page chat B
		 30s page oncall C`,
		`paged=3`)
}

func TestSilences(t *testing.T) {
	f := func(script, notifications, dispositions string) {
		t.Helper()
		fact(t, basic(), script, notifications, dispositions)
	}
	f(`0s silence s1 1h alertname=A
	   1s fire alertname=A
	   59m wait`, ``, `silenced=1`)
	// When the silence ends the alert pages, if it still fires.
	f(`0s silence s1 10m alertname=A
	   1s fire alertname=A
	   11m wait`, `10m31s page oncall A`, `paged=1`)
	f(`0s silence s1 10m alertname=A
	   1s fire alertname=A
	   3m expire s1
	   6m wait`, `5m31s page oncall A`, `paged=1`)
	f(`0s silence s1 10m alertname=A
	   1s fire alertname=A
	   3m resolve alertname=A
	   11m wait`, ``, `silenced=1 resolved=1`)
	// Silenced after its page: the end is told all the same, or the incident
	// would stand open for ever.
	f(`0s fire alertname=A
	   1m silence s1 1h alertname=A
	   2m resolve alertname=A
	   6m wait`,
		`30s page oncall A
		 5m30s resolve oncall -A`, `paged=1 resolved=1`)
	f(`0s silence s1 1h pod=a
	   1s fire alertname=A pod=a
	   2s fire alertname=A pod=b
	   1m wait`, `31s page oncall A/b`, `paged=1 silenced=1`)
}

func TestInhibition(t *testing.T) {
	p := basic(func(p *Policy) {
		p.Inhibit = []InhibitRule{{Source: matchers("severity=critical"), Target: matchers("severity=warning"), Equal: []string{"cluster"}}}
	})
	f := func(script, notifications, dispositions string) {
		t.Helper()
		fact(t, p, script, notifications, dispositions)
	}
	f(`0s fire alertname=Down severity=critical cluster=x
	   0s fire alertname=Slow severity=warning cluster=x
	   0s fire alertname=Slow severity=warning cluster=y
	   1m wait`,
		`30s page oncall Down
		 30s page oncall Slow`, `paged=2 inhibited=1`)
	// The cause ends: what it kept back is told.
	f(`0s fire alertname=Down severity=critical cluster=x
	   0s fire alertname=Slow severity=warning cluster=x
	   1m resolve alertname=Down severity=critical cluster=x
	   6m wait`,
		`30s page oncall Down
		 5m30s resolve oncall -Down
		 5m30s page oncall Slow`, `paged=2 resolved=1`)
	// Equal compares absent labels as equal, as Alertmanager does.
	f(`0s fire alertname=Down severity=critical
	   0s fire alertname=Slow severity=warning
	   1m wait`, `30s page oncall Down`, `paged=1 inhibited=1`)
	both := basic(func(p *Policy) {
		p.Inhibit = []InhibitRule{{Source: matchers("alertname=A.*"), Target: matchers("alertname=.*"), Equal: []string{"cluster"}}}
	})
	// Two that are source and target both do not mute each other.
	fact(t, both, `0s fire alertname=A1
	               0s fire alertname=A2
	               0s fire alertname=B
	               1m wait`,
		`30s page oncall A1
		 30s page oncall A2`, `paged=2 inhibited=1`)
}

func TestIntervals(t *testing.T) {
	p := basic(func(p *Policy) {
		p.Intervals = []Interval{{Name: "lunch", Times: "- times: [{start_time: '12:00', end_time: '12:10'}]"}, {Name: "noon", Times: "- times: [{start_time: '12:04', end_time: '13:00'}]"}}
		p.Route.MuteIntervals = []string{"lunch"}
	})
	fact(t, p, `0s fire alertname=A
	            11m wait`, `10m30s page oncall A`, `paged=1`)
	fact(t, p, `0s fire alertname=A
	            9m wait`, ``, `muted=1`)
	active := basic(func(p *Policy) {
		p.Intervals = []Interval{{Name: "noon", Times: "- times: [{start_time: '12:04', end_time: '13:00'}]"}}
		p.Route.ActiveIntervals = []string{"noon"}
	})
	fact(t, active, `0s fire alertname=A
	                 4m wait`, ``, `muted=1`)
	fact(t, active, `0s fire alertname=A
	                 6m wait`, `5m30s page oncall A`, `paged=1`)
}

func TestOldAlertPagesAtOnce(t *testing.T) {
	w := newWorld(t, map[string]*Policy{"": basic()})
	a := labelled("alertname=A")
	a.StartsAt = epoch.Add(-time.Hour)
	w.core.Observe(&w.out, epoch, "test", 0, &a)
	w.core.Advance(&w.out, epoch)
	w.drain()
	if got := strings.Join(w.log, "\n"); got != "0s page oncall A" {
		t.Errorf("notified %q", got)
	}
}

func TestStopOfOursEndsNobodysAlert(t *testing.T) {
	fact(t, basic(), `0s fire+4m alertname=A
	                  3m fire+4m alertname=A
	                  63m resume 1h
	                  64m fire+4m alertname=A
	                  66m wait`, `30s page oncall A`, `paged=1 repeat=2`)
	// It does end when it is not heard of again.
	fact(t, basic(), `0s fire+4m alertname=A
	                  62m resume 1h
	                  70m wait`,
		`30s page oncall A
		 1h5m30s resolve oncall -A`, `paged=1`)
}

func TestReload(t *testing.T) {
	f := func(next *Policy, script, notifications, dispositions string) {
		t.Helper()
		w := newWorld(t, map[string]*Policy{"": basic(), "same": basic(), "next": next})
		w.run(script)
		if got, want := strings.Join(w.log, "\n"), trimLines(notifications); got != want {
			t.Errorf("script:\n%s\nnotified:\n%s\nwant:\n%s", trimLines(script), got, want)
		}
		if got := w.dispositions(); got != dispositions {
			t.Errorf("script:\n%s\naccounts: %s\n    want: %s", trimLines(script), got, dispositions)
		}
	}
	// The same policy changes nothing, not even a timer under way.
	f(nil, `0s fire alertname=A pod=a
	        10s policy same
	        1m fire alertname=A pod=b
	        2m policy same
	        7m resolve alertname=A pod=a
	        8m policy same
	        8m resolve alertname=A pod=b
	        20m wait`,
		`30s page oncall A/a
		 5m30s update oncall A/a,A/b
		 10m30s resolve oncall -A/a,-A/b`, `paged=1 grouped=1 resolved=2`)
	// Another route to the same receiver: no second page.
	f(basic(func(p *Policy) { p.Route.Routes = []Route{child("{}/x/0", "oncall", false, "alertname=A")} }),
		`0s fire alertname=A
		 1m policy next
		 2m resolve alertname=A
		 20m wait`,
		`30s page oncall A
		 5m30s resolve oncall -A`, `paged=1 resolved=1`)
	// Another receiver: it is paged; the first one hears of the end.
	f(basic(func(p *Policy) { p.Route.Receiver = "both" }),
		`0s fire alertname=A
		 1m policy next
		 7m resolve alertname=A
		 20m wait`,
		`30s page oncall A
		 1m0s page both A
		 10m30s resolve oncall -A
		 11m0s resolve both -A`, `paged=1 resolved=1`)
	// Not yet paged: only the new one is.
	f(basic(func(p *Policy) { p.Route.Receiver = "both" }),
		`0s fire alertname=A
		 10s policy next
		 20m wait`,
		`40s page both A`, `paged=1`)
	// Groups that merge keep one history; the alerts of the other are news.
	f(basic(func(p *Policy) { p.Route.GroupBy = nil }),
		`0s fire alertname=A
		 0s fire alertname=B
		 1m policy next
		 7m wait`,
		`30s page oncall A
		 30s page oncall B
		 1m0s page oncall A,B`, `paged=2`)
}

func TestPolicyErrors(t *testing.T) {
	f := func(want string, change func(*Policy)) {
		t.Helper()
		if _, err := NewCore(basic(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	f(`receiver "gone" is not defined`, func(p *Policy) { p.Route.Receiver = "gone" })
	f(`time interval "gone" is not defined`, func(p *Policy) { p.Route.MuteIntervals = []string{"gone"} })
	f(`time interval "bad"`, func(p *Policy) { p.Intervals = []Interval{{Name: "bad", Times: "- times: [{start_time: '99:00'}]"}} })
}

func TestForgotten(t *testing.T) {
	w := newWorld(t, map[string]*Policy{"": basic()})
	w.run(`0s fire alertname=A
	       1m resolve alertname=A
	       64m wait`)
	if w.core.Live() != 1 {
		t.Errorf("%d alerts known an hour after the end was told, want 1", w.core.Live())
	}
	w.run(`66m wait`)
	if w.core.Live() != 0 || w.core.Groups() != 0 {
		t.Errorf("%d alerts and %d groups left, want none", w.core.Live(), w.core.Groups())
	}
}

func TestSeverityOfLabels(t *testing.T) {
	f := func(value string, want alert.Severity) {
		t.Helper()
		if got := (alert.Labels{{Name: "severity", Value: value}}).Severity(); got != want {
			t.Errorf("severity %q is %v, want %v", value, got, want)
		}
	}
	f("critical", alert.Critical)
	f("CRITICAL", alert.Critical)
	f("page", alert.Critical)
	f("warning", alert.Warning)
	f("none", alert.Info)
	f("purple", alert.Unset)
}

func TestRawPageIsAdopted(t *testing.T) {
	f := func(script, notifications, dispositions string) {
		t.Helper()
		fact(t, basic(), script, notifications, dispositions)
	}
	// The page goes out under the key of the raw one, so the provider folds it in.
	f(`0s fire alertname=A severity=critical
	   10s bypass oncall alertname=A severity=critical
	   2m resolve alertname=A severity=critical
	   20m wait`,
		`30s page oncall A raw
		 5m30s resolve oncall -A raw`, `paged=1 resolved=1`)
	// Nothing pages for it, but its end is told to whoever was called.
	f(`0s silence s1 1h alertname=A
	   1s fire alertname=A severity=critical
	   10s bypass oncall alertname=A severity=critical
	   2m resolve alertname=A severity=critical
	   20m wait`, `5m31s resolve oncall -A raw`, `paged=1 resolved=1`)
	f(`0s fire alertname=A severity=critical
	   10s bypass oncall alertname=A severity=critical
	   20s resolve alertname=A severity=critical
	   20m wait`, `30s resolve oncall -A raw`, `paged=1 resolved=1`)
	// It came when the core had paged: nothing new in it.
	f(`0s fire alertname=A severity=critical
	   40s bypass oncall alertname=A severity=critical
	   2m resolve alertname=A severity=critical
	   6m wait`,
		`30s page oncall A
		 5m30s resolve oncall -A raw`, `paged=1 resolved=1`)
	// At a receiver that no route leads to, or of an alert nobody knows.
	f(`0s fire alertname=A severity=critical
	   10s bypass chat alertname=A severity=critical
	   10s bypass oncall alertname=B severity=critical
	   1m wait`, `30s page oncall A`, `paged=1`)
}

// TestRawPageCountsInTheBooks: a critical for which people had been called past
// the core, which ended and fired again before its group's moment came, counted
// as heard of at the severity that the group had paged at: as heard by nobody.
func TestRawPageCountsInTheBooks(t *testing.T) {
	w := newWorld(t, map[string]*Policy{"": basic()})
	w.run(`0s fire alertname=A pod=a severity=error
	       1m fire alertname=A pod=b severity=critical
	       2m bypass oncall alertname=A pod=b severity=critical
	       3m resolve alertname=A pod=b severity=critical
	       4m fire alertname=A pod=b severity=critical
	       5m resolve alertname=A pod=b severity=critical
	       11m resolve alertname=A pod=a severity=error
	       20m wait`)
	moved := 0
	for _, r := range w.rows {
		if r.Action != Moved || r.Severity != alert.Critical {
			continue
		}
		if moved++; r.Paged != alert.Critical {
			t.Errorf("it became %s, paged at %s", r.Now, r.Paged)
		}
	}
	if moved != 2 {
		t.Errorf("it moved %d times, want 2", moved)
	}
}

func TestSilentSourceEndsNothing(t *testing.T) {
	p := basic(func(p *Policy) { p.Sources = []Source{{Name: "test", SilentAfter: 3 * time.Minute}} })
	f := func(script, notifications, dispositions string) {
		t.Helper()
		fact(t, p, script, notifications, dispositions)
	}
	// Its end passes while nobody speaks: it is not believed.
	f(`0s fire+4m alertname=A
	   2h wait`, `30s page oncall A`, `paged=1`)
	// The source is back and speaks of it: it fires on.
	f(`0s fire+4m alertname=A
	   1h fire+4m alertname=A
	   1h2m fire+4m alertname=A
	   1h4m wait`, `30s page oncall A`, `paged=1 repeat=2`)
	// It is back and does not: it has ended, once it has had time to say so.
	f(`0s fire+4m alertname=A
	   1h fire+1m alertname=B
	   1h1m fire+10m alertname=B
	   1h3m fire+10m alertname=B
	   1h5m fire+10m alertname=B
	   1h7m fire+10m alertname=B
	   1h9m fire+10m alertname=B
	   1h11m fire+10m alertname=B
	   1h13m fire+10m alertname=B
	   1h15m fire+10m alertname=B
	   1h16m wait`,
		`30s page oncall A
		 1h0m30s page oncall B
		 1h10m30s resolve oncall -A`, `paged=2 grouped=1 repeat=7`)
	// An explicit end is believed, whenever it comes.
	f(`0s fire+4m alertname=A
	   1h resolve alertname=A
	   1h10m wait`,
		`30s page oncall A
		 1h0m30s resolve oncall -A`, `paged=1 resolved=1`)
	// A source that nobody watches may be silent.
	fact(t, basic(), `0s fire+4m alertname=A
	                  20m wait`,
		`30s page oncall A
		 5m30s resolve oncall -A`, `paged=1`)
}

func TestSilenceIsNoticedAndOver(t *testing.T) {
	w := newWorld(t, map[string]*Policy{"": basic(func(p *Policy) { p.Sources = []Source{{Name: "test", SilentAfter: 3 * time.Minute}} })})
	w.run(`0s fire alertname=A
	       2m fire alertname=A
	       10m wait`)
	if got := w.core.SilentSources(); len(got) != 1 {
		t.Errorf("silent: %v", got)
	}
	w.run(`11m fire alertname=A`)
	if got := w.core.SilentSources(); len(got) != 0 {
		t.Errorf("still silent: %v", got)
	}
	var rows []string
	for _, r := range w.rows {
		if r.Action == SourceSilent || r.Action == SourceHeard {
			rows = append(rows, r.Action.String()+" "+time.Duration(r.At-epoch).String())
		}
	}
	if got := strings.Join(rows, ", "); got != "source_silent 5m0s, source_heard 11m0s" {
		t.Errorf("rows: %s", got)
	}
}

// TestPendingKnowsWhenItsPageIsDue: an alert in two groups was said to be overdue,
// as if somebody had been forgotten, while the second had not come round yet; one
// that a reload gave another group, until that one came round.
func TestPendingKnowsWhenItsPageIsDue(t *testing.T) {
	other := basic(func(p *Policy) { p.Route.GroupBy = []string{"pod"} })
	two := basic(func(p *Policy) {
		p.Route.Routes = []Route{child("{}/a/0", "oncall", true, "alertname=A"), child("{}/a/1", "chat", false, "alertname=A")}
		p.Route.Routes[1].GroupWait = 2 * time.Minute
	})
	f := func(script, want string) {
		t.Helper()
		w := newWorld(t, map[string]*Policy{"": two, "other": other})
		w.run(script)
		var got []string
		for _, r := range w.rows {
			if r.Now == Pending && r.Until != 0 {
				got = append(got, time.Duration(r.Until-epoch).String())
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("script:\n%s\ndue: %s\nwant: %s", trimLines(script), s, want)
		}
		w.core.EachPending(alert.Critical, func(_ alert.Fingerprint, at alert.Time) {
			if due := time.Duration(at - epoch).String(); due != got[len(got)-1] {
				t.Errorf("script:\n%s\nthe core says that it is due at %s", trimLines(script), due)
			}
		})
	}
	f(`0s silence s1 10m alertname=A
	   1s fire alertname=A severity=critical
	   1m wait`, "2m1s")
	f(`1s fire alertname=A severity=critical
	   20s policy other`, "2m1s 50s")
}

// TestCauseIsOfTheDispositionItStandsWith: an alert that was silenced in one
// group, and then in another reached nobody, was said to be silenced by that
// other group's receiver.
func TestCauseIsOfTheDispositionItStandsWith(t *testing.T) {
	p := basic(func(p *Policy) {
		p.Route.Routes = []Route{child("{}/a/0", "oncall", true, "alertname=A"), child("{}/a/1", "nobody", false, "alertname=A")}
		p.Route.Routes[1].GroupWait = 2 * time.Minute
	})
	w := newWorld(t, map[string]*Policy{"": p})
	w.run(`0s silence s1 1m alertname=A
	       1s fire alertname=A
	       3m wait`)
	for _, r := range w.rows {
		if r.Action == Moved && r.Now == Silenced && r.Cause != "" && r.Cause != "s1" {
			t.Errorf("silenced by %q", r.Cause)
		}
	}
	if got := w.dispositions(); got != "silenced=1" {
		t.Errorf("accounts: %s", got)
	}
}

// TestRouteLedAwayAndBackPagesNobodyAgain: a route that a reload led to another
// receiver, and the next one back, opened a second group beside the one that its
// first receiver still had open, and paged there again under another key.
func TestRouteLedAwayAndBackPagesNobodyAgain(t *testing.T) {
	to := func(receiver string) *Policy {
		return basic(func(p *Policy) { p.Route.Routes = []Route{child("{}/a/0", receiver, false, "team=a")} })
	}
	w := newWorld(t, map[string]*Policy{"": to("oncall"), "away": to("chat"), "back": to("oncall")})
	w.run(`0s fire alertname=A
	       1s fire alertname=A team=a
	       1m policy away
	       2m policy back
	       20m wait`)
	want := trimLines(`30s page oncall A
		31s page oncall A
		1m0s page chat A`)
	if got := strings.Join(w.log, "\n"); got != want {
		t.Errorf("notified:\n%s\nwant:\n%s", got, want)
	}
}

// TestWatchingASourceSwallowsNothing: a reload that began to watch a source which
// had been quiet for long took it for silent since then, so that what had ended
// meanwhile fired for ever, in no group; when it fired again nobody heard.
func TestWatchingASourceSwallowsNothing(t *testing.T) {
	watch := func(after time.Duration) *Policy {
		return basic(func(p *Policy) {
			p.ResolveTimeout = 10 * time.Minute
			if after > 0 {
				p.Sources = []Source{{Name: "test", SilentAfter: after}}
			}
		})
	}
	w := newWorld(t, map[string]*Policy{"": watch(time.Hour), "not": watch(0), "soon": watch(4 * time.Minute)})
	w.core.Heard(&w.out, epoch, "test")
	w.out.Reset()
	for i, deed := range []string{"fire alertname=A", "policy not", "policy soon", "fire alertname=A", "wait"} {
		now := epoch.Add([]time.Duration{0, time.Minute, 20 * time.Minute, 21 * time.Minute, 22 * time.Minute}[i])
		verb, rest, _ := strings.Cut(deed, " ")
		w.core.Advance(&w.out, now)
		switch verb {
		case "fire":
			a := labelled(rest)
			w.core.Heard(&w.out, now, "test")
			w.core.Observe(&w.out, now, "test", 0, &a)
		case "policy":
			if err := w.core.SetPolicy(&w.out, now, w.policies[rest]); err != nil {
				t.Fatal(err)
			}
		}
		w.core.Advance(&w.out, now)
		w.drain()
	}
	want := trimLines(`30s page oncall A
		10m30s resolve oncall -A
		21m30s page oncall A`)
	if got := strings.Join(w.log, "\n"); got != want {
		t.Errorf("notified:\n%s\nwant:\n%s", got, want)
	}
}
