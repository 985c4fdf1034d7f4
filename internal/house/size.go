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

// large lists the files and functions that are larger, each for a reason.
var large = excuses{}

// Size holds how long files and functions may be.
func Size(t *Tree) []Finding { return size(t, large) }

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
