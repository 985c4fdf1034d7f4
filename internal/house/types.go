package house

import (
	"errors"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"strings"
	"sync"
)

// typed type-checks packages of a tree as far as they can be known without the
// modules of others: those stay unknown, and so does what is made of them.
type typed struct {
	tree     *Tree
	packages map[string]*types.Package
	infos    map[string]*types.Info
}

func newTyped(t *Tree) *typed {
	return &typed{t, map[string]*types.Package{}, map[string]*types.Info{}}
}

// of returns what is known of the expressions of the package in dir.
func (ty *typed) of(dir string) *types.Info {
	if info, ok := ty.infos[dir]; ok {
		return info
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	ty.infos[dir] = info
	var files []*ast.File
	for _, f := range ty.tree.Go {
		if f.Dir == dir && !f.Test {
			files = append(files, f.AST)
		}
	}
	conf := types.Config{
		Importer: ty,
		// Build tags are not looked at, and imports may be missing: what does
		// not check stays unknown, and the compiler is there for the errors.
		Error: func(error) {},
	}
	// The error is the first of those that Error was told of.
	ty.packages[dir], _ = conf.Check(Module+"/"+dir, ty.tree.fset, files, info)
	return info
}

var errUnknown = errors.New("not type-checked here: a module of others")

// Import finds a package of this module or of the standard library.
func (ty *typed) Import(p string) (*types.Package, error) {
	if dir, ok := strings.CutPrefix(p, Module+"/"); ok {
		ty.of(dir)
		if pkg := ty.packages[dir]; pkg != nil {
			return pkg, nil
		}
		return nil, errUnknown // an import cycle
	}
	if strings.Contains(strings.Split(p, "/")[0], ".") {
		return nil, errUnknown
	}
	return standard(p)
}

// standard reads a standard package from its source. It takes a second for the
// first and is shared by all trees of the process.
var standard = func() func(string) (*types.Package, error) {
	var mu sync.Mutex
	from := sync.OnceValue(func() types.Importer { return importer.ForCompiler(token.NewFileSet(), "source", nil) })
	return func(p string) (*types.Package, error) {
		mu.Lock()
		defer mu.Unlock()
		return from().Import(p)
	}
}()
