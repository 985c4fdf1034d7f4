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
	if err := run(strings.NewReader(output), &got, false); err != nil {
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
		if err := run(strings.NewReader(in), &got, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", in, err, want)
		}
	}
	f("", "no benchmark")
	f("PASS\n", "no benchmark")
	f(output+"--- FAIL: BenchmarkLine\nFAIL\n", "2 benchmarks failed")
	f("BenchmarkX-2 1 2 ns/op 3\n", "pairs")
	f("BenchmarkX-2 1 two ns/op\n", "two")
}

const budgeted = `BenchmarkServer/resend/alerts=256 1 2.5 cpu-µs/alert 3 log-B/alert
BenchmarkServer/resend/alerts=64 1 4.5 cpu-µs/alert
FAIL Server/storm: 3 of 5 pages came
BenchmarkServer/replay/new 1 200000 replay-alerts/cpu-s
`

// TestBudget: what is over and what failed are both shown, and only what failed
// makes the command fail.
func TestBudget(t *testing.T) {
	var got strings.Builder
	if err := run(strings.NewReader(budgeted), &got, true); err == nil {
		t.Error("a shape has failed, and the command has not")
	}
	text := strings.Join(strings.Fields(got.String()), " ")
	for _, want := range []string{
		"re-send, batches of 256 cpu-µs/alert 2.50 ≤ 3.00 re-send, batches of 64 cpu-µs/alert 4.50 ≤ 4.00 OVER",
		"replay, new alerts: start of a server replay-alerts/cpu-s 200000 ≥ 300000 OVER",
		"storm, accepted alerts/s – ≥ 200000 not measured",
		"FAIL Server/storm: 3 of 5 pages came",
		"bench: within=2 over=2 missing=24 failed=1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nwant in it\n%s", got.String(), want)
		}
	}
	got.Reset()
	if err := run(strings.NewReader(strings.Replace(budgeted, "FAIL", "#", 1)), &got, true); err != nil {
		t.Error(err)
	}
}
