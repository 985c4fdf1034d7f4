package main

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// TestListIsUpToDate holds that every mutant can be planted in the code as it
// stands, and that the tests which must find it exist. It runs none of them:
// `make mutants` does.
func TestListIsUpToDate(t *testing.T) {
	list := all()
	if len(list) < fewest {
		t.Errorf("%d mutants, want %d at least", len(list), fewest)
	}
	known := map[string]map[string]bool{}
	seen := map[string]bool{}
	for i := range list {
		m := &list[i]
		if seen[m.name] {
			t.Errorf("two mutants are called %s", m.name)
		}
		seen[m.name] = true
		if m.breaks == "" || m.tests == "" {
			t.Errorf("mutant %s: says not what it breaks, or what must find it", m.name)
		}
		files, err := m.changed(root)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, file := range slices.Sorted(maps.Keys(files)) {
			if _, err := parser.ParseFile(token.NewFileSet(), file, files[file], parser.SkipObjectResolution); err != nil {
				t.Errorf("mutant %s: %v", m.name, err)
			}
		}
		if known[m.pkg] == nil {
			known[m.pkg] = testsOf(t, m.pkg)
		}
		for name := range strings.FieldsSeq(m.tests) {
			if !known[m.pkg][name] {
				t.Errorf("mutant %s: %s has no %s", m.name, m.pkg, name)
			}
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsOf lists the tests of a package.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			out[string(m[1])] = true
		}
	}
	return out
}

// TestOnlyATestThatFailsFinds holds what counts as found: a line of go test that
// says that a test has failed, and not that something does not build.
func TestOnlyATestThatFailsFinds(t *testing.T) {
	for _, c := range []struct {
		name, lines, want string
	}{
		{"fails", `{"Action":"output","Test":"TestA/b","Output":"    a_test.go:1: too late\n"}
{"Action":"fail","Test":"TestA/b"}
{"Action":"fail","Test":"TestA"}
{"Action":"fail"}`, "TestA: a_test.go:1: too late"},
		{"does not build", `{"Action":"build-output","Output":"x.go:1: undefined: y\n"}
{"Action":"build-fail"}
{"Action":"fail"}`, ": "},
		{"passes", `{"Action":"pass","Test":"TestA"}
{"Action":"pass"}`, ": "},
	} {
		o := read(strings.NewReader(c.lines), time.Time{})
		if got := o.failed + ": " + o.said; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
