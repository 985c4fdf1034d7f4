package alert

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMatcherText holds the text of matchers: what is read can be written and
// read again and means the same, and each operator is the negation of another.
func FuzzMatcherText(f *testing.F) {
	for _, s := range []string{
		`a="b"`, `a!="b"`, `a=~"b|c"`, `a!~"b.*"`, `"a b"="c"`, `"a\"b"="\\\n\t\x00\u00e9"`, `=""`, `""=""`, `a=""`, `é="東"`, "a=`b`", `a=~"("`, `a=~"(?i)B"`,
		`a`, `a=`, `a=b`, `a!b`, `"a`, `"a"`, `a="b`, `a="b"c`, `a~="b"`, `a=~"` + strings.Repeat("(", 100) + `"`, `a=~"x{1000}{1000}"`, "\xff=\"\xff\"",
	} {
		f.Add([]byte(s), "b")
	}
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		var m Matcher
		if err := m.UnmarshalText(text); err != nil {
			if !strings.Contains(err.Error(), "matcher") {
				t.Fatalf("%q: the error does not say what was read: %v", text, err)
			}
			return
		}
		written, err := m.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again Matcher
		if err := again.UnmarshalText(written); err != nil {
			t.Fatalf("%q was written as %q, which is not read: %v", text, written, err)
		}
		// A byte that is not UTF-8 has no other form of writing than an escape.
		if again.Name != m.Name || again.Op != m.Op || again.Value != m.Value {
			t.Fatalf("%q was written as %q and read as %+v", text, written, again)
		}
		if twice, _ := again.MarshalText(); !bytes.Equal(twice, written) || !utf8.Valid(written) {
			t.Fatalf("%q was written as %q and then %q", text, written, twice)
		}
		if again.MatchesValue(value) != m.MatchesValue(value) {
			t.Fatalf("%q and %q differ on %q", text, written, value)
		}
		opposite, err := NewMatcher(m.Name, [...]Op{Equal: NotEqual, NotEqual: Equal, Regexp: NotRegexp, NotRegexp: Regexp}[m.Op], m.Value)
		if err != nil || opposite.MatchesValue(value) == m.MatchesValue(value) {
			t.Fatalf("%q and %q agree on %q (%v)", text, opposite, value, err)
		}
	})
}
