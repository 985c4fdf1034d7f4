package node

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/engine"
)

// number reads a setting of a long run from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, v)
	}
	return n
}

// TestBubble plays short stories with crashes between any two steps of the
// engine, and provider faults, stops, reloads and damaged snapshots beside them.
// Each point has its turn: 2 in `go test`, WINNOW_BUBBLE scenarios in all under
// `make bubble`. WINNOW_BUBBLE_SEED plays one again.
func TestBubble(t *testing.T) {
	n := number(t, "WINNOW_BUBBLE", 2*int(engine.NumPoints))
	from, single := 0, false
	if seed := number(t, "WINNOW_BUBBLE_SEED", -1); seed >= 0 {
		from, n, single = seed, 1, true
	}
	const workers = 2
	f := &figures{}
	began := time.Now()
	t.Run("scenarios", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for seed := from + w; seed < from+n && !t.Failed(); seed += workers {
					synctest.Test(t, func(t *testing.T) { newScenario(t, uint64(seed), f).play() })
					if t.Failed() {
						t.Errorf("again: WINNOW_BUBBLE_SEED=%d go test ./internal/node -run '^TestBubble$'", seed)
					}
					f.add(&f.scenarios)
				}
			})
		}
	})
	points := 0
	for p, n := range f.crashed {
		if n > 0 {
			points++
		} else if !single {
			t.Errorf("no crash at point %s", engine.Point(p))
		}
	}
	if !single {
		f.vacuity(t, n)
	}
	fmt.Printf("bubble: scenarios=%d crashes=%d points=%d/%d stops=%d reloads=%d posts=%d 5xx=%d 429=%d hang=%d refused=%d lost_answers=%d poison=%d damaged_snapshots=%d clock_sets=%d lost=%d phantom=%d open=%d other_keys=%d unheard=%d late=%d unsound=%d on_time=%d slowest=%s seconds=%.0f\n",
		f.scenarios, f.crashes, points, engine.NumPoints, f.stops, f.reloads, f.posts, f.troubles[serverErrors], f.troubles[tooMany], f.troubles[hanging],
		f.troubles[refusal], f.troubles[lostAnswers], f.troubles[poisonous], f.troubles[damagedSnapshot], f.troubles[clockSet],
		f.lost, f.phantoms, f.open, f.keys, f.unheard, f.late, f.unsound, f.onTime, f.slowest.Round(time.Millisecond), time.Since(began).Seconds())
}

// vacuity fails a run in which too little happened to prove anything.
func (f *figures) vacuity(t *testing.T, n int) {
	t.Helper()
	atLeast := func(what string, got, least int) {
		t.Helper()
		if got < least {
			t.Errorf("only %d %s in %d scenarios, want %d: too few to prove anything", got, what, n, least)
		}
	}
	atLeast("crashes", f.crashes, n*4/5)
	atLeast("stops", f.stops, n/5)
	atLeast("posts", f.posts, 10*n)
	atLeast("pages on time", f.onTime, n)
	if n < int(engine.NumPoints)*int(numTroubles) {
		return // not every trouble has had its turn
	}
	atLeast("reloads", f.reloads, n/10)
	for k := serverErrors; k < numTroubles; k++ {
		atLeast("troubles of kind "+troubleNames[k], f.troubles[k], n/20)
	}
}
