#!/usr/bin/env bash
# What a build costs and how large it is, in the format of Go's benchmarks: CPU
# seconds of a build with an empty cache, downloads excepted, and the bytes of
# the binary as it is released.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CGO_ENABLED=0

go mod download
TIMEFORMAT='%U %S'
{
	time GOCACHE=$scratch/cache go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$scratch/winnow" ./cmd/winnow 2>&3
} 3>&2 2>"$scratch/time"
awk '{ printf "BenchmarkBuild/cold 1 %.1f cpu-s\n", $1 + $2 }' "$scratch/time"
wc -c <"$scratch/winnow" | awk '{ printf "BenchmarkBuild/binary 1 %.1f MB\n", $1 / 1e6 }'
