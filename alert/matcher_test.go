package alert

import (
	"slices"
	"strings"
	"testing"
)

// TestChoiceIsTheExpression: what is compared word by word matches what the
// expression does, and nothing else is compared so.
func TestChoiceIsTheExpression(t *testing.T) {
	values := []string{"", "a", "b", "ab", "a|b", "A", "a\n", "\na", "warning", "info", "é", "\xff", "\ufffd", "a.c", "abc", " a", "-", "a-b/c:d"}
	f := func(expression string, choice bool) {
		t.Helper()
		m, err := NewMatcher("x", Regexp, expression)
		if err != nil {
			t.Fatal(err)
		}
		if (m.words != nil) != choice {
			t.Errorf("%q is compared by the words %q", expression, m.words)
		}
		for _, v := range values {
			if m.MatchesValue(v) != m.re.MatchString(v) {
				t.Errorf("%q and %q: %t", expression, v, m.MatchesValue(v))
			}
		}
	}
	f("warning|info", true)
	f("a", true)
	f("", true)
	f("a|", true)
	f("|", true)
	f("é|a-b/c:d| a", true)
	f("a.c|b", false)
	f("(a|b)", false)
	f("a|b*", false)
	f("[ab]", false)
	f("^a|b$", false)
	f(`a|\x61b`, false)
	f("\ufffd|a", false) // which a byte that is no UTF-8 matches too
	f(strings.Repeat("a|", maxChoice), false)
}

func FuzzChoice(f *testing.F) {
	f.Add("warning|info", "info")
	f.Add("a|", "")
	f.Fuzz(func(t *testing.T, expression, value string) {
		m, err := NewMatcher("x", NotRegexp, expression)
		if err == nil && m.MatchesValue(value) == m.re.MatchString(value) {
			t.Errorf("%q does not match %q as its words %q do", expression, value, m.words)
		}
	})
}

func TestAppendOnly(t *testing.T) {
	ls := Labels{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"dd", "4"}}
	f := func(want string, names ...string) {
		t.Helper()
		if got := ls.AppendOnly(Labels{{"before", "x"}}, names, false); got[1:].String() != want || got[0].Name != "before" {
			t.Errorf("of %v: %v, want %s", names, got, want)
		}
	}
	f(`{}`)
	f(`{a="1"}`, "a")
	f(`{b="2", dd="4"}`, "b", "d", "dd", "e")
	f(`{a="1", c="3"}`, "", "a", "aa", "c", "z")
	f(`{a="1", b="2", c="3", dd="4"}`, "a", "b", "c", "dd")
	if got := ls.AppendOnly(nil, nil, true); !slices.Equal(got, ls) {
		t.Errorf("all of them: %v", got)
	}
}
