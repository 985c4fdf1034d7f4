package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
)

// gates are the packages that compare what callers show with what is known.
var gates = []string{"ingest", "internal/access", "internal/canary", "internal/web"}

// secretName is how what must not be found out is called.
var secretName = regexp.MustCompile(`(?i)(secret|password|token|digest|signature|credential|mac|sum)s?$`)

// unequalTime are the functions whose time tells how far two texts are alike.
var unequalTime = map[string][]string{
	"bytes":   {"Equal", "Compare", "HasPrefix", "EqualFold"},
	"strings": {"Compare", "EqualFold", "HasPrefix"},
	"slices":  {"Equal", "Compare", "Contains", "Index"},
	"reflect": {"DeepEqual"},
}

// Secrets holds that no credential is compared in a time that tells how much of
// it is right: not with == or !=, in a switch, nor by a function that stops at
// the first difference. With a constant it may be compared: that asks whether it
// is there, or of what kind. It goes by names, so a secret has to be called one.
func Secrets(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Go {
		if f.Test || f.Generated || !slices.Contains(gates, f.Dir) {
			continue
		}
		c := &secrets{f: f, imports: f.imports()}
		ast.Inspect(f.AST, c.look)
		out = append(out, c.out...)
	}
	return out
}

type secrets struct {
	f       *File
	imports map[string]string
	out     []Finding
}

func (c *secrets) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			c.compared(n, n.X, n.Y)
		}
	case *ast.SwitchStmt:
		if n.Tag != nil {
			for _, s := range n.Body.List {
				for _, e := range s.(*ast.CaseClause).List {
					c.compared(e, n.Tag, e)
				}
			}
		}
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			break
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && len(n.Args) == 2 && slices.Contains(unequalTime[c.imports[pkg.Name]], sel.Sel.Name) {
			c.compared(n, n.Args[0], n.Args[1])
		}
	}
	return true
}

// compared notes a comparison of two values of which one is a secret and none a
// constant.
func (c *secrets) compared(at ast.Node, a, b ast.Expr) {
	if c.constant(a) || c.constant(b) || !c.secret(a) && !c.secret(b) {
		return
	}
	c.out = append(c.out, Finding{c.f.at(at), "compares a secret", "the time that takes tells how much of it was right", "compare digests with crypto/subtle or hmac.Equal"})
}

// constant knows literals, nil and the constants of the file.
func (c *secrets) constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Obj != nil && e.Obj.Kind == ast.Con
	}
	return false
}

// secret reports whether an expression is one, by its name.
func (c *secrets) secret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name)
	case *ast.ParenExpr:
		return c.secret(e.X)
	case *ast.StarExpr:
		return c.secret(e.X)
	case *ast.UnaryExpr:
		return c.secret(e.X)
	case *ast.SliceExpr:
		return c.secret(e.X)
	case *ast.IndexExpr:
		return c.secret(e.X)
	case *ast.CallExpr: // a conversion, or what makes one
		_, converts := e.Fun.(*ast.ArrayType)
		if id, ok := e.Fun.(*ast.Ident); ok && id.Name == "string" {
			converts = true
		}
		return converts && c.secret(e.Args[0]) || c.secret(e.Fun)
	}
	return false
}
