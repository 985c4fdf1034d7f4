package main

import (
	"strings"
	"testing"
)

const output = `goos: linux
pkg: github.com/winnowhq/winnow/benchmarks
cpu: AMD EPYC
BenchmarkDecode/prometheus/alerts=64-2         	    5599	     64000 ns/op	1029.29 MB/s	      1000 ns/alert	     128 B/op	       0 allocs/op
BenchmarkLine/prometheus/alerts=64/senders=4-2 	    1786	    640000 ns/op	      7076 cpu-ns/alert	     10000 ns/alert	   64000 B/op	      96 allocs/op
BenchmarkMemory-2                              	       1	       716.3 heap-B/alert
BenchmarkMemory-2                              	       1	       700 heap-B/alert
BenchmarkMemory-2                              	       1	       900 heap-B/alert
PASS
BenchmarkBuild/cold 1 131.2 cpu-s
`

const want = `stage                                ns/alert  cpu-ns/alert  allocs/alert   B/alert  heap-B/alert      MB/s     cpu-s
Decode/prometheus/alerts=64              1000                           0      2.00                    1029
Line/prometheus/alerts=64/senders=4     10000          7076          1.50      1000
Memory                                                                                        716
Build/cold                                                                                                        131
`

func TestTable(t *testing.T) {
	var got strings.Builder
	if err := run(strings.NewReader(output), &got); err != nil {
		t.Fatal(err)
	}
	table, rest, _ := strings.Cut(got.String(), "\n\n")
	if table+"\n" != want {
		t.Errorf("got\n%s\nwant\n%s", table, want)
	}
	if !strings.HasPrefix(rest, "AMD EPYC, ") {
		t.Errorf("it does not say on which machine: %q", rest)
	}
}

func TestWhatIsNoTable(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var got strings.Builder
		if err := run(strings.NewReader(in), &got); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", in, err, want)
		}
	}
	f("", "no benchmark")
	f("PASS\n", "no benchmark")
	f(output+"--- FAIL: BenchmarkLine\nFAIL\n", "BenchmarkLine")
	f("BenchmarkX-2 1 2 ns/op 3\n", "pairs")
	f("BenchmarkX-2 1 two ns/op\n", "two")
}
