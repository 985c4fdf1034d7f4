package ledger

import (
	"math"
	"testing"
	"time"
)

func TestHistogramError(t *testing.T) {
	for d := time.Duration(0); d <= 24*time.Hour; d += d/97 + 130*time.Microsecond {
		var h histogram
		h.add(0)
		h.add(d)
		h.add(30 * time.Hour)
		got, bound := h.percentile(50), max(float64(d)/32, float64(time.Millisecond)/2)
		if diff := math.Abs(float64(got - d)); diff > bound {
			t.Fatalf("%s is told as %s", d, got)
		}
	}
}

func TestPercentiles(t *testing.T) {
	f := func(want string, ds ...time.Duration) {
		t.Helper()
		var h histogram
		for _, d := range ds {
			h.add(d)
		}
		if got := h.percentile(50).String() + " " + h.percentile(99).String() + " " + h.longest.String(); got != want {
			t.Errorf("%v: got %s, want %s", ds, got, want)
		}
	}
	f("0s 0s 0s")
	f("30s 30s 30s", 30*time.Second)
	f("30s 30s 30s", 30*time.Second, 30*time.Second, 30*time.Second)
	f("0s 0s 0s", -time.Second)
	f("1.5ms 3ms 3ms", 1*time.Millisecond, 1*time.Millisecond, 3*time.Millisecond)
	f("48h0m0s 48h0m0s 48h0m0s", 48*time.Hour)

	var many []time.Duration
	for i := range 200 {
		many = append(many, time.Duration(i+1)*100*time.Microsecond)
	}
	f("10.5ms 19.5ms 20ms", many...) // the ranks 100 and 198 of 200, the buckets of 10 ms and 19 ms
}
