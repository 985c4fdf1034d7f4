package shape

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/winnowhq/winnow/benchmarks/load"
)

// A Measurer runs a shape once, on a fresh server that keeps what it knows below
// dir.
type Measurer interface {
	Measure(ctx context.Context, s *Subject, dir string) (Figures, error)
}

// A Shape is one line of the table: the same load at the sizes that there is
// time for.
type Shape struct {
	Name  string
	Quick Measurer // nil where minutes are too short for it, or the budget has no such line
	Full  Measurer
	Peer  Measurer // what a peer is measured under beside Winnow; nil where it has no such thing
}

// known is how many alerts fire while they are sent again and again.
const known = 10_240

// All are the shapes of the budget.
func All() []Shape {
	resend := func(format load.Format, batch, connections int, p Policy, silences int) func(n int) Measurer {
		return func(n int) Measurer {
			return &Ingest{Format: format, Batch: batch, Connections: connections, Known: known, Repeat: n, Policy: p, Silences: silences}
		}
	}
	first := func(batch int) func(int) Measurer {
		return func(n int) Measurer { return &Ingest{Batch: batch, Connections: 4, Fresh: n} }
	}
	mix := func(n int) Measurer {
		return &Ingest{Batch: 64, Connections: 4, Known: known, Repeat: n - n/10, Fresh: n / 10}
	}
	shape := func(name string, of func(int) Measurer, quick, full, peer int) Shape {
		s := Shape{Name: name, Full: of(full)}
		if quick > 0 {
			s.Quick = of(quick)
		}
		if peer > 0 {
			s.Peer = of(peer)
		}
		return s
	}
	const thousand = 1000
	return slices.Concat([]Shape{
		shape("resend/alerts=256", resend(load.API, 256, 4, Policy{}, 0), 30*known, 200*known, 15*known),
		shape("resend/alerts=64", resend(load.API, 64, 4, Policy{}, 0), 25*known, 150*known, 15*known),
		shape("first/alerts=256", first(256), 128_000, 1_024_000, 76_800),
		shape("first/alerts=64", first(64), 96_000, 768_000, 76_800),
		shape("mix/alerts=64", mix, 0, 1_024_000, 0),
		shape("webhook/alerts=64", resend(load.Webhook, 64, 4, Policy{}, 0), 25*known, 150*known, 0),
		shape("single/connections=64", resend(load.API, 1, 64, Policy{}, 0), 2*known, 12*known, 2*known),
	}, manyLive(), states(), storms(), pageLatencies(), []Shape{
		shape("resend/alerts=256/inhibit=1000", resend(load.API, 256, 4, Policy{Inhibit: thousand}, 0), 20*known, 150*known, 0),
		shape("resend/alerts=256/routes=1000", resend(load.API, 256, 4, Policy{Routes: thousand}, 0), 20*known, 150*known, 0),
		shape("resend/alerts=256/silences=10000", resend(load.API, 256, 4, Policy{}, 10*thousand), 20*known, 150*known, 0),
	}, flushes())
}

// manyLive are re-sends where more alerts are live than caches hold.
func manyLive() []Shape {
	f := func(live, rounds int) Shape {
		in := &Ingest{Batch: 256, Connections: 4, Known: live, Repeat: rounds * live}
		return Shape{Name: fmt.Sprintf("resend/alerts=256/live=%d", live), Full: in}
	}
	return []Shape{f(100_000, 5), f(1_000_000, 2)}
}

func states() []Shape {
	state := func(n int) *State { return &State{Live: n} }
	return []Shape{
		{"state/live=100000", state(100_000), state(100_000), state(100_000)},
		{"state/live=1000000", nil, state(1_000_000), state(1_000_000)},
		{"crowd/live=10000000", nil, &Crowd{Live: 10_000_000, Limit: "8GiB"}, nil},
		{"replay/repeats", &Replay{Known: known, Repeat: 100 * known}, &Replay{Known: known, Repeat: 200 * known}, nil},
		{"replay/new", &Replay{Known: 100_000}, &Replay{Known: 1_000_000}, nil},
	}
}

func storms() []Shape {
	storm := func(alerts, distinct int) *Storm {
		return &Storm{Alerts: alerts, Distinct: distinct, Batch: 256, Connections: 8, GroupWait: 10 * time.Second}
	}
	return []Shape{{"storm", storm(1_000_000, 100_000), storm(1_000_000, 100_000), storm(200_000, 20_000)}}
}

func pageLatencies() []Shape {
	f := func(name string, background float64, peer bool) Shape {
		every := 25 * time.Millisecond
		quick, full := &Latency{background, 200, every}, &Latency{background, 1000, every}
		switch {
		case background == 0: // the budget has no such line
			return Shape{name, nil, full, quick}
		case peer:
			return Shape{name, quick, full, quick}
		}
		return Shape{name, quick, full, nil}
	}
	return []Shape{
		f("page/background=0", 0, true),
		f("page/background=1000", 1000, true),
		f("page/background=20000", 20_000, false),
	}
}

func flushes() []Shape {
	const quick, full = 30_000, 100_000
	flush := func(n int, p Policy, silences int) *Flush { return &Flush{Alerts: n, Policy: p, Silences: silences} }
	inhibit := Policy{Inhibit: 1000}
	return []Shape{
		{"flush", nil, flush(full, Policy{}, 0), flush(quick, Policy{}, 0)},
		{"flush/inhibit=1000", flush(quick, inhibit, 0), flush(full, inhibit, 0), flush(quick, inhibit, 0)},
		{"flush/silences=1000", nil, flush(full, Policy{}, 1000), flush(quick, Policy{}, 1000)},
		{"flush/silences=10000", flush(quick, Policy{}, 10_000), flush(full, Policy{}, 10_000), nil},
	}
}

// Prefix begins the name of each line that Print writes.
const Prefix = "Server/"

// Print writes figures as a line of Go's benchmark format.
func Print(w io.Writer, name string, f Figures) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s%s 1", Prefix, name)
	for _, unit := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(&b, "\t%.6g %s", f[unit], unit)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}
