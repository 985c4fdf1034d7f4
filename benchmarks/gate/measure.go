package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/stage"
)

const (
	rounds          = 13 // of a process
	processes       = 5  // of a judgement
	updateProcesses = 11 // of a baseline, which others are judged by
	tries           = 3  // of a judgement, while something is short
	slice           = 4 * time.Millisecond
)

// figures are what one run of the gate has measured.
type figures struct {
	Allocations map[string]float64 // a run of an operation
	Sizes       map[string]float64 // an alert
	CPU         map[string]float64 // an alert, as a multiple of the reference
	Spread      map[string]float64 // of these, the largest of a process over the smallest
}

func newFigures() *figures {
	return &figures{map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]float64{}}
}

// allocations counts them with the collector off: what it frees in pools would be
// allocated anew.
func (m *figures) allocations(ops []stage.Op) error {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, op := range ops {
		if !op.Exact {
			continue
		}
		n, err := allocsOf(op)
		if err != nil {
			return err
		}
		m.Allocations[op.Name] = n
	}
	return nil
}

func allocsOf(op stage.Op) (float64, error) {
	run, err := op.Setup()
	if err != nil {
		return 0, err
	}
	const runs = 20
	var failed error
	for range 2 { // pools and tables as they are after a while
		failed = errors.Join(failed, run())
	}
	n := testing.AllocsPerRun(runs, func() {
		if err := run(); err != nil {
			failed = err
		}
	})
	return n, failed
}

// A reading of CPU time used so far.
type clock func() time.Duration

// processCPU is all of this process.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("main: getrusage of the process itself: " + err.Error()) // it has no way to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu runs reference and operations in turn, in short slices, and keeps the median
// of the ratios of neighbours: what befalls the machine befalls both. Each round
// sets the operation up anew, as where its memory happens to lie can make it
// twice as slow; one thread runs all of it, and the collector has its own turns.
func (m *figures) cpu(ops []stage.Op, ref func() error, rounds int, now clock) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	refN, err := enough(ref, now)
	if err != nil {
		return err
	}
	ns := make([]int, len(ops))
	ratios := make([][]float64, len(ops))
	for range rounds {
		for i, op := range ops {
			run, err := op.Setup()
			if err != nil {
				return err
			}
			if ns[i] == 0 {
				ns[i], err = enough(run, now)
			} else {
				err = run() // as it is after a while
			}
			if err != nil {
				return err
			}
			r, err := timed(ref, refN, now)
			if err != nil {
				return err
			}
			d, err := timed(run, ns[i], now)
			if err != nil {
				return err
			}
			ratios[i] = append(ratios[i], float64(d)/float64(ns[i])/(float64(r)/float64(refN)))
		}
	}
	for i, op := range ops {
		slices.Sort(ratios[i])
		m.CPU[op.Name] = ratios[i][len(ratios[i])/2] / float64(op.Alerts)
	}
	return nil
}

// printCPU is what a process of cpuOfProcess does.
func printCPU(w io.Writer) error {
	m := newFigures()
	if err := m.cpu(stage.Ops(), reference(), rounds, processCPU); err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(m.CPU)
}

// cpuOfProcess has CPU time measured by a process of its own.
func cpuOfProcess(ctx context.Context) (cpu map[string]float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-part")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &cpu)
	}
	if err != nil {
		return nil, fmt.Errorf("a process that measures CPU time: %w", err)
	}
	return cpu, nil
}

// least keeps the least of what processes have measured.
func (m *figures) least(cpu map[string]float64) {
	for name, v := range cpu { // order: each by itself
		old, known := m.CPU[name]
		if !known {
			m.CPU[name], m.Spread[name] = v, 1
			continue
		}
		most := max(old*m.Spread[name], v)
		m.CPU[name] = min(old, v)
		m.Spread[name] = most / m.CPU[name]
	}
}

// enough finds how many runs fill a slice.
func enough(run func() error, now clock) (int, error) {
	for n := 1; ; n *= 2 {
		d, err := timed(run, n, now)
		if err != nil {
			return 0, err
		}
		if d >= slice {
			return n, nil
		}
	}
}

