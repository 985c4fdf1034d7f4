package load

import (
	"math/bits"
	"time"
)

const (
	stepBits = 7 // 128 buckets for each doubling: within 0.4 % of the true value
	steps    = 1 << stepBits
	unit     = 100 * time.Nanosecond
	maxBits  = 36 // of the longest that is told apart, an hour and more
	buckets  = (maxBits - stepBits + 1) * steps
)

// Histogram counts times in buckets of constant relative width. The zero value
// is ready.
type Histogram struct {
	n        uint64
	longest  time.Duration
	shortest time.Duration
	counts   [buckets]uint64
}

// Add counts a time.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	if h.n == 0 || d < h.shortest {
		h.shortest = d
	}
	h.longest = max(h.longest, d)
	h.n++
	h.counts[bucketOf(min(uint64(d/unit), 1<<maxBits-1))]++
}

// bucketOf counts linearly in the first two doublings' worth, then in steps of
// each doubling.
func bucketOf(v uint64) int {
	exp := max(bits.Len64(v)-1-stepBits, 0)
	return exp*steps + int(v>>exp)
}

// middleOf is the inverse of bucketOf.
func middleOf(bucket int) time.Duration {
	exp := max(bucket/steps-1, 0)
	low := uint64(bucket-exp*steps) << exp
	return time.Duration(low)*unit + time.Duration(1<<exp)*unit/2
}

// Merge adds what another has counted.
func (h *Histogram) Merge(o *Histogram) {
	if o.n == 0 {
		return
	}
	if h.n == 0 || o.shortest < h.shortest {
		h.shortest = o.shortest
	}
	h.longest = max(h.longest, o.longest)
	h.n += o.n
	for i := range h.counts {
		h.counts[i] += o.counts[i]
	}
}

// N is how many times were counted.
func (h *Histogram) N() uint64 { return h.n }

// Max is the longest time, exactly.
func (h *Histogram) Max() time.Duration { return h.longest }

// Quantile is the nearest rank's, q from 0 to 1; 0 where nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(uint64(q*float64(h.n)+0.999999), 1)
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i]; seen >= rank {
			return min(max(middleOf(i), h.shortest), h.longest)
		}
	}
	return h.longest
}
