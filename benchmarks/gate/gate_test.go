package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/stage"
)

// machine is one whose CPU time passes only when an operation says so.
type machine struct{ used time.Duration }

func (m *machine) now() time.Duration { return m.used }

// op takes so long in each run, round and round.
func (m *machine) op(name string, takes ...time.Duration) stage.Op {
	n := 0 // goes on from one set-up to the next
	return stage.Op{Name: name, Alerts: 1, Exact: true, Setup: func() (func() error, error) {
		return func() error {
			m.used += takes[n%len(takes)]
			n++
			return nil
		}, nil
	}}
}

func (m *machine) reference() error {
	m.used += time.Millisecond
	return nil
}

func (m *machine) measure(t *testing.T, ops ...stage.Op) *figures {
	t.Helper()
	f := newFigures()
	if err := f.cpu(ops, m.reference, rounds, m.now); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPlantedSlowDown(t *testing.T) {
	var m machine
	base := m.measure(t, m.op("x", time.Millisecond)).baseline("the test")
	f := func(op stage.Op, want string) {
		t.Helper()
		if got := strings.Join(base.judge(m.measure(t, op)), "; "); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(m.op("x", time.Millisecond), "")
	f(m.op("x", 1200*time.Microsecond), "")
	f(m.op("x", 1300*time.Microsecond), "x takes 1.3 of the reference's CPU time an alert, recorded are 1 (+30 %, at most +25 %)")
	f(m.op("x", 500*time.Microsecond), "") // a faster machine is no fault
	f(m.op("y", time.Millisecond), "CPU time of y are not recorded")
}

// TestNoisyNeighbour: the median of the rounds counts, so a slow one is no
// slow-down.
func TestNoisyNeighbour(t *testing.T) {
	var m machine
	base := m.measure(t, m.op("x", time.Millisecond)).baseline("the test")
	quiet := m.used
	takes := slices.Repeat([]time.Duration{time.Millisecond}, 97)
	for i := range 17 {
		takes[30+i] = 4 * time.Millisecond
	}
	got := m.measure(t, m.op("x", takes...))
	if short := base.judge(got); len(short) != 0 {
		t.Errorf("noise is taken for a slow-down: %q", short)
	}
	if noise := m.used - 2*quiet; noise < 40*time.Millisecond {
		t.Errorf("the noise of the test is %s", noise)
	}
}

// TestSlowProcess: the least of the processes counts, and how far apart they are is
// told.
func TestSlowProcess(t *testing.T) {
	m := newFigures()
	for _, v := range []float64{3, 2, 4, 2.5} {
		m.least(map[string]float64{"x": v})
	}
	if m.CPU["x"] != 2 || m.Spread["x"] != 2 {
		t.Errorf("of 3, 2, 4 and 2.5: least %g, spread %g", m.CPU["x"], m.Spread["x"])
	}
}

// TestOtherProcessor: ratios of another processor or another Go are not those of
// the baseline, but no stage is three times as slow for that.
func TestOtherProcessor(t *testing.T) {
	for _, change := range []func(*baseline){
		func(b *baseline) { b.Processor = "another" },
		func(b *baseline) { b.Go = "another" },
	} {
		m := newFigures()
		m.CPU["x"] = 1
		b := m.baseline("the test")
		change(b)
		m.CPU["x"] = 1.9
		if short := b.judge(m); len(short) != 0 {
			t.Errorf("elsewhere: %q", short)
		}
		if m.CPU["x"] = 2.1; len(b.judge(m)) != 1 {
			t.Error("more than twice as slow passes elsewhere")
		}
	}
}

func TestPlantedAllocation(t *testing.T) {
	op := func(times int) stage.Op {
		return stage.Op{Name: "x", Alerts: 1, Exact: true, Setup: func() (func() error, error) {
			return func() error {
				for range times {
					sink = new(time.Time)
				}
				return nil
			}, nil
		}}
	}
	measure := func(op stage.Op) *figures {
		m := newFigures()
		if err := m.allocations([]stage.Op{op}); err != nil {
			t.Fatal(err)
		}
		return m
	}
	base := measure(op(3)).baseline("the test")
	f := func(m *figures, want string) {
		t.Helper()
		if got := strings.Join(base.judge(m), "; "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(measure(op(3)), "")
	f(measure(op(4)), "x allocates 4 times a run, recorded are 3")
	f(measure(op(2)), "x allocates 2 times a run, recorded are 3")
	f(measure(planted(op(1))), "x allocates 4 times a run, recorded are 3")
}

func TestSizes(t *testing.T) {
	base := &baseline{Sizes: map[string]float64{perRepeat: 50}}
	f := func(got float64, want string) {
		t.Helper()
		m := newFigures()
		m.Sizes[perRepeat] = got
		if short := strings.Join(base.judge(m), "; "); short != want {
			t.Errorf("got %q, want %q", short, want)
		}
	}
	f(50, "")
	f(50.9, "")
	f(49.1, "")
	f(52, "log-B/repeat: 52, recorded are 50 (+4.0 %, within 2 %)")
	f(40, "log-B/repeat: 40, recorded are 50 (-20.0 %, within 2 %)")
	if got := base.judge(newFigures()); len(got) != 1 || !strings.Contains(got[0], "nothing measures them") {
		t.Errorf("what is recorded and not measured passes: %q", got)
	}
}

func TestBaselineNeedsAReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.json")
	m := newFigures()
	m.CPU["x"], m.Allocations["y"] = 0.0123456, 3
	if err := writeBaseline(path, m.baseline(" ")); err == nil || !strings.Contains(err.Error(), "WHY") {
		t.Errorf("a baseline without a reason was written: %v", err)
	}
	if err := writeBaseline(path, m.baseline("the test")); err != nil {
		t.Fatal(err)
	}
	b, err := readBaseline(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.Reason != "the test" || !maps.Equal(b.CPU, map[string]float64{"x": 0.01235}) || !maps.Equal(b.Allocations, m.Allocations) {
		t.Errorf("read back: %+v", b)
	}
	if err := writeBaseline(path, &baseline{Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := readBaseline(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a baseline that is not there was read")
	}
}

// TestRecorded holds that benchmarks/baseline.json speaks of what is measured.
func TestRecorded(t *testing.T) {
	b, err := readBaseline("../baseline.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range stage.Ops() {
		if _, ok := b.CPU[op.Name]; !ok {
			t.Errorf("CPU time of %s is not recorded", op.Name)
		}
		if _, ok := b.Allocations[op.Name]; ok != op.Exact {
			t.Errorf("allocations of %s: recorded %v, exact %v", op.Name, ok, op.Exact)
		}
	}
}

// TestStages runs each operation as the gate does: it must do what it says.
func TestStages(t *testing.T) {
	for _, op := range stage.Ops() {
		run, err := op.Setup()
		for range 2 {
			if err == nil {
				err = run()
			}
		}
		if err != nil {
			t.Errorf("%s: %v", op.Name, err)
		}
	}
}
