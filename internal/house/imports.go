package house

import (
	"strconv"
	"strings"
)

// The line: what each package may import of this module. A package imports
// only what stands to its left, so nothing flows back.
//
//	alert ◀ ingest
//	alert ◀ dedupe ◀ correlate ◀ ledger
//	                 correlate ◀ enrich ◀ sinks
//	all of these ◀ frame ◀ stream ◀ engine ◀ preview, verify ◀ web ◀ node ◀ demo ◀ cmd
//
// A pattern ending in /* stands for each folder in it, in /... for all below.
var theLine = []struct{ pkg, may string }{
	{"alert", ""},
	{"ingest", "alert"},
	{"dedupe", "alert internal/wire internal/paged"},
	{"correlate", "alert dedupe internal/wire internal/paged"},
	{"ledger", "alert dedupe correlate internal/wire internal/paged"},
	{"enrich", "alert dedupe correlate"},
	{"sinks", "alert dedupe correlate enrich sinks/*"},
	{"sinks/*", "alert dedupe correlate enrich sinks"}, // one sink never imports another

	{"internal/paged", ""},
	{"internal/wire", ""}, // bytes only: so low that the pure packages may use it
	{"internal/durable", ""},
	{"internal/logs", ""},
	{"internal/house", "internal/config"}, // in its tests: the YAML in the documents must load
	{"internal/access", "alert ingest"},
	{"internal/selfalert", ""},
	{"internal/ladder", ""},
	{"internal/canary", ""},
	{"internal/heartbeat", ""},
	{"internal/config", "alert internal/access internal/selfalert internal/heartbeat correlate ingest enrich sinks sinks/*"},
	{"internal/frame", edges},
	{"internal/stream", edges + " internal/durable internal/frame"},
	// The guard pages when the correlator does not, so it shares nothing with it.
	{"internal/guard", "alert ingest sinks sinks/* internal/frame internal/stream internal/guard/pager internal/guard/kept internal/guard/desk"},
	{"internal/guard/pager", "alert"},
	{"internal/guard/kept", "alert internal/frame"},
	{"internal/guard/desk", "alert internal/guard/pager"},
	{"internal/engine", edges + " internal/durable internal/frame internal/stream"},
	{"internal/preview", edges + " internal/frame internal/stream internal/engine"},
	{"internal/verify", edges + " internal/frame internal/stream internal/engine"},
	{"internal/web", all},
	{"internal/node", all + " internal/web internal/verify"},                                 // starts and stops all of them
	{"internal/hostile", all + " internal/web internal/node"},                                // tests only
	{"internal/sim", "alert correlate sinks internal/frame internal/stream internal/engine"}, // tests only
	{"internal/demo", all + " internal/web internal/node"},

	{"cmd/...", "..."},
	{"benchmarks/...", "..."},
}

const (
	edges = "alert ingest dedupe correlate ledger enrich sinks sinks/* internal/wire"
	all   = edges + " internal/durable internal/logs internal/access internal/selfalert internal/ladder internal/canary internal/heartbeat internal/config internal/frame internal/stream internal/guard internal/guard/pager internal/guard/kept internal/guard/desk internal/engine internal/preview"
)

// restricted holds what some packages of others bring in behind one seam.
// Tests keep to it too, other than those of cmd and benchmarks.
var restricted = []struct{ path, where, why string }{
	{"github.com/prometheus/alertmanager/api", receivers, heavy},
	{"github.com/prometheus/alertmanager/app", receivers, heavy},
	{"github.com/prometheus/alertmanager/cluster", receivers, heavy},
	{"github.com/prometheus/alertmanager/config", receivers, heavy},
	{"github.com/prometheus/alertmanager/dispatch", receivers, heavy},
	{"github.com/prometheus/alertmanager/eventrecorder", receivers, heavy},
	{"github.com/prometheus/alertmanager/inhibit", receivers, heavy},
	{"github.com/prometheus/alertmanager/nflog", receivers, heavy},
	{"github.com/prometheus/alertmanager/notify", receivers, heavy},
	{"github.com/prometheus/alertmanager/provider", receivers, heavy},
	{"github.com/prometheus/alertmanager/silence", receivers, heavy},
	{"github.com/prometheus/alertmanager/template", receivers, heavy},
	{"github.com/prometheus/alertmanager/timeinterval", receivers + " correlate", heavy},
	{"github.com/nats-io/nats-server", "internal/stream", broker},
	{"github.com/nats-io/nats.go", "internal/stream", broker},
	{"github.com/spf13/cobra", "cmd/...", "flags and verbs are the command's business"},
	{"github.com/spf13/pflag", "cmd/...", "flags and verbs are the command's business"},
}

