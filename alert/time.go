package alert

import "time"

// Time is an instant in Unix nanoseconds. Zero means "not set". It is 8 bytes
// with no pointer, a third of a time.Time, and reaches from 1678 to 2262.
type Time int64

const (
	minTime = -1 << 63
	maxTime = 1<<63 - 1
)

// TimeOf converts t. The zero time.Time is zero, and what an int64 cannot hold
// is clamped to its ends, so that year 1 or 9999 in a payload never wraps.
func TimeOf(t time.Time) Time {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return minTime
	case t.Year() > 2261:
		return maxTime
	}
	return Time(t.UnixNano())
}

// Std converts back, in UTC; zero becomes the zero time.Time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Add returns t moved by d, clamped rather than wrapped at the ends of the range.
func (t Time) Add(d time.Duration) Time {
	s := t + Time(d)
	if d > 0 && s < t {
		return maxTime
	}
	if d < 0 && s > t {
		return minTime
	}
	return s
}

// Shift moves t by d, as Add does; where it is not set it stays so.
func (t *Time) Shift(d time.Duration) {
	if *t != 0 {
		*t = t.Add(d)
	}
}

// Sub returns t-u, clamped to the range of a Duration.
func (t Time) Sub(u Time) time.Duration {
	d := t - u
	switch {
	case t > u && d < 0:
		return maxTime
	case t < u && d > 0:
		return minTime
	}
	return time.Duration(d)
}

// String is RFC 3339 with nanoseconds in UTC, and "-" when t is not set.
func (t Time) String() string {
	if t == 0 {
		return "-"
	}
	return t.Std().Format(time.RFC3339Nano)
}
