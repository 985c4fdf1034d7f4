// Command gate holds what an alert costs against benchmarks/baseline.json: how
// often each stage allocates, exactly; what a live alert, a new one and a logged
// repeat take, within 2 %; and the CPU time of each stage against a reference workload
// in the same process, within 25 %, or within twice on another kind of processor
// than that of the baseline.
//
// The CPU time of some stages has two modes, about twice apart, that last for the
// life of a process, for a reason that is not known yet. So several processes
// measure it, one after the other, and the least is believed: noise adds time,
// and takes none away.
//
// It looks at no wall clock. Before it believes a good result it plants a
// slow-down and an allocation, and fails if it does not see them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/benchmarks/stage"
)

func main() {
	update := flag.Bool("update", false, "write what is measured as the baseline, with -why")
	why := flag.String("why", "", "the reason for another baseline")
	part := flag.Bool("part", false, "only measure CPU time, once, and print it as JSON: what the gate runs several times")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *part {
		err = printCPU(os.Stdout)
	} else {
		err = run(ctx, *update, *why)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, update bool, why string) error {
	root, err := programs.Root(ctx)
	if err != nil {
		return err
	}
	path := filepath.Join(root, "benchmarks", "baseline.json")
	if update {
		m, err := measure(ctx, updateProcesses)
		if err != nil {
			return err
		}
		return writeBaseline(path, m.baseline(why))
	}
	base, err := readBaseline(path)
	if err != nil {
		return err
	}
	// One noisy neighbour is not a slow-down: what is short is measured again, and
	// the least of all is believed.
	var short []string
	var before map[string]float64
	for try := 1; ; try++ {
		m, err := measure(ctx, processes)
		if err != nil {
			return err
		}
		m.least(before)
		before = m.CPU
		if short = base.judge(m); len(short) == 0 || try == tries {
			m.print(os.Stdout, base)
			break
		}
		fmt.Printf("gate: measured again, because of: %s\n", short[0])
	}
	for _, s := range short {
		fmt.Fprintln(os.Stderr, "gate:", s)
	}
	if len(short) > 0 {
		return fmt.Errorf("%d figures are not those of benchmarks/baseline.json; if that is meant: make baseline WHY=\"…\"", len(short))
	}
	return nil
}

// measure takes all figures, and makes sure that it would see a worse one.
func measure(ctx context.Context, processes int) (*figures, error) {
	m := newFigures()
	ops := stage.Ops()
	if err := m.allocations(ops); err != nil {
		return nil, err
	}
	for range processes {
		one, err := cpuOfProcess(ctx)
		if err != nil {
			return nil, err
		}
		m.least(one)
	}
	if err := m.heap(); err != nil {
		return nil, err
	}
	if err := m.log(ctx); err != nil {
		return nil, err
	}
	return m, m.sees(ops[0])
}
