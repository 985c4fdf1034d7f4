package house

import (
	"go/ast"
	"go/token"
	"strings"
)

// packageCommentBytes is the least that says what a package decides and what it
// never does.
const packageCommentBytes = 80

// spokenFor are methods whose contract is the interface that asks for them.
const spokenFor = `String Error Unwrap Is As GoString Format Len Less Swap Read Write Close ServeHTTP RoundTrip
	MarshalText UnmarshalText AppendText MarshalBinary UnmarshalBinary AppendBinary
	MarshalJSON UnmarshalJSON MarshalYAML UnmarshalYAML Describe Collect`

// Comments wants a package comment that says something in every package, and a
// comment on every exported name outside package main and tests.
func Comments(t *Tree) []Finding {
	var out []Finding
	said := map[string]string{}
	first := map[string]*File{}
	for _, f := range t.Go {
		if first[f.Dir] == nil {
			first[f.Dir] = f
		}
		if f.AST.Doc != nil && len(f.AST.Doc.Text()) > len(said[f.Dir]) {
			said[f.Dir] = f.AST.Doc.Text()
		}
		if !f.Test && !f.Generated && f.AST.Name.Name != "main" {
			out = append(out, undocumented(f)...)
		}
	}
	for dir, f := range first {
		if len(said[dir]) < packageCommentBytes {
			out = append(out, Finding{f.at(f.AST.Name), "package " + f.AST.Name.Name + " has no comment that says what it is for",
				"a reader starts there", "say what the package decides, then what it never does"})
		}
	}
	return sorted(out)
}

func undocumented(f *File) []Finding {
	var out []Finding
	add := func(n ast.Node, name string) {
		out = append(out, Finding{f.at(n), name + " has no comment",
			"an exported name promises something", "state the promise, or make it unexported"})
	}
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && (d.Recv == nil || !contains(spokenFor, d.Name.Name)) {
				add(d, funcName(d))
			}
		case *ast.GenDecl:
			if d.Doc == nil && d.Tok != token.IMPORT {
				undocumentedSpecs(d, add)
			}
		}
	}
	return out
}

// undocumentedSpecs walks a declaration without a comment of its own. The
// constants of an exported type need none: the type's comment is theirs.
func undocumentedSpecs(d *ast.GenDecl, add func(ast.Node, string)) {
	typed := false
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && s.Name.IsExported() {
				add(s, s.Name.Name)
			}
		case *ast.ValueSpec:
			id, ok := s.Type.(*ast.Ident)
			typed = d.Tok == token.CONST && (typed && s.Type == nil || ok && id.IsExported())
			if typed || s.Doc != nil || s.Comment != nil {
				continue
			}
			for _, n := range s.Names {
				if n.IsExported() {
					add(n, n.Name)
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	return d.Recv == nil || ast.IsExported(receiver(d))
}

// receiver is the name of a method's type, "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	x := d.Recv.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.IndexListExpr:
			x = y.X
		case *ast.Ident:
			return y.Name
		default:
			return ""
		}
	}
}

// funcName is Func or Type.Method.
func funcName(d *ast.FuncDecl) string {
	return strings.TrimPrefix(receiver(d)+"."+d.Name.Name, ".")
}
