package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// notMetrics are names that begin like a metric and are none.
var notMetrics = map[string]string{}

var (
	metricMention = regexp.MustCompile(`\bwinnow_[a-z0-9_]*\*?`)
	metricName    = regexp.MustCompile(`^winnow_[a-z0-9_]+$`)
	seriesSuffix  = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// Metrics wants every metric that a document, a dashboard or a rule in deploy
// names to be one that the program has. Name_* stands for any that begins so.
func Metrics(t *Tree) []Finding {
	var out []Finding
	declared := declaredMetrics(t)
	texts := t.Markdown()
	for _, x := range t.Texts {
		if within(x.Path, "deploy") && !strings.HasSuffix(x.Path, ".md") {
			texts = append(texts, x)
		}
	}
	for _, x := range texts {
		for i, line := range strings.Split(x.Body, "\n") {
			for _, m := range metricMention.FindAllString(line, -1) {
				if !isDeclared(declared, m) && notMetrics[m] == "" {
					out = append(out, Finding{x.Path + ":" + strconv.Itoa(i+1), "names " + m + ", which is no metric of winnow",
						truthWhy, "name a metric that the source has"})
				}
			}
		}
	}
	return out
}

func isDeclared(declared map[string]bool, mention string) bool {
	if prefix := strings.TrimSuffix(mention, "*"); strings.HasSuffix(prefix, "_") || prefix != mention {
		for m := range declared {
			if strings.HasPrefix(m, prefix) {
				return true
			}
		}
		return false
	}
	return declared[mention] || declared[seriesSuffix.ReplaceAllString(mention, "")]
}

// declaredMetrics reads the names of metrics from the source: a whole name in a
// string, or the Namespace, Subsystem and Name of client_golang's options, as
// strings or as constants of the same package.
func declaredMetrics(t *Tree) map[string]bool {
	out := map[string]bool{}
	consts := constants(t)
	for _, f := range t.Go {
		if f.Test {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			name := ""
			switch n := n.(type) {
			case *ast.BasicLit:
				name = stringOf(n, nil)
			case *ast.BinaryExpr:
				name = stringOf(n, consts[f.Dir])
			case *ast.CompositeLit:
				name = optionsName(n, consts[f.Dir])
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "BuildFQName" && len(n.Args) == 3 {
					name = joinName(stringOf(n.Args[0], consts[f.Dir]), stringOf(n.Args[1], consts[f.Dir]), stringOf(n.Args[2], consts[f.Dir]))
				}
			}
			if metricName.MatchString(name) {
				out[name] = true
			}
			return true
		})
	}
	return out
}

func optionsName(n *ast.CompositeLit, consts map[string]string) string {
	parts := map[string]string{}
	for _, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok {
				parts[id.Name] = stringOf(kv.Value, consts)
			}
		}
	}
	if parts["Name"] == "" {
		return ""
	}
	return joinName(parts["Namespace"], parts["Subsystem"], parts["Name"])
}

func joinName(namespace, subsystem, name string) string {
	var parts []string
	for _, p := range []string{namespace, subsystem, name} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "_")
}

// constants are the string constants of each folder.
func constants(t *Tree) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, f := range t.Go {
		if out[f.Dir] == nil {
			out[f.Dir] = map[string]string{}
		}
		for _, d := range f.AST.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, name := range v.Names {
					if i < len(v.Values) {
						out[f.Dir][name.Name] = stringOf(v.Values[i], nil)
					}
				}
			}
		}
	}
	return out
}

// stringOf is the value of a string that is a literal, a constant or a sum of
// them, "" for anything else.
func stringOf(x ast.Expr, consts map[string]string) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return s
		}
	case *ast.Ident:
		return consts[x.Name]
	case *ast.BinaryExpr:
		if a, b := stringOf(x.X, consts), stringOf(x.Y, consts); x.Op == token.ADD && a != "" && b != "" {
			return a + b
		}
	}
	return ""
}
