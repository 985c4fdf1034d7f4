package ladder

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// play feeds readings one a second and returns the steps taken, as "3 L0>L2".
func play(readings ...Readings) string {
	var l Ladder
	var out []string
	for i, r := range readings {
		if s, ok := l.Read(begin.Add(time.Duration(i)*time.Second), r); ok {
			out = append(out, fmt.Sprintf("%d %s>%s", i, s.From, s.To))
		}
	}
	return strings.Join(out, " ")
}

// times repeats a reading.
func times(n int, r Readings) []Readings {
	out := make([]Readings, n)
	for i := range out {
		out[i] = r
	}
	return out
}

func TestSteps(t *testing.T) {
	good := Readings{}
	lag := func(d time.Duration) Readings { return Readings{Lag: d} }
	f := func(name, want string, parts ...[]Readings) {
		t.Helper()
		var all []Readings
		for _, p := range parts {
			all = append(all, p...)
		}
		if got := play(all...); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f("all is well", "", times(300, good))
	f("at the limits", "", times(10, Readings{Lag: LagWithoutLookUps, Heap: HeapEssentials, LookUps: 2, Late: 1}))
	f("lag climbs", "1 L0>L1 2 L1>L2 3 L2>L3", times(1, good), times(1, lag(3*time.Second)), times(1, lag(6*time.Second)), times(1, lag(16*time.Second)))
	f("up at once, over all steps", "0 L0>L4", times(1, Readings{LogRefuses: true}))
	f("down after two minutes of good readings", "0 L0>L3 121 L3>L0", times(1, lag(time.Minute)), times(200, good))
	f("a bad reading begins the two minutes anew", "0 L0>L3 201 L3>L0", times(1, lag(time.Minute)), times(79, good), times(1, lag(time.Minute)), times(200, good))
	f("down to the worst of the two minutes", "0 L0>L3 121 L3>L2 242 L2>L0", times(1, lag(time.Minute)), times(100, lag(6*time.Second)), times(200, good))
	f("memory", "0 L0>L2", times(1, Readings{Heap: 0.71}))
	f("books", "0 L0>L3", times(1, Readings{Unbalanced: true}))
	f("a message that is given up is no loop", "", times(1, Readings{Panics: 3}), times(10, good))
	f("panics in a row", "2 L0>L3", times(3, Readings{Panics: 3}))
	f("panics that are long over", "", times(1, Readings{Panics: 6}), times(60, good), times(1, Readings{Panics: 3}))
	f("few look-ups prove nothing", "", times(4, Readings{LookUps: 1, Late: 1}), times(100, good))
	f("look-ups late", "4 L0>L1", times(5, Readings{LookUps: 1, Late: 1}))
	f("half of them late", "", times(30, Readings{LookUps: 2, Late: 1}))
	f("without look-ups it comes back", "4 L0>L1 180 L1>L0", times(5, Readings{LookUps: 1, Late: 1}), times(300, good))
}

func TestCauseIsNamed(t *testing.T) {
	var l Ladder
	s, _ := l.Read(begin, Readings{Lag: 20 * time.Second, Heap: 0.9})
	if s.Cause != "the core is 20s behind, more than 15s" || l.Cause() != s.Cause || !s.At.Equal(begin) {
		t.Errorf("cause %q at %s, standing %q", s.Cause, s.At, l.Cause())
	}
	if _, ok := l.Read(begin.Add(time.Second), Readings{Unbalanced: true}); ok || l.Cause() != "the books do not balance" {
		t.Errorf("another cause of the same level: step %v, standing %q", ok, l.Cause())
	}
	for i := range 121 {
		s, _ = l.Read(begin.Add(time.Duration(2+i)*time.Second), Readings{})
	}
	if s.To != L0 || l.Cause() != "" || !strings.Contains(s.Cause, "good for 2m") {
		t.Errorf("back at %s because %q, standing %q", s.To, s.Cause, l.Cause())
	}
}

// Whatever is read: never lower than what is asked for now, and never down
// without two minutes in which nothing as bad was asked for.
func TestRandomReadings(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var l Ladder
		lastAsked := map[Level]time.Time{}
		now, steps := begin, 0
		for range 2000 {
			now = now.Add(time.Duration(500+rng.IntN(1000)) * time.Millisecond)
			r := Readings{LogRefuses: rng.IntN(400) == 0, Unbalanced: rng.IntN(300) == 0}
			if rng.IntN(40) == 0 {
				r.Lag = time.Duration(rng.IntN(20)) * time.Second
			}
			before := l.Level()
			s, stepped := l.Read(now, r)
			asked, _ := l.asks(&r)
			for level := L1; level <= asked; level++ {
				lastAsked[level] = now
			}
			if l.Level() < asked {
				t.Fatalf("seed %d: at %s, and the readings ask for %s; go test ./internal/ladder -run TestRandomReadings", seed, l.Level(), asked)
			}
			if stepped {
				steps++
				for level := s.To + 1; level <= before; level++ {
					if since := now.Sub(lastAsked[level]); since < GoodFor {
						t.Fatalf("seed %d: left %s %s after it was asked for; go test ./internal/ladder -run TestRandomReadings", seed, level, since)
					}
				}
			}
		}
		if steps < 3 {
			t.Fatalf("seed %d: only %d steps: too few to prove anything", seed, steps)
		}
	}
}
