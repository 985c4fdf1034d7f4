package correlate

import (
	"slices"

	"github.com/winnowhq/winnow/alert"
)

// index finds, among many sets of matchers, those that may match a label set:
// all sets whose equality matcher it was listed by holds. Whoever asks tests the
// candidates in full, so an index changes how long a decision takes and never
// the decision.
type index struct {
	byName map[string]map[string][]int32 // label name, value, sets in order
	names  []string                      // of byName, in the order in which they were met
	rest   []int32                       // sets with no equality matcher on a value

	met    []met  // by name: what was looked up last
	listed uint32 // how many sets, in all
}

// met is the value that a label had when it was asked for last, and what is listed
// under it: most alerts have the same as the one before.
type met struct {
	listed uint32 // when it was looked up; 0 before
	value  []byte
	sets   []int32
	place  int32 // where the label stood
}

// under returns the sets under the value that name i has in ls.
func (x *index) under(i int, ls alert.Labels) []int32 {
	m := &x.met[i]
	v := ls.GetNear(x.names[i], &m.place)
	if v == "" {
		return nil
	}
	if m.listed != x.listed || string(m.value) != v {
		m.listed, m.value, m.sets = x.listed, append(m.value[:0], v...), x.byName[x.names[i]][v]
	}
	return m.sets
}

// add lists matchers under a number. A set may have several; any of them makes
// it a candidate.
func (x *index) add(set int32, ms alert.Matchers) {
	var by *alert.Matcher
	for _, m := range ms {
		if m.Op != alert.Equal || m.Value == "" { // an absent label has that value too
			continue
		}
		if by == nil || len(x.byName[m.Name][m.Value]) < len(x.byName[by.Name][by.Value]) {
			by = m // the rarer one leaves fewer candidates
		}
	}
	if by == nil {
		x.rest = insert(x.rest, set)
		return
	}
	values := x.byName[by.Name]
	if values == nil {
		values = map[string][]int32{}
		if x.byName == nil {
			x.byName = map[string]map[string][]int32{}
		}
		x.byName[by.Name] = values
		x.names = append(x.names, by.Name)
		x.met = append(x.met, met{})
	}
	values[by.Value] = insert(values[by.Value], set)
	x.listed++
}

// insert keeps a list in order, each number once.
func insert(l []int32, n int32) []int32 {
	if len(l) == 0 || l[len(l)-1] < n {
		return append(l, n)
	}
	i, found := slices.BinarySearch(l, n)
	if found {
		return l
	}
	return slices.Insert(l, i, n)
}

// candidates appends the numbers of the sets that may match, in order, each once.
func (x *index) candidates(dst []int32, ls alert.Labels) []int32 {
	before := len(dst)
	dst = append(dst, x.rest...)
	lists := min(len(x.rest), 1)
	if len(x.names) <= len(ls) {
		for i := range x.names {
			if l := x.under(i, ls); len(l) > 0 {
				dst = append(dst, l...)
				lists++
			}
		}
	} else {
		for i := range ls {
			if l := x.byName[ls[i].Name][ls[i].Value]; len(l) > 0 {
				dst = append(dst, l...)
				lists++
			}
		}
	}
	if lists > 1 {
		slices.Sort(dst[before:])
		dst = dst[:before+len(slices.Compact(dst[before:]))]
	}
	return dst
}
