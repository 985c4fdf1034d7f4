// Command mutants plants bugs in Winnow, one at a time, and holds that the
// project's tests find each of them: a suite that passes with page before commit
// proves nothing about it.
//
// A mutant is a few lines of one file, in another wording. It is never written
// into the tree: go test reads the changed file by way of -overlay. First the
// tests that are to find them are run as the code stands, and each must pass.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// fewest is how many planted bugs a whole run must hold: a list that has been
// cut down proves nothing.
const fewest = 30

func main() {
	only := flag.String("only", "", "a pattern: plant the mutants with a name that it matches")
	jobs := flag.Int("j", 1, "how many at a time")
	limit := flag.Duration("limit", 4*time.Minute, "how long the tests of one may take, building included")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, max(*jobs, 1), *limit); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, jobs int, limit time.Duration) error {
	began := time.Now()
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	var picked []mutant
	for _, m := range all() {
		if pattern.MatchString(m.name) {
			picked = append(picked, m)
		}
	}
	least := fewest
	if only != "" {
		least = 1
	}
	if len(picked) < least {
		return fmt.Errorf("%d mutants, want %d at least", len(picked), least)
	}
	root, err := programs.Root(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := trial{root: root, dir: dir, limit: limit}
	if err := t.asItStands(ctx, picked); err != nil {
		return err
	}
	found := t.plantAll(ctx, picked, jobs)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	missed := len(picked) - found
	fmt.Printf("mutants: planted=%d found=%d missed=%d seconds=%.0f\n", len(picked), found, missed, time.Since(began).Seconds())
	if missed > 0 {
		return fmt.Errorf("%d planted bugs were not found", missed)
	}
	return nil
}

// plantAll tries each mutant, says what found it, and counts those found.
func (t *trial) plantAll(ctx context.Context, list []mutant, jobs int) (found int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	places := make(chan struct{}, jobs)
	for i := range list {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			by, took, err := t.plant(ctx, &list[i])
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				fmt.Printf("MISSED %-44s %6.1fs  %s: %v\n", list[i].name, took.Seconds(), list[i].breaks, err)
				return
			}
			found++
			fmt.Printf("found  %-44s %6.1fs  %s\n", list[i].name, took.Seconds(), cmp.Or(by, "?"))
		})
	}
	wg.Wait()
	return found
}
