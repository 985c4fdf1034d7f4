package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/guard/desk"
	"github.com/winnowhq/winnow/internal/guard/kept"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/internal/stream"
)

func TestMain(m *testing.M) {
	ats.Register() // see internal/stream
	os.Exit(m.Run())
}

// post is a guard over a real log, with a pager that remembers.
type post struct {
	t     *testing.T
	log   *stream.Stream
	desk  *desk.Desk
	guard *Guard
	seq   uint64

	mu     sync.Mutex
	pages  []string
	others int // that the latest page named by their number
	broken bool
}

func watch(t *testing.T, f func(t *testing.T, p *post)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		p := &post{t: t, log: s, desk: desk.New(time.Now())}
		p.begin(&pager.Route{ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname"}})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { p.guard.Run(ctx); close(done) }()
		f(t, p)
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// begin makes the guard that routes by r.
func (p *post) begin(r *pager.Route) {
	send := pager.New(pager.Options{Send: p.send, Sent: func(context.Context, pager.Page) {}, Aliases: &p.desk.Aliases}, r)
	p.guard = New(Options{Read: p.log.ReadLogSince, Desk: p.desk, Pager: send})
}

func (p *post) send(ctx context.Context, page pager.Page, others int) error {
	if page.Receiver == "hangs" {
		<-ctx.Done()
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return errors.New("refused")
	}
	p.others = others
	p.pages = append(p.pages, page.Receiver+" "+page.Key+" "+page.Alert.Labels.Get("pod"))
	return nil
}

func (p *post) paged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.pages)
	p.pages = nil
	return strings.Join(out, ", ")
}

func (p *post) fire(severity, pod string, status alert.Status) alert.Fingerprint {
	p.t.Helper()
	a := alert.Alert{Status: status, Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: pod}, {Name: "severity", Value: severity}}}
	a.Fingerprint = a.Labels.Fingerprint()
	if err := p.log.Append(p.t.Context(), &ingest.Batch{Source: "test", Alerts: []alert.Alert{a}}); err != nil {
		p.t.Fatal(err)
	}
	p.seq++
	return a.Fingerprint
}

func (p *post) want(what, want string) {
	p.t.Helper()
	if got := p.paged(); got != want {
		p.t.Errorf("%s: paged %q, want %q", what, got, want)
	}
}

const keyA = `oncall {}:{alertname="A"}#critical`

func TestPagesWhatNobodyDecidedAbout(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		p.fire("critical", "a", alert.Firing)
		p.fire("warning", "b", alert.Firing)
		time.Sleep(CriticalWithin - 2*time.Second)
		p.want("before its time", "")
		time.Sleep(4 * time.Second)
		p.want("a critical", keyA+" a")
		p.fire("error", "c", alert.Firing)
		time.Sleep(ErrorWithin + 2*time.Second)
		p.want("an error", `oncall {}:{alertname="A"}#error c`)
	})
}

func TestIsQuietAboutWhatIsDecided(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		f := p.fire("critical", "a", alert.Firing)
		p.desk.Pending(f, time.Now().Add(5*time.Minute))
		p.desk.Applied(p.seq)
		time.Sleep(5 * time.Minute)
		p.want("while it is pending", "")
		p.desk.Settled(f)
		time.Sleep(time.Hour)
		p.want("once it is settled", "")
		p.guard.mu.Lock()
		defer p.guard.mu.Unlock()
		if n := len(p.guard.waiting); n != 0 {
			t.Errorf("%d alerts are watched still", n)
		}
	})
}

func TestPagesWhatIsPendingForTooLong(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		f := p.fire("critical", "a", alert.Firing)
		p.desk.Pending(f, time.Now().Add(30*time.Second))
		p.desk.Applied(p.seq)
		time.Sleep(30*time.Second + grace + 2*time.Second)
		p.want("past its time", keyA+" a")
	})
}

func TestWhatIsOverNeedsNobody(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		p.fire("critical", "a", alert.Firing)
		time.Sleep(10 * time.Second)
		p.fire("critical", "a", alert.Resolved)
		time.Sleep(10 * time.Minute)
		p.want("resolved meanwhile", "")
	})
}

func TestGoesOnTryingUntilSomebodyHears(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		p.broken = true
		p.fire("critical", "a", alert.Firing)
		time.Sleep(time.Hour)
		p.want("nobody listens", "")
		p.mu.Lock()
		p.broken = false
		p.mu.Unlock()
		time.Sleep(3 * time.Second)
		p.want("somebody does", keyA+" a")
	})
}

func TestStormIsPagedAtAPaceAndNobodyIsForgotten(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		const n = 3 * pager.PerMinute
		for i := range n {
			p.fire("critical", fmt.Sprint(i), alert.Firing)
		}
		time.Sleep(CriticalWithin + 2*time.Second)
		if got := strings.Count(p.paged(), keyA); got != pager.PerMinute {
			t.Errorf("%d pages at once, want %d", got, pager.PerMinute)
		}
		time.Sleep(3 * time.Minute)
		if got := strings.Count(p.paged(), keyA); got != n-pager.PerMinute {
			t.Errorf("%d pages later, want the other %d", got, n-pager.PerMinute)
		}
	})
}

