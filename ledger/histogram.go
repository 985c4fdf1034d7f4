package ledger

import (
	"math/bits"
	"time"
)

const (
	stepBits = 4 // 16 buckets for each doubling
	steps    = 1 << stepBits

	maxDelayMillis = uint64(24 * time.Hour / time.Millisecond)
	maxDelayBits   = 27 // of maxDelayMillis
	delayBuckets   = (maxDelayBits - stepBits + 1) * steps
)

// histogram holds delays in buckets of constant relative width from 1 ms to
// 24 h. A quantile is the middle of its bucket: within 3.2 % of the true value
// from 16 ms on, within half a millisecond below. What is longer counts as
// 24 h, but for the maximum, which is exact.
type histogram struct {
	n                 uint64
	shortest, longest time.Duration
	buckets           [delayBuckets]uint64
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	if h.n == 0 || d < h.shortest {
		h.shortest = d
	}
	h.longest = max(h.longest, d)
	h.n++
	h.buckets[bucketOf(min(uint64(d/time.Millisecond), maxDelayMillis))]++
}

// bucketOf counts linearly in the first two doublings' worth, where a step is a
// millisecond, and then in sixteenths of each doubling.
func bucketOf(millis uint64) int {
	exp := max(bits.Len64(millis)-1-stepBits, 0)
	return exp*steps + int(millis>>exp)
}

// middleOf is the inverse of bucketOf.
func middleOf(bucket int) time.Duration {
	exp := max(bucket/steps-1, 0)
	low := uint64(bucket-exp*steps) << exp
	return time.Duration(low)*time.Millisecond + time.Duration(1<<exp)*time.Millisecond/2
}

// percentile is the nearest rank's, 0 where nothing was added.
func (h *histogram) percentile(percent uint64) time.Duration {
	rank := max((h.n*percent+99)/100, 1)
	var seen uint64
	for i := range h.buckets {
		if seen += h.buckets[i]; seen >= rank {
			return min(max(middleOf(i), h.shortest), h.longest)
		}
	}
	return 0
}
