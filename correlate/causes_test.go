package correlate

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/winnowhq/winnow/dedupe"
)

// TestCausesAreFound: causes come and go, of hashes that are the same, that share
// their upper half, and that only share a place.
func TestCausesAreFound(t *testing.T) {
	p := basic()
	p.Inhibit = make([]InhibitRule, 2)
	c, err := NewCore(p)
	if err != nil {
		t.Fatal(err)
	}
	const refs, rule = 400, 1
	c.live.Grow(refs)
	rng := rand.New(rand.NewPCG(3, 9))
	want := map[uint64][]dedupe.Ref{}
	of := make([]uint64, refs) // hash by Ref, 0 for none
	most := 0
	for step := range 40_000 {
		ref := dedupe.Ref(1 + rng.IntN(refs-1))
		if hash := of[ref]; hash != 0 {
			c.removeSource(ref)
			c.setLinks(ref, nil)
			at, _ := slices.BinarySearch(want[hash], ref)
			want[hash] = slices.Delete(want[hash], at, at+1)
			of[ref] = 0
		} else {
			hash := uint64(rng.IntN(3))<<62 | uint64(rng.IntN(40))<<32 | uint64(1+rng.IntN(4))
			links := []link{newLink(0, false, true, hash), newLink(rule, true, false, hash), newLink(2, false, true, hash)}
			c.setLinks(ref, links[rng.IntN(2):][:2]) // at one place or another of those of the alert
			c.addSource(ref)
			at, _ := slices.BinarySearch(want[hash], ref)
			want[hash] = slices.Insert(want[hash], at, ref)
			of[ref] = hash
		}
		if step%50 != 0 {
			continue
		}
		for hash, refs := range want { // order: each is looked at by itself
			if got := c.causesOf(rule, hash); !slices.Equal(got, refs) {
				t.Fatalf("step %d: hash %x has the causes %v, want %v", step, hash, got, refs)
			}
			most = max(most, len(refs))
		}
	}
	if most < 3 || c.policy.rules[rule].causes.n == 0 {
		t.Errorf("at most %d causes of one hash, %d by themselves", most, c.policy.rules[rule].causes.n)
	}
}

// TestLinksOfManyRules: whatever number of rules concerns an alert, it has the
// links that it was given last.
func TestLinksOfManyRules(t *testing.T) {
	c, err := NewCore(basic())
	if err != nil {
		t.Fatal(err)
	}
	c.live.Grow(3)
	if got := c.linksOf(2); len(got) != 0 {
		t.Errorf("links %v of an alert that has none", got)
	}
	for _, n := range []int{2, 5, 0, 3, 1, 2, 0} {
		var links []link
		for i := range n {
			links = append(links, newLink(uint32(i), i%2 == 0, i%2 != 0, uint64(i)<<40|7))
		}
		c.setLinks(2, links)
		got := c.linksOf(2)
		if !slices.Equal(got, links) {
			t.Errorf("links %v, want %v", got, links)
		}
		for i, l := range got {
			if l.rule() != uint32(i) || l.source() != (i%2 == 0) || l.target() == l.source() || l.hash() != uint64(i)<<40|7 {
				t.Errorf("link %d is %+v", i, l)
			}
		}
		if len(c.linksOf(1)) != 0 {
			t.Error("its neighbour has them")
		}
	}
}
