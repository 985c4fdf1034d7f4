// Command peer measures Winnow and a real Alertmanager under the same loads, in
// turn, and prints what each costs and the ratio of the two.
//
// It decides how the two are compared: a fresh process for every run, the same
// bodies, one run of each after the other, and a ratio only of such a pair, so
// that what else the machine does falls on both. Alertmanager is a stock build
// with one route and five inhibition rules, without a cluster; Winnow makes each
// request durable before it answers. It gates nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/benchmarks/shape"
)

// Patterns of the shapes that are measured by default, and of those which take
// minutes each.
const (
	ordinary = `^(resend/alerts=(256|64)|first/alerts=64|single/connections=64|state/live=100000|storm|flush(/inhibit=1000|/silences=1000)?)$`
	long     = `^state/live=1000000$`
)

type options struct {
	binary, shapes, json string
	pairs                int
	full                 bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the Winnow to measure; built from the working tree where it is empty")
	flag.StringVar(&o.shapes, "shapes", ordinary, "pattern of the shapes to measure")
	flag.StringVar(&o.json, "json", "", "file to write all figures to")
	flag.BoolVar(&o.full, "full", false, "add the shapes that take minutes each")
	flag.IntVar(&o.pairs, "pairs", 3, "how many pairs of runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) (err error) {
	if o.full {
		o.shapes += "|" + long
	}
	want, err := regexp.Compile(o.shapes)
	if err != nil {
		return err
	}
	if o.pairs < 1 {
		return errors.New("a ratio needs at least one pair: -pairs")
	}
	scratch, err := os.MkdirTemp("", "winnow-peer-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	subjects, err := build(ctx, o, scratch)
	if err != nil {
		return err
	}
	r := report{Alertmanager: programs.AlertmanagerVersion, Go: runtime.Version(), CPUs: runtime.NumCPU(), Began: time.Now().UTC().Format(time.RFC3339), LoadBefore: loadAverage()}
	for _, sh := range shape.All() {
		if sh.Peer == nil || !want.MatchString(sh.Name) {
			continue
		}
		c := comparison{Shape: sh.Name}
		for i := range o.pairs {
			fmt.Fprintf(os.Stderr, "peer: %s, pair %d of %d\n", sh.Name, i+1, o.pairs)
			p, err := measure(ctx, sh.Peer, subjects, scratch)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				c.Failed = append(c.Failed, err.Error())
				continue
			}
			c.Pairs = append(c.Pairs, p)
		}
		r.Comparisons = append(r.Comparisons, c)
	}
	r.LoadAfter = loadAverage()
	if len(r.Comparisons) == 0 {
		return fmt.Errorf("no shape that a peer can be measured under matches %q", o.shapes)
	}
	if o.json != "" {
		if err := write(o.json, &r); err != nil {
			return err
		}
	}
	return r.print(os.Stdout)
}

// runTimeout bounds a run, so that one that hangs is a failure and not the end.
const runTimeout = 5 * time.Minute

// build returns Winnow and its peer.
func build(ctx context.Context, o *options, scratch string) ([2]shape.Subject, error) {
	if o.binary == "" {
		root, err := programs.Root(ctx)
		if err != nil {
			return [2]shape.Subject{}, err
		}
		if o.binary, err = programs.BuildWinnow(ctx, root, scratch); err != nil {
			return [2]shape.Subject{}, err
		}
	}
	alertmanager, err := programs.BuildAlertmanager(ctx)
	return [2]shape.Subject{shape.Winnow(o.binary), shape.Alertmanager(alertmanager)}, err
}

// measure runs one pair.
func measure(ctx context.Context, m shape.Measurer, subjects [2]shape.Subject, dir string) (p pair, err error) {
	for i := range subjects {
		ctx, cancel := context.WithTimeout(ctx, runTimeout)
		f, err := m.Measure(ctx, &subjects[i], dir)
		cancel()
		if err != nil {
			return pair{}, fmt.Errorf("%s: %w", subjects[i].Name, err)
		}
		if i == 0 {
			p.Winnow = f
		} else {
			p.Peer = f
		}
	}
	return p, nil
}

func write(path string, r *report) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// loadAverage says how busy the machine is, where the system tells.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(b)); err == nil && len(fields) >= 3 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}
