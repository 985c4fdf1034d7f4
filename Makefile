# Everything a change needs. `make help` lists the targets; none of them is
# needed to use Winnow: `go run ./cmd/winnow demo` and `go test ./...` are enough.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME  ?= 20s
BENCH     ?= .
BENCHTIME ?= 1s
ARGS      ?= serve

# Development tools have a module of their own, so that none of them is in go.mod.
TOOL := go tool -modfile=internal/tools/go.mod

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/winnow, static and reproducible
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/winnow ./cmd/winnow

.PHONY: test
test: ## all tests, with the invariants checked and in random order
	go test -tags invariants -shuffle=on ./...

.PHONY: race
race: ## all tests under the race detector
	go test -race -tags invariants -shuffle=on ./...

.PHONY: check
check: ## format, vet, modernizers, staticcheck, go.mod and the house style
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	go vet -tags invariants,e2e,sec ./...
	go fix -diff ./...
	go mod tidy -diff
	$(TOOL) staticcheck -tags invariants ./...
	go test ./internal/house

.PHONY: hostile
hostile: ## what nobody should send, through every door and every sink
	@out=$$(go test -count=1 -v ./internal/hostile) || { echo "$$out"; exit 1; }; \
	grep '^hostile: ' <<<"$$out"

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (20s)
	@targets=$$(go test -list '^Fuzz' ./... | awk '/^Fuzz/ { names[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print $$2, names[i]; n = 0 }'); \
	found=$$(grep -c . <<<"$$targets" || true); written=$$(grep -rhE --include='*_test.go' '^func Fuzz[A-Z]' . | wc -l); \
	[ "$$found" -eq "$$written" ] || { echo "fuzz: $$found targets found, $$written written: does every package build?"; exit 1; }; \
	while read -r package target; do \
		echo "== $$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$package" </dev/null; \
	done <<<"$$targets"; \
	echo "fuzz: targets=$$found each=$(FUZZTIME)"

POINTS ?= 100000
FIRST  ?= 1

.PHONY: sim
sim: ## crashes at POINTS (100000) places of the core line, in stories from seed FIRST (1) on; ends with a line of figures
	@out=$$(WINNOW_SIM_POINTS=$(POINTS) WINNOW_SIM_FIRST=$(FIRST) go test -count=1 -v -timeout 2h -run '^TestCrashPoints$$' ./internal/sim) || { echo "$$out"; exit 1; }; \
	grep '^sim: ' <<<"$$out"

.PHONY: demo
demo: ## play a storm through the whole pipeline and show what it did
	go run ./cmd/winnow demo

.PHONY: e2e
e2e: ## the built binary behind a real Alertmanager, killed and reloaded; ends with a line of figures
	@figures=$$(mktemp); trap 'rm -f "$$figures"' EXIT; \
	WINNOW_E2E_FIGURES=$$figures go test -tags e2e -count=1 -v -timeout 20m ./benchmarks/e2e/...; \
	cat "$$figures"

.PHONY: sec
sec: ## who may call what, and a flood of bad attempts and idle connections; ends with a line of figures
	@figures=$$(mktemp); trap 'rm -f "$$figures"' EXIT; \
	go test -tags sec -count=1 ./ingest ./internal/access ./internal/web; \
	WINNOW_SEC_FIGURES=$$figures go test -tags sec -count=1 -run '^TestFlood$$' ./cmd/winnow; \
	cat "$$figures"

.PHONY: bench
bench: ## what an alert costs, as a table: BENCH is a pattern, BENCHTIME how long each
	@{ go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) ./benchmarks; benchmarks/build.sh; } | go run ./benchmarks/table

.PHONY: golden
golden: ## rewrite the golden files; read the diff before you commit it
	@grep -rl --include='*_test.go' 'flag.Bool("update"' . | grep -v '^./internal/house/' | xargs -r -n1 dirname | sort -u | \
	while read -r dir; do go test "$$dir" -update </dev/null; done

.PHONY: docs
docs: ## rewrite what is generated under docs
	go test ./internal/house -run TestRepository/deps -update

.PHONY: run
run: ## run winnow from source; ARGS is its command line (serve)
	go run ./cmd/winnow $(ARGS)

.PHONY: clean
clean: ## delete what was built
	rm -rf bin dist
