package dedupe

import (
	"testing"

	"pgregory.net/rapid"
)

// Every slot that was placed and not vacated is reached from its home without
// passing an empty one, whatever was placed and vacated between.
func TestEverySlotIsReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, held := Slots(nil).Grown(8), map[uint32]uint32{} // the tag of each number
		for number := uint32(1); number <= 200; number++ {
			if len(held) > 0 && rapid.Bool().Draw(t, "vacate") {
				k := rapid.Uint32Range(1, number-1).Draw(t, "number")
				if tag, ok := held[k]; ok {
					s.Vacate(reach(t, s, Slot{tag, k}))
					delete(held, k)
				}
			}
			if 4*(len(held)+1) > 3*len(s) {
				s = s.Grown(8)
			}
			// Few homes, at the end and the start of a table: runs are long, and go round.
			k := Slot{rapid.SampledFrom([]uint32{0, 1, 6, 7, 0xffffffff}).Draw(t, "tag"), number}
			s.Place(k)
			held[number] = k.Tag

			used := 0
			for _, k := range s {
				if k.Number != 0 {
					used++
				}
			}
			if used != len(held) {
				t.Fatalf("%d slots are in use, want %d", used, len(held))
			}
			for number, tag := range held {
				reach(t, s, Slot{tag, number})
			}
		}
	})
}

func reach(t *rapid.T, s Slots, k Slot) uint32 {
	mask := uint32(len(s) - 1)
	for i := k.Tag & mask; s[i].Number != 0; i = (i + 1) & mask {
		if s[i] == k {
			return i
		}
	}
	t.Fatalf("%+v is not reached from its home in %v", k, s)
	return 0
}
