// Command table reads the output of Go benchmarks and prints one table with a
// row for each and a column for each unit, allocations and bytes counted for an
// alert where the benchmark says how long one took. Of several runs it shows the
// median. With -budget it prints what the budget allows beside what was measured,
// and marks what is over.
//
// It never measures anything itself. A benchmark that has failed is a row that
// says so, and then the command fails once all has been shown.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

func main() {
	budget := flag.Bool("budget", false, "print the budget, not all benchmarks")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *budget); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, budget bool) error {
	rs, err := read(in)
	if err != nil {
		return err
	}
	if budget {
		printBudget(out, rs)
	} else {
		print(out, rs)
	}
	for _, line := range rs.failed {
		fmt.Fprintln(out, line)
	}
	cpu := rs.cpu
	if cpu == "" {
		cpu = "unknown CPU"
	}
	_, err = fmt.Fprintf(out, "\n%s, %d of them, %s, load average %s. CPU is that of all threads; rates, latencies and ns/alert are wall time of a shared machine.\n",
		cpu, runtime.NumCPU(), runtime.Version(), loadAverage())
	if budget {
		within, over, missing := rs.marks()
		fmt.Fprintf(out, "bench: within=%d over=%d missing=%d failed=%d\n", within, over, missing, len(rs.failed))
	}
	if len(rs.failed) > 0 {
		err = errors.Join(err, fmt.Errorf("%d benchmarks failed", len(rs.failed)))
	}
	return err
}

// loadAverage says how busy the machine is, where the system tells.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(b)); err == nil && len(fields) >= 3 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}

// results are benchmarks in order of first mention.
type results struct {
	names  []string
	values map[string]map[string][]float64 // by name and unit
	failed []string                        // lines that say what has, and why
	cpu    string
}

// result is a line of a benchmark: its name without the suffix of GOMAXPROCS,
// iterations, then pairs of value and unit.
var result = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.+)$`)

func read(in io.Reader) (*results, error) {
	rs := &results{values: map[string]map[string][]float64{}}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if cpu, ok := strings.CutPrefix(line, "cpu: "); ok {
			rs.cpu = cpu
		}
		if strings.HasPrefix(line, "--- FAIL") || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "panic:") {
			rs.failed = append(rs.failed, line)
		}
		if m := result.FindStringSubmatch(line); m != nil {
			if err := rs.add(m[1], strings.Fields(m[2])); err != nil {
				return nil, fmt.Errorf("read %q: %w", line, err)
			}
		}
	}
	switch {
	case lines.Err() != nil:
		return nil, lines.Err()
	case len(rs.names) == 0 && len(rs.failed) == 0:
		return nil, errors.New("there is no benchmark in the input")
	}
	return rs, nil
}

func (rs *results) add(name string, fields []string) error {
	if len(fields)%2 != 0 {
		return errors.New("want pairs of a value and its unit")
	}
	units := map[string]float64{}
	for i := 0; i < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return err
		}
		units[fields[i+1]] = v
	}
	if alert, op := units["ns/alert"], units["ns/op"]; alert > 0 && op > 0 {
		alerts := max(1, float64(int(op/alert+0.5)))
		for _, unit := range []string{"B", "allocs"} {
			if v, ok := units[unit+"/op"]; ok {
				units[unit+"/alert"] = v / alerts
			}
		}
	}
	if rs.values[name] == nil {
		rs.names = append(rs.names, name)
		rs.values[name] = map[string][]float64{}
	}
	for unit, v := range units {
		rs.values[name][unit] = append(rs.values[name][unit], v)
	}
	return nil
}

// columns come first and in this order; other units follow by name.
var columns = []string{"ns/alert", "cpu-ns/alert", "allocs/alert", "B/alert", "heap-B/alert", "log-B/alert"}

// perIteration are units that say nothing without the size of an iteration.
var perIteration = []string{"ns/op", "B/op", "allocs/op"}

func (rs *results) units() []string {
	seen := map[string]bool{}
	for _, vs := range rs.values {
		for unit := range vs {
			seen[unit] = true
		}
	}
	var out []string
	for _, unit := range columns {
		if seen[unit] {
			out = append(out, unit)
		}
		delete(seen, unit)
	}
	for _, unit := range perIteration {
		delete(seen, unit)
	}
	return append(out, slices.Sorted(maps.Keys(seen))...)
}

func print(out io.Writer, rs *results) {
	units := rs.units()
	width := len("stage")
	for _, name := range rs.names {
		width = max(width, len(name))
	}
	row := func(name string, cell func(unit string) string) {
		var line strings.Builder
		fmt.Fprintf(&line, "%-*s", width, name)
		for _, unit := range units {
			fmt.Fprintf(&line, "  %*s", max(len(unit), 8), cell(unit))
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
	row("stage", func(unit string) string { return unit })
	for _, name := range rs.names {
		row(name, func(unit string) string {
			vs := rs.values[name][unit]
			if len(vs) == 0 {
				return ""
			}
			return figure(median(vs))
		})
	}
}

func median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	n := len(vs)
	return (vs[(n-1)/2] + vs[n/2]) / 2
}

// figure writes three significant digits or the whole number.
func figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.01:
		return "<0.01"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
