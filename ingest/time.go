package ingest

import (
	"time"

	"github.com/winnowhq/winnow/alert"
)

// zeroTime is how Go writes a time that was never set.
const zeroTime = "0001-01-01T00:00:00Z"

// fallbackLayouts are the forms of ISO 8601 beside RFC 3339 that Alertmanager's
// API reads as well; without a zone a time is in UTC.
var fallbackLayouts = [...]string{
	time.RFC3339,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02",
}

// parseTime reads a time. Empty and Go's zero time are 0. What lies after 2261,
// as some write "for ever", is the last time there is. ok is false, and t is 0,
// where s is no time or lies before 1678.
func parseTime(s string) (t alert.Time, ok bool) {
	if s == "" || s == zeroTime {
		return 0, true
	}
	if t, ok = parseRFC3339(s); ok {
		return t, true
	}
	for _, layout := range fallbackLayouts {
		if std, err := time.Parse(layout, s); err == nil {
			if std.Year() < 1678 && !std.IsZero() {
				return 0, false
			}
			return alert.TimeOf(std), true
		}
	}
	return 0, false
}

// parseRFC3339 is the common case of time.Parse: years that an alert.Time
// holds, at most nine digits of a second. Whatever else it leaves to that.
func parseRFC3339(s string) (alert.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") ||
		s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	year := number2(s, 0)*100 + number2(s, 2)
	month, day := number2(s, 5), number2(s, 8)
	hour, minute, second := number2(s, 11), number2(s, 14), number2(s, 17)
	if year < 1678 || year > 2261 || month-1 > 11 || hour > 23 || minute > 59 || second > 59 ||
		day-1 >= daysIn(month, year) {
		return 0, false
	}
	nanos, rest := fraction(s[19:])
	offset, ok := zone(rest)
	if !ok {
		return 0, false
	}
	seconds := int64(daysBefore(year, month, day))*86400 + int64(hour*3600+minute*60+second) - offset
	return alert.Time(seconds*1e9 + nanos), true
}

const notNumber = 1 << 16 // above any bound, also when multiplied and added up

// number2 reads two digits.
func number2(s string, i int) uint {
	a, b := uint(s[i]-'0'), uint(s[i+1]-'0')
	if a > 9 || b > 9 {
		return notNumber
	}
	return a*10 + b
}

// fraction reads .1 to .123456789 as nanoseconds and returns what follows.
func fraction(s string) (nanos int64, rest string) {
	if s[0] != '.' {
		return 0, s
	}
	i, scale := 1, int64(1e9)
	for ; i < len(s) && i <= 9 && '0' <= s[i] && s[i] <= '9'; i++ {
		nanos = nanos*10 + int64(s[i]-'0')
		scale /= 10
	}
	if i == 1 {
		return 0, "" // no zone begins with nothing: refused by the caller
	}
	return nanos * scale, s[i:]
}

// zone reads Z or ±hh:mm as seconds east of UTC.
func zone(s string) (seconds int64, ok bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != len("+01:00") || s[3] != ':' || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	hour, minute := number2(s, 1), number2(s, 4)
	if hour > 23 || minute > 59 {
		return 0, false
	}
	seconds = int64(hour*3600 + minute*60)
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func daysIn(month, year uint) uint {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysBefore counts the days from 1970-01-01, in the Gregorian calendar. Years
// begin in March here, so that the leap day is the last of one.
func daysBefore(year, month, day uint) int {
	y, m := int(year), int(month)
	if m <= 2 {
		y--
		m += 12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + int(day) - 1 - 719468
}
