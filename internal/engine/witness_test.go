package engine

import (
	"errors"
	"testing"
)

// TestWitnessThatWasHardlyBegunIsNone: a kill between the file and its header
// left one that each start from then on named as damaged.
func TestWitnessThatWasHardlyBegunIsNone(t *testing.T) {
	w := &witness{dir: t.TempDir()}
	if err := w.create(); err != nil {
		t.Fatal(err)
	}
	w.close()
	next, faults := openWitness(w.dir)
	if len(faults) > 0 {
		t.Error(errors.Join(faults...))
	}
	for _, seq := range []uint64{7, 9} {
		next.reach.applied = seq
		if err := next.begin(seq); err != nil {
			t.Fatal(err)
		}
	}
	next.close()
	last, faults := openWitness(w.dir)
	names, err := last.list()
	if err != nil || len(faults) > 0 || len(names) != 2 || last.reach.applied != 9 {
		t.Errorf("%v, %v: %v reach to %d", err, faults, names, last.reach.applied)
	}
}