const (
	receivers = "sinks sinks/* internal/config"
	heavy     = "Alertmanager's packages stay behind its receivers and its configuration file"
	broker    = "JetStream stays behind one seam"

	// synctestHook makes the broker's clock virtual; every bubble that holds one needs it.
	synctestHook = "github.com/nats-io/nats-server/v2/server/ats"
)

// closed lists the packages that may import only these of others, tests aside.
var closed = []struct{ pkg, may, why string }{
	{"alert", "github.com/cespare/xxhash", pureWhy},
	{"dedupe", "github.com/cespare/xxhash", pureWhy},
	{"correlate", "github.com/cespare/xxhash github.com/prometheus/alertmanager/timeinterval go.yaml.in/yaml gopkg.in/yaml.v2", pureWhy},
	{"internal/frame", "github.com/cespare/xxhash github.com/klauspost/compress", pureWhy},
	{"ingest", "github.com/cespare/xxhash github.com/klauspost/compress/gzip go.uber.org/zap github.com/prometheus/client_golang", "a source needs no vendor's library"},
	{"ledger", "", pureWhy},
	{"internal/paged", "", pureWhy},
	{"internal/wire", "", pureWhy},
	{"internal/ladder", "", pureWhy},
}

const pureWhy = "what a pure package calls must be pure too"

// Imports holds the line, and what may be imported of others where.
func Imports(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Go {
		row, ok := rowOf(f.Dir)
		if !ok {
			out = append(out, Finding{f.at(f.AST.Name), "package " + f.Dir + " has no place in the line",
				"what may import what is decided once", "add a row to theLine in internal/house/imports.go"})
			continue
		}
		for _, s := range f.AST.Imports {
			p, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				continue
			}
			if what, why, do := forbidden(f, row, p); what != "" {
				out = append(out, Finding{f.at(s), what, why, do})
			}
		}
	}
	return out
}

func rowOf(dir string) (may string, ok bool) {
	for _, r := range theLine {
		if matches(r.pkg, dir) {
			return r.may, true
		}
	}
	return "", false
}

// forbidden says why f may not import p, and nothing where it may.
func forbidden(f *File, may, p string) (what, why, do string) {
	what = f.Dir + " imports " + p
	if p == Module || strings.HasPrefix(p, Module+"/") {
		ours := strings.TrimPrefix(strings.TrimPrefix(p, Module), "/")
		if anyMatches(may, ours) || f.Test && ours == f.Dir {
			return "", "", ""
		}
		return what, "a package imports only what stands to its left", "move what is shared to the left, or pass it in from the right"
	}
	if anyMatches("cmd/... benchmarks/...", f.Dir) || f.Test && p == synctestHook {
		return "", "", ""
	}
	for _, r := range restricted {
		if hasModule(p, r.path) && !anyMatches(r.where, f.Dir) {
			return what, r.why, "import it only in " + r.where
		}
	}
	if f.Test || !strings.Contains(strings.Split(p, "/")[0], ".") {
		return "", "", ""
	}
	for _, c := range closed {
		if c.pkg != f.Dir {
			continue
		}
		for m := range strings.FieldsSeq(c.may) {
			if hasModule(p, m) {
				return "", "", ""
			}
		}
		return what, c.why, "do without it, or add it to closed in internal/house/imports.go with a reason"
	}
	return "", "", ""
}

// hasModule reports whether the import path p is prefix or stands below it.
func hasModule(p, prefix string) bool { return within(p, prefix) }

func anyMatches(patterns, dir string) bool {
	for p := range strings.FieldsSeq(patterns) {
		if matches(p, dir) {
			return true
		}
	}
	return false
}

func matches(pattern, dir string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(dir, base)
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		rest, below := strings.CutPrefix(dir, base+"/")
		return below && !strings.Contains(rest, "/")
	}
	return pattern == dir
}
