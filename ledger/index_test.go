package ledger

import (
	"math/rand/v2"
	"testing"
)

// TestIndexAgainstMap compares with a map under random changes, with tags so alike
// that runs are long and many keys have the same.
func TestIndexAgainstMap(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 4))
		var x index
		numbers := map[uint64]uint32{}
		keys := map[uint32]uint64{}
		is := func(key uint64) func(uint32) bool { return func(n uint32) bool { return keys[n] == key } }
		for next := uint32(1); next < 5000; next++ {
			key := rng.Uint64N(300) + 1
			tag := uint32(key%5) << 4
			if old := numbers[key]; rng.IntN(3) == 0 {
				x.remove(tag, next) // which nobody has
				if old != 0 {
					x.remove(tag, old)
				}
				delete(numbers, key)
				delete(keys, old)
			} else {
				if got := x.set(tag, next, is(key)); got != old {
					t.Fatalf("seed %d step %d: key %d had %d, want %d", seed, next, key, got, old)
				}
				delete(keys, old)
				numbers[key], keys[next] = next, key
			}
			probe := rng.Uint64N(300) + 1
			if got := x.get(uint32(probe%5)<<4, is(probe)); got != numbers[probe] || x.n != len(numbers) {
				t.Fatalf("seed %d step %d: key %d has %d, want %d; %d of %d", seed, next, probe, got, numbers[probe], x.n, len(numbers))
			}
		}
	}
}
