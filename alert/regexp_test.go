package alert

import (
	"fmt"
	"strings"
	"testing"
)

// choiceOf joins n names, each in form, as "%s".
func choiceOf(n int, form string) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(form, fmt.Sprintf("host-%05d.eu-west-%d.example", i*7919%100_000, i%9))
	}
	return strings.Join(names, "|")
}

// TestCheckRegexp: what may take seconds on a long value is refused, and what a
// file has is not.
func TestCheckRegexp(t *testing.T) {
	f := func(what, expression, want string) {
		t.Helper()
		if len(expression) > MaxRegexpBytes {
			t.Fatalf("%s: %d bytes", what, len(expression))
		}
		m, err := NewMatcher("instance", Regexp, expression)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		switch err := m.Check(); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at most") || !strings.Contains(err.Error(), `"instance"`)):
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	f("nothing", "", "")
	f("a choice", "warning|info", "")
	f("an uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "")
	f("an address", `(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?::\d+)?`, "")
	f("words of any length", "[a-z]{1,1000}-[a-z]{1,1000}", "")
	f("nested repetitions", "((((a*)*)*)*)*b", "")
	f("repetitions of repetitions", "(x+x+)+y", "")
	f("a thousand names", choiceOf(1000, "%s"), "")
	f("two thousand", choiceOf(2000, "%s"), "")
	f("two thousand, somewhere", ".*("+choiceOf(2000, "%s")+").*", "")
	f("two thousand, in any case", "(?i)"+choiceOf(2000, "%s"), "")
	f("five hundred, each somewhere", choiceOf(500, ".*%s.*"), "")
	f("one long name", strings.Repeat("x", MaxRegexpBytes), "")
	f("one that counts", "x{1000}", "")
	f("a thousand times anything", strings.Repeat("(.*)", 1000), "")
	f("five thousand that may be there", strings.Repeat("x?", 5000), "")

	const tooLong = "steps on a value of 65536 bytes"
	f("three thousand times anything", strings.Repeat("(.*)", 3000), tooLong)
	f("as often as there is room for", strings.Repeat(".*", MaxRegexpBytes/2), tooLong)
	f("others between them", strings.Repeat("(.*)(a*)", 2000), tooLong)
	f("one character, as often as there is room for", strings.Repeat("x*", MaxRegexpBytes/2), tooLong)
	f("thirty thousand that may be there", strings.Repeat("x?", 30_000), tooLong)
	f("anything up to a thousand times, sixty times", strings.Repeat(".{0,1000}", 60), tooLong)
	f("behind a repetition", ".*"+strings.Repeat("x?", 9000), tooLong)
	f("a choice that repeats", "("+strings.Repeat("(a*|b*)", 3000)+")*", tooLong)
	f("it counts too far", strings.Repeat("x{1000}", 1100), "1100004 instructions")
}

// BenchmarkRegexp shows what expressions take that are just within the limit, on
// values that keep them at work.
func BenchmarkRegexp(b *testing.B) {
	for _, c := range []struct{ name, expression, value string }{
		{"anything", strings.Repeat("(.*)", 2000), strings.Repeat("x", longestValue-1) + "\n"},
		{"optional", strings.Repeat("x?", 20_000), strings.Repeat("x", longestValue)},
		{"names", ".*(" + choiceOf(2000, "%s") + ").*", strings.Repeat("host-0", longestValue/6)},
		{"nested", "((((a*)*)*)*)*b", strings.Repeat("a", longestValue)},
	} {
		m, err := NewMatcher("x", Regexp, c.expression)
		if err == nil {
			err = m.Check()
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if m.MatchesValue(c.value) {
					b.Fatal("it matches")
				}
			}
		})
	}
}