func TestForcedIsPagedWhateverTheDeskSays(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: "a"}, {Name: "severity", Value: "critical"}}}
		a.Fingerprint = a.Labels.Fingerprint()
		p.desk.Applied(100)
		p.guard.Force(&a, 7)
		time.Sleep(2 * time.Second)
		p.want("at once", keyA+" a")
	})
}

func TestWatchesWhatCameJustBeforeItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		p := &post{t: t, log: s, desk: desk.New(time.Now())}
		p.fire("critical", "a", alert.Firing)
		time.Sleep(50 * time.Second) // a crash, and a start that takes its time
		p.begin(&pager.Route{ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname"}})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { p.guard.Run(ctx); close(done) }()
		time.Sleep(grace + 3*time.Second)
		p.want("within the time it had left", keyA+" a")
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestHangingReceiverDelaysNoOther holds that raw pages of one receiver go out at
// their time while another takes none.
func TestHangingReceiverDelaysNoOther(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		m, err := alert.NewMatcher("pod", alert.Regexp, "h.*")
		if err != nil {
			t.Fatal(err)
		}
		p.guard.pager.SetRoute(&pager.Route{ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname"}, Routes: []pager.Route{
			{ID: "h", Key: "h", Receiver: "hangs", Matchers: alert.Matchers{m}, GroupByAll: true, Continue: true},
		}})
		for i := range 100 {
			p.fire("critical", fmt.Sprint("h", i), alert.Firing)
		}
		for i := range 4 {
			time.Sleep(10 * time.Second)
			p.fire("critical", fmt.Sprint(i), alert.Firing)
		}
		time.Sleep(CriticalWithin - 40*time.Second + 2*time.Second)
		p.want("in front of the others", "")
		for i := range 4 {
			time.Sleep(10 * time.Second)
			p.want("beside one that hangs", keyA+" "+fmt.Sprint(i))
		}
	})
}

// TestBeyondTheLimitIsPagedAtOnce fills the table and brings one more.
func TestBeyondTheLimitIsPagedAtOnce(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		alerts := kept.New(0)
		one := func(i int) {
			a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: fmt.Sprint(i)}, {Name: "severity", Value: "critical"}}}
			a.Fingerprint = a.Labels.Fingerprint()
			f := alerts.Firing(&a)
			p.guard.watch(&f, 1, time.Now())
		}
		for i := range MaxWatched {
			one(i)
		}
		time.Sleep(2 * time.Second)
		p.want("as many as are watched", "")
		one(MaxWatched)
		time.Sleep(2 * time.Second)
		p.want("one more", fmt.Sprint(keyA, " ", MaxWatched))
		p.guard.Force(&alert.Alert{Fingerprint: 7, Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: "forced"}, {Name: "severity", Value: "critical"}}}, 1)
		time.Sleep(2 * time.Second)
		p.want("one that is forced", keyA+" forced")
		for i := range 10*maxExtra - 1 {
			one(MaxWatched + 1 + i)
		}
		time.Sleep(2 * time.Second)
		p.guard.mu.Lock()
		defer p.guard.mu.Unlock()
		if n := len(p.guard.waiting); n != MaxWatched || len(p.guard.extra) > maxExtra || p.guard.TurnedAway() != 1+10*maxExtra {
			t.Errorf("%d watched, %d more, %d turned away", n, len(p.guard.extra), p.guard.TurnedAway())
		}
	})
}

// TestBeyondTheLimitIsCounted brings more than there is room for while nobody
// takes a page. The next page that is taken tells how many they were.
func TestBeyondTheLimitIsCounted(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		p.mu.Lock()
		p.broken = true
		p.mu.Unlock()
		alerts := kept.New(0)
		p.guard.mu.Lock()
		for i := range 3 * maxExtra {
			a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: fmt.Sprint(i)}, {Name: "severity", Value: "critical"}}}
			a.Fingerprint = a.Labels.Fingerprint()
			f := alerts.Firing(&a)
			p.guard.beyond(&f, 1)
		}
		p.guard.mu.Unlock()
		p.fire("critical", "within", alert.Firing)
		time.Sleep(CriticalWithin + 2*time.Second)
		p.want("while nobody takes any", "")
		p.mu.Lock()
		p.broken = false
		p.mu.Unlock()
		time.Sleep(2 * time.Second)
		p.want("the one that is watched", keyA+" within")
		if p.others != 3*maxExtra {
			t.Errorf("its page counts %d others, want %d", p.others, 3*maxExtra)
		}
		p.fire("critical", "later", alert.Firing)
		time.Sleep(CriticalWithin + 2*time.Second)
		p.want("the next", keyA+" later")
		if p.others != 0 {
			t.Errorf("they are counted again: %d", p.others)
		}
	})
}

func TestPagesUnderTheKeyOfTheGroup(t *testing.T) {
	watch(t, func(t *testing.T, p *post) {
		p.desk.Alias(`{}:{alertname="A"}`, `{}:{alertname="A"}~INC-7`)
		p.fire("critical", "a", alert.Firing)
		time.Sleep(CriticalWithin + 2*time.Second)
		p.want("a group with an alias", `oncall {}:{alertname="A"}~INC-7#critical a`)
		p.desk.ForgetAliases()
		p.fire("critical", "b", alert.Firing)
		time.Sleep(CriticalWithin + 2*time.Second)
		p.want("without", keyA+" b")
	})
}
