package preview

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

var epoch = alert.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)) // a Monday

func policy(change func(*correlate.Policy)) *correlate.Policy {
	p := &correlate.Policy{
		Route: correlate.Route{
			ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname"},
			GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour,
		},
		Receivers:      []correlate.Receiver{{Name: "oncall", Resolved: true}, {Name: "chat", FiringOnly: true}, {Name: "nobody"}},
		ResolveTimeout: time.Hour,
	}
	if change != nil {
		change(p)
	}
	return p
}

// under adds a route for the alerts that matchers match.
func under(receiver, name, value string) func(*correlate.Policy) {
	return func(p *correlate.Policy) {
		m, err := alert.NewMatcher(name, alert.Equal, value)
		if err != nil {
			panic(err) // the tests' own text
		}
		r := p.Route
		r.ID, r.Key, r.Receiver, r.Matchers = "{}/"+value+"/0", "{}/"+value, receiver, alert.Matchers{m}
		p.Route.Routes = []correlate.Route{r}
	}
}

// teller writes a log and compares two policies on it.
type teller struct {
	t   testing.TB
	c   *Comparison
	now alert.Time
	seq uint64
}

func tell(t testing.TB, before, after *correlate.Policy) *teller {
	t.Helper()
	was, err := engine.NewRehearsal(before)
	if err != nil {
		t.Fatal(err)
	}
	is, err := engine.NewRehearsal(after)
	if err != nil {
		t.Fatal(err)
	}
	return &teller{t: t, c: New(was, is), now: epoch}
}

func (l *teller) event(e frame.Event) (more bool) {
	l.t.Helper()
	var s frame.Segment
	if err := s.Add(&e); err != nil {
		l.t.Fatal(err)
	}
	l.seq++
	more, err := l.c.Apply(&stream.Message{Seq: l.seq, At: l.now, Data: frame.Append(nil, frame.Header{Counter: l.seq}, s.Append(nil))})
	if err != nil {
		l.t.Fatal(err)
	}
	return more
}

// say is a line of a story: "1m fire A critical", "10s resolve A critical",
// "5m wait".
func (l *teller) say(lines ...string) *teller {
	l.t.Helper()
	for _, line := range lines {
		words := strings.Fields(line)
		d, err := time.ParseDuration(words[0])
		if err != nil {
			l.t.Fatal(err)
		}
		l.now = l.now.Add(d)
		if words[1] == "wait" {
			l.event(frame.Event{Kind: frame.Tick})
			continue
		}
		a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: words[2]}, {Name: "severity", Value: words[3]}}}
		if words[1] == "resolve" {
			a.Status = alert.Resolved
		}
		l.event(frame.Event{Kind: frame.Alerts, Source: "test", Alerts: []alert.Alert{a}})
	}
	return l
}

