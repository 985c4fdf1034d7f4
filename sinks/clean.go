package sinks

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes a string of a payload fit to be printed on a terminal, on one
// line: line ends and tabs become spaces, every other control character its
// visible picture (ESC becomes ␛, so an escape sequence is read and not
// obeyed), and what would reorder or hide text, or is not UTF-8, becomes U+FFFD.
func Clean(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return cleanRune(r) != r || r == utf8.RuneError })
	if i < 0 {
		return s
	}
	return strings.Map(cleanRune, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

func cleanRune(r rune) rune {
	switch {
	case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
		return ' '
	case r < 0x20:
		return '\u2400' + r
	case r == 0x7f:
		return '\u2421'
	case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r) && r != '\u200d', unicode.Is(unicode.Co, r):
		// C1 controls, bidirectional overrides, zero-width characters, private
		// use. The joiner stays: emoji are made with it.
		return utf8.RuneError
	}
	return r
}

// cut shortens s to at most limitBytes at a rune's border and says so.
func cut(s string, limitBytes int) string {
	const mark = "…"
	if len(s) <= limitBytes {
		return s
	}
	n := limitBytes - len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
