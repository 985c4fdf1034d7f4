package house

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/winnowhq/winnow/internal/config"
)

var update = flag.Bool("update", false, "rewrite "+DepsPath)

const root = "../.."

// TestRepository holds every rule over this repository.
func TestRepository(t *testing.T) {
	tree, err := Parse(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks {
		t.Run(c.Name, func(t *testing.T) { report(t, c.Run(tree)) })
	}
	t.Run("configs", func(t *testing.T) {
		report(t, Configs(tree, func(text []byte) error {
			_, err := config.Parse("block", text)
			return err
		}))
	})
	t.Run("deps", func(t *testing.T) {
		if !tree.Exists(binary) {
			return // nothing is linked yet
		}
		linked, err := Linked(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			file := filepath.Join(root, DepsPath)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(DepsFile(linked)), 0o644)); err != nil {
				t.Fatal(err)
			}
			return
		}
		report(t, Deps(tree, linked))
	})
}

func report(t *testing.T, fs []Finding) {
	t.Helper()
	for _, f := range fs {
		t.Error(f)
	}
}

// parse reads a tree from an archive.
func parse(t *testing.T, archive string) *Tree {
	t.Helper()
	fsys, err := txtar.FS(txtar.Parse([]byte(archive)))
	if err != nil {
		t.Fatal(err)
	}
	return parseFS(t, fsys)
}

func parseFS(t *testing.T, fsys fs.FS) *Tree {
	t.Helper()
	tree, err := Parse(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// expect holds that findings are these, written "place: what", in order.
func expect(t *testing.T, got []Finding, want ...string) {
	t.Helper()
	var lines []string
	for _, f := range got {
		lines = append(lines, f.At+": "+f.What)
		if f.Why == "" || f.Do == "" {
			t.Errorf("%s: a finding says why, and what to do", f)
		}
	}
	if !slices.Equal(lines, want) {
		t.Errorf("\n got %s\nwant %s", strings.Join(lines, "\n     "), strings.Join(want, "\n     "))
	}
}

// oneFile makes a tree of one file.
func oneFile(t *testing.T, path, body string) *Tree {
	t.Helper()
	return parseFS(t, fstest.MapFS{path: {Data: []byte(body)}})
}

func TestFindingReadsAsALine(t *testing.T) {
	f := Finding{"a.go:3", "a goroutine", "a replay differs", "take it out"}
	if got, want := f.String(), "a.go:3: a goroutine: a replay differs; take it out"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSyntax(t *testing.T) {
	expect(t, Syntax(oneFile(t, "a/a.go", "package a\nfunc {")), "a/a.go: a/a.go:2:6: expected 'IDENT', found '{'")
	expect(t, Syntax(oneFile(t, "a/a.go", "package a")))
}

func TestParseLeavesOut(t *testing.T) {
	tree := parse(t, `
-- a/a.go --
package a
-- a/testdata/b.go --
package b
-- a/_c/c.go --
package c
-- .git/d.go --
package d
-- bin/e.go --
package e
-- internal/tools/go.mod --
module tools
-- internal/tools/f.go --
package f
-- cmd/bin/g.go --
package g
-- .ci/run --
go test ./...
`)
	var got []string
	for _, f := range tree.Go {
		got = append(got, f.Path)
	}
	if want := []string{"a/a.go", "cmd/bin/g.go"}; !slices.Equal(got, want) {
		t.Errorf("Go files %v, want %v", got, want)
	}
	for path, want := range map[string]bool{".ci/run": true, "a/testdata": true, ".git/d.go": false, "bin/e.go": false, "nowhere": false} {
		if tree.Exists(path) != want {
			t.Errorf("Exists(%s) = %v", path, !want)
		}
	}
}

// TestSmallPackages counts what is code, file by file.
func TestSmallPackages(t *testing.T) {
	body := "// Package a.\npackage a\n\n" + strings.Repeat("var _ int\n", 9)
	expect(t, code(oneFile(t, "a/a.go", body), map[string]int{"a": 10}))
	expect(t, code(oneFile(t, "a/a.go", body), map[string]int{"a": 9}), "a/a.go: a has more than 9 lines of code")
	expect(t, code(oneFile(t, "a/a_test.go", body), map[string]int{"a": 9}))
}

// TestExcusesDoNotOutliveTheirReason covers the tables of excuses as such.
func TestExcusesDoNotOutliveTheirReason(t *testing.T) {
	tree := oneFile(t, "a/a.go", "package a\n")
	expect(t, size(tree, excuses{"a/a.go": "long", "gone.go": "long"}), "a/a.go: an excuse that nothing needs")
	expect(t, size(oneFile(t, "a/a.go", "package a\n"+strings.Repeat("\n", fileLines)), excuses{"a/a.go": "long"}))
}