// summary is a Diff in one line.
func summary(d *Diff) string {
	var b strings.Builder
	fmt.Fprintf(&b, "unpaged=%d/%d gained=%d waiting=%d told=%d/%d pages=%d/%d", d.Unpaged, d.UnpagedOnsets, d.Gained, d.Waiting, d.Before.Told, d.After.Told, d.Before.Pages, d.After.Pages)
	for _, r := range d.Receivers {
		fmt.Fprintf(&b, " %s=%d/%d-%d+%d", r.Name, r.Before, r.After, r.Lost, r.Gained)
	}
	for i := range d.Alerts {
		fmt.Fprintf(&b, " [%s: %s]", d.Alerts[i].Rule, d.Alerts[i].Why)
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	f := func(name string, after func(*correlate.Policy), want string, story ...string) {
		t.Helper()
		l := tell(t, policy(nil), policy(after)).say(story...)
		if got := summary(l.c.Diff()); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	f("nothing said", nil, "unpaged=0/0 gained=0 waiting=0 told=0/0 pages=0/0")
	f("the same policy", nil, "unpaged=0/0 gained=0 waiting=0 told=2/2 pages=2/2",
		"0s fire A critical", "0s fire B error", "0s fire C warning", "0s resolve C warning", "2m wait")
	f("warnings do not count", under("nobody", "severity", "warning"), "unpaged=0/0 gained=0 waiting=0 told=0/0 pages=1/0",
		"0s fire A warning", "2m wait")
	f("routed to nobody", under("nobody", "alertname", "A"),
		`unpaged=1/1 gained=0 waiting=0 told=2/1 pages=2/1 oncall=2/1-1+0 [A: receiver "nobody" has nobody behind it]`,
		"0s fire A critical", "0s fire B critical", "2m wait")
	f("a receiver that has lost its integrations", func(p *correlate.Policy) { p.Receivers[0] = correlate.Receiver{Name: "oncall"} },
		`unpaged=1/1 gained=0 waiting=0 told=1/0 pages=1/0 oncall=1/0-1+0 [A: receiver "oncall" has nobody behind it]`,
		"0s fire A critical", "2m wait")
	f("told to others", under("chat", "alertname", "A"), "unpaged=0/0 gained=0 waiting=0 told=1/1 pages=1/1 chat=0/1-0+1 oncall=1/0-1+0",
		"0s fire A critical", "2m wait")
	f("inhibited", func(p *correlate.Policy) {
		p.Inhibit = []correlate.InhibitRule{{Source: matcher("alertname", "B"), Target: matcher("alertname", "A")}}
	}, "unpaged=1/1 gained=0 waiting=0 told=2/1 pages=2/1 oncall=2/1-1+0 [A: inhibited by "+fingerprint("B", "critical")+"]",
		"0s fire B critical", "0s fire A critical", "2m wait")
	f("muted for ever", func(p *correlate.Policy) {
		p.Intervals = []correlate.Interval{{Name: "always", Times: "- times: [{start_time: '00:00', end_time: '24:00'}]"}}
		p.Route.MuteIntervals = []string{"always"}
	}, `unpaged=1/2 gained=0 waiting=0 told=2/0 pages=2/0 oncall=2/0-2+0 [A: muted: time interval "always"]`,
		"0s fire A critical", "2m resolve A critical", "10m fire A critical", "2m wait")
	f("muted for a while", func(p *correlate.Policy) {
		p.Intervals = []correlate.Interval{{Name: "early", Times: "- times: [{start_time: '09:00', end_time: '09:10'}]"}}
		p.Route.MuteIntervals = []string{"early"}
	}, "unpaged=0/0 gained=0 waiting=0 told=1/1 pages=1/1", "0s fire A critical", "20m wait")
	f("it waits for longer than it lasts", func(p *correlate.Policy) { p.Route.GroupWait = 3 * time.Minute },
		"unpaged=1/1 gained=0 waiting=0 told=1/0 pages=1/0 oncall=1/0-1+0 [A: it ends before its page is due]",
		"0s fire A critical", "2m resolve A critical", "20m wait")
	f("nobody can say yet", func(p *correlate.Policy) { p.Route.GroupWait = 3 * time.Minute },
		"unpaged=0/0 gained=0 waiting=1 told=1/0 pages=1/0", "0s fire A critical", "1m wait")
	f("due in a day", func(p *correlate.Policy) { p.Route.GroupWait = 24 * time.Hour },
		"unpaged=1/1 gained=0 waiting=0 told=1/0 pages=1/0 oncall=1/0-1+0 [A: its page is due only 24h0m0s after it came]",
		"0s fire A critical", "1m wait")
	f("one long firing instead of two", func(p *correlate.Policy) { p.ResolveTimeout = 4 * time.Hour },
		"unpaged=0/0 gained=0 waiting=0 told=2/1 pages=2/1", "0s fire A critical", "70m wait", "10m fire A critical", "2m wait")
}

func matcher(name, value string) alert.Matchers {
	m, err := alert.NewMatcher(name, alert.Equal, value)
	if err != nil {
		panic(err) // the tests' own text
	}
	return alert.Matchers{m}
}

func fingerprint(name, severity string) string {
	return alert.Labels{{Name: "alertname", Value: name}, {Name: "severity", Value: severity}}.Fingerprint().String()
}

// BenchmarkCompare replays repeats of 5,120 alerts on both sides, 512 a message: the
// bulk of what a log holds.
func BenchmarkCompare(b *testing.B) {
	l := tell(b, policy(nil), policy(func(p *correlate.Policy) { p.Route.Receiver = "nobody" }))
	var frames [10][]byte
	for k := range frames {
		e := frame.Event{Kind: frame.Alerts, Source: "test"}
		for i := range 512 {
			e.Alerts = append(e.Alerts, alert.Alert{Labels: alert.Labels{
				{Name: "alertname", Value: fmt.Sprint("Rule", i%40)}, {Name: "cluster", Value: "eu-west-1"}, {Name: "instance", Value: fmt.Sprintf("10.0.%d.%d:9100", k, i)},
				{Name: "job", Value: "node"}, {Name: "namespace", Value: fmt.Sprint("team-", i%7)}, {Name: "severity", Value: []string{"warning", "critical"}[i%2]},
			}, Annotations: alert.Labels{{Name: "summary", Value: "Something is the matter with this instance"}}})
		}
		var s frame.Segment
		if err := s.Add(&e); err != nil {
			b.Fatal(err)
		}
		frames[k] = s.Append(nil)
	}
	b.ResetTimer()
	for range b.N {
		l.seq++
		l.now = l.now.Add(100 * time.Millisecond)
		data := frame.Append(nil, frame.Header{Counter: l.seq}, frames[l.seq%uint64(len(frames))])
		if more, err := l.c.Apply(&stream.Message{Seq: l.seq, At: l.now, Data: data}); err != nil || !more {
			b.Fatal(more, err)
		}
	}
	b.ReportMetric(float64(b.N)*512/b.Elapsed().Seconds(), "alerts/s")
}

// TestGained compares the other way round.
func TestGained(t *testing.T) {
	l := tell(t, policy(under("nobody", "alertname", "A")), policy(nil)).say("0s fire A critical", "2m wait")
	if got, want := summary(l.c.Diff()), "unpaged=0/0 gained=1 waiting=0 told=0/1 pages=0/1 oncall=0/1-0+1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestSince: what was over before does not count, what stood then does.
func TestSince(t *testing.T) {
	l := tell(t, policy(nil), policy(func(p *correlate.Policy) { p.Route.Receiver = "nobody" }))
	l.c.Since(epoch.Add(30 * time.Minute))
	l.say("0s fire Over critical", "0s fire Stands critical", "2m resolve Over critical", "10m wait", "18m wait", "1m fire New critical", "2m wait")
	d := l.c.Diff()
	var names []string
	for i := range d.Alerts {
		names = append(names, d.Alerts[i].Rule)
	}
	if got := strings.Join(names, " "); got != "New Stands" || d.Messages != 3 || d.Before.Pages != 1 {
		t.Errorf("%s: %d messages, %s", got, d.Messages, summary(d))
	}
}

// TestEachSideKeepsItsPolicy: what the log says of policies, of receipts and of
// pages past the core changes nothing; silences do.
func TestEachSideKeepsItsPolicy(t *testing.T) {
	l := tell(t, policy(nil), policy(under("nobody", "alertname", "A")))
	l.event(frame.Event{Kind: frame.Policy, Policy: policy(func(p *correlate.Policy) { p.Route.Receiver = "nobody" }), PolicyHash: "other"})
	l.say("1s fire A critical", "0s fire B critical")
	l.event(frame.Event{Kind: frame.Silence, Silence: &correlate.Silence{ID: "s1", Matchers: []alert.Matchers{matcher("alertname", "B")}, StartsAt: l.now, EndsAt: l.now.Add(time.Hour)}})
	for _, name := range []string{"A", "B"} {
		f, err := alert.ParseFingerprint(fingerprint(name, "critical"))
		if err != nil {
			t.Fatal(err)
		}
		l.event(frame.Event{Kind: frame.Bypass, Bypass: &frame.Bypassed{Fingerprint: f, Receiver: "oncall"}})
	}
	l.event(frame.Event{Kind: frame.Receipt, Receipt: &correlate.Receipt{Incident: 1, Revision: 1, Outcome: correlate.Accepted, Last: true}})
	l.say("2m wait")
	if got, want := summary(l.c.Diff()), `unpaged=1/1 gained=0 waiting=0 told=1/0 pages=1/0 oncall=1/0-1+0 [A: receiver "nobody" has nobody behind it]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestNamesTheWorst: ten at most, criticals first, and how many there are.
func TestNamesTheWorst(t *testing.T) {
	l := tell(t, policy(nil), policy(func(p *correlate.Policy) { p.Route.Receiver = "nobody" }))
	for i := range 9 {
		l.say(fmt.Sprintf("0s fire E%d error", i), fmt.Sprintf("0s fire C%d critical", i))
	}
	l.say("2m wait")
	d := l.c.Diff()
	if d.Unpaged != 18 || len(d.Alerts) != named || d.Alerts[8].Severity != "critical" || d.Alerts[9].Severity != "error" {
		t.Errorf("%s", summary(d))
	}
	text := (&Refused{d}).Error()
	for _, want := range []string{"refused: it unpages 18 alerts of severity critical or error (18 onsets) in the last 2m0s", Force, "; and 8 more", "critical C0 v1:", `told to oncall: receiver "nobody" has nobody behind it`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("more than one line: %q", text)
	}
}

// TestAPolicyThatBreaksTheCore: it is reported, and breaks nothing else.
func TestAPolicyThatBreaksTheCore(t *testing.T) {
	l := tell(t, policy(nil), policy(nil)).say("0s fire A critical", "2m wait")
	l.c.after.shard.Core = nil // whatever is asked of it now panics
	if l.event(frame.Event{Kind: frame.Tick}) {
		t.Error("the replay goes on")
	}
	d := l.c.Diff()
	if !d.Dangerous() || d.Unpaged != 0 || !strings.HasPrefix(d.Finding(), "it breaks the core on log message 3: the core broke: ") {
		t.Errorf("%q %s", d.Finding(), summary(d))
	}
}

// TestSamePolicyUnpagesNobody plays random stories: a policy beside itself never
// differs, and one whose receivers are empty unpages all that the other tells.
func TestSamePolicyUnpagesNobody(t *testing.T) {
	const again = "go test ./internal/preview -run TestSamePolicyUnpagesNobody"
	told := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 21))
		p := func() *correlate.Policy {
			return policy(func(p *correlate.Policy) {
				p.Inhibit = []correlate.InhibitRule{{Source: matcher("severity", "critical"), Target: matcher("severity", "error"), Equal: []string{"alertname"}}}
			})
		}
		mute := policy(func(p *correlate.Policy) { p.Receivers = []correlate.Receiver{{Name: "oncall"}} })
		same, none := tell(t, p(), p()), tell(t, p(), mute)
		for range 200 {
			line := fmt.Sprintf("%ds %s %c %s", rng.IntN(120), []string{"fire", "fire", "resolve", "wait"}[rng.IntN(4)], 'A'+rune(rng.IntN(6)), []string{"critical", "error", "warning"}[rng.IntN(3)])
			same.say(line)
			none.say(line)
		}
		d := same.c.Diff()
		if d.Dangerous() || d.Gained > 0 || len(d.Receivers) > 0 || d.Before != d.After {
			t.Fatalf("seed %d (%s): the same policy differs: %s", seed, again, summary(d))
		}
		told += d.Before.Told
		if d = none.c.Diff(); d.UnpagedOnsets != d.Before.Told || d.After.Told != 0 {
			t.Fatalf("seed %d (%s): nobody is behind any receiver: %s", seed, again, summary(d))
		}
	}
	if told < 500 {
		t.Errorf("only %d onsets were told: this proves little", told)
	}
}

// TestOnsetsBeyondTheLimitAreNotCompared: they are counted, so that nobody takes
// the comparison for whole.
func TestOnsetsBeyondTheLimitAreNotCompared(t *testing.T) {
	l := tell(t, policy(nil), policy(nil))
	l.c.before.followed, l.c.after.followed = maxOnsets-1, maxOnsets-1
	l.say("0s fire A critical", "1s fire B critical", "1m wait")
	if d := l.c.Diff(); d.Uncompared != 1 || d.Before.Told != 1 {
		t.Errorf("%d onsets are not compared, %d are told", d.Uncompared, d.Before.Told)
	}
}

// TestComparisonEndsAtTooManyAlerts: two shards of them take too much memory.
func TestComparisonEndsAtTooManyAlerts(t *testing.T) {
	l := tell(t, policy(nil), policy(nil))
	l.c.mostLive = 2
	l.say("0s fire A critical", "1s fire B critical")
	if l.c.full() {
		t.Error("full at the limit")
	}
	if l.say("1s fire C critical"); !l.c.full() || l.event(frame.Event{Kind: frame.Tick}) {
		t.Error("it goes on beyond the limit")
	}
}
