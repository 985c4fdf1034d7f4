package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/winnowhq/winnow/benchmarks/shape"
)

// report is all that a run of the command has measured, as it is written.
type report struct {
	Alertmanager string       `json:"alertmanager"`
	Go           string       `json:"go"`
	CPUs         int          `json:"cpus"`
	Began        string       `json:"began"`
	LoadBefore   string       `json:"load_average_before"`
	LoadAfter    string       `json:"load_average_after"`
	Comparisons  []comparison `json:"comparisons"`
}

// comparison is one shape.
type comparison struct {
	Shape  string   `json:"shape"`
	Pairs  []pair   `json:"pairs"`
	Failed []string `json:"failed,omitempty"` // pairs that are no measurement, and why
}

// pair is a run of each, one after the other.
type pair struct {
	Winnow shape.Figures `json:"winnow"`
	Peer   shape.Figures `json:"alertmanager"`
}

// compared are the units of which there is a row, where both have it, in order.
// Of all but the last a lower value is better.
var compared = []string{
	shape.CPUPerAlert, shape.MemoryPerAlert, shape.PeakPerAlert, shape.PeakMemory,
	shape.P99, shape.FirstPageLate, shape.AlertsPerSecond,
}

// wanted is how many times better than the peer the budget wants Winnow to be.
var wanted = map[[2]string]float64{
	{"resend/alerts=256", shape.CPUPerAlert}:     35,
	{"resend/alerts=64", shape.CPUPerAlert}:      28,
	{"first/alerts=64", shape.CPUPerAlert}:       15,
	{"single/connections=64", shape.CPUPerAlert}: 3.5,
	{"state/live=1000000", shape.MemoryPerAlert}: 8,
	{"storm", shape.AlertsPerSecond}:             13,
}

// verdict says what is wanted of a row, and whether its median is that.
func verdict(of string, r *row) string {
	w, ok := wanted[[2]string{of, r.unit}]
	switch {
	case !ok:
		return ""
	case r.ratio.median < w:
		return fmt.Sprintf("%g: below", w)
	}
	return fmt.Sprintf("%g: met", w)
}

// spread is the least, the median and the most of some values.
type spread struct{ min, median, max float64 }

func spreadOf(vs []float64) spread {
	vs = slices.Sorted(slices.Values(vs))
	n := len(vs)
	return spread{vs[0], (vs[(n-1)/2] + vs[n/2]) / 2, vs[n-1]}
}

func (s spread) String() string {
	return fmt.Sprintf("%s / %s / %s", figure(s.min), figure(s.median), figure(s.max))
}

// figure has three significant digits or is a whole number.
func figure(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// row is one unit of a shape: each program's values, and how many times better
// Winnow is in each pair.
type row struct {
	unit                string
	winnow, peer, ratio spread
}

func (c *comparison) rows() []row {
	var out []row
	for _, unit := range compared {
		var ours, theirs, ratios []float64
		for _, p := range c.Pairs {
			a, okA := p.Winnow[unit]
			b, okB := p.Peer[unit]
			if !okA || !okB || a <= 0 || b <= 0 {
				continue
			}
			ours, theirs = append(ours, a), append(theirs, b)
			if unit == shape.AlertsPerSecond {
				a, b = b, a
			}
			ratios = append(ratios, b/a)
		}
		if len(ratios) > 0 {
			out = append(out, row{unit, spreadOf(ours), spreadOf(theirs), spreadOf(ratios)})
		}
	}
	return out
}

// print writes the table and, last, a line of figures. It returns an error where
// a pair has failed.
func (r *report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "least / median / most\tunit\tWinnow\tAlertmanager %s\ttimes better, of each pair\twanted\n", r.Alertmanager)
	pairs, failed := 0, 0
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		pairs += len(c.Pairs)
		failed += len(c.Failed)
		for _, row := range c.rows() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Shape, row.unit, row.winnow, row.peer, row.ratio, verdict(c.Shape, &row))
		}
		for _, why := range c.Failed {
			first, _, _ := strings.Cut(why, "\n")
			fmt.Fprintf(w, "%s\tFAILED\t%s\n", c.Shape, first)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nCPU is that of the server, from /proc. alerts/s and latencies are wall time of a shared machine.\n")
	_, err := fmt.Fprintf(out, "peer: pairs=%d failed=%d shapes=%d cpus=%d go=%s load_before=%q load_after=%q\n", pairs, failed, len(r.Comparisons), r.CPUs, r.Go, r.LoadBefore, r.LoadAfter)
	if failed > 0 || pairs == 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d pairs are no measurement", failed, pairs+failed))
	}
	return err
}
