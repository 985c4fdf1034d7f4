package ingest

import (
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
)

func TestParseTime(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		got, ok := parseTime(s)
		text := got.String()
		if !ok {
			text = "no time"
			if got != 0 {
				t.Errorf("%q is no time, but gives %s", s, got)
			}
		}
		if text != want {
			t.Errorf("%q: %s, want %s", s, text, want)
		}
	}
	f("", "-")
	f("0001-01-01T00:00:00Z", "-")
	f("1970-01-01T00:00:00Z", "-") // how others write a time that is not set
	f("2025-06-01T11:42:18Z", "2025-06-01T11:42:18Z")
	f("2025-06-01T11:42:18.1Z", "2025-06-01T11:42:18.1Z")
	f("2025-06-01T11:42:18.123456789Z", "2025-06-01T11:42:18.123456789Z")
	f("2025-06-01T11:42:18.1234567894Z", "2025-06-01T11:42:18.123456789Z")
	f("2025-06-01T13:42:18+02:00", "2025-06-01T11:42:18Z")
	f("2025-06-01T06:12:18.5-05:30", "2025-06-01T11:42:18.5Z")
	f("2025-06-01T13:42:18.25+0200", "2025-06-01T11:42:18.25Z")
	f("2025-06-01T11:42:18.25", "2025-06-01T11:42:18.25Z")
	f("2025-06-01 11:42:18", "2025-06-01T11:42:18Z")
	f("2025-06-01", "2025-06-01T00:00:00Z")
	f("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z")
	f("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z")
	f("9999-12-31T23:59:59Z", "2262-04-11T23:47:16.854775807Z")
	f("1678-01-01T00:00:00Z", "1678-01-01T00:00:00Z")
	f("1677-12-31T23:59:59Z", "no time")
	f("1500-01-01T00:00:00Z", "no time")
	f("2261-12-31T23:59:59Z", "2261-12-31T23:59:59Z")
	f("2262-01-01T00:00:00Z", "2262-04-11T23:47:16.854775807Z")
	f("2023-02-29T00:00:00Z", "no time")
	f("2025-06-31T00:00:00Z", "no time")
	f("2025-00-01T00:00:00Z", "no time")
	f("2025-06-00T00:00:00Z", "no time")
	f("2025-06-01T24:00:00Z", "no time")
	f("2025-06-01T11:42:60Z", "no time")
	f("2025-06-01T11:42:18.Z", "no time")
	f("2025-06-01T11:42:18+2:00", "no time")
	f("2025-06-01T11:42:18+25:00", "no time")
	f("2025-06-01T11:42:18z", "no time")
	f("1748778138", "no time")
	f("yesterday", "no time")
}

// slowTime is parseTime without its fast path.
func slowTime(s string) (alert.Time, bool) {
	if s == "" {
		return 0, true
	}
	for _, layout := range fallbackLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return alert.TimeOf(t), t.IsZero() || t.Year() >= 1678
		}
	}
	return 0, false
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{
		"2025-06-01T11:42:18.123Z", "2025-06-01T13:42:18+02:00", "2024-02-29T00:00:00-23:59", "1678-01-01T00:00:00Z", "2261-12-31T23:59:59.999999999Z",
		"0001-01-01T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2025-06-01T11:42:18,5Z", "2025-13-01T00:00:00Z", "9999-12-31T23:59:59Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime(s)
		want, wantOK := slowTime(s)
		if ok != wantOK || ok && got != want {
			t.Fatalf("%q: %s %v, want %s %v", s, got, ok, want, wantOK)
		}
	})
}
