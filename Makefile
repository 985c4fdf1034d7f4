# Everything a change needs. `make help` lists the targets; none of them is
# needed to use Winnow: `go run ./cmd/winnow demo` and `go test ./...` are enough.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME  ?= 20s
BENCH     ?= .
BENCHTIME ?= 1s
SHAPES    ?= .
FULL      ?=
ARGS      ?= serve

# Of the suites that are run by number: how many kills, from which seed, and
# whether with the race detector (RACE=1); how many trials,
# pairs and rounds; beside which commit; how many alerts, in how much memory.
N      ?= 100
SEED   ?=
RACE   ?=
TRIALS ?= 3
PAIRS  ?= 3
ROUNDS ?= 6
BASE   ?=
ALERTS ?= 1000000
MEMORY ?=

# Development tools have a module of their own, so that none of them is in go.mod.
TOOL := go tool -modfile=internal/tools/go.mod

# It brings forty modules of its own, which no other tool needs.
SBOM := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/winnow, static and reproducible
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/winnow ./cmd/winnow

.PHONY: reproduce
reproduce: ## build the commit twice from nothing, in two folders with caches of their own, and compare; ends with a line of figures
	@tmp=$$(mktemp -d); trap 'chmod -R u+w "$$tmp"; rm -rf "$$tmp"' EXIT; \
	for n in one another/folder; do git clone -q --no-local . "$$tmp/$$n"; done; \
	for n in one another/folder; do \
		GOCACHE="$$tmp/cache-$${n%%/*}" GOFLAGS=-mod=readonly $(MAKE) -s -C "$$tmp/$$n" build VERSION='$(VERSION)'; \
	done; \
	sums=$$(cd "$$tmp" && sha256sum one/bin/winnow another/folder/bin/winnow); echo "$$sums"; \
	[ "$$(cut -d' ' -f1 <<<"$$sums" | sort -u | wc -l)" = 1 ] || { echo 'reproduce: the two differ'; exit 1; }; \
	echo "reproduce: builds=2 identical=yes bytes=$$(stat -c %s "$$tmp/one/bin/winnow") modules=$$(go version -m "$$tmp/one/bin/winnow" | awk '$$1 == "dep"' | wc -l)"

.PHONY: sbom
sbom: ## what the built binary is made of, to dist/winnow.cdx.json (CycloneDX)
	@mkdir -p dist; $(MAKE) -s build; go run $(SBOM) bin -json -output dist/winnow.cdx.json -version '$(VERSION)' bin/winnow

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
	go vet -tags invariants,e2e,k9,cluster,scorecard,limits,reload,sec,disk ./...
	go fix -diff ./...
	go mod tidy -diff
	$(TOOL) staticcheck -tags invariants ./...
	go test ./internal/house

.PHONY: hostile
hostile: ## what nobody should send, through every door and every sink
	@out=$$(go test -count=1 -v ./internal/hostile) || { echo "$$out"; exit 1; }; \
	grep '^hostile: ' <<<"$$out"

# N as it was given, or what the target does by itself.
count = $(if $(filter file,$(origin N)),$(1),$(N))

# Stores of bubbles live in memory where there is room for that.
BUBBLES = tmp=$$(mktemp -d -p "$$( [ -w /dev/shm ] && echo /dev/shm || echo "$${TMPDIR:-/tmp}" )"); trap 'rm -rf "$$tmp"' EXIT; \
	export TMPDIR=$$tmp; run() { go test -count=1 -timeout 60m -v -run "$$1" ./internal/node >$$tmp/out || { cat $$tmp/out; exit 1; }; grep "^$$2: " $$tmp/out; }

.PHONY: bubble
bubble: ## N (200) stories of the whole node, crashed between any two steps of the engine
	@$(BUBBLES); WINNOW_BUBBLE=$(call count,200) run '^TestBubble$$' bubble

.PHONY: powercut
powercut: ## N (1000) stores as a loss of power leaves them
	@go test -count=1 -run '^TestAcknowledgedIsSynced$$' ./internal/node >/dev/null; \
	$(BUBBLES); WINNOW_POWERCUT=$(call count,1000) run '^TestPowerCut$$' powercut

