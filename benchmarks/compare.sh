#!/usr/bin/env bash
# Two builds side by side: the commit BASE and the working tree, each measured in
# turn, so that what else the machine does falls on both, and then benchstat. The
# stages are each build's own; the loads on the whole server are those of the
# working tree, put to both.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${BASE:?set BASE to the commit to compare with, as in make bench-compare BASE=main}
rounds=${ROUNDS:-6}
bench=${BENCH:-^Benchmark(Decode|Frame|Repeat|New)$}
benchtime=${BENCHTIME:-100ms}
shapes=${SHAPES:-^(resend|first)/alerts=256$}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/tree"
git archive "$base" | tar -x -C "$scratch/tree"

build() {
	(
		cd "$2"
		CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$scratch/$1.winnow" ./cmd/winnow
		go test -c -buildvcs=false -o "$scratch/$1.test" ./benchmarks
	)
}
build base "$scratch/tree"
build head .
go build -buildvcs=false -o "$scratch/server" ./benchmarks/server

for ((i = 1; i <= rounds; i++)); do
	echo "bench-compare: round $i of $rounds" >&2
	for side in base head; do
		(cd benchmarks && "$scratch/$side.test" -test.run '^$' -test.bench "$bench" -test.benchtime "$benchtime") >>"$scratch/$side"
		"$scratch/server" -binary "$scratch/$side.winnow" -shapes "$shapes" >>"$scratch/$side"
	done
done
go tool -modfile=internal/tools/go.mod benchstat "base=$scratch/base" "head=$scratch/head"
echo "bench-compare: base=$base rounds=$rounds"
