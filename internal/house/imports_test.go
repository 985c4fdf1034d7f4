package house

import (
	"strings"
	"testing"
)

func TestImports(t *testing.T) {
	f := func(path, imports, want string) {
		t.Helper()
		var body strings.Builder
		body.WriteString("package x\n")
		for p := range strings.FieldsSeq(imports) {
			if !strings.Contains(strings.Split(p, "/")[0], ".") && !strings.HasPrefix(p, "std:") {
				p = Module + "/" + p
			}
			body.WriteString("import _ \"" + strings.TrimPrefix(p, "std:") + "\"\n")
		}
		got := Imports(oneFile(t, path, body.String()))
		if want == "" {
			expect(t, got)
			return
		}
		want = strings.Replace(want, "@", Module+"/", 1)
		expect(t, got, path+":"+want)
	}
	f("alert/a.go", "std:strings github.com/cespare/xxhash/v2", "")
	f("alert/a.go", "dedupe", "2: alert imports @dedupe")
	f("ingest/a.go", "alert go.uber.org/zap github.com/prometheus/client_golang/prometheus", "")
	f("ingest/a.go", "alert correlate", "3: ingest imports @correlate")
	f("ingest/a_test.go", "correlate", "2: ingest imports @correlate")
	f("ingest/a_test.go", "ingest pgregory.net/rapid", "") // an external test of itself
	f("ingest/a.go", "pgregory.net/rapid", "2: ingest imports pgregory.net/rapid")
	f("dedupe/a.go", "alert", "")
	f("dedupe/a.go", "correlate", "2: dedupe imports @correlate")
	f("correlate/a.go", "alert dedupe github.com/prometheus/alertmanager/timeinterval", "")
	f("correlate/a.go", "enrich", "2: correlate imports @enrich")
	f("correlate/a.go", "go.uber.org/zap", "2: correlate imports go.uber.org/zap")
	f("ledger/a.go", "alert dedupe correlate", "")
	f("ledger/a.go", "sinks", "2: ledger imports @sinks")
	f("enrich/a.go", "correlate github.com/dgraph-io/ristretto/v2", "")
	f("enrich/a.go", "ledger", "2: enrich imports @ledger")
	f("sinks/a.go", "correlate enrich sinks/slack", "")
	f("sinks/slack/a.go", "sinks", "")
	f("sinks/slack/a.go", "sinks/teams", "2: sinks/slack imports @sinks/teams")
	f("sinks/a.go", "ledger", "2: sinks imports @ledger")
	f("internal/frame/a.go", "alert correlate github.com/klauspost/compress/zstd", "")
	f("internal/frame/a.go", "internal/stream", "2: internal/frame imports @internal/stream")
	f("internal/stream/a.go", "internal/frame", "")
	f("internal/stream/a.go", "internal/engine", "2: internal/stream imports @internal/engine")
	f("internal/engine/a.go", "internal/stream ledger", "")
	f("internal/engine/a.go", "internal/web", "2: internal/engine imports @internal/web")
	f("internal/guard/a.go", "alert sinks internal/stream", "")
	f("internal/guard/a.go", "correlate", "2: internal/guard imports @correlate")
	f("internal/config/a.go", "alert correlate ingest enrich sinks", "")
	f("internal/config/a.go", "internal/engine", "2: internal/config imports @internal/engine")
	f("internal/web/a.go", "internal/engine internal/config", "")
	f("internal/web/a.go", "internal/demo", "2: internal/web imports @internal/demo")
	f("internal/web/a.go", "internal/node", "2: internal/web imports @internal/node")
	f("internal/node/a.go", "internal/web internal/engine", "")
	f("internal/node/a.go", "internal/demo", "2: internal/node imports @internal/demo")
	f("internal/demo/a.go", "internal/node", "")
	f("internal/logs/a.go", "alert", "2: internal/logs imports @alert")
	f("cmd/winnow/a.go", "internal/web internal/demo ledger github.com/spf13/cobra", "")
	f("benchmarks/e2e/a.go", "internal/stream github.com/nats-io/nats.go github.com/prometheus/alertmanager/dispatch", "")

	f("sinks/a.go", "github.com/prometheus/alertmanager/notify/webhook", "")
	f("internal/config/a.go", "github.com/prometheus/alertmanager/config", "")
	f("enrich/a.go", "github.com/prometheus/alertmanager/config", "2: enrich imports github.com/prometheus/alertmanager/config")
	f("internal/web/a.go", "github.com/prometheus/alertmanager/api/v2/models", "2: internal/web imports github.com/prometheus/alertmanager/api/v2/models")
	f("internal/engine/a.go", "github.com/nats-io/nats.go/jetstream", "2: internal/engine imports github.com/nats-io/nats.go/jetstream")
	f("internal/engine/a.go", "github.com/nats-io/nats-server/v2/server", "2: internal/engine imports github.com/nats-io/nats-server/v2/server")
	f("internal/engine/a.go", "github.com/nats-io/nats-server/v2/server/ats", "2: internal/engine imports github.com/nats-io/nats-server/v2/server/ats")
	f("internal/engine/a_test.go", "github.com/nats-io/nats-server/v2/server/ats", "")
	f("internal/engine/a_test.go", "github.com/nats-io/nats-server/v2/server", "2: internal/engine imports github.com/nats-io/nats-server/v2/server")
	f("internal/web/a.go", "github.com/spf13/cobra", "2: internal/web imports github.com/spf13/cobra")
	f("internal/new/a.go", "alert", "1: package internal/new has no place in the line")
}

// TestTheLineHasNoCircle holds that the table itself points one way.
func TestTheLineHasNoCircle(t *testing.T) {
	for i, a := range theLine {
		for _, b := range theLine[i+1:] {
			if strings.Contains(a.pkg+b.pkg, "*") || b.may == "..." || a.may == "..." {
				continue
			}
			if anyMatches(a.may, b.pkg) && anyMatches(b.may, a.pkg) {
				t.Errorf("%s and %s may import each other", a.pkg, b.pkg)
			}
		}
	}
}
