package dedupe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

// churn feeds a table with random deliveries and removals and returns what it
// answered.
func churn(table *Table, rng *rand.Rand, steps int) (answers []string) {
	now := epoch
	for range steps {
		now = now.Add(time.Duration(rng.IntN(100)) * time.Second)
		a := alert.Alert{
			Labels:      alert.Labels{{Name: "alertname", Value: fmt.Sprint("Rule", rng.IntN(9))}, {Name: "pod", Value: fmt.Sprint(rng.IntN(300))}},
			Annotations: alert.Labels{{Name: "summary", Value: fmt.Sprint("value is ", rng.IntN(3))}},
		}
		a.Fingerprint = a.Labels.Fingerprint()
		if rng.IntN(4) == 0 {
			a.Status = alert.Resolved
		}
		ref, v := table.Observe(now, &a, 5*time.Minute)
		answers = append(answers, fmt.Sprint(ref, v))
		if rng.IntN(5) == 0 && ref != 0 {
			table.Forget(ref)
		}
	}
	return answers
}

func state(t *Table) []byte {
	var w wire.Writer
	t.AppendState(&w)
	return w.B
}

func TestStateGoesOnAsBefore(t *testing.T) {
	for seed := range uint64(60) {
		live := NewTable()
		churn(live, rand.New(rand.NewPCG(seed, 5)), 700)
		before := state(live)
		r := wire.NewReader(before)
		loaded := LoadState(r)
		if err := r.End(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !bytes.Equal(state(loaded), before) {
			t.Fatalf("seed %d: what was loaded is written otherwise", seed)
		}
		a := churn(live, rand.New(rand.NewPCG(seed, 6)), 700)
		b := churn(loaded, rand.New(rand.NewPCG(seed, 6)), 700)
		if fmt.Sprint(a) != fmt.Sprint(b) || !bytes.Equal(state(live), state(loaded)) {
			t.Fatalf("seed %d: the loaded table goes on otherwise", seed)
		}
	}
}

func FuzzLoadState(f *testing.F) {
	table := NewTable()
	churn(table, rand.New(rand.NewPCG(1, 1)), 40)
	f.Add(state(table))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		table := LoadState(r)
		if r.End() != nil {
			return
		}
		for ref := range table.entries.Len() {
			if table.at(Ref(ref)).flags&live != 0 {
				table.Labels(nil, Ref(ref))
				table.Annotations(nil, Ref(ref))
			}
		}
		churn(table, rand.New(rand.NewPCG(2, 2)), 50)
	})
}
