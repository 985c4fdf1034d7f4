package house

import (
	"strings"
	"testing"
)

func TestPurity(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		for i, w := range want {
			want[i] = "dedupe/a.go:" + strings.Replace(w, ": ", ": dedupe is pure: ", 1)
		}
		expect(t, Purity(oneFile(t, "dedupe/a.go", "package dedupe\n"+body)), want...)
	}
	f("func F(a, b int) int { return a + b }")
	f("func F() {\n go F()\n}", "3: starts a goroutine")
	f("func F() {\n select {}\n}", "3: selects")
	f("type T struct {\n c chan int\n}", "3: a channel")
	f("type C interface{ ~chan int }", "2: a channel")
	f("func F(c C) {\n c <- 1\n <-c\n}", "3: sends on a channel", "4: receives from a channel")

	f(`import "sync"`, "2: imports sync")
	f(`import "sync/atomic"`, "2: imports sync/atomic")
	f(`import "context"`, "2: imports context")
	f(`import "log/slog"`, "2: imports log/slog")
	f(`import "os"`, "2: imports os")
	f(`import "io/fs"`, "2: imports io/fs")
	f(`import "net/http"`, "2: imports net/http")
	f(`import "math/rand/v2"`, "2: imports math/rand/v2")
	f(`import "hash/maphash"`, "2: imports hash/maphash")
	f(`import ("io"; "math"; "regexp"; "math/bits"; "time")`)

	f("import \"time\"\nvar t0 = time.Now()", "3: time.Now")
	f("import \"time\"\nvar now = time.Now", "3: time.Now")
	f("import clock \"time\"\nvar d = clock.Since(t0)", "3: time.Since")
	f("import \"time\"\nfunc F() {\n time.Sleep(1)\n}", "4: time.Sleep")
	f("import \"time\"\nvar a, b = time.NewTimer(1),\n time.After(1)", "3: time.NewTimer", "4: time.After")
	f("import \"time\"\nvar z = time.Local", "3: time.Local")
	f("import \"time\"\nvar d = time.Second")
	f("import \"time\"\nvar t0 = time.Unix(0, 1)", "3: time.Unix is in the machine's time zone")
	f("import \"time\"\nvar t0 = time.Unix(0, 1).UTC()")
	f("type clock struct{}\nfunc (clock) Now() int { return 1 }\nfunc F(time clock) int { return time.Now() }")
}

func TestPurityKnowsAMap(t *testing.T) {
	const ranged = "2: dedupe is pure: ranges over a map"
	f := func(decls, loop, want string) {
		t.Helper()
		archive := "-- alert/a.go --\npackage alert\ntype Set map[string]int\ntype Holder struct{ ByName Set; List []int }\nfunc Make() Holder { return Holder{} }\n" +
			"-- dedupe/decls.go --\npackage dedupe\nimport (\"maps\"; \"slices\"; \"strings\"; \"" + Module + "/alert\"; \"example.com/other\")\n" + decls + "\n" +
			"-- dedupe/a.go --\npackage dedupe; import (\"maps\"; \"slices\"; \"strings\"; \"" + Module + "/alert\"; \"example.com/other\")\n" + loop
		var wants []string
		if want != "" {
			wants = []string{"dedupe/a.go:" + want}
		}
		expect(t, Purity(parse(t, archive)), wants...)
	}
	f("var m map[string]int", "func F() { for range m {} }", ranged)
	f("type T struct{ m map[int]int }", "func (t *T) F() { for range t.m {} }", ranged)
	f("type M map[int]int; func g() M { return nil }", "func F() { for range g() {} }", ranged)
	f("", "func F() { for range alert.Make().ByName {} }", ranged)
	f("", "func F(h *alert.Holder) { x := h.ByName; for range x {} }", ranged)
	f("", "func F(x map[string]int) { for range maps.Clone(x) {} }", ranged)
	f("", "func F[M ~map[K]V, K comparable, V any](m M) { for range m {} }", ranged)
	f("", "func F() { for range alert.Make().List {} }", "")
	f("", "func F(s string, n int) { for range s {}; for range n {}; for range strings.Split(s, \",\") {} }", "")
	f("", "func F[S ~[]E, E any](s S) { for range s {} }", "")
	f("", "func F() { for range other.List() {} }", "2: dedupe is pure: ranges over a value whose type is not known here")

	f("var m map[string]int", "func F() { for range maps.Keys(m) {} }", "2: dedupe is pure: maps.Keys")
	f("var m map[string]int", "var ks = slices.Collect(maps.Keys(m))", "2: dedupe is pure: maps.Keys")
	f("var m map[string]int", "var ks = slices.Sorted(maps.Keys(m))", "")
	f("var m map[string]int", "func F() { for range slices.Sorted(maps.Keys(m)) {} }", "")

	f("var m map[string]int", "// order: only counts them\nfunc F() { for range m {} }", "")
	f("var m map[string]int", "func F() { for range m {} // order: only counts them\n}", "")
	f("var m map[string]int", "// order: the sum is the same whichever\n// of them comes first\nfunc F() { for range m {} }", "")
	f("var m map[string]int", "// order: ok\nfunc F() { for range m {} }", "3: dedupe is pure: ranges over a map")
	f("var m map[string]int", "// order: only counts them\n\nfunc F() { for range m {} }", "4: dedupe is pure: ranges over a map")
	f("", "func F() { for range other.List() {} // order: it is a slice\n}", "")
}

func TestPurityEndsAtTheEdge(t *testing.T) {
	const body = "package x\nimport \"os\"\n"
	f := func(path string, want ...string) {
		t.Helper()
		expect(t, Purity(oneFile(t, path, body)), want...)
	}
	f("alert/a.go", "alert/a.go:2: alert is pure: imports os")
	f("correlate/a.go", "correlate/a.go:2: correlate is pure: imports os")
	f("internal/frame/a.go", "internal/frame/a.go:2: internal/frame is pure: imports os")
	f("ledger/fold.go", "ledger/fold.go:2: ledger is pure: imports os")
	f("ledger/render.go")
	f("ledger/render_html.go")
	f("ingest/a.go")
	f("dedupe/a_test.go")
}

func TestClock(t *testing.T) {
	const body = "package x\nimport \"time\"\nvar now = time.Now\n"
	f := func(path string, want ...string) {
		t.Helper()
		expect(t, Clock(oneFile(t, path, body)), want...)
	}
	f("internal/config/a.go", "internal/config/a.go:3: internal/config uses time.Now")
	f("internal/frame/a.go", "internal/frame/a.go:3: internal/frame uses time.Now")
	f("internal/frame/a_test.go")
	f("internal/engine/a.go")
	f("cmd/winnow/a.go")
	f("benchmarks/a.go")
	expect(t, Clock(oneFile(t, "internal/config/a.go", "package x\nimport \"time\"\nfunc F() {\n<-time.After(time.Second)\n}")), "internal/config/a.go:4: internal/config uses time.After")
	expect(t, Clock(oneFile(t, "internal/engine/a.go", "package x\n")), "internal/engine: an excuse that nothing needs")
}
