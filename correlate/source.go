package correlate

import (
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/wire"
)

// ThawAfter is what a source gets, once it is heard again, to speak of the
// alerts that it had before it fell silent.
const ThawAfter = 10 * time.Minute

// source is what is known of one that is watched for silence.
type source struct {
	name   string
	after  time.Duration // 0 when it is watched no longer
	seenAt alert.Time    // zero before it was first heard
	silent bool
}

// setSources watches those of a policy from now on.
func (c *Core) setSources(out *Output, now alert.Time, list []Source) {
	for i := range c.sources {
		c.sources[i].after = 0
	}
	for _, s := range list {
		w := &c.sources[c.sourceIndex(s.Name)]
		if w.after = s.SilentAfter; w.seenAt != 0 { // it is silent now at the earliest, and was not before
			w.seenAt = max(w.seenAt, now.Add(-w.after))
		}
	}
	for i := range c.sources {
		if s := &c.sources[i]; s.after == 0 && s.silent {
			c.speak(out, now, s)
		}
	}
}

func (c *Core) sourceIndex(name string) int {
	i := slices.IndexFunc(c.sources, func(s source) bool { return s.name == name })
	if i < 0 {
		i = len(c.sources)
		c.sources = append(c.sources, source{name: name})
	}
	return i
}

// Heard says that a source has sent something, whatever it was.
func (c *Core) Heard(out *Output, now alert.Time, name string) {
	for i := range c.sources {
		if s := &c.sources[i]; s.name == name {
			s.seenAt = now
			if s.silent {
				c.speak(out, now, s)
			}
		}
	}
}

// Stepped enters into the books that Winnow has gone to another level of its
// ladder at a time, which may be before now. It changes nothing else.
func (c *Core) Stepped(out *Output, now alert.Time, level uint8, cause string, at alert.Time) {
	out.Rows = append(out.Rows, Row{At: now, Seq: c.seq, Action: Stepped, Revision: uint32(level), Cause: cause, Until: at})
}

// nextSilence is when the first source is due to be called silent.
func (c *Core) nextSilence() (at alert.Time, who *source) {
	for i := range c.sources {
		s := &c.sources[i]
		if s.after == 0 || s.seenAt == 0 || s.silent {
			continue
		}
		if due := s.seenAt.Add(s.after); who == nil || due < at {
			at, who = due, s
		}
	}
	return at, who
}

// fallSilent freezes the alerts of a source.
func (c *Core) fallSilent(out *Output, t alert.Time, s *source) {
	s.silent = true
	c.eachOf(s.name, func(ref dedupe.Ref) {
		if c.table.Firing(ref, t) {
			c.table.Freeze(ref)
		}
	})
	out.Rows = append(out.Rows, Row{At: t, Seq: c.seq, Action: SourceSilent, Cause: s.name, Delay: s.after})
}

// speak thaws them.
func (c *Core) speak(out *Output, now alert.Time, s *source) {
	s.silent = false
	c.eachOf(s.name, func(ref dedupe.Ref) { c.table.Thaw(ref, now.Add(ThawAfter)) })
	out.Rows = append(out.Rows, Row{At: now, Seq: c.seq, Action: SourceHeard, Cause: s.name})
}

func (c *Core) eachOf(name string, f func(dedupe.Ref)) {
	for ref := 1; ref < c.live.Len(); ref++ {
		if l := c.alert(dedupe.Ref(ref)); l.disposition != NoDisposition && c.dims.list[l.dim].Source == name {
			f(dedupe.Ref(ref))
		}
	}
}

// SilentSources names the sources that are silent now.
func (c *Core) SilentSources() (names []string) {
	for i := range c.sources {
		if c.sources[i].silent {
			names = append(names, c.sources[i].name)
		}
	}
	return names
}

func (c *Core) appendSources(w *wire.Writer) {
	w.Uint(uint64(len(c.sources)))
	for i := range c.sources {
		s := &c.sources[i]
		w.String(s.name)
		w.Uint(uint64(s.after))
		w.Int(int64(s.seenAt))
		w.Bool(s.silent)
	}
}

func (c *Core) loadSources(r *wire.Reader) {
	for range r.Count(4) {
		c.sources = append(c.sources, source{name: r.String(), after: time.Duration(r.Uint()), seenAt: alert.Time(r.Int()), silent: r.Bool()})
	}
}
