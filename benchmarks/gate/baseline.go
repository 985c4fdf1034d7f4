package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/winnowhq/winnow/benchmarks/stage"
)

// baseline is what is recorded: the figures that a change is held against, and
// why they are what they are.
type baseline struct {
	Reason      string             `json:"reason"`
	Go          string             `json:"go"`
	Processor   string             `json:"processor"`
	Allocations map[string]float64 `json:"allocations_per_run"`
	Sizes       map[string]float64 `json:"within_2_percent"`
	CPU         map[string]float64 `json:"cpu_per_alert_as_multiple_of_reference"`
}

const (
	sizesWithin     = 0.02
	cpuWithin       = 0.25
	elsewhereWithin = 1 // CPU time with another processor or another Go
)

func (m *figures) baseline(why string) *baseline {
	return &baseline{Reason: strings.TrimSpace(why), Go: runtime.Version(), Processor: processor(), Allocations: m.Allocations, Sizes: rounded(m.Sizes), CPU: rounded(m.CPU)}
}

// rounded keeps four digits: more would be noise in somebody's diff.
func rounded(in map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for name, v := range in {
		out[name], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // it has just been written
	}
	return out
}

func readBaseline(path string) (*baseline, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b baseline
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if b.Reason == "" {
		return nil, fmt.Errorf("%s gives no reason for its figures: make it with make baseline WHY=\"…\"", path)
	}
	return &b, nil
}

func writeBaseline(path string, b *baseline) error {
	if b.Reason == "" {
		return errors.New("a baseline is changed for a reason: make baseline WHY=\"…\"")
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// judge lists what is not as recorded. Fewer allocations and smaller sizes
// are not either: unrecorded, they could be lost again unseen. CPU time that is
// lower is no fault: machines differ by more than code does.
func (b *baseline) judge(m *figures) []string {
	var out []string
	each(m.Allocations, b.Allocations, "allocations", &out, func(name string, got, want float64) {
		if got != want {
			out = append(out, fmt.Sprintf("%s allocates %g times a run, recorded are %g", name, got, want))
		}
	})
	each(m.Sizes, b.Sizes, "sizes", &out, func(name string, got, want float64) {
		if math.Abs(got/want-1) > sizesWithin {
			out = append(out, fmt.Sprintf("%s: %.4g, recorded are %.4g (%+.1f %%, within %.0f %%)", name, got, want, 100*(got/want-1), 100*sizesWithin))
		}
	})
	within := cpuWithin
	if b.Go != runtime.Version() || b.Processor != processor() {
		within = elsewhereWithin
	}
	each(m.CPU, b.CPU, "CPU time", &out, func(name string, got, want float64) {
		if got > want*(1+within) {
			out = append(out, fmt.Sprintf("%s takes %.4g of the reference's CPU time an alert, recorded are %.4g (%+.0f %%, at most %+.0f %%)", name, got, want, 100*(got/want-1), 100*within))
		}
	})
	return out
}

// processor is the model that Linux names, or else the architecture.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

// each compares two sets of figures, and what only one of them has.
func each(got, want map[string]float64, what string, out *[]string, compare func(name string, got, want float64)) {
	for _, name := range sortedKeys(got) {
		w, ok := want[name]
		if !ok {
			*out = append(*out, fmt.Sprintf("%s of %s are not recorded", what, name))
			continue
		}
		compare(name, got[name], w)
	}
	for _, name := range sortedKeys(want) {
		if _, ok := got[name]; !ok {
			*out = append(*out, fmt.Sprintf("%s of %s are recorded, and nothing measures them", what, name))
		}
	}
}

func sortedKeys(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }

// sees makes sure that the gate is not blind: an operation that does its work
// twice and allocates once more must not pass for itself.
func (m *figures) sees(op stage.Op) error {
	worse := planted(op)
	p := newFigures()
	if err := p.allocations([]stage.Op{worse}); err != nil {
		return err
	}
	if err := p.cpu([]stage.Op{worse}, reference(), rounds, processCPU); err != nil {
		return err
	}
	honest := &baseline{Go: runtime.Version(), Processor: processor(), Allocations: map[string]float64{op.Name: m.Allocations[op.Name]}, CPU: map[string]float64{op.Name: m.CPU[op.Name]}}
	if got := honest.judge(p); len(got) != 2 {
		return fmt.Errorf("the gate is blind: of a planted slow-down and a planted allocation in %s it saw %q", op.Name, got)
	}
	return nil
}

// sink keeps what planted allocates from being optimized away.
//
//lint:ignore U1000 it is written only
var sink *time.Time

// planted is op with its work done three times over and one allocation more.
func planted(op stage.Op) stage.Op {
	setup := op.Setup
	op.Setup = func() (func() error, error) {
		run, err := setup()
		if err != nil {
			return nil, err
		}
		return func() error {
			sink = new(time.Time)
			return errors.Join(run(), run(), run())
		}, nil
	}
	return op
}
