package house

import (
	"errors"
	"strings"
	"testing"
)

// docTree is a small repository that documents can tell the truth about.
const docTree = `
-- Makefile --
VERSION := 1
build test: ## builds
	go build
e2e:
	go test
-- alert/alert.go --
package alert
-- ingest/testdata/grafana/one.txtar --
-- docs/guide.md --
# Guide

## How it works: in short
## Twice
## Twice
-- cmd/winnow/main.go --
package main
var demo = &cobra.Command{Use: "demo [flags]"}
func f() {
	fs.BoolVar(&headless, "headless", false, "no browser")
	fs.DurationP("duration", "d", 0, "how long")
	fs.VarP(&x, "config-file", "c", "the file")
}
-- ingest/metrics.go --
package ingest
const namespace = "winnow"
var a = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: "ingest", Name: "deliveries_total"})
var b = prometheus.HistogramOpts{Name: "winnow_accept_seconds"}
var c = prometheus.NewDesc("winnow_core_lag", "", nil, nil)
var d = prometheus.BuildFQName("winnow", "", "up")
-- deploy/rules.yml --
expr: winnow_core_lag > 1
-- README.md --
`

// inReadme plants text as the README of docTree.
func inReadme(t *testing.T, check func(*Tree) []Finding) func(text string, want ...string) {
	return func(text string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = "README.md:" + want[i]
		}
		expect(t, check(parse(t, docTree+text+"\n")), want...)
	}
}

func TestPaths(t *testing.T) {
	f := inReadme(t, Paths)
	f("see `alert/alert.go` and `docs/guide.md`, `alert/`, `./alert`, `Makefile`")
	f("one\nsee `alert/gone.go`", "2: names alert/gone.go, which does not exist")
	f("see `internal/gone/x`", "1: names internal/gone/x, which does not exist")
	f("see `./gone`", "1: names ./gone, which does not exist")
	f("see `gone.go`, `alert.go`, `guide.md`", "1: names gone.go, which does not exist")
	f("see `alert/alert.go:12` and `alert/gone.go:3`", "1: names alert/gone.go:3, which does not exist")
	f("see `ingest/testdata/<source>/*.txtar` and `ingest/testdata/<source>/*.json`", "1: names ingest/testdata/<source>/*.json, which does not exist")
	f("`alert.Labels`, `cmd/winnow.Main`, `alert/...`, `./...`")
	f("see `"+Module+"/alert` and `"+Module+"/gone`", "1: names "+Module+"/gone, which does not exist")
	f("`and/or`, `api/v2/alerts`, `/-/ready`, `a b/c`, `bin/winnow`, `alertmanager.yml`")
	f("alert/gone.go\n```\n`alert/gone.go`\n```")
	expect(t, Paths(parse(t, docTree+"-- CHANGELOG.md --\n`alert/gone.go`\n-- alert/testdata/x.md --\n`alert/gone.go`\n")))
}

func TestLinks(t *testing.T) {
	f := inReadme(t, Links)
	f("[a](docs/guide.md) [b](docs/guide.md#how-it-works-in-short) [c](#here) ![](alert) [d](https://x.y/z#q) [e](mailto:a@b)\n# Here")
	f("[a](docs/gone.md)", "1: links to docs/gone.md, which does not exist")
	f("[a](docs/guide.md#gone)", "1: links to docs/guide.md#gone, which has no such heading")
	f("[a](docs/guide.md#twice-1) [b](docs/guide.md#twice-2)", "1: links to docs/guide.md#twice-2, which has no such heading")
	f("[a](#gone)", "1: links to #gone, which has no such heading")
	f("one\n[a]: docs/gone.md", "2: links to docs/gone.md, which does not exist")
	f(`<img src="docs/gone.png">`, "1: links to docs/gone.png, which does not exist")
	f("`[a](docs/gone.md)`\n```\n[a](docs/gone.md)\n```")
	expect(t, Links(parse(t, docTree+"-- docs/a.md --\n[up](../README.md) [root](/alert/alert.go) [wrong](README.md)\n")),
		"docs/a.md:1: links to README.md, which does not exist")
}

