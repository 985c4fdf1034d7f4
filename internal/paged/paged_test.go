package paged

import "testing"

func TestElementsStayWhereTheyAre(t *testing.T) {
	var l List[int]
	var at []*int
	for i := range 5000 {
		if n := l.Add(); n != uint32(i) {
			t.Fatalf("element %d is number %d", i, n)
		}
		p := l.At(uint32(i))
		*p = i
		at = append(at, p)
	}
	l.Grow(4000) // shorter than it is
	l.Grow(7000)
	if l.Len() != 7000 {
		t.Errorf("Len = %d, want 7000", l.Len())
	}
	for i, p := range at {
		if l.At(uint32(i)) != p || *p != i {
			t.Fatalf("element %d has moved", i)
		}
	}
	if *l.At(6999) != 0 {
		t.Error("a new element is not zero")
	}
}
