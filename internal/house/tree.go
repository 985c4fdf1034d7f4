package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of this module.
const Module = "github.com/winnowhq/winnow"

// textLimitBytes bounds the files whose words are read: a larger one is
// recorded input.
const textLimitBytes = 2 << 20

// A Tree is the repository, read and parsed once. Nobody changes it after Parse.
type Tree struct {
	Go    []*File // Go files of this module outside testdata, in order of path
	Texts []Text  // every text file, Go files included, in order of path

	fset  *token.FileSet
	paths map[string]bool // files and folders, slash-separated
}

// A File is one Go file.
type File struct {
	Path      string // from the root, slash-separated
	Dir       string // "." for the root
	Test      bool   // its name ends in _test.go
	Generated bool
	Lines     int
	Code      int       // lines that are neither empty nor a comment
	AST       *ast.File // what could be parsed of it
	Err       error     // why the rest could not

	fset *token.FileSet
}

// Text is a text file as it stands.
type Text struct {
	Path string
	Body string
}

// Parse reads the repository at fsys. Version control, what was built, nested
// modules' Go files and hidden folders other than the CI's are left out.
func Parse(fsys fs.FS) (*Tree, error) {
	t := &Tree{fset: token.NewFileSet(), paths: map[string]bool{}}
	nested := []string{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if leftOut(p) {
				return fs.SkipDir
			}
			if _, err := fs.Stat(fsys, path.Join(p, "go.mod")); err == nil && p != "." {
				nested = append(nested, p)
			}
			t.paths[p] = true
			return nil
		}
		t.paths[p] = true
		return t.read(fsys, p, d, slices.ContainsFunc(nested, func(n string) bool { return within(p, n) }))
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	return t, nil
}

func leftOut(dir string) bool {
	name := path.Base(dir)
	switch {
	case dir == ".", dir == ".ci", dir == ".github":
		return false
	case strings.HasPrefix(name, "."), name == "node_modules":
		return true
	}
	return dir == "bin" || dir == "dist"
}

func (t *Tree) read(fsys fs.FS, p string, d fs.DirEntry, nested bool) error {
	if !d.Type().IsRegular() {
		return nil
	}
	if info, err := d.Info(); err != nil || info.Size() > textLimitBytes {
		return err
	}
	body, err := fs.ReadFile(fsys, p)
	if err != nil {
		return err
	}
	if bytes.IndexByte(body, 0) >= 0 {
		return nil
	}
	t.Texts = append(t.Texts, Text{p, string(body)})
	if path.Ext(p) != ".go" || nested || strings.Contains("/"+p, "/testdata/") || strings.Contains("/"+p, "/_") {
		return nil
	}
	f := &File{Path: p, Dir: path.Dir(p), Test: strings.HasSuffix(p, "_test.go"), fset: t.fset}
	f.AST, f.Err = parser.ParseFile(t.fset, p, body, parser.ParseComments)
	if f.AST == nil {
		f.AST = &ast.File{Name: ast.NewIdent("unreadable")}
	}
	f.Generated = ast.IsGenerated(f.AST)
	for l := range bytes.Lines(body) {
		f.Lines++
		if l = bytes.TrimSpace(l); len(l) > 0 && !bytes.HasPrefix(l, []byte("//")) {
			f.Code++
		}
	}
	t.Go = append(t.Go, f)
	return nil
}

// Exists reports whether p is a file or a folder of the tree.
func (t *Tree) Exists(p string) bool { return t.paths[path.Clean(p)] }

// Matches reports whether some path of the tree matches pattern (path.Match).
func (t *Tree) Matches(pattern string) bool {
	for p := range t.paths {
		if ok, err := path.Match(pattern, p); ok && err == nil {
			return true
		}
	}
	return false
}

// Markdown lists the documents that people read, those of test cases left out.
func (t *Tree) Markdown() []Text {
	var out []Text
	for _, x := range t.Texts {
		if path.Ext(x.Path) == ".md" && !strings.Contains("/"+x.Path, "/testdata/") {
			out = append(out, x)
		}
	}
	return out
}

// at is file:line of a node.
func (f *File) at(n ast.Node) string {
	return f.Path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// imports maps the name that each import has in the file to its path. Imports
// for their side effects are left out.
func (f *File) imports() map[string]string {
	out := map[string]string{}
	for _, s := range f.AST.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			continue
		}
		name := importName(p)
		if s.Name != nil {
			name = s.Name.Name
		}
		if name != "_" {
			out[name] = p
		}
	}
	return out
}

// importName guesses a package's name from its path: the last element that is
// no major version.
func importName(p string) string {
	name := path.Base(p)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		name = path.Base(path.Dir(p))
	}
	return strings.TrimPrefix(strings.TrimSuffix(name, ".go"), "go-")
}

// selected resolves n as package.Name, for a package that the file imports.
// A local variable that hides the package is not mistaken for it.
func selected(imports map[string]string, n ast.Node) (pkg, name string) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok || x.Obj != nil {
		return "", ""
	}
	return imports[x.Name], s.Sel.Name
}

// within reports whether p is dir or stands below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

// Syntax reports Go files that do not parse: no other check sees all of them.
func Syntax(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Go {
		if f.Err != nil {
			out = append(out, Finding{f.Path, f.Err.Error(), "the other checks see only a part of it", "make it compile"})
		}
	}
	return out
}
