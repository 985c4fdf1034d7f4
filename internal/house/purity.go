package house

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pure lists the packages whose result depends on their arguments alone, with
// the files that stand outside: same calls, same answers, which is what lets
// the log be replayed.
var pure = []struct{ pkg, except string }{
	{"alert", ""},
	{"dedupe", ""},
	{"correlate", ""},
	{"internal/paged", ""},
	{"internal/wire", ""},
	{"internal/frame", ""},
	{"internal/ladder", ""},
	{"ledger", "render*.go"}, // reports are written by the edge of the ledger
}

// impure are the standard packages that a pure package does without, with all
// that stands below them.
const impure = "context crypto/rand embed expvar hash/maphash io/fs io/ioutil log math/rand net os plugin runtime sync syscall"

// impureTime are the parts of package time that look at the machine's clock or
// its time zone.
const impureTime = "Now Since Until Sleep After AfterFunc Tick NewTimer NewTicker Local"

const (
	replayWhy = "a replay would not give the same answers"
	orderMark = "// order: "
)

// Purity holds rule 4: no goroutine, channel, lock, clock, log, I/O or chance in
// a pure package, nor a range over a map unless a comment, on its line or the
// line above, says why the order cannot reach the output:
//
//	// order: sums only
//	for _, n := range counts {
//
// Types come from go/types, with the standard library and this module known.
// Where a range is over a value of another module's type it cannot be told
// whether that is a map, and the comment is asked for as well.
func Purity(t *Tree) []Finding {
	var out []Finding
	typed := newTyped(t)
	for _, p := range pure {
		for _, f := range t.Go {
			if f.Dir != p.pkg || f.Test || f.Generated {
				continue
			}
			if ok, _ := path.Match(p.except, path.Base(f.Path)); ok {
				continue
			}
			c := &purity{f: f, imports: f.imports(), info: typed.of(p.pkg), reasons: f.orderReasons()}
			out = append(out, c.run()...)
		}
	}
	return out
}

type purity struct {
	f       *File
	imports map[string]string
	info    *types.Info
	reasons map[int]bool // lines that carry an order comment
	settled map[ast.Expr]bool
	out     []Finding
}

func (c *purity) run() []Finding {
	for _, s := range c.f.AST.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			continue
		}
		for bad := range strings.FieldsSeq(impure) {
			if within(p, bad) {
				c.add(s, "imports "+p, "take what it gives as an argument, or move the code to the edge")
			}
		}
	}
	c.settled = map[ast.Expr]bool{}
	ast.Inspect(c.f.AST, func(n ast.Node) bool {
		c.visit(n)
		return true
	})
	return c.out
}

func (c *purity) add(n ast.Node, what, do string) {
	c.out = append(c.out, Finding{c.f.at(n), c.f.Dir + " is pure: " + what, replayWhy, do})
}

func (c *purity) visit(n ast.Node) {
	const sequential = "do it in the caller's goroutine, or at the edge"
	switch n := n.(type) {
	case *ast.GoStmt:
		c.add(n, "starts a goroutine", sequential)
	case *ast.SelectStmt:
		c.add(n, "selects", sequential)
	case *ast.ChanType:
		c.add(n, "a channel", sequential)
	case *ast.SendStmt:
		c.add(n, "sends on a channel", sequential)
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.add(n, "receives from a channel", sequential)
		}
	case *ast.RangeStmt:
		c.ranges(n)
	case *ast.CallExpr:
		c.call(n)
	case *ast.SelectorExpr:
		c.selector(n)
	}
}

func (c *purity) selector(n *ast.SelectorExpr) {
	pkg, name := selected(c.imports, n)
	switch {
	case pkg == "time" && contains(impureTime, name):
		c.add(n, "time."+name, "take the time as an argument")
	case pkg == "time" && contains("Unix UnixMilli UnixMicro", name) && !c.settled[n]:
		c.add(n, "time."+name+" is in the machine's time zone", "append .UTC()")
	case pkg == "maps" && contains("All Keys Values", name) && !c.settled[n]:
		if !c.excused(n) {
			c.unordered(n, "maps."+name)
		}
	case pkg == "" && contains("MapRange MapKeys", name) && !c.excused(n):
		c.unordered(n, name)
	}
}

// call settles what an outer call makes harmless: .UTC() a time, a sort the
// order of a map's keys.
func (c *purity) call(n *ast.CallExpr) {
	if s, ok := n.Fun.(*ast.SelectorExpr); ok && contains("UTC In UnixNano Unix", s.Sel.Name) {
		if inner, ok := s.X.(*ast.CallExpr); ok {
			c.settled[inner.Fun] = true
		}
	}
	if pkg, name := selected(c.imports, n.Fun); pkg == "slices" && contains("Sorted SortedFunc SortedStableFunc", name) {
		if inner, ok := n.Args[0].(*ast.CallExpr); ok {
			c.settled[inner.Fun] = true
		}
	}
}

func (c *purity) ranges(n *ast.RangeStmt) {
	switch kind := c.kindOf(n.X); {
	case kind == ordered || c.excused(n):
	case kind == unordered:
		c.unordered(n, "ranges over a map")
	default:
		c.unordered(n, "ranges over a value whose type is not known here")
	}
}

func (c *purity) unordered(n ast.Node, what string) {
	c.add(n, what, "sort the keys first, or say why the order cannot reach the output: "+orderMark+"…")
}

type kind int

const (
	unknown kind = iota
	ordered
	unordered
)

func (c *purity) kindOf(x ast.Expr) kind {
	tv, ok := c.info.Types[x]
	if !ok || tv.Type == nil {
		return unknown
	}
	switch u := tv.Type.Underlying().(type) {
	case *types.Map:
		return unordered
	case *types.Basic:
		if u.Kind() == types.Invalid {
			return unknown
		}
	case *types.Interface: // a type parameter: any map among its types will do
		if tp, ok := tv.Type.(*types.TypeParam); ok && hasMap(tp) {
			return unordered
		}
	}
	return ordered
}

func hasMap(tp *types.TypeParam) bool {
	u, ok := tp.Constraint().Underlying().(*types.Interface)
	if !ok {
		return false
	}
	for e := range u.EmbeddedTypes() {
		union, ok := e.(*types.Union)
		if !ok {
			if _, ok := e.Underlying().(*types.Map); ok {
				return true
			}
			continue
		}
		for term := range union.Terms() {
			if _, ok := term.Type().Underlying().(*types.Map); ok {
				return true
			}
		}
	}
	return false
}

// excused reports whether n's line, or the one above, gives a reason.
func (c *purity) excused(n ast.Node) bool {
	line := c.f.fset.Position(n.Pos()).Line
	return c.reasons[line] || c.reasons[line-1]
}

// orderReasons are the lines with an order comment that says something.
func (f *File) orderReasons() map[int]bool {
	out := map[int]bool{}
	for _, g := range f.AST.Comments {
		for _, c := range g.List {
			if reason, ok := strings.CutPrefix(c.Text, orderMark); ok && len(strings.Fields(reason)) >= 2 {
				// The reason may run over several lines; it holds for what follows the last.
				out[f.fset.Position(c.Pos()).Line] = true
				out[f.fset.Position(g.End()).Line] = true
			}
		}
	}
	return out
}

func contains(words, word string) bool {
	return slices.Contains(strings.Fields(words), word)
}