.PHONY: bitrot
bitrot: ## N (200) damages to files of stores, each named and no open critical forgotten
	@$(BUBBLES); WINNOW_BITROT=$(call count,200) run '^TestBitRot$$' bitrot

.PHONY: backlog
backlog: ## N (1000000) alerts while the core hangs: criticals first, none that is over, and how long it takes to catch up
	@$(BUBBLES); WINNOW_BACKLOG=$(call count,1000000) run '^TestBacklog$$' backlog

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

.PHONY: histories
histories: ## random histories: N (1000000) incidents in the sinks among faults, and as many alerts that join others in N/80 stories; ends with two lines of figures
	@for each in 'sinks TestAnyFaults faults' 'correlate TestRandomStories stories'; do read -r package test line <<<"$$each"; \
		out=$$(WINNOW_FAULTS=$(call count,1000000) WINNOW_STORIES=$$(($(call count,1000000) / 80)) go test -count=1 -v -timeout 12h -run "^$$test$$" ./$$package) || { echo "$$out"; exit 1; }; \
		grep -o "$$line: .*" <<<"$$out"; done

# Of the planted bugs: a pattern for their names, and how many at a time.
ONLY ?=
J    ?= 1

.PHONY: mutants
mutants: ## plant bugs, those that ONLY matches, J (1) at a time: each must be found by a test; ends with a line of figures
	@[ ! -w /dev/shm ] || export TMPDIR=/dev/shm; go run ./benchmarks/mutants -only '$(ONLY)' -j '$(J)'

.PHONY: demo
demo: ## play a storm through the whole pipeline and show what it did
	go run ./cmd/winnow demo

.PHONY: e2e
e2e: ## the built binary behind a real Alertmanager, killed and reloaded; ends with a line of figures
	@figures=$$(mktemp); trap 'rm -f "$$figures"' EXIT; \
	WINNOW_E2E_FIGURES=$$figures go test -tags e2e -count=1 -v -timeout 20m ./benchmarks/e2e/...; \
	cat "$$figures"

.PHONY: reload
reload: ## 500 reloads, broken, dangerous and good, of the built binary under load; ends with a line of figures
	@figures=$$(mktemp); trap 'rm -f "$$figures"' EXIT; \
	WINNOW_RELOAD_FIGURES=$$figures go test -tags e2e,reload -count=1 -timeout 20m -run '^TestReloadsUnderLoad$$' ./benchmarks/e2e; \
	cat "$$figures"
# Runs one test of benchmarks/e2e under its build tag, and prints its line of figures last.
define suite
@figures=$$(mktemp); trap 'rm -f "$$figures"' EXIT; code=0; \
WINNOW_E2E_FIGURES=$$figures WINNOW_E2E_RACE=$(RACE) $(3) \
	go test -tags e2e,$(1) -count=1 -v -run '^$(2)$$' -timeout $(4) ./benchmarks/e2e || code=$$?; \
cat "$$figures"; exit $$code
endef

.PHONY: k9
k9: ## N kills (100) of the built binary at its worst moments, from SEED, with the race detector if RACE=1
	$(call suite,k9,TestK9,K9_KILLS=$(N) K9_SEED=$(SEED),12h)

.PHONY: stops
stops: ## N orderly stops (10) of the built binary at 5,000 alerts a second; ends with a line of figures
	$(call suite,k9,TestStopsUnderLoad,K9_STOPS=$(call count,10),2h)

# How long a process is stopped, in seconds, and within how many pages resume.
PAUSE  ?= 15
WITHIN ?= 10

.PHONY: cluster
cluster: ## two Winnows on three nats-servers, N (3) times each of ONLY (kills servers zombies partitions), stopped for PAUSE (15) s; ends with a line of figures
	$(call suite,cluster,TestCluster,CLUSTER_ROUNDS=$(call count,3) CLUSTER_PAUSE=$(PAUSE) CLUSTER_WITHIN=$(WITHIN) CLUSTER_ONLY="$(ONLY)",24h)