func TestCommands(t *testing.T) {
	f := inReadme(t, Commands)
	const sh = "```sh\n"
	f("`make build`, `make`, `make test e2e V=1`")
	f("`make gone`", "1: names make gone, which the Makefile does not have")
	f(sh+"make build gone\n```", "2: names make gone, which the Makefile does not have")
	f("make gone sense of it")
	f("```\nmake gone\n```")

	f("`winnow demo --headless`, `winnow --help`, `winnow demo -d 1s`, `winnow help`")
	f("`winnow gone`", "1: names winnow gone, which is no verb of it")
	f("`winnow demo --gone=1`", "1: names --gone, which is no flag of winnow")
	f("`--headless`, `--config-file=x`, `--gone`", "1: names --gone, which is no flag of winnow")
	f("`winnow --duration 5s demo`, `winnow <verb>`")
	f("`docker run --rm winnow gone --gone`")
	f(sh+"go run ./cmd/winnow demo --headless --gone\n```", "2: names --gone, which is no flag of winnow")
	f(sh+"go run ./cmd/winnow gone\n```", "2: names winnow gone, which is no verb of it")
	f(sh+"go test ./alert ./gone ./...\n```", "2: names ./gone, which does not exist")
	f(sh+"X=1 winnow demo \\\n  --gone | less --more # --not-this\n```", "2: names --gone, which is no flag of winnow")
	f(sh+"ls && ./bin/winnow gone; winnow other\n```", "2: names winnow gone, which is no verb of it", "2: names winnow other, which is no verb of it")
	f("```console\n$ winnow gone\nwinnow printed this --line\n```", "2: names winnow gone, which is no verb of it")
	f("```yaml\nargs: winnow gone\n```")
}

func TestMetrics(t *testing.T) {
	f := inReadme(t, Metrics)
	f("`winnow_ingest_deliveries_total`, winnow_accept_seconds_bucket, winnow_core_lag, winnow_up, `winnow_ingest_*`")
	f("winnow_gone_total", "1: names winnow_gone_total, which is no metric of winnow")
	f("`winnow_gone_*`", "1: names winnow_gone_*, which is no metric of winnow")
	f("```promql\nrate(winnow_gone[5m])\n```", "2: names winnow_gone, which is no metric of winnow")
	tree := strings.Replace(docTree, "expr: winnow_core_lag", "expr: winnow_core_gone", 1)
	expect(t, Metrics(parse(t, tree)), "deploy/rules.yml:1: names winnow_core_gone, which is no metric of winnow")
}

func TestConfigs(t *testing.T) {
	var loaded []string
	load := func(b []byte) error {
		loaded = append(loaded, string(b))
		if strings.Contains(string(b), "bad") {
			return errors.New("line 2: no")
		}
		return nil
	}
	f := inReadme(t, func(t *Tree) []Finding { return Configs(t, load) })
	f("```yaml\n# winnow config\nroute: bad\n```", "2: a configuration that does not load (line 2: no)")
	f("```yaml\nroute: bad\n```\n```json\n# winnow config\nbad\n```")
	loaded = nil
	f("- x\n  ```yml\n  # winnow config\n  route:\n    good: 1\n  ```")
	if len(loaded) != 1 || loaded[0] != "# winnow config\nroute:\n  good: 1\n" {
		t.Errorf("loaded %q", loaded)
	}
}

func TestDeps(t *testing.T) {
	linked := []string{"example.com/a v1.0.0", "example.com/b v1.2.0"}
	f := func(file string, want ...string) {
		t.Helper()
		expect(t, Deps(oneFile(t, DepsPath, file), linked), want...)
	}
	f(DepsFile(linked))
	expect(t, Deps(oneFile(t, "go.mod", ""), linked), "docs/deps.txt: is not there")
	f(DepsFile(linked[:1]), "docs/deps.txt: example.com/b v1.2.0 is linked but not listed")
	f(DepsFile(append(linked, "example.com/c v1.0.0")), "docs/deps.txt: example.com/c v1.0.0 is listed but not linked")
}

func TestLimits(t *testing.T) {
	f := func(page, code string, want ...string) {
		t.Helper()
		expect(t, limits(parse(t, "-- docs/limits.md --\n"+page+"\n-- sinks/queue.go --\npackage sinks\nconst maxWait = 1\n"+code+"\n"), "sinks.maxWait"), want...)
	}
	f("`sinks.maxWaiting`", "const maxWaiting = 64")
	f("", "const maxWaiting = 64\nvar maxOfAll = 3\nconst maximum = 7", "sinks/queue.go:3: declares the limit sinks.maxWaiting")
	f("`sinks.maxGone`", "const waiting = 64", "docs/limits.md: names sinks.maxGone, which is no constant")
}

func TestTests(t *testing.T) {
	tree := func(page string) *Tree {
		return parse(t, "-- docs/limits.md --\n"+page+"\n-- sinks/queue_test.go --\npackage sinks\nfunc TestQueue(t *testing.T) {}\n")
	}
	expect(t, Tests(tree("see `TestQueue`, TestGone and `TestX.Y`")))
	expect(t, Tests(tree("one\nsee `TestGone`")), "docs/limits.md:2: names TestGone, which is no test")
}
