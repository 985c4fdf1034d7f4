// Command server measures a whole Winnow, as it is built, over HTTP, under the
// shapes of the budget, and prints a line of Go's benchmark format for each, or
// one that begins with FAIL and says why there is no figure. It judges nothing:
// command table does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/benchmarks/shape"
)

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the Winnow to measure; built from the working tree where it is empty")
	flag.StringVar(&o.shapes, "shapes", ".", "pattern of the shapes to measure")
	flag.BoolVar(&o.full, "full", false, "at the sizes of the budget, which takes a quarter of an hour, not minutes")
	flag.BoolVar(&o.list, "list", false, "only list the shapes")
	flag.IntVar(&o.count, "count", 1, "how often to measure each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

type options struct {
	binary, shapes string
	full, list     bool
	count          int
}

func run(ctx context.Context, o *options) error {
	want, err := regexp.Compile(o.shapes)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "winnow-server-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if o.binary == "" && !o.list {
		root, err := programs.Root(ctx)
		if err != nil {
			return err
		}
		if o.binary, err = programs.BuildWinnow(ctx, root, scratch); err != nil {
			return err
		}
	}
	measured, failed := 0, 0
	for _, sh := range shape.All() {
		m, within := sh.Quick, quickTimeout
		if o.full {
			m, within = sh.Full, fullTimeout
		}
		if m == nil || !want.MatchString(sh.Name) {
			continue
		}
		measured++
		if o.list {
			fmt.Println(sh.Name)
			continue
		}
		for range o.count {
			if err := measure(ctx, sh.Name, m, within, o.binary, scratch); err != nil {
				failed++
				fmt.Printf("FAIL %s%s: %s\n", shape.Prefix, sh.Name, strings.Join(strings.Fields(err.Error()), " "))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	switch {
	case measured == 0:
		return fmt.Errorf("no shape matches %q; -list names them", o.shapes)
	case failed > 0:
		return fmt.Errorf("%d runs are no measurement", failed)
	}
	return nil
}

// How long a run may take: one that hangs is a failure, and the next one has its
// turn.
const (
	quickTimeout = 90 * time.Second
	fullTimeout  = 40 * time.Minute
)

func measure(ctx context.Context, name string, m shape.Measurer, within time.Duration, binary, scratch string) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	subject := shape.Winnow(binary)
	f, err := m.Measure(ctx, &subject, scratch)
	if err != nil {
		return err
	}
	return shape.Print(os.Stdout, name, f)
}
