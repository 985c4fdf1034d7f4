//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// moment is a point of a story at which Winnow may be ended.
type moment string

const (
	posted    moment = "inside group_wait"
	overdue   moment = "inside group_wait, until after it"
	paging    moment = "as pages are sent"
	paged     moment = "after the pages" // the log has their receipts
	ending    moment = "before the resolves"
	resolving moment = "as resolves are sent"
)

// story is alerts that fire, page and end.
type story struct {
	t      testing.TB
	w      *winnow
	pd     *pager
	m      *model
	s      *sender
	at     timing
	signal os.Signal
	end    moment
}

func newStory(t testing.TB, at timing) *story {
	m, pd := newModel(), newPager(t)
	w := newWinnow(t, pd.routes(at, false))
	return &story{t: t, w: w, pd: pd, m: m, s: &sender{w: w, model: m}, at: at}
}

// reach ends Winnow if this is the moment, and starts it again.
func (c *story) reach(now moment) {
	c.t.Helper()
	if c.end != now {
		return
	}
	c.w.signal(c.t, c.signal)
	if now == overdue {
		<-time.After(c.at.wait)
	}
	c.w.start()
}

// cut ends Winnow by force, if this is the moment, when the provider has taken
// events of an action and has not answered. It returns how many.
func (c *story) cut(now moment, action string) int {
	c.t.Helper()
	if c.end != now || c.signal != syscall.SIGKILL {
		return 0
	}
	c.waitFor(action, 1)
	c.w.signal(c.t, c.signal)
	programs.Eventually(c.t, patience, "PagerDuty has read what was sent to it", func() error {
		if n := c.pd.conns.Load(); n > 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
	unanswered := c.pd.count(action)
	c.pd.silence("")
	c.w.start()
	return unanswered
}

// play returns how many pages and resolves were cut off from their receipts.
func (c *story) play(alerts []postable) (pages, resolves int) {
	t := c.t
	if c.signal == syscall.SIGKILL && c.end == paging {
		c.pd.silence("trigger")
	}
	c.s.send(t, firing(alerts))
	c.reach(posted)
	c.reach(overdue)
	if pages = c.cut(paging, "trigger"); pages == 0 {
		c.waitFor("trigger", 1)
		c.reach(paging)
	}
	c.pd.settled(t, c.m)
	c.receipts()
	c.reach(paged)
	if c.signal == syscall.SIGKILL && c.end == resolving {
		c.pd.silence("resolve")
	}
	c.s.send(t, firing(alerts)) // as senders do; nobody needs to hear of it
	c.s.send(t, over(alerts))
	c.reach(ending)
	if resolves = c.cut(resolving, "resolve"); resolves == 0 {
		c.waitFor("resolve", 1)
		c.reach(resolving)
	}
	c.pd.settled(t, c.m)
	return pages, resolves
}

func (c *story) waitFor(action string, n int) {
	c.t.Helper()
	programs.Eventually(c.t, patience, "PagerDuty gets a "+action, func() error {
		if got := c.pd.count(action); got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// receipts waits until the log knows of every notification.
func (c *story) receipts() {
	c.t.Helper()
	programs.Eventually(c.t, patience, "the receipts of the pages are in the log", func() error {
		r, err := c.w.report()
		if want := c.m.books().pages; err == nil && r.Notifications < want {
			return fmt.Errorf("%d of %d", r.Notifications, want)
		}
		return err
	})
}

// TestStopAndStart ends Winnow at every moment of a story, in order and by
// force. Nothing is lost and nobody is paged twice: a page of which nobody can
// know whether it arrived is sent once more under its key, and no other.
func TestStopAndStart(t *testing.T) {
	alerts := pick(spread(first(catalog(t), 24), 3), func(p postable) bool { return p.Labels["severity"] != "none" })
	f := func(s syscall.Signal, name string, end moment) {
		t.Run(name+" "+string(end), func(t *testing.T) {
			t.Parallel()
			c := newStory(t, timing{wait: 2 * time.Second, interval: 2 * time.Second})
			c.signal, c.end = s, end
			pages, resolves := c.play(alerts)
			kills := 0
			if s == syscall.SIGKILL && (end == paging || end == resolving) {
				kills = 1
				if pages+resolves == 0 {
					t.Error("nothing was being sent when Winnow was killed")
				}
			}
			c.w.agrees(c.m, c.pd.accepted(pages+resolves), c.s.spare)
			if repeated := c.pd.verify(t, c.m, kills); repeated != pages {
				t.Errorf("%d pages were sent again, %d were cut off from their receipts", repeated, pages)
			}
			figures.add(name, "runs", 1)
			figures.add(name, "pages", c.m.books().pages)
			figures.add(name, "of them sent again in doubt", pages)
		})
	}
	for _, end := range []moment{posted, overdue, paging, paged, ending, resolving} {
		f(syscall.SIGTERM, "SIGTERM", end)
		f(syscall.SIGKILL, "SIGKILL", end)
	}
}

// TestDowntimeEndsNothing kills Winnow for longer than its sender vouches for
// any alert. Silence of that time proves nothing.
func TestDowntimeEndsNothing(t *testing.T) {
	const vouched = 3 * time.Second
	alerts := pick(spread(first(catalog(t), 12), 2), severity("critical"))
	c := newStory(t, timing{wait: time.Second, interval: time.Second})
	now := time.Now()
	brief := func() []postable { return at(alerts, now, time.Now().Add(vouched)) }
	c.s.send(t, brief())
	c.pd.settled(t, c.m)
	c.receipts()
	c.s.send(t, brief())
	c.w.signal(t, syscall.SIGKILL)
	<-time.After(vouched + c.at.interval)
	c.w.start()
	c.s.send(t, brief())
	<-time.After(2 * c.at.interval) // two looks at each group
	if n := c.pd.count("resolve"); n > 0 {
		t.Errorf("%d incidents were resolved that nobody had ended", n)
	}
	c.s.send(t, over(alerts))
	c.pd.settled(t, c.m)
	c.w.agrees(c.m, c.pd.accepted(0), 0)
	c.pd.verify(t, c.m, 0)
}

// TestKilledOverAndOver kills Winnow while requests are under way, each at
// another time between the request and its answer.
func TestKilledOverAndOver(t *testing.T) {
	const (
		kills = 24
		seed  = 1
	)
	rng := rand.New(rand.NewPCG(seed, 0))
	alerts := pick(spread(first(catalog(t), 30), 8), func(p postable) bool { return p.Labels["severity"] != "none" })
	rng.Shuffle(len(alerts), func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
	c := newStory(t, timing{wait: time.Second, interval: time.Second})

	const perRequest = 4
	var requests [][]postable
	for i := 0; i < len(alerts); i += perRequest {
		requests = append(requests, firing(alerts[i:min(i+perRequest, len(alerts))]))
	}
	cut, took := 0, time.Duration(0)
	for i, r := range requests {
		if i == 0 || i%(len(requests)/kills) != 0 {
			began := time.Now()
			c.s.send(t, r)
			took = time.Since(began)
			continue
		}
		after := time.Duration(1.5 * rng.Float64() * float64(took))
		c.s.wrote = func() {
			go func() { // the request leaves when the callback has returned
				for began := time.Now(); time.Since(began) < after; { // no timer is as fine as this
				}
				c.w.cmd.Process.Kill()
			}()
		}
		err := c.s.try(r)
		c.s.wrote = nil
		<-c.w.done
		c.w.start()
		figures.add("SIGKILL in a request", "kills", 1)
		if err != nil {
			cut++
			c.s.send(t, r)
		}
	}
	if cut == 0 {
		t.Error("no request was under way when Winnow was killed")
	}
	c.pd.settled(t, c.m)
	programs.Eventually(t, patience, "everybody has heard of everything", func() error {
		r, err := c.w.report()
		if err == nil && r.Pending > 0 {
			return fmt.Errorf("%d alerts wait", r.Pending)
		}
		return err
	})
	c.s.send(t, over(alerts))
	c.pd.settled(t, c.m)
	b := c.m.books()
	r := c.w.agrees(c.m, func() between { return between{2 * b.pages, len(c.pd.Events())} }, c.s.spare)
	repeated := c.pd.verify(t, c.m, kills)
	if b.onsets != len(alerts) {
		t.Errorf("%d onsets counted of %d alerts", b.onsets, len(alerts))
	}
	figures.add("SIGKILL in a request", "requests cut off", cut)
	figures.add("SIGKILL in a request", "of them in the log", (r.Deliveries-b.deliveries)/perRequest)
	figures.add("SIGKILL in a request", "pages", b.pages)
	figures.add("SIGKILL in a request", "of them sent again in doubt", repeated)
}
