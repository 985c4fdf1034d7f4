package demo

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	leastReduction = 0.95
	quietGrace     = 2 * time.Second // beyond group_wait, for a busy machine
)

// Verdict is what Check found.
type Verdict struct {
	Checks int
	Failed []string // what is not as it must be, in words
}

// Check trusts the demo's own counts and the pager's, and holds Winnow's books
// against them.
func Check(r *Outcome) Verdict {
	c := &checker{}
	if r.Cut {
		c.holds(false, "the demo was stopped before its end: nothing can be said of the whole")
		return c.Verdict
	}
	c.books(r)
	c.sent(r)
	c.pages(r)
	c.quiet(r)
	return c.Verdict
}

type checker struct{ Verdict }

// holds notes what does not.
func (c *checker) holds(ok bool, format string, args ...any) {
	c.Checks++
	if !ok {
		c.Failed = append(c.Failed, fmt.Sprintf(format, args...))
	}
}

func (c *checker) books(o *Outcome) {
	var sum uint64
	r := &o.Report
	for _, n := range r.Dispositions {
		sum += n
	}
	c.holds(r.Balanced && sum == r.Deliveries, "the books do not balance: %d deliveries, %d accounted for", r.Deliveries, sum)
	c.holds(r.SwallowedCriticals == 0, "%d criticals were swallowed: %v", r.SwallowedCriticals, r.Swallowed)
	c.holds(r.CriticalBelowThreshold == 0, "%d criticals went to a receiver with nobody behind it", r.CriticalBelowThreshold)
	c.holds(r.Pending == 0, "%d alerts still wait to be decided", r.Pending)
	c.holds(o.Faults == 0, "%d messages of the log or the outbox are missing or unreadable", o.Faults)
	q := r.Ratios.NoiseReduction
	c.holds(q != nil && *q >= leastReduction, "%d deliveries became %d pages: less than %.0f %% were kept away", r.Deliveries, r.Pages, 100*leastReduction)
}

// sent holds the deliveries of each source against what was answered 2xx.
func (c *checker) sent(r *Outcome) {
	received := map[string]uint64{}
	for _, s := range r.Report.BySource {
		received[s.Source] = s.Deliveries
		_, ok := r.Sent[s.Source]
		c.holds(ok, "the books have %d deliveries of %s, which sent none", s.Deliveries, s.Source)
	}
	var total Tally
	for _, source := range slices.Sorted(maps.Keys(r.Sent)) {
		t, n := r.Sent[source], received[source]
		total.Accepted, total.Unsure = total.Accepted+t.Accepted, total.Unsure+t.Unsure
		c.holds(t.between(n), "%s sent %d alerts that were taken%s, the books have %d", source, t.Accepted, t.unsure(), n)
	}
	c.holds(total.between(r.Report.Deliveries), "%d alerts were taken%s, the books have %d", total.Accepted, total.unsure(), r.Report.Deliveries)
	c.holds(r.Alert.Known == r.Alert.Sent && r.Alert.Sent > 0, "of %d different alerts that were sent %d are known", r.Alert.Sent, r.Alert.Known)
}

func (t Tally) between(n uint64) bool { return t.Accepted <= n && n <= t.Accepted+t.Unsure }

func (t Tally) unsure() string {
	if t.Unsure == 0 {
		return ""
	}
	return fmt.Sprintf(" (and perhaps %d more)", t.Unsure)
}

// pages holds Winnow's count, the pager's incidents and the printed pages
// against each other.
func (c *checker) pages(r *Outcome) {
	c.holds(r.Report.Pages > 0, "nobody was paged")
	c.holds(uint64(len(r.Called)) == r.Report.Pages, "the books have %d pages, the pager was called %d times", r.Report.Pages, len(r.Called))
	c.holds(len(r.Pages) == len(r.Called), "%d pages were printed, the pager was called %d times", len(r.Pages), len(r.Called))
	printed, rung := map[string]int{}, map[string]int{}
	for _, p := range r.Pages {
		printed[p.Incident]++
	}
	for i := range r.Called {
		p := &r.Called[i]
		rung[p.Name]++
		c.holds(!p.Phantom, "the pager was called for %s again after it was over: %s", p.Name, p.Summary)
	}
	for _, name := range slices.Sorted(maps.Keys(printed)) {
		c.holds(rung[name] == printed[name], "%s was paged %d times, the pager was called %d times", name, printed[name], rung[name])
	}
	c.holds(len(rung) == len(printed), "the pager was called for %d incidents, %d were paged", len(rung), len(printed))
}

// quiet holds that the one alert that matters reached somebody, once, in time.
func (c *checker) quiet(r *Outcome) {
	if c.holds(!r.QuietSent.IsZero(), "the quiet critical was never sent"); r.QuietSent.IsZero() {
		return
	}
	calls := 0
	for i := range r.Called {
		if !r.Called[i].Quiet {
			continue
		}
		calls++
		took := r.Called[i].Opened.Sub(r.QuietSent)
		c.holds(took <= groupWait+quietGrace, "the quiet critical was paged %s after it was first sent; %s is allowed", took.Round(time.Millisecond), groupWait+quietGrace)
	}
	c.holds(calls == 1, "the quiet critical was paged %d times, not once", calls)
}
