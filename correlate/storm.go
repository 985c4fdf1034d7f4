package correlate

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/wire"
)

// Limits of a storm.
const (
	// DefaultNewGroups is how many groups may open at a receiver within a
	// minute where a configuration does not say. It is half of what PagerDuty
	// takes under one key.
	DefaultNewGroups = 60

	// MaxNewGroups bounds what a configuration may say: as many times are kept
	// for each receiver.
	MaxNewGroups = 10_000

	// MaxStormGroups bounds the names of alerts that one storm at a receiver
	// pages apart. Whatever else comes joins one group for each route.
	MaxStormGroups = 20

	// StormWait is how long a storm's group may let a critical or an error wait
	// that joined it after its first notification.
	StormWait = 30 * time.Second

	stormWindow = time.Minute
)

// StormLimit says when too many groups are a storm. The zero value says never.
type StormLimit struct {
	// NewGroups is how many groups may open at one receiver within a minute.
	// Alerts that would open more share a storm's group. 0 or less: any number.
	NewGroups int `json:"new_groups_per_minute,omitempty" yaml:"new_groups_per_minute"`
}

// Validate says what is wrong with s.
func (s *StormLimit) Validate() error {
	if s.NewGroups > MaxNewGroups {
		return fmt.Errorf("new_groups_per_minute: %d is too many, at most %d; 0 sets no limit", s.NewGroups, MaxNewGroups)
	}
	return nil
}

// StormSummary says that an incident stands for a storm.
type StormSummary struct {
	// Joined counts the alerts that found no group of their own, in all.
	Joined uint64 `json:"joined"`
}

// rush is what came for a receiver lately and found no group. The bound is the
// receiver's and not a route's, because its provider and its people bear the
// sum of all routes.
type rush struct {
	receiver string
	times    []alert.Time // when the latest came, at most as many as may open
	storm    uint64       // the number of the storm that is on; 0 when none is
	names    uint32       // groups with a name that it has opened
}

// stormAt says whether an alert that has no group at r comes in a storm, and
// counts it. A storm begins when as many came within a minute as groups may
// open, and is over when it is less than half of that: a rate about the limit
// must not be one storm after another.
func (c *Core) stormAt(now alert.Time, r *route) *rush {
	limit := c.policy.newGroups
	if limit == 0 {
		return nil
	}
	if r.rush == nil {
		r.rush = c.rushOf(r.Receiver)
	}
	s := r.rush
	old := 0
	for old < len(s.times) && s.times[old] <= now.Add(-stormWindow) {
		old++
	}
	s.times = s.times[old:]
	n := len(s.times)
	switch {
	case s.storm == 0 && n >= limit:
		c.storms++
		s.storm, s.names = c.storms, 0
	case s.storm != 0 && n < (limit+1)/2:
		s.storm = 0
	}
	if n >= limit {
		s.times = s.times[n-limit+1:]
	}
	s.times = append(s.times, now)
	if s.storm == 0 {
		return nil
	}
	return s
}

func (c *Core) rushOf(receiver string) *rush {
	for _, s := range c.rushes {
		if s.receiver == receiver {
			return s
		}
	}
	s := &rush{receiver: receiver}
	c.rushes = append(c.rushes, s)
	return s
}

// keepRushes forgets what came for receivers that are gone, and everything
// where there is no limit any more.
func (c *Core) keepRushes(p *Policy) {
	c.rushes = slices.DeleteFunc(c.rushes, func(s *rush) bool {
		return c.policy.newGroups == 0 || !slices.ContainsFunc(p.Receivers, func(r Receiver) bool { return r.Name == s.receiver })
	})
}

