package house

import (
	"go/ast"
	"strconv"
)

// What a person reads at one sitting, and sees at once. Tests are lists of
// facts, so their files may be longer and their functions as long as the list.
const (
	fileLines     = 500
	testFileLines = 800
	funcLines     = 70
)

// small lists packages that must stay so small that one person can hold them in
// mind: lines of code, without comments, empty lines and tests.
var small = map[string]int{
	"internal/guard": 400, // what pages when all else fails must be plainly right
}

// large lists the files and functions that are larger, each for a reason.
var large = excuses{}

// Size holds how long files and functions may be.
func Size(t *Tree) []Finding { return append(size(t, large), code(t, small)...) }

// code holds packages to their number of lines.
func code(t *Tree, small map[string]int) (out []Finding) {
	lines := map[string]int{}
	for _, f := range t.Go {
		if f.Test {
			continue
		}
		lines[f.Dir] += f.Code
		if limit, ok := small[f.Dir]; ok && lines[f.Dir] > limit {
			out = append(out, Finding{f.Path, f.Dir + " has more than " + strconv.Itoa(limit) + " lines of code", "it must fit into one head",
				"move what decides nothing into a package below it"})
		}
	}
	return out
}

func size(t *Tree, large excuses) []Finding {
	const why = "it cannot be read at one sitting"
	var out []Finding
	used := map[string]bool{}
	for _, f := range t.Go {
		if f.Generated {
			continue
		}
		limit := fileLines
		if f.Test {
			limit = testFileLines
		}
		if f.Lines > limit && !large.use(used, f.Path) {
			out = append(out, Finding{f.Path, strconv.Itoa(f.Lines) + " lines, at most " + strconv.Itoa(limit), why,
				"split it by what its parts decide, or give the reason in large in internal/house/size.go"})
		}
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.Test {
				continue
			}
			n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
			if n > funcLines && !large.use(used, f.Path+":"+funcName(fn)) {
				out = append(out, Finding{f.at(fn), funcName(fn) + " has " + strconv.Itoa(n) + " lines, at most " + strconv.Itoa(funcLines), why,
					"move the leaves out, or give the reason in large in internal/house/size.go"})
			}
		}
	}
	return append(out, large.unused(t, used)...)
}
