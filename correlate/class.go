package correlate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
)

// rule is an inhibition. Rules are numbered so that those of a class stand next
// to each other, in order of the file.
type rule struct {
	*InhibitRule
	class *class
	place uint32 // in the file
}

// class is what rules with the same target have in common: whatever is a target
// of one is a target of all, and shares the same values with their sources.
type class struct {
	target   alert.Matchers
	equal    []string
	from, to uint32 // its rules
	causes   causes

	// Reused between calls.
	places []int32 // where the labels of equal stood last
	key    []byte
}

// classify numbers rules. Classes stand in the order of their first rules.
func classify(file []InhibitRule) []rule {
	var classes []*class
	known := map[string]*class{}
	of := make([]*class, len(file))
	for i := range file {
		text := classKey(&file[i])
		k := known[text]
		if k == nil {
			k = newClass(&file[i])
			known[text], classes = k, append(classes, k)
		}
		of[i] = k
		k.to++ // how many there are, for now
	}
	n := uint32(0)
	for _, k := range classes {
		k.from, k.to, n = n, n, n+k.to
	}
	rules := make([]rule, len(file))
	for i, k := range of {
		rules[k.to] = rule{InhibitRule: &file[i], class: k, place: uint32(i)}
		k.to++
	}
	return rules
}

func newClass(r *InhibitRule) *class {
	return &class{target: r.Target, equal: r.Equal, causes: newCauses(), places: make([]int32, len(r.Equal))}
}

// classKey is the same for rules of a class: matchers hold and labels are equal
// in any order, and once is as good as twice.
func classKey(r *InhibitRule) string {
	parts := make([]string, 0, len(r.Target)+len(r.Equal))
	for _, m := range r.Target {
		parts = append(parts, m.String())
	}
	for _, name := range r.Equal {
		parts = append(parts, strconv.Quote(name)) // a matcher has an operator behind its name
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), "\n") // all is quoted that could have one
}

func (k *class) has(rule uint32) bool { return k.from <= rule && rule < k.to }

func (k *class) single() bool { return k.to-k.from == 1 }

func (k *class) equalHash(ls alert.Labels) uint64 {
	k.key = k.key[:0]
	for i, name := range k.equal {
		k.key = append(k.key, ls.GetNear(name, &k.places[i])...)
		k.key = append(k.key, 0xff)
	}
	return xxhash.Sum64(k.key)
}

func (k *class) equals(a, b alert.Labels) bool {
	for _, name := range k.equal {
		if a.Get(name) != b.Get(name) {
			return false
		}
	}
	return true
}
