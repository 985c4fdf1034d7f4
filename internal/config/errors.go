package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// excerptRunes bounds what an excerpt shows of a long line.
const excerptRunes = 120

// An Error is one mistake in a configuration file.
type Error struct {
	File    string
	Line    int // from 1
	Column  int // from 1, in characters
	Message string

	// Excerpt is the line, its secrets masked, with a caret below the place.
	Excerpt string
}

// Error writes file:line:column: message, and the excerpt below it.
func (e Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	if e.Excerpt != "" {
		s += "\n" + e.Excerpt
	}
	return s
}

// Errors is every mistake in a configuration file, in the file's order. It is
// never empty.
type Errors []Error

// Error writes each of them, one below the other.
func (es *Errors) Error() string {
	var b strings.Builder
	for i, e := range *es {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// unknownKey begins the message of the most common mistake.
const unknownKey = "unknown key "

// A fault is an Error before it is put into words for people: a place and what
// is wrong there.
type fault struct {
	line, column int
	message      string
}

// errors turns faults into what callers see: sorted, each once, masked.
func (d *document) errors(faults []fault, hidden []secret) *Errors {
	slices.SortStableFunc(faults, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	faults = slices.CompactFunc(faults, func(a, b fault) bool {
		return a == b || a.line == b.line && a.column == b.column &&
			strings.HasPrefix(a.message, unknownKey) && strings.HasPrefix(b.message, unknownKey) // through an alias
	})
	m := newMask(d, hidden)
	es := make(Errors, 0, len(faults))
	for _, f := range faults {
		es = append(es, Error{
			File: d.name, Line: f.line, Column: f.column,
			Message: m.message(f.message),
			Excerpt: d.excerpt(m, f.line, f.column),
		})
	}
	return &es
}

func (d *document) excerpt(m *mask, line, column int) string {
	if line < 1 || line > len(d.lines) {
		return ""
	}
	text, caret := m.line(line, column)
	text = printable(text)
	caret = min(max(caret, 0), len(text))
	if len(text) > excerptRunes {
		from := min(max(caret-excerptRunes/2, 0), len(text)-excerptRunes)
		text, caret = text[from:from+excerptRunes], caret-from
	}
	pad := []rune(strings.Repeat(" ", caret))
	for i := range pad {
		if text[i] == '\t' { // so that the caret stands right at any tab width
			pad[i] = '\t'
		}
	}
	number := fmt.Sprintf("%5d", line)
	return fmt.Sprintf("%s | %s\n%s | %s^", number, strings.TrimRight(string(text), " \t"),
		strings.Repeat(" ", len(number)), string(pad))
}

func printable(rs []rune) []rune {
	for i, r := range rs {
		if r != '\t' && !unicode.IsPrint(r) {
			rs[i] = unicode.ReplacementChar
		}
	}
	return rs
}