func timed(run func() error, n int, now clock) (time.Duration, error) {
	runtime.GC() // what the one before has left is not this one's
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	start := now()
	for range n {
		if err := run(); err != nil {
			return 0, err
		}
	}
	return now() - start, nil
}

// reference is work that this repository does not change: hashing and
// encoding/json, about what an alert needs where nothing is made fast.
func reference() func() error {
	body := stage.Body("prometheus", 0, 4, time.Unix(1<<31, 0))
	return func() error {
		for range 64 {
			if xxhash.Sum64(body) == 0 {
				return errors.New("main: a hash of 0")
			}
		}
		var alerts []struct {
			Labels, Annotations map[string]string
			StartsAt, EndsAt    time.Time
			GeneratorURL        string
		}
		if err := json.Unmarshal(body, &alerts); err != nil || len(alerts) != 4 {
			return fmt.Errorf("main: the reference read %d alerts: %w", len(alerts), err)
		}
		return nil
	}
}

// Names of sizes.
const (
	perLiveAlert = "heap-B/live-alert"
	perNewAlert  = "allocs/new-alert"
	perRepeat    = "log-B/repeat"
)

// heap is what live alerts take, all of it: table, group, accounts, trail.
func (m *figures) heap() error {
	const live = 50_000
	own := testing.AllocsPerRun(100, func() { sinkAlert = stage.Universe.Alert(1) })
	l, err := stage.NewLine(stage.PolicyText)
	if err != nil {
		return err
	}
	before, allocated := heapNow()
	for i := range live {
		a := stage.Universe.Alert(i)
		l.Observe(&a)
	}
	after, allocatedThen := heapNow()
	m.Sizes[perLiveAlert] = float64(after-before) / live
	m.Sizes[perNewAlert] = float64(allocatedThen-allocated)/live - own
	if got := l.Core.Live(); got != live {
		return fmt.Errorf("main: %d of %d alerts are live", got, live)
	}
	return nil
}

// sinkAlert keeps what making an alert allocates from being optimized away.
//
//lint:ignore U1000 it is written only
var sinkAlert alert.Alert

// heapNow is how much is in use, and how many allocations there have been.
func heapNow() (bytes, allocations uint64) {
	runtime.GC()
	runtime.GC() // what the first one's finalizers gave up
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc, s.Mallocs
}

// log is what a repeat adds to the store, through the whole of a node: requests
// of 64 alerts that all fire already, one after the other.
func (m *figures) log(ctx context.Context) (err error) {
	const alerts, request, times = 1024, 64, 8
	dir, err := os.MkdirTemp("", "winnow-gate-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w, err := stage.StartWhole(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	ends := time.Now().Add(12 * time.Hour)
	post := func() error {
		ends = ends.Add(time.Minute)
		for i := 0; i < alerts; i += request {
			if err := w.Post("prometheus", stage.Body("prometheus", i, i+request, ends), request); err != nil {
				return err
			}
		}
		return w.Drain(ctx)
	}
	if err := post(); err != nil {
		return err
	}
	before, err := size(dir)
	if err != nil {
		return err
	}
	for range times {
		if err := post(); err != nil {
			return err
		}
	}
	after, err := size(dir)
	m.Sizes[perRepeat] = float64(after-before) / (alerts * times)
	return err
}

func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// print writes each figure beside its baseline.
func (m *figures) print(w io.Writer, b *baseline) {
	row := func(kind, name string, got, want float64, spread string) {
		fmt.Fprintf(w, "%-22s %-22s %10.4g %10.4g%s\n", kind, name, got, want, spread)
	}
	fmt.Fprintf(w, "%-22s %-22s %10s %10s\n", "gate", "", "measured", "baseline")
	for _, name := range sortedKeys(m.Allocations) {
		row("allocations a run", name, m.Allocations[name], b.Allocations[name], "")
	}
	for _, name := range sortedKeys(m.Sizes) {
		row("size", name, m.Sizes[name], b.Sizes[name], "")
	}
	for _, name := range sortedKeys(m.CPU) {
		row("CPU of the reference", name, m.CPU[name], b.CPU[name], fmt.Sprintf("   processes spread ×%.2f", m.Spread[name]))
	}
}
