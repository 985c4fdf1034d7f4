package ledger

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The fold must give the same books whenever and wherever it runs.
func TestPurity(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	rendering := map[string]bool{"render.go": true, "markdown.go": true, "explain.go": true}
	allowed := map[string]bool{
		"cmp": true, "math": true, "math/bits": true, "slices": true, "time": true,
		"fmt": true, "strconv": true, "strings": true, "unicode": true, "unicode/utf8": true,
		"github.com/winnowhq/winnow/alert": true, "github.com/winnowhq/winnow/correlate": true, "github.com/winnowhq/winnow/dedupe": true,
		"github.com/winnowhq/winnow/internal/paged": true, "github.com/winnowhq/winnow/internal/wire": true,
	}
	clock := map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true, "NewTimer": true, "NewTicker": true, "Tick": true, "Local": true}
	checked := 0
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		checked++
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); !allowed[path] && (path != "io" || !rendering[name]) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s has a goroutine or channel", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && clock[n.Sel.Name] {
					t.Errorf("%s uses time.%s", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
	if checked < 8 {
		t.Errorf("only %d files were checked", checked)
	}
}
