package house

import (
	"go/ast"
	"path"
	"strings"
	"unicode"
)

// empty are words that say nothing about what a thing is.
const empty = "manager managers helper helpers util utils common process data"

// Names reports packages, files and types with an empty word in their name, and
// imports that hide where a name comes from.
func Names(t *Tree) []Finding {
	var out []Finding
	packages := map[string]bool{}
	check := func(f *File, n ast.Node, what, name string) {
		for _, w := range words(name) {
			if contains(empty, w) {
				out = append(out, Finding{f.at(n), what + " " + name, "“" + w + "” says nothing about what it is",
					"name it after what it holds or decides, in the field's words"})
			}
		}
	}
	for _, f := range t.Go {
		if !packages[f.Dir] {
			packages[f.Dir] = true
			check(f, f.AST.Name, "package", f.AST.Name.Name)
		}
		check(f, f.AST.Name, "file", path.Base(f.Path))
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok {
				check(f, s, "type", s.Name.Name)
			}
			return true
		})
		for _, s := range f.AST.Imports {
			if s.Name != nil && s.Name.Name == "." {
				out = append(out, Finding{f.at(s), "imports " + s.Path.Value + " with a dot",
					"a reader cannot tell where a name comes from", "import it by its name"})
			}
		}
	}
	return out
}

// words splits camelCase, snake_case and dotted names into lower-case words.
func words(name string) []string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		// A new word begins at an upper-case letter after a lower-case one, and
		// at the last of several that a lower-case one follows: HTTPData.
		if unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return !unicode.IsLetter(r) })
}
