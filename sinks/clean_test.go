package sinks

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := Clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	f("", "")
	f("plain", "plain")
	f("Größe 大 🚒 👨‍👩‍👧", "Größe 大 🚒 👨‍👩‍👧")
	f("a\nb\r\nc\td", "a b  c d")
	f("\x1b[31mred\x1b[0m", "␛[31mred␛[0m")
	f("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "␛]8;;http://evil␇link␛]8;;␇")
	f("\x1b]0;title\x1b\\", "␛]0;title␛\\")
	f("rub\x08\x08out\x7f", "rub␈␈out␡")
	f("nul\x00", "nul␀")
	f("c1 \u009b31m", "c1 \ufffd31m")
	f("\u202egnp.exe", "\ufffdgnp.exe")
	f("zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd")
	f("two\u2028lines\u2029", "two lines ")
	f("bad \xff\xfe utf", "bad \ufffd utf")
	f("\x9b31m", "\ufffd31m")
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31m")
	f.Add("a\u202eb\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%q: not UTF-8: %q", s, got)
		}
		if i := strings.IndexFunc(got, unicode.IsControl); i >= 0 {
			t.Fatalf("%q: a control character in %q", s, got)
		}
		if Clean(got) != got {
			t.Fatalf("%q: not stable", s)
		}
	})
}

func TestCut(t *testing.T) {
	f := func(in string, limit int, want string) {
		t.Helper()
		if got := cut(in, limit); got != want || len(got) > max(limit, len("…")) {
			t.Errorf("%q, %d: got %q, want %q", in, limit, got, want)
		}
	}
	f("short", 5, "short")
	f("longer", 5, "lo…")
	f("éé", 4, "éé")
	f("ééé", 5, "é…")
	f("ééé", 4, "…")
}
