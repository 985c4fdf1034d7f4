package correlate

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/winnowhq/winnow/dedupe"
)

// TestCausesAreFound: causes come and go, of hashes that are the same, that share
// their upper half, and that only share a place. They are sources of one rule of
// their class or of several, and it of one rule or of three.
func TestCausesAreFound(t *testing.T) {
	f := func(rules int) {
		t.Helper()
		p := basic()
		p.Inhibit = make([]InhibitRule, 2+rules)
		p.Inhibit[0].Equal, p.Inhibit[1+rules].Equal = []string{"before"}, []string{"behind"}
		c, err := NewCore(p)
		if err != nil {
			t.Fatal(err)
		}
		const refs = 400
		c.live.Grow(refs)
		rng := rand.New(rand.NewPCG(3, 9))
		k := c.policy.rules[1].class
		want := map[uint64][]cause{}
		of := make([]uint64, refs) // hash by Ref, 0 for none
		by := make([]uint32, refs) // first rule by Ref
		most, apart := 0, 0
		for step := range 40_000 {
			ref := dedupe.Ref(1 + rng.IntN(refs-1))
			if hash := of[ref]; hash != 0 {
				c.removeSource(ref)
				c.setLinks(ref, nil)
				at, _ := slices.BinarySearch(want[hash], newCause(by[ref], ref))
				want[hash] = slices.Delete(want[hash], at, at+1)
				of[ref] = 0
			} else {
				hash := uint64(rng.IntN(3))<<62 | uint64(rng.IntN(40))<<32 | uint64(1+rng.IntN(4))
				var links []link
				if rng.IntN(2) == 0 { // it stands at one place or another of those of the alert
					links = append(links, newLink(0, false, true, hash))
				}
				source, target := 1+uint32(rng.IntN(rules)), rng.IntN(2) == 0
				if target && source > 1 {
					links = append(links, newLink(1, false, true, hash))
				}
				links = append(links, newLink(source, true, target && source == 1, hash))
				if int(source) < rules && rng.IntN(2) == 0 {
					links = append(links, newLink(source+1, true, false, hash))
				}
				links = append(links, newLink(uint32(1+rules), false, true, hash))
				c.setLinks(ref, links)
				c.addSource(ref)
				at, _ := slices.BinarySearch(want[hash], newCause(source, ref))
				want[hash] = slices.Insert(want[hash], at, newCause(source, ref))
				of[ref], by[ref] = hash, source
			}
			if step%50 != 0 {
				continue
			}
			for hash, causes := range want { // order: each is looked at by itself
				var refs []dedupe.Ref
				for _, s := range causes {
					refs = append(refs, s.ref())
				}
				if got := c.causesOf(k, hash); !slices.Equal(got, refs) {
					t.Fatalf("step %d: hash %x has the causes %v, want %v", step, hash, got, refs)
				}
				if most = max(most, len(refs)); !slices.IsSorted(refs) {
					apart++
				}
			}
		}
		if most < 3 || k.causes.n == 0 || apart < 1000*(rules-1) {
			t.Errorf("at most %d causes of one hash, %d by themselves, %d times in another order than that of Ref", most, k.causes.n, apart)
		}
	}
	f(1)
	f(3)
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
