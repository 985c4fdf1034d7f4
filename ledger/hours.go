package ledger

import (
	"time"

	"github.com/winnowhq/winnow/alert"
)

// HoursKept is how far back the hourly counts reach.
const HoursKept = 31 * 24

// hourCounts is one hour of the log's time, in UTC.
type hourCounts struct {
	hour                                                int64 // since 1970
	deliveries, onsets, incidents, notifications, pages uint64
}

func (h *hourCounts) empty() bool {
	return h.deliveries|h.onsets|h.incidents|h.notifications|h.pages == 0
}

// hours is a ring of the last HoursKept.
type hours struct {
	ring [HoursKept]hourCounts
}

// at returns the hour of t, nil where it has left the ring.
func (hs *hours) at(t alert.Time) *hourCounts {
	hour := hourOf(t)
	h := &hs.ring[((hour%HoursKept)+HoursKept)%HoursKept]
	switch {
	case h.hour == hour:
	case h.hour < hour || h.empty():
		*h = hourCounts{hour: hour}
	default:
		return nil
	}
	return h
}

// shift makes room for the hours from until on: those so far ahead of it that they
// stand where these come are a clock's mistake.
func (hs *hours) shift(until alert.Time) {
	for i := range hs.ring {
		if h := &hs.ring[i]; h.hour >= hourOf(until)+HoursKept {
			*h = hourCounts{}
		}
	}
}

// upTo lists the hours in which something was, the earliest first.
func (hs *hours) upTo(until alert.Time) []hourCounts {
	out := []hourCounts{}
	last := hourOf(until)
	for hour := last - HoursKept + 1; hour <= last; hour++ {
		h := &hs.ring[((hour%HoursKept)+HoursKept)%HoursKept]
		if h.hour == hour && !h.empty() {
			out = append(out, *h)
		}
	}
	return out
}

func hourOf(t alert.Time) int64 {
	n := int64(t) / int64(time.Hour)
	if t < 0 && int64(t)%int64(time.Hour) != 0 {
		n--
	}
	return n
}
