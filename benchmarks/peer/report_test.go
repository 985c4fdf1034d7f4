package main

import (
	"strings"
	"testing"

	"github.com/winnowhq/winnow/benchmarks/shape"
)

func figures(cpu, rate float64) shape.Figures {
	return shape.Figures{shape.CPUPerAlert: cpu, shape.AlertsPerSecond: rate}
}

func TestReport(t *testing.T) {
	r := report{Alertmanager: "v0", CPUs: 2, Comparisons: []comparison{{Shape: "resend", Pairs: []pair{
		{figures(2, 300), figures(100, 10)},
		{figures(4, 200), figures(120, 20)},
		{figures(3, 100), figures(120, 20)},
	}}}}
	var got strings.Builder
	if err := r.print(&got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"resend                 cpu-µs/alert  2.00 / 3.00 / 4.00  100 / 120 / 120     30.0 / 40.0 / 50.0",
		"resend                 alerts/s      100 / 200 / 300     10.0 / 20.0 / 20.0  5.00 / 10.0 / 30.0",
		"peer: pairs=3 failed=0 shapes=1",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("got\n%s\nwant in it\n%s", got.String(), want)
		}
	}
}

// TestFailedPair: the others are shown, and the command fails.
func TestFailedPair(t *testing.T) {
	r := report{Comparisons: []comparison{
		{Shape: "resend", Pairs: []pair{{figures(2, 300), figures(100, 10)}}, Failed: []string{"winnow: it ended\nand more"}},
	}}
	var got strings.Builder
	if err := r.print(&got); err == nil || !strings.Contains(err.Error(), "1 of 2 pairs") {
		t.Errorf("%v, want an error that counts the pairs", err)
	}
	if !strings.Contains(got.String(), "FAILED") || !strings.Contains(got.String(), "50.0 / 50.0 / 50.0") || strings.Contains(got.String(), "and more") {
		t.Errorf("got\n%s", got.String())
	}
	if err := new(report).print(&got); err == nil {
		t.Error("a report of nothing is no failure")
	}
}

// TestVerdict: the median is what counts.
func TestVerdict(t *testing.T) {
	r := report{Comparisons: []comparison{
		{Shape: "resend/alerts=64", Pairs: []pair{{figures(2, 300), figures(40, 10)}, {figures(2, 300), figures(56, 10)}, {figures(2, 300), figures(100, 10)}}},
		{Shape: "storm", Pairs: []pair{{figures(2, 129), figures(100, 10)}}},
	}}
	var got strings.Builder
	if err := r.print(&got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"20.0 / 28.0 / 50.0          28: met\n", "12.9 / 12.9 / 12.9          13: below\n"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("got\n%s\nwant in it\n%s", got.String(), want)
		}
	}
}

// TestWantedIsMeasured: a shape that nobody measures beside a peer keeps no
// promise.
func TestWantedIsMeasured(t *testing.T) {
	of := map[string]bool{}
	for _, s := range shape.All() {
		of[s.Name] = s.Peer != nil
	}
	for k := range wanted {
		if !of[k[0]] {
			t.Errorf("%s is wanted to be better, and is not measured", k[0])
		}
	}
}
