package ledger

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/winnowhq/winnow/correlate"
)

// clean makes a payload's string safe to print: what could move the cursor,
// turn the line around or hide itself becomes a visible mark.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r != ' ' && !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, s)
}

// cell is clean, with a word for nothing, shortened to width characters.
func cell(s string, width int) string {
	if s = clean(s); s == "" {
		s = "(none)"
	}
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:max(width-1, 0)]) + "…"
}

// left and right pad to width characters.
func left(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

func right(s string, width int) string {
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0)) + s
}

// count writes 4,812.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent never rounds something to nothing, nor a gap to none.
func percent(q *float64) string {
	if q == nil || math.IsNaN(*q) || math.IsInf(*q, 0) {
		return "n/a"
	}
	p := *q * 100
	switch {
	case p > 0 && p < 0.1:
		return "<0.1 %"
	case p > 99.9 && p < 100:
		return ">99.9 %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

// seconds writes a length of time to about three digits.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	for _, step := range [...]struct{ under, to time.Duration }{
		{10 * time.Millisecond, 10 * time.Microsecond},
		{100 * time.Millisecond, 100 * time.Microsecond},
		{time.Second, time.Millisecond},
		{10 * time.Second, 10 * time.Millisecond},
	} {
		if d < step.under {
			d = d.Round(step.to)
			break
		}
	}
	switch {
	case d < time.Second:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
	}
	d = d.Round(time.Second)
	h, m, sec := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, sec)
	}
	return fmt.Sprintf("%d s", sec)
}

// dispositionWords say in plain words what became of a delivery.
var dispositionWords = [correlate.NumDispositions]string{
	correlate.Pending:            "a page is due at a named time",
	correlate.Paged:              "set off a page",
	correlate.Grouped:            "went out within a named incident",
	correlate.Repeat:             "was known already, nothing new",
	correlate.Held:               "waits to see whether it goes away",
	correlate.Flapping:           "fires and resolves too often",
	correlate.Silenced:           "silenced by a person",
	correlate.Inhibited:          "inhibited by another firing alert",
	correlate.Muted:              "muted by a time interval",
	correlate.ResolvedBeforePage: "ended before anybody was paged for it",
	correlate.BelowThreshold:     "its receiver has nobody behind it",
	correlate.Storm:              "went out within the page of a storm",
	correlate.Closed:             "told that a known alert had ended",
	correlate.Stray:              "ended, but was never seen firing",
	correlate.Quarantined:        "unreadable; its bytes are kept",
}

// dispositionCount is a line of the table of dispositions.
type dispositionCount struct {
	name, words string
	n           uint64
}

// ordered lists a report's dispositions in the order in which they are
// defined, then names that this version does not know.
func ordered(ds map[string]uint64) []dispositionCount {
	out := make([]dispositionCount, 0, len(ds))
	seen := 0
	for d := correlate.NoDisposition + 1; d < correlate.NumDispositions; d++ {
		if n, ok := ds[d.String()]; ok {
			out = append(out, dispositionCount{d.String(), dispositionWords[d], n})
			seen++
		}
	}
	if seen == len(ds) {
		return out
	}
	known := len(out)
	// order: sorted below
	for name, n := range ds {
		if !slices.ContainsFunc(out[:known], func(c dispositionCount) bool { return c.name == name }) {
			out = append(out, dispositionCount{name, "unknown to this version", n})
		}
	}
	slices.SortFunc(out[known:], func(a, b dispositionCount) int { return strings.Compare(a.name, b.name) })
	return out
}

// accounted is the other side of the balance.
func (r *Report) accounted() uint64 { return sum(r.Dispositions) }

func sum(ds map[string]uint64) uint64 {
	var n uint64
	// order: sums only
	for _, d := range ds {
		n += d
	}
	return n
}

// rawPages is what a report calls them.
const rawPages = "Raw pages, sent past the core"

// headline says what an SRE would say of the report in one breath.
func (r *Report) headline() string {
	if r.Deliveries == 0 {
		return "No alert has come in yet."
	}
	s := fmt.Sprintf("%s alerts became %s: noise reduction %s, ", count(r.Deliveries), things(r.Pages, "page"), percent(r.Ratios.NoiseReduction))
	if r.SwallowedCriticals == 0 {
		return s + "no critical swallowed."
	}
	return s + things(r.SwallowedCriticals, "critical") + " swallowed."
}

func things(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}

// period is the time a report covers.
func (r *Report) period() string {
	if r.Since.IsZero() {
		return ""
	}
	const minute = "2006-01-02 15:04"
	return r.Since.UTC().Format(minute) + " to " + r.Until.UTC().Format(minute) + " UTC"
}

func (s *SelfResolvedCount) words() string {
	return fmt.Sprintf("%s ended within 5 minutes (%s); people were told of %s of them.", things(s.Episodes, "episode"), percent(s.Share), count(s.Told))
}

// ratioLine is a ratio with its definition.
type ratioLine struct {
	name, definition, words string
	value                   *float64
}

func (r *Report) ratioLines() []ratioLine {
	return []ratioLine{
		{"dedupe", "1 - onsets/deliveries", "re-sends of what was known", r.Ratios.Dedupe},
		{"correlation", "1 - incidents/onsets", "joined an incident that stood", r.Ratios.Correlation},
		{"page ratio", "pages/onsets", "interruptions per episode", r.Ratios.Page},
		{"noise reduction", "1 - pages/deliveries", "counts re-sends as noise", r.Ratios.NoiseReduction},
	}
}

// stage is a step of the funnel.
type stage struct {
	name string
	n    uint64
}

func (r *Report) funnel() []stage {
	return []stage{
		{"deliveries", r.Deliveries}, {"onsets", r.Onsets}, {"incidents", r.Incidents},
		{"notifications", r.Notifications}, {"pages", r.Pages},
	}
}

// severityDelay is a line of the table of delays.
type severityDelay struct {
	severity string
	Delay
}

// delays lists the most severe first, then names that are no severity.
func (r *Report) delays() []severityDelay {
	out := make([]severityDelay, 0, len(r.AddedDelay))
	// order: sorted below
	for name, d := range r.AddedDelay {
		out = append(out, severityDelay{name, d})
	}
	slices.SortFunc(out, func(a, b severityDelay) int {
		if c := severityOrder(a.severity) - severityOrder(b.severity); c != 0 {
			return c
		}
		return strings.Compare(a.severity, b.severity)
	})
	return out
}

func severityOrder(name string) int {
	if i := slices.Index([]string{"critical", "error", "warning", "info", "unset"}, name); i >= 0 {
		return i
	}
	return math.MaxInt8
}
