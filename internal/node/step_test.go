package node

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// machine is one whose clock is set while it runs.
type machine struct {
	set   atomic.Int64 // by so many nanoseconds
	hangs chan struct{}
	hung  atomic.Bool
}

func (m *machine) tell() (time.Time, time.Duration) {
	now := time.Now()
	return now.Round(0).Add(time.Duration(m.set.Load())), now.Sub(began)
}

var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of every bubble

func (m *machine) pass(p engine.Point, _ *stream.Message) {
	if p == engine.MessageRead && m.hung.Load() {
		<-m.hangs
	}
}

// TestClockOfTheMachineIsSet holds that by how much the clock is ever set while
// Winnow runs, or while it does not, pages come when they would have and no
// alert ends that would not have.
func TestClockOfTheMachineIsSet(t *testing.T) {
	const groupWait = 30 * time.Second
	for _, by := range []time.Duration{time.Second, -time.Second, time.Hour, -time.Hour, 366 * 24 * time.Hour, -366 * 24 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &machine{hangs: make(chan struct{})}
				s := &site{t: t, dir: t.TempDir(), text: settings + "winnow: {storm: {new_groups_per_minute: 0}}\n", pager: sinktest.NewPagerDuty(), log: stream.Options{Clock: m.tell}, point: m.pass, kept: true}
				s.network = sinktest.NewNetwork(s.pager)
				t.Cleanup(func() { s.network.Close() })
				s.start()
				step := func() { m.set.Add(int64(by)) }
				// paged says how long after a post an alert was paged.
				paged := func(name string, since time.Time) time.Duration {
					for _, e := range s.pager.Events() {
						if e.Action == "trigger" && strings.Contains(e.Summary, " "+name+" ") {
							return e.At.Sub(since)
						}
					}
					return -1
				}
				between := func(name string, since time.Time, least, most time.Duration) {
					t.Helper()
					if got := paged(name, since); got < least || got > most {
						t.Errorf("%s was paged after %s, want %s to %s", name, got, least, most)
					}
				}
				inTime := func(name string, since time.Time, within time.Duration) {
					t.Helper()
					between(name, since, within-time.Second, within+time.Second)
				}

				var many []sample
				for i := range 20 {
					many = append(many, sample{name: fmt.Sprint("Many", i), pod: "a", severity: "warning"})
				}
				s.post(many...)
				first := time.Now()
				time.Sleep(10 * time.Second)
				step()
				time.Sleep(groupWait - 10*time.Second + time.Second)
				for i := range many {
					inTime(many[i].name, first, groupWait)
				}

				// Told by a frame, and by a start of which the clock was set before.
				for _, how := range []string{"Told", "Crashed"} {
					s.post(sample{name: how, pod: "a", severity: "critical"})
					posted := time.Now()
					time.Sleep(10 * time.Second)
					step()
					if how == "Crashed" {
						s.crash()
					}
					s.post(sample{name: "Other" + how, pod: "a", severity: "critical"})
					time.Sleep(time.Second)
					s.report()
					time.Sleep(groupWait)
					if how == "Told" {
						inTime(how, posted, groupWait)
					} else {
						// A start takes a step forward for a stop, and cannot know how
						// long one was that a step back hides.
						between(how, posted, 10*time.Second, groupWait+11*time.Second)
					}
					inTime("Other"+how, posted, groupWait+10*time.Second)
				}
				if got := s.events(); strings.Contains(got, "resolve") {
					t.Errorf("after the steps: %s", got)
				}
				if n := s.node.guard.Paged(); n != 0 {
					t.Errorf("the guard has paged %d alerts", n)
				}
				s.report()

				// What nobody speaks of again ends after resolve_timeout.
				time.Sleep(50*time.Minute - time.Since(first))
				if got := len(s.pager.Open()); got != len(many)+4 {
					t.Errorf("%d incidents are open, want %d", got, len(many)+4)
				}
				// And what the core does not decide in time the guard does.
				s.post(sample{name: "Pending", pod: "a", severity: "critical"})
				posted := time.Now()
				time.Sleep(5 * time.Second)
				step()
				s.post(sample{name: "Undecided", pod: "a", severity: "critical"})
				time.Sleep(time.Second)
				m.hung.Store(true)
				s.post(sample{name: "Hung", pod: "a", severity: "critical"})
				step()
				time.Sleep(80 * time.Second)
				between("Pending", posted, groupWait, groupWait+17*time.Second)
				between("Undecided", posted, groupWait, groupWait+22*time.Second)
				between("Hung", posted, 10*time.Second, 75*time.Second)
				m.hung.Store(false)
				close(m.hangs)
				time.Sleep(30 * time.Minute)
				for i := range many {
					s.post(sample{name: many[i].name, pod: "a", severity: "warning", resolved: true})
				}
				time.Sleep(2 * time.Hour)
				if got := len(s.pager.Open()); got != 0 {
					t.Errorf("%d incidents are open in the end", got)
				}
				s.report()
				s.stop()
			})
		})
	}
}
