package house

import (
	"go/ast"
)

// clocks lists the packages that may read the machine's clock or wait on it.
// internal/engine is the only one whose reading decides anything.
var clocks = excuses{
	"internal/engine":      "the one clock: it publishes ticks, and only ticks move the core",
	"internal/guard":       "it pages when the engine does not, so it cannot ask the engine for the time",
	"internal/guard/pager": "it pages when the engine does not, so it cannot ask the engine for the time",
	"internal/access":      "bcrypt rests after a wrong password; nothing is decided by when",
	"internal/stream":      "it waits for room on the disk; nothing is decided by when",
	"internal/canary":      "it proves that alerts come through, in time",
	"internal/heartbeat":   "it beats, also when nothing else runs",
	"internal/selfalert":   "it tells of trouble at most once a minute, also when nothing else runs",
	"internal/demo":        "it plays a storm at the speed of the wall clock",
	"internal/web":         "it measures requests",
	"internal/node":        "it hands the clock to those who may read it, and stamps a reload",
	"internal/verify":      "it looks again at a file that was being written",
	"enrich":               "its pipeline measures look-ups; what they find decides no page",
	"sinks":                "its shell spaces retries and measures attempts",
	"sinks/sinktest":       "a provider for tests, which stamps what it receives",
}

const clockFuncs = "Now Since Until Sleep After AfterFunc Tick NewTimer NewTicker"

// Clock reports uses of the clock outside the packages that may, cmd,
// benchmarks and tests.
func Clock(t *Tree) []Finding {
	var out []Finding
	used := map[string]bool{}
	for _, f := range t.Go {
		if f.Test || anyMatches("cmd/... benchmarks/...", f.Dir) {
			continue
		}
		imports := f.imports()
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if pkg, name := selected(imports, n); pkg == "time" && contains(clockFuncs, name) && !clocks.use(used, f.Dir) {
				out = append(out, Finding{f.at(n), f.Dir + " uses time." + name,
					"time is an event of the log, and only the engine turns the clock into events",
					"take the time as an argument, or add the package to clocks in internal/house/clock.go with a reason"})
			}
			return true
		})
	}
	return append(out, clocks.unused(t, used)...)
}
