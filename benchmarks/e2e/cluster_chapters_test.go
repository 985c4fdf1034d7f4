//go:build e2e && cluster

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// loadEvery is the pause between two criticals.
const loadEvery = 200 * time.Millisecond

// atMost is how long after it was accepted an alert may be paged at most, where a
// process or a server is killed.
func atMost(t testing.TB) time.Duration {
	return time.Duration(fromEnv(t, "CLUSTER_WITHIN", 10)) * time.Second
}

// kills ends the process that owns the shard, as kill -9 does, while criticals
// come in at both doors. Nothing that was accepted is lost, and pages resume in
// time.
func (c *pair) kills(n int) string {
	var slowest, away time.Duration
	alerts, lost := 0, 0
	for range n {
		owner, standby := c.roles()
		l := c.load(loadEvery)
		<-time.After(time.Second + rand.N(2*time.Second))
		owner.signal(c.t, syscall.SIGKILL)
		killed := time.Now()
		<-time.After(2 * time.Second)
		owner.begin() // as a supervisor does; it stands by
		programs.Eventually(c.t, patience, "the other takes over", func() error {
			if owns, err := standby.owns(); err != nil || !owns {
				return fmt.Errorf("it has not: %v", err)
			}
			return nil
		})
		<-time.After(2 * time.Second)
		accepted := l.stop()
		alerts += len(accepted)
		slowest = max(slowest, c.settle(accepted, standby, owner))
		lost += c.lost(accepted)
		if told := c.desk.since(standby, killed); len(told) == 0 {
			c.t.Error("the one that has taken over told nobody anything")
		} else {
			away = max(away, told[0].at.Sub(killed))
		}
	}
	if limit := atMost(c.t); slowest > limit {
		c.t.Errorf("after a kill a page came %s after its alert was accepted, want %s at most", slowest, limit)
	}
	return fmt.Sprintf("kills=%d alerts=%d lost=%d resumed=%s slowest=%s", n, alerts, lost, away.Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// serverKills ends one nats-server after the other.
func (c *pair) serverKills(n int) string {
	var slowest time.Duration
	alerts, lost, takeovers := 0, 0, 0
	for i := range n {
		owner, _ := c.roles()
		l := c.load(loadEvery)
		<-time.After(time.Second + rand.N(time.Second))
		c.bus.kill(i % natsServers)
		<-time.After(12 * time.Second) // an election takes up to 9 s
		c.bus.start(i % natsServers)
		c.bus.well()
		accepted := l.stop()
		alerts += len(accepted)
		for _, s := range c.sides {
			select {
			case <-s.done:
				s.wantOvertaken()
			default:
			}
		}
		if now, _ := c.roles(); now != owner {
			takeovers++
		}
		slowest = max(slowest, c.settle(accepted, c.sides[:]...))
		lost += c.lost(accepted)
	}
	if limit := atMost(c.t); slowest > limit {
		c.t.Errorf("after the kill of a nats-server a page came %s after its alert was accepted, want %s at most", slowest, limit)
	}
	return fmt.Sprintf("server_kills=%d alerts=%d lost=%d takeovers=%d slowest=%s", n, alerts, lost, takeovers, slowest.Round(time.Millisecond))
}

// zombies stops the owner while pages wait in its queues, and has it go on when
// another has told people of them, and that some are over. It must say nothing
// more.
func (c *pair) zombies(n int) string {
	const each = 6
	pause := time.Duration(fromEnv(c.t, "CLUSTER_PAUSE", 15)) * time.Second
	waited, late := 0, 0
	for range n {
		owner, standby := c.roles()
		c.desk.takes(owner, false)
		before := time.Now()
		var names []string
		accepted := map[string]time.Time{}
		for range each {
			name := c.name()
			names = append(names, name)
			accepted[name] = c.send(name, false, owner)
		}
		programs.Eventually(c.t, patience, "pages wait at the owner", func() error {
			if told := c.desk.since(owner, before); len(told) < each {
				return fmt.Errorf("%d do", len(told))
			}
			return nil
		})
		last := c.name() // waits for its group
		names, accepted[last] = append(names, last), c.send(last, false, owner)
		owner.stop()
		stopped := time.Now()
		c.desk.takes(owner, true)
		programs.Eventually(c.t, patience, "another has paged", func() error {
			paged := c.desk.paged()
			for _, name := range names {
				if paged[name].IsZero() {
					return fmt.Errorf("%s is not", name)
				}
			}
			return nil
		})
		waited += len(names)
		for _, name := range names[:each/2] {
			c.send(name, true, standby)
		}
		programs.Eventually(c.t, patience, "half of them are over", func() error {
			if open := c.desk.Open(); len(open) > len(names)-each/2 {
				return fmt.Errorf("%d stand open", len(open))
			}
			return nil
		})
		<-time.After(time.Until(stopped.Add(pause)))
		resumed := time.Now()
		owner.resume()
		owner.wantOvertaken()
		<-time.After(time.Second)
		if told := c.desk.since(owner, resumed); len(told) > 0 {
			late += len(told)
			c.t.Errorf("a process that was stopped for %s went on and told people of %s: %s", pause, told[0].name, told[0].action)
		}
		for _, name := range names[:each/2] {
			delete(accepted, name)
		}
		c.settle(accepted, standby)
	}
	if waited != n*(each+1) {
		c.t.Errorf("%d pages waited at processes that were stopped, want %d", waited, n*(each+1))
	}
	return fmt.Sprintf("pauses=%d of %s waiting=%d late=%d phantoms=%d", n, pause, waited, late, len(c.desk.Phantoms()))
}

// partitions cuts one nats-server and one Winnow off from the others: in turn the
// owner and the standby, with connections that break and with some on which
// nothing arrives any more. Both sides page; afterwards it is one incident each.
func (c *pair) partitions(n int) string {
	const deadline = 60 * time.Second // as the guard has it
	var slowest time.Duration
	both, doubled := 0, 0
	for round := range n {
		owner, standby := c.roles()
		few, many := owner, standby
		if round%2 == 1 {
			few, many = standby, owner
		}
		how := cut
		if round/2%2 == 1 {
			how = mute
		}
		alone := round % natsServers
		before, inTheLog := c.name(), c.name()
		accepted := map[string]time.Time{before: c.send(before, false, few)}
		programs.Eventually(c.t, patience, "a page before it", func() error {
			if c.desk.paged()[before].IsZero() {
				return fmt.Errorf("%s is not out", before)
			}
			return nil
		})
		accepted[inTheLog] = c.send(inTheLog, false, few)
		split := func(s state) {
			c.bus.apart(alone, s)
			for i := range natsServers {
				if i == alone {
					many.wires[i].set(s)
				} else {
					few.wires[i].set(s)
				}
			}
		}
		split(how)
		began := time.Now()
		var mu sync.Mutex
		var posts sync.WaitGroup
		shared := []string{c.name(), c.name(), c.name()}
		post := func(name string, doors ...*side) {
			posts.Go(func() {
				at := c.send(name, false, doors...)
				mu.Lock()
				defer mu.Unlock()
				if old, ok := accepted[name]; !ok || at.Before(old) {
					accepted[name] = at
				}
			})
		}
		for _, name := range shared {
			post(name, few)
			post(name, many)
			post(c.name(), few)
			post(c.name(), many)
		}
		posts.Wait()
		c.send(before, true, many) // those who are cut off do not hear of it
		names := slices.Collect(func(yield func(string) bool) {
			for name := range accepted { // order: each is looked at
				if !yield(name) {
					return
				}
			}
		})
		programs.Eventually(c.t, 2*patience, "both sides page", func() error {
			paged := c.desk.paged()
			for _, name := range names {
				at := paged[name]
				if at.IsZero() {
					return fmt.Errorf("%s is not paged", name)
				}
				slowest = max(slowest, at.Sub(accepted[name]))
			}
			for _, name := range shared {
				if c.desk.triggers(name, few.id) == 0 || c.desk.triggers(name, many.id) == 0 {
					return fmt.Errorf("%s is paged by a side only", name)
				}
			}
			return nil
		})
		both += len(shared)
		<-time.After(time.Until(began.Add(20 * time.Second)))
		split(intact)
		c.bus.well()
		if few == owner {
			owner.wantOvertaken()
		}
		c.known()
		open := map[string]int{}
		for _, i := range c.desk.Open() {
			open[i.Key]++
		}
		if len(open) != len(accepted)-1 {
			c.t.Errorf("after the partition %d incidents stand open, want %d", len(open), len(accepted)-1)
		}
		for _, name := range names {
			for _, s := range c.sides {
				if got := c.desk.triggers(name, s.id); got > 2 {
					c.t.Errorf("winnow %s has paged %d times for %s", s.id, got, name)
				} else if got > 1 {
					doubled++
				}
			}
		}
		delete(accepted, before)
		c.settle(accepted, many, few)
	}
	if slowest > deadline {
		c.t.Errorf("in a partition a page came %s after its alert was accepted, want %s at most", slowest, deadline)
	}
	return fmt.Sprintf("partitions=%d on_both_sides=%d slowest=%s twice_by_a_side=%d open=%d phantoms=%d", n, both, slowest.Round(time.Millisecond), doubled, len(c.desk.Open()), len(c.desk.Phantoms()))
}