.PHONY: scorecard
scorecard: ## the same faults put to Winnow and to a real Alertmanager, TRIALS (3) of each, as a table
	$(call suite,scorecard,TestScorecard,SCORECARD_TRIALS=$(TRIALS),60m)

.PHONY: limits
limits: ## ALERTS (1000000) distinct alerts as fast as they are taken: memory, pages, criticals, restarts; on a machine of MEMORY MiB
	$(call suite,limits,TestLimits,LIMITS_ALERTS=$(ALERTS) LIMITS_MEMORY=$(MEMORY),2h)

.PHONY: growth
growth: ## by how much the built binary grows for one large, hostile or compressed body; ends with a line of figures
	$(call suite,limits,TestGrowth,,20m)

.PHONY: sec
sec: ## who may call what, and a flood of bad attempts and idle connections; ends with a line of figures
	@figures=$$(mktemp); trap 'rm -f "$$figures"' EXIT; \
	go test -tags sec -count=1 ./ingest ./internal/access ./internal/web; \
	WINNOW_SEC_FIGURES=$$figures go test -tags sec -count=1 -run '^TestFlood$$' ./cmd/winnow; \
	cat "$$figures"

.PHONY: floods
floods: ## HTTP/2 floods on the built binary: resets, endless headers, pings, settings, empty data; ends with a line of figures
	$(call suite,sec,TestHTTP2Floods,,20m)

.PHONY: disk
disk: ## the built binary on a disk that fills up and on one that fails; needs root and strace, ends with a line of figures
	@figures=$$(mktemp); trap 'rm -f "$$figures"' EXIT; \
	WINNOW_DISK_FIGURES=$$figures go test -tags disk -count=1 -timeout 10m ./benchmarks/disk; \
	cat "$$figures"

.PHONY: bench
bench: ## what an alert costs against the budget, as a table; SHAPES is a pattern of whole-server loads, FULL=1 takes a quarter of an hour
	@{ go test -run '^$$' -bench '^Benchmark(Repeat|New)$$' -benchtime 200ms ./benchmarks || :; \
	go test -run '^$$' -bench '^BenchmarkReplay$$' -benchtime 5x ./benchmarks || :; \
	go test -run '^$$' -bench '^BenchmarkPolicyFlush$$/^silences=10000$$/^first$$' -benchtime 3x ./benchmarks || :; \
	go run ./benchmarks/server $(if $(FULL),-full) -shapes '$(SHAPES)'; } | go run ./benchmarks/table -budget

.PHONY: bench-stages
bench-stages: ## each stage by itself and a cold build, as a table: BENCH is a pattern, BENCHTIME how long each
	@{ go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) ./benchmarks; benchmarks/build.sh; } | go run ./benchmarks/table

.PHONY: bench-peer
bench-peer: ## PAIRS (3) runs of Winnow and of a real Alertmanager in turn, with ratios, FULL=1 with a million live alerts; all figures to dist/bench-peer.json
	@mkdir -p dist; go run ./benchmarks/peer $(if $(FULL),-full) -pairs $(PAIRS) -json dist/bench-peer.json

.PHONY: bench-compare
bench-compare: ## the working tree beside the commit BASE, in turn, ROUNDS (6) times, through benchstat
	@BASE='$(BASE)' ROUNDS=$(ROUNDS) BENCH='$(BENCH:.=)' BENCHTIME='$(BENCHTIME:1s=)' SHAPES='$(SHAPES:.=)' benchmarks/compare.sh

.PHONY: gate
gate: ## what an alert costs against benchmarks/baseline.json
	go run ./benchmarks/gate

.PHONY: baseline
baseline: ## record what an alert costs now, for a reason: WHY="..."
	go run ./benchmarks/gate -update -why '$(WHY)'

.PHONY: profile
profile: ## where the server's CPU time goes under load, to dist/profiles
	go run ./benchmarks/profile

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