// stormGroup finds the group of a storm for alerts of one name, or opens it. It
// is one as any other but for its key, in which nothing can be an alert's own.
func (c *Core) stormGroup(out *Output, now alert.Time, r *route, s *rush, ref dedupe.Ref, ls alert.Labels) *group {
	c.lsB = c.lsB[:0]
	if name := ls.Get("alertname"); name != "" {
		c.lsB = append(c.lsB, alert.Label{Name: "alertname", Value: name})
	}
	c.key = appendStormKey(c.key[:0], r, s.storm, c.lsB)
	g := c.index[string(c.key)]
	if g == nil && len(c.lsB) > 0 && s.names >= MaxStormGroups {
		c.lsB = c.lsB[:0]
		c.key = appendStormKey(c.key[:0], r, s.storm, c.lsB)
		g = c.index[string(c.key)]
	}
	if g == nil {
		if len(c.lsB) > 0 {
			s.names++
		}
		g = c.open(out, now, &group{route: r, key: string(c.key), labels: c.lsB.Clone(), storm: s.storm}, ref)
	}
	g.joined++
	return g
}

// appendStormKey cannot make the key of another group: those have a label or
// nothing where this has a number.
func appendStormKey(b []byte, r *route, storm uint64, ls alert.Labels) []byte {
	b = append(append(b, r.ID...), 0xff, 0xff)
	b = strconv.AppendUint(b, storm, 10)
	for i := range ls {
		b = append(append(b, 0xff), ls[i].Value...)
	}
	return b
}

// inStorm reports whether an alert sits in a storm's group of r already. It
// stays there until it has ended and that was said.
func (c *Core) inStorm(ref dedupe.Ref, r *route) bool {
	l := c.alert(ref)
	if l.first.group == nil {
		return false
	}
	if g := l.first.group; g.storm != 0 && g.route == r {
		return true
	}
	for i := range l.others() {
		if g := l.beside.more[i].group; g.storm != 0 && g.route == r {
			return true
		}
	}
	return false
}

// hasten sees to it that a storm's group names a critical or an error soon,
// however long its interval is.
func (c *Core) hasten(g *group, now alert.Time) {
	if due := now.Add(max(StormWait, g.route.GroupWait)); g.next > due {
		c.schedule(g, due)
	}
}

// grave are the alerts that nobody has heard of unless they were named.
func grave(s alert.Severity) bool { return s >= alert.Error }

// stay seats an alert of a storm in the group that succeeds the storm's under
// r. It reports false where another route's has done so.
func (c *Core) stay(r *route, old *group, ref dedupe.Ref) bool {
	c.key = appendStormKey(c.key[:0], r, old.storm, old.labels)
	g := c.index[string(c.key)]
	if g == nil {
		if old.successor != nil {
			return false
		}
		g = c.succeed(old, r, string(c.key), old.labels)
	}
	c.sit(g, ref)
	return true
}

// stormSeat is the storm's group that an alert had, among its old seats, where
// the new routes lead to r: that of the same route, else one at its receiver.
func stormSeat(seats []seat, r *route) *group {
	var found *group
	own := false
	for _, s := range seats {
		g := s.group
		same := g.route.ID == r.ID
		switch {
		case g.route.Receiver != r.Receiver:
		case g.storm != 0 && same:
			return g
		case g.storm != 0 && found == nil:
			found = g
		case same:
			own = true
		}
	}
	if own {
		return nil
	}
	return found
}

// summary is what people read of a storm; nil for any other group.
func (g *group) summary() *StormSummary {
	if g.storm == 0 {
		return nil
	}
	return &StormSummary{Joined: g.joined}
}

func (c *Core) appendRushes(w *wire.Writer) {
	w.Uint(c.storms)
	w.Uint(uint64(len(c.rushes)))
	for _, s := range c.rushes {
		w.String(s.receiver)
		w.Uint(s.storm)
		w.Uint(uint64(s.names))
		w.Uint(uint64(len(s.times)))
		for _, t := range s.times {
			w.Int(int64(t))
		}
	}
}

func (c *Core) loadRushes(r *wire.Reader) {
	c.storms = r.Uint()
	for range r.Count(4) {
		s := &rush{receiver: r.String(), storm: r.Uint(), names: r.Uint32()}
		for range r.Count(1) {
			s.times = append(s.times, alert.Time(r.Int()))
		}
		c.rushes = append(c.rushes, s)
	}
}
