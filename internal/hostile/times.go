package hostile

import (
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// When a time lies, seen from Now.
type when uint8

const (
	noTime when = iota // it is none: the log's time stands in, and the alert is marked
	unset              // Go's zero time, or that of Unix: none was given
	past
	future
)

// clocks are times that some clock, library or person has written.
var clocks = []struct {
	text string
	when when
}{
	{"0001-01-01T00:00:00Z", unset}, {"", unset}, {"0001-01-01T00:00:01Z", noTime}, {"0000-01-01T00:00:00Z", noTime}, {"0999-12-31T23:59:59Z", noTime}, {"1600-01-01T00:00:00Z", noTime},
	{"1678-01-01T00:00:00Z", past}, {"1900-01-01T00:00:00Z", past}, {"1969-12-31T23:59:59Z", past}, {"1970-01-01T00:00:00Z", unset}, {"1970-01-01T00:00:00.000000001Z", past},
	{"2038-01-19T03:14:08Z", future}, {"2106-02-07T06:28:16Z", future}, {"2261-12-31T23:59:59Z", future}, {"2262-04-11T23:47:16.854775807Z", future}, {"2262-04-11T23:47:17Z", future},
	{"2500-01-01T00:00:00Z", future}, {"9999-12-31T23:59:59Z", future}, {"9999-12-31T23:59:59.999999999Z", future}, {"10000-01-01T00:00:00Z", noTime}, {"+002025-06-01T00:00:00Z", noTime}, {"-2025-06-01T00:00:00Z", noTime},
	{"2016-12-31T23:59:60Z", noTime}, {"2025-06-01T24:00:00Z", noTime}, {"2025-06-01T11:60:00Z", noTime}, {"2025-02-29T00:00:00Z", noTime}, {"2024-02-29T00:00:00Z", past}, {"1900-02-29T00:00:00Z", noTime}, {"2000-02-29T00:00:00Z", past},
	{"2025-06-31T00:00:00Z", noTime}, {"2025-13-01T00:00:00Z", noTime}, {"2025-00-01T00:00:00Z", noTime}, {"2025-06-00T00:00:00Z", noTime},
	{"2025-06-01T11:59:59.999999999Z", past}, {"2025-06-01T12:00:00Z", past}, {"2025-06-01T12:00:00.000000001Z", future}, {"2025-06-01T12:00:00.0000000001Z", past}, {"2025-06-01T13:30:00+02:00", past}, {"2025-06-01T14:30:00+02:00", future},
	{"2025-06-01T11:30:00-01:00", future}, {"2025-06-01T12:00:00+00:00", past}, {"2025-06-01T12:00:00-00:00", past}, {"2025-06-01T00:00:00-23:59", future}, {"2025-06-01T12:00:00+24:00", past}, {"2025-06-01T12:00:00+1:00", noTime},
	{"2025-06-01T11:00:00", past}, {"2025-06-01 11:00:00", past}, {"2025-06-01", past}, {"2025-06-02", future}, {"2025-06-01T11:00:00z", noTime}, {"2025-06-01t11:00:00Z", noTime}, {"2025-06-01T11:00Z", noTime}, {"20250601T110000Z", noTime},
	{"2025-W22-7", noTime}, {"2025-152", noTime}, {"1748779200", noTime}, {"1748779200.5", noTime}, {"1748779200000", noTime}, {"Sun, 01 Jun 2025 11:00:00 GMT", noTime}, {"Jun 1 11:00:00", noTime}, {"01/06/2025", noTime},
	{"now", noTime}, {"now-1h", noTime}, {"yesterday", noTime}, {"never", noTime}, {"infinity", noTime}, {"null", noTime}, {"0", noTime}, {"-", noTime}, {"T", noTime}, {"Z", noTime}, {"NaN", noTime}, {"P1D", noTime}, {"5m", noTime},
	{" 2025-06-01T11:00:00Z", noTime}, {"2025-06-01T11:00:00Z ", noTime}, {"2025-06-01T11:00:00Zjunk", noTime}, {"2025-06-01T11:00:00.Z", noTime}, {"2025-06-01T11:00:00,5Z", past}, {"２０２５-06-01T11:00:00Z", noTime},
	{"2025-06-01T11:00:00." + strings.Repeat("1", 500) + "Z", past}, {strings.Repeat("2", 5000), noTime}, {"2025-06-01T11:00:00\\u0000Z", noTime}, {"{{ .StartsAt }}", noTime}, {"<!channel>", noTime},
}

// times are clocks as starts, as ends and as both.
func times(add func(Case)) {
	for _, c := range clocks {
		name := clip(c.text)
		start := labelled(`"startsAt":"` + c.text + `"`)
		end := labelled(`"endsAt":"` + c.text + `"`)
		change := func(*Want) {}
		if c.when == noTime {
			change = marked(alert.MarkClock)
		}
		one(add, "starts "+name, start, change)
		ended := end
		if c.when == past {
			ended.is = over
		}
		add(Case{Name: "ends " + name, Source: Prometheus, Want: wanted(ended, change), Body: func() []byte { return list(Prometheus, ended) }})
		// Alertmanager's webhook has no end for an alert that fires.
		add(Case{Name: "ends " + name, Source: Alertmanager, Want: wanted(end, change), Body: func() []byte { return list(Alertmanager, end) }})

		resolved := labelled(`"status":"resolved","startsAt":"2025-06-01T11:00:00Z","endsAt":"` + c.text + `"`)
		resolved.is = over
		add(Case{Name: "resolved " + name, Source: Alertmanager, Want: wanted(resolved, change), Body: func() []byte { return list(Alertmanager, resolved) }})
	}
	backwards := marked(alert.MarkClock)
	e := labelled(`"startsAt":"2025-06-01T13:00:00Z","endsAt":"2025-06-01T12:30:00Z"`)
	add(Case{Name: "ends before it starts", Source: Prometheus, Want: wanted(e, backwards), Body: func() []byte { return list(Prometheus, e) }})
	gone := labelled(`"startsAt":"2025-06-01T11:30:00Z","endsAt":"2025-06-01T11:00:00Z"`)
	gone.is = over
	add(Case{Name: "ended before it started", Source: Prometheus, Want: wanted(gone, backwards), Body: func() []byte { return list(Prometheus, gone) }})
	one(add, "starts in the future", labelled(`"startsAt":"2030-01-01T00:00:00Z"`))
	one(add, "starts at the end of time", labelled(`"startsAt":"9999-12-31T23:59:59Z"`))
	both(add, "from one end of time to the other", []element{
		labelled(`"startsAt":"1678-01-01T00:00:00Z"`), labelled(`"startsAt":"9999-12-31T23:59:59Z","x":1`), labelled(`"startsAt":"1970-01-01T00:00:00Z","endsAt":"9999-12-31T23:59:59Z"`),
	})
}

func wanted(e element, change func(*Want)) Want {
	w := expect(e)
	change(&w)
	return w
}
