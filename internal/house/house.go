// Package house is this repository's style as a test: what may import what,
// what a pure package may not touch, who may read the clock, how large a file
// may grow, and whether the documents tell the truth.
//
// Each check is a function from the parsed tree to findings. A check decides
// that something is wrong, where, why it matters and what to do; it never
// changes a file. Each is itself tested by planting the fault it is there for.
//
// The tables at the top of the files are the rules. A table that excuses one
// place gives the reason, and an excuse that nothing needs any more is a
// finding too.
package house

import (
	"cmp"
	"slices"
	"strings"
)

// A Finding is one place that breaks one rule.
type Finding struct {
	At   string // file, or file:line
	What string // what stands there
	Why  string // what it breaks
	Do   string // what to do instead
}

// String writes a finding on one line.
func (f Finding) String() string {
	return f.At + ": " + f.What + ": " + f.Why + "; " + f.Do
}

// A Check lists what is wrong with a tree.
type Check struct {
	Name string
	Run  func(*Tree) []Finding
}

// Checks are all checks that need nothing but the tree. Configs and Deps need
// more, so they stand apart.
var Checks = []Check{
	{"syntax", Syntax},
	{"imports", Imports},
	{"purity", Purity},
	{"clock", Clock},
	{"comments", Comments},
	{"size", Size},
	{"names", Names},
	{"unwanted", Unwanted},
	{"secrets", Secrets},
	{"paths", Paths},
	{"links", Links},
	{"commands", Commands},
	{"metrics", Metrics},
	{"limits", Limits},
	{"tests", Tests},
	{"words", Words},
}

// excuses let one place break one rule. The key is a file, or file:Func, or
// file:Type.Method; the value is a reason that a newcomer accepts.
type excuses map[string]string

// use reports whether place is excused, and remembers that it was asked for.
func (e excuses) use(used map[string]bool, place string) bool {
	_, ok := e[place]
	if ok {
		used[place] = true
	}
	return ok
}

// unused lists the excuses that nothing asked for, of places that exist.
func (e excuses) unused(t *Tree, used map[string]bool) []Finding {
	var out []Finding
	for place := range e {
		file, _, _ := strings.Cut(place, ":")
		if t.Exists(file) && !used[place] {
			out = append(out, Finding{place, "an excuse that nothing needs",
				"a table of excuses that only grows excuses everything", "delete its row in internal/house"})
		}
	}
	return sorted(out)
}

func sorted(fs []Finding) []Finding {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.What, b.What))
	})
	return fs
}
