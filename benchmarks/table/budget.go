package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// An entry is one line of the budget. Where several benchmarks could fill it, the
// first that was run does: the full size before the quick one.
type entry struct {
	work    string
	names   []string
	unit    string
	limit   float64
	atLeast bool // the limit is the least, not the most
}

// entries are the budget of one server on two cores. Every request is durable
// before it is answered. An alert has twelve labels and four annotations.
var entries = []entry{
	{"re-send, batches of 256", []string{"Server/resend/alerts=256"}, "cpu-µs/alert", 3, false},
	{"re-send, batches of 64", []string{"Server/resend/alerts=64"}, "cpu-µs/alert", 4, false},
	{"first sight, batches of 256", []string{"Server/first/alerts=256"}, "cpu-µs/alert", 6, false},
	{"first sight, batches of 64", []string{"Server/first/alerts=64"}, "cpu-µs/alert", 6, false},
	{"webhook of 64 repeats", []string{"Server/webhook/alerts=64"}, "cpu-µs/alert", 4, false},
	{"single posts, 64 connections", []string{"Server/single/connections=64"}, "cpu-µs/request", 90, false},
	{"repeat by number, core and accounts", []string{"Repeat/number"}, "cpu-ns/alert", 150, false},
	{"repeat by number, core and accounts", []string{"Repeat/number"}, "allocs/op", 0, false},
	{"new alert, core and accounts", []string{"New"}, "cpu-ns/alert", 3000, false},
	{"memory, 1 M or 100,000 live", []string{"Server/state/live=1000000", "Server/state/live=100000"}, "rss-B/alert", 700, false},
	{"memory, 10 M live, while it answers", []string{"Server/crowd/live=10000000"}, "peak-MB", 8000, false},
	{"log, re-sends in 256", []string{"Server/resend/alerts=256"}, "log-B/alert", 64, false},
	{"storm, accepted", []string{"Server/storm"}, "alerts/s", 200_000, true},
	{"storm, first page after group_wait", []string{"Server/storm"}, "first-page-late-ms", 1000, false},
	{"storm, lost", []string{"Server/storm"}, "lost", 0, false},
	{"page beside 1,000 alerts/s", []string{"Server/page/background=1000"}, "p99-ms", 5, false},
	{"page beside 20,000 alerts/s", []string{"Server/page/background=20000"}, "p99-ms", 20, false},
	{"replay, repeats: start of a server", []string{"Server/replay/repeats"}, "replay-alerts/cpu-s", 2e6, true},
	{"replay, new alerts: frames, core, accounts", []string{"Replay"}, "cpu-ns/alert", 1e9 / 300_000, false},
	{"replay, new alerts: start of a server", []string{"Server/replay/new"}, "replay-alerts/cpu-s", 300_000, true},
	{"start after a stop, 1 M or 100,000 live", []string{"Server/state/live=1000000", "Server/state/live=100000"}, "ready-s", 10, false},
	{"start after kill -9, 1 M or 100,000 live", []string{"Server/state/live=1000000", "Server/state/live=100000"}, "ready-after-kill-s", 10, false},
	{"re-send, 10,000 silences", []string{"Server/resend/alerts=256/silences=10000"}, "cpu-µs/alert", 4.5, false},
	{"re-send, 1,000 inhibition rules", []string{"Server/resend/alerts=256/inhibit=1000"}, "cpu-µs/alert", 4.5, false},
	{"re-send, 1,000 routes", []string{"Server/resend/alerts=256/routes=1000"}, "cpu-µs/alert", 4.5, false},
	{"flush, core, 10,000 silences", []string{"PolicyFlush/silences=10000/first"}, "cpu-ns/alert", 10_000, false},
	{"flush, server, 10,000 silences", []string{"Server/flush/silences=10000"}, "cpu-µs/alert", 10, false},
	{"flush, server, 1,000 inhibition rules", []string{"Server/flush/inhibit=1000"}, "cpu-µs/alert", 10, false},
}

// measured is the median of what an entry was measured as.
func (rs *results) measured(e *entry) (v float64, ok bool) {
	for _, name := range e.names {
		if vs := rs.values[name][e.unit]; len(vs) > 0 {
			return median(vs), true
		}
	}
	return 0, false
}

// over says whether a value is not what the entry allows.
func (e *entry) over(v float64) bool {
	if e.atLeast {
		return v < e.limit
	}
	return v > e.limit
}

// marks counts the entries.
func (rs *results) marks() (within, over, missing int) {
	for i := range entries {
		v, ok := rs.measured(&entries[i])
		switch {
		case !ok:
			missing++
		case entries[i].over(v):
			over++
		default:
			within++
		}
	}
	return within, over, missing
}

func printBudget(out io.Writer, rs *results) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "work\tunit\tmeasured\tbudget\t")
	for i := range entries {
		e := &entries[i]
		sign, got, mark := "≤", "–", "not measured"
		if e.atLeast {
			sign = "≥"
		}
		if v, ok := rs.measured(e); ok {
			got, mark = figure(v), ""
			if e.over(v) {
				mark = "OVER"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s %s\t%s\n", e.work, e.unit, got, sign, figure(e.limit), mark)
	}
	w.Flush() // it writes what print does, whose error nobody looks at either
}
