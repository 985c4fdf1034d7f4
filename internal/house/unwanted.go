package house

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// panics lists the places that may panic with something other than a message
// of their own package.
var panics = excuses{}

// skips lists the tests that may skip, by file:Func.
var skips = excuses{
	"internal/node/synced_linux_test.go:TestAcknowledgedIsSynced": "only a newer kernel, and a folder on a disk, tell what is not on disk yet",
}

// unfinished is built from parts, or this file would find itself.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)

// Unwanted reports what is not written here at all: init functions, panics
// about anything but our own bugs, tests that sleep or skip, unfinished work.
func Unwanted(t *Tree) []Finding { return unwanted(t, panics, skips) }

func unwanted(t *Tree, panics, skips excuses) []Finding {
	var out []Finding
	used := map[string]bool{}
	for _, f := range t.Go {
		if f.Generated {
			continue
		}
		u := &unwantedIn{f: f, imports: f.imports(), panics: panics, skips: skips, used: used}
		for _, d := range f.AST.Decls {
			u.decl(d)
		}
		u.comments()
		out = append(out, u.out...)
	}
	for _, x := range t.Markdown() {
		out = append(out, unfinishedLines(x)...)
	}
	out = append(out, panics.unused(t, used)...)
	return append(out, skips.unused(t, used)...)
}

type unwantedIn struct {
	f             *File
	imports       map[string]string
	panics, skips excuses
	used          map[string]bool
	out           []Finding
}

func (u *unwantedIn) add(n ast.Node, what, why, do string) {
	u.out = append(u.out, Finding{u.f.at(n), what, why, do})
}

func (u *unwantedIn) decl(d ast.Decl) {
	place := u.f.Path
	if fn, ok := d.(*ast.FuncDecl); ok {
		place += ":" + funcName(fn)
		if fn.Recv == nil && fn.Name.Name == "init" {
			u.add(fn, "an init function", "what runs before main cannot be ordered, tested or left out",
				"call it from a constructor, or use a package variable")
		}
	}
	ast.Inspect(d, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			u.call(c, place)
		}
		return true
	})
}

func (u *unwantedIn) call(c *ast.CallExpr, place string) {
	if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "panic" && id.Obj == nil && !u.f.Test {
		if !u.ownBug(c) && !u.panics.use(u.used, place) {
			u.add(c, "a panic", "panic is for our own bugs, and its message says whose",
				`begin the message with "`+path.Base(u.f.AST.Name.Name)+`: ", or return an error`)
		}
	}
	if !u.f.Test {
		return
	}
	if pkg, name := selected(u.imports, c.Fun); pkg == "time" && name == "Sleep" && !u.imported("testing/synctest") {
		u.add(c, "a test that sleeps", "it is slow where it is not flaky", "run it in a testing/synctest bubble")
	}
	if s, ok := c.Fun.(*ast.SelectorExpr); ok && contains("Skip Skipf SkipNow", s.Sel.Name) && isTesting(s.X) && !u.skips.use(u.used, place) {
		u.add(c, "a test that skips", "a skipped test holds nothing",
			"make it run everywhere, or give the reason in skips in internal/house/unwanted.go")
	}
}

func (u *unwantedIn) imported(p string) bool {
	for _, q := range u.imports {
		if q == p {
			return true
		}
	}
	return false
}

// ownBug reports whether a panic's message begins with the package's name: a
// string, a concatenation or a call of fmt's that begins with one. Passing
// http.ErrAbortHandler on is the server's protocol.
func (u *unwantedIn) ownBug(c *ast.CallExpr) bool {
	if len(c.Args) != 1 {
		return false
	}
	if pkg, name := selected(u.imports, c.Args[0]); pkg == "net/http" && name == "ErrAbortHandler" {
		return true
	}
	return strings.HasPrefix(leading(c.Args[0]), u.f.AST.Name.Name+": ")
}

// leading is the constant text that a message begins with.
func leading(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return s
		}
	case *ast.BinaryExpr:
		return leading(x.X)
	case *ast.CallExpr:
		if len(x.Args) > 0 {
			return leading(x.Args[0])
		}
	}
	return ""
}

// isTesting reports whether x is a parameter of a type of package testing. What
// rapid calls skipping discards a generated value, and is no skip.
func isTesting(x ast.Expr) bool {
	id, ok := x.(*ast.Ident)
	if !ok || id.Obj == nil {
		return false
	}
	field, ok := id.Obj.Decl.(*ast.Field)
	if !ok {
		return false
	}
	typ := field.Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	s, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "testing"
}

const (
	unfinishedWhy = "what is here is finished"
	unfinishedDo  = "finish it, or open an issue and say in a sentence what is so"
)

func (u *unwantedIn) comments() {
	for _, g := range u.f.AST.Comments {
		for _, c := range g.List {
			if w := unfinished.FindString(c.Text); w != "" {
				u.add(c, "a comment with "+w, unfinishedWhy, unfinishedDo)
			}
		}
	}
}

func unfinishedLines(x Text) []Finding {
	var out []Finding
	for i, line := range strings.Split(x.Body, "\n") {
		if w := unfinished.FindString(line); w != "" {
			out = append(out, Finding{x.Path + ":" + strconv.Itoa(i+1), "a line with " + w, unfinishedWhy, unfinishedDo})
		}
	}
	return out
}
