//go:build e2e && k9

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// A sink without keys shows what it gets twice, and may get twice only what was
// in doubt: it had arrived, and its receipt was not in the log when the process
// was killed. There is no smaller bound. A kill leaves in doubt what is being
// sent and what waits to be written to the log, and that is as much as is due at
// once; so the log that each life leaves is read, and says what it was.

// confirmed is what the log knows to have arrived, and since the end of which
// life. It is read from copies of what the lives have left.
type confirmed struct {
	dir  string // of the copies
	next uint64 // the first message that is not read
	at   map[confirmation]int64
}

type confirmation struct {
	kind string // of the integration
	id   string // of the notification
}

const webhookIn, fileIn = "webhook", "jsonl"

// follow reads what the life that has ended has added.
func (c *confirmed) follow(ctx context.Context, storage string, life int64) error {
	dir := filepath.Join(c.dir, fmt.Sprint("life-", life))
	if err := os.CopyFS(dir, os.DirFS(storage)); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := stream.Open(ctx, stream.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer s.Close()
	held, err := s.Log(ctx)
	if err != nil || c.next > held.Last {
		return err
	}
	r, err := s.ReadLog(ctx, max(c.next, held.First))
	if err != nil {
		return err
	}
	defer r.Close()
	var d frame.Decoder
	for seq := uint64(0); seq < held.Last; {
		m, err := r.Next()
		if err != nil {
			return err
		}
		seq = m.Seq
		if _, err := d.Decode(m.Data, func(e *frame.Event) error { c.take(e, life); return nil }); err != nil {
			return err
		}
	}
	c.next = held.Last + 1
	return nil
}

func (c *confirmed) take(e *frame.Event, life int64) {
	if e.Kind != frame.Receipt || e.Receipt.Outcome != correlate.Accepted {
		return
	}
	kind, _, _ := strings.Cut(e.Receipt.Integration, "[")
	of := confirmation{kind, e.Receipt.ID()}
	if c.at == nil {
		c.at = map[confirmation]int64{}
	}
	if _, known := c.at[of]; !known {
		c.at[of] = life
	}
}

// sighting is a message that a sink without keys has got.
type sighting struct {
	id     string // the same for the same message
	of     string // its notification or, where a message does not say it, its incident
	life   int64  // of Winnow
	marked bool   // as one that may have come before
}

// sightings are all that one sink has got.
type sightings struct{ all []sighting }

func (s *sightings) see(one sighting) { s.all = append(s.all, one) }

// repeated is how many messages came again, in all and after the worst crash.
type repeated struct{ total, worst int }

func (s *sightings) again() (r repeated) {
	last := map[string]int64{}
	after := map[int64]int{} // by the life whose end made it come again
	for _, one := range s.all {
		if life, known := last[one.id]; known {
			r.total++
			after[life]++
			r.worst = max(r.worst, after[life])
		}
		last[one.id] = one.life
	}
	return r
}

// judge holds each repeat to what was in doubt when the life before it ended.
// Where a message names its notification that is one of which the log had no
// receipt; where it names its incident only, no more of that came again than
// had come and was not confirmed.
func (s *sightings) judge(c *confirmed, kind string) (errs []error) {
	known := map[string]sighting{}
	again := map[string]map[int64]int{} // by what they are of, and life
	for _, one := range s.all {
		before, was := known[one.id]
		known[one.id] = one
		switch {
		case !was:
			continue
		case before.life == one.life:
			errs = append(errs, fmt.Errorf("%s came twice in life %d, without a crash between", one.id, one.life))
		case !one.marked:
			errs = append(errs, fmt.Errorf("%s came in lives %d and %d, and nothing in it says that it may be a repeat", one.id, before.life, one.life))
		}
		if again[one.of] == nil {
			again[one.of] = map[int64]int{}
		}
		again[one.of][one.life]++
	}
	for of, lives := range again { // order: each is judged by itself
		for life, n := range lives { // order: each is judged by itself
			if doubt := s.doubt(c, kind, of, life-1); n > doubt {
				errs = append(errs, fmt.Errorf("%s: %d messages came again in life %d, and %d were in doubt", of, n, life, doubt))
			}
		}
	}
	return errs
}

// doubt counts what of a notification, or of all of an incident, had come up to
// the end of a life and was not confirmed in the log.
func (s *sightings) doubt(c *confirmed, kind, of string, life int64) int {
	came := map[string]bool{}
	for _, one := range s.all {
		if one.of == of && one.life <= life {
			came[one.id] = true
		}
	}
	n := len(came)
	for is, since := range c.at { // order: a count
		if is.kind == kind && since <= life && (is.id == of || strings.HasPrefix(is.id, of+"/")) {
			n--
		}
	}
	return n
}
