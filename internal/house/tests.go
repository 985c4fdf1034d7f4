package house

import (
	"go/ast"
	"regexp"
	"strconv"
	"strings"
)

var testSpan = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")

// Tests wants each test that a document names to exist.
func Tests(t *Tree) (out []Finding) {
	declared := map[string]bool{}
	for _, f := range t.Go {
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.Test {
				declared[fn.Name.Name] = true
			}
		}
	}
	for _, doc := range t.Markdown() {
		for i, line := range strings.Split(doc.Body, "\n") {
			for _, m := range testSpan.FindAllStringSubmatch(line, -1) {
				if !declared[m[1]] {
					out = append(out, Finding{doc.Path + ":" + strconv.Itoa(i+1), "names " + m[1] + ", which is no test", truthWhy, "name the test that holds it"})
				}
			}
		}
	}
	return out
}
