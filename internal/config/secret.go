package config

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const secretText = "<secret>"

// minScrubBytes is the shortest secret that is also searched for inside
// messages: shorter ones would blot out ordinary words.
const minScrubBytes = 4

// A secret is a value that no error may show.
type secret struct {
	line, column int
	value        string
	certain      bool // else only its line is suspicious
}

var (
	passwordWord = regexp.MustCompile(`(?i)token|secret|passw|credential|authorization|bearer|cookie|private|(^|_|-)(api)?key$|apikey`)
	addressWord  = regexp.MustCompile(`(?i)(url|dsn|headers?)$`)
	referentWord = regexp.MustCompile(`(?i)_(file|files|ref|name)$`)
)

// looksSecret tells by its name whether what stands under a key may be secret.
// URLs count: those of Slack, Teams and many webhooks are nothing but secrets.
func looksSecret(key string) bool { return isPassword(key) || addressWord.MatchString(key) }

// isPassword is looksSecret without addresses.
func isPassword(key string) bool {
	return passwordWord.MatchString(key) && !addressWord.MatchString(key) && !referentWord.MatchString(key)
}

var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s"']*@`)

// hide adds every value below n.
func hide(dst []secret, n *yaml.Node, certain bool) []secret {
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		dst = append(dst, secret{n.Line, n.Column, n.Value, certain})
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		dst = hide(dst, c, certain)
	}
	return dst
}

// place is a position in the file.
type place struct{ line, column int }

func placeOf(n *yaml.Node) place { return place{n.Line, n.Column} }

// mask shows lines and messages without their secrets.
type mask struct {
	doc    *document
	hidden []secret
	starts []place // of all values and keys, in order
	words  []string
}

func newMask(d *document, hidden []secret) *mask {
	m := &mask{doc: d, hidden: hidden}
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		m.starts = append(m.starts, place{n.Line, n.Column})
		for _, c := range n.Content {
			walk(c)
		}
	}
	if d.root != nil {
		walk(d.root)
	}
	slices.SortFunc(m.starts, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	m.starts = slices.Compact(m.starts)
	for _, h := range hidden {
		if h.certain && len(h.value) >= minScrubBytes {
			quoted := strconv.Quote(h.value)
			m.words = append(m.words, h.value, quoted[1:len(quoted)-1])
		}
	}
	slices.SortFunc(m.words, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) // a secret may hold another
	})
	m.words = slices.Compact(m.words)
	return m
}

// message removes secrets from what an error says.
func (m *mask) message(s string) string {
	for _, w := range m.words {
		s = strings.ReplaceAll(s, w, secretText)
	}
	return userinfo.ReplaceAllString(s, "${1}"+secretText+"@")
}

// line returns a line without its secrets, and where a column of it went.
func (m *mask) line(number, column int) (text []rune, caret int) {
	runes := []rune(m.doc.lines[number-1])
	caret = column - 1
	for _, s := range m.spans(runes, number) {
		repl := []rune("...")
		if s.certain {
			repl = []rune(secretText)
		}
		runes = slices.Replace(runes, s.from, s.to, repl...)
		switch {
		case caret >= s.to:
			caret += len(repl) - (s.to - s.from)
		case caret > s.from:
			caret = s.from
		}
	}
	runes, caret = m.scrub(runes, caret)
	comment := 0
	if len(m.starts) > 0 { // else there is nothing but names to go by
		comment = len(runes)
		if i := strings.Index(string(runes), " #"); i >= 0 {
			comment = utf8.RuneCountInString(string(runes)[:i])
		}
	} else if belowSecret(m.doc, number) {
		return []rune(secretText), 0
	}
	runes = append(runes[:comment:comment], maskByName(runes[comment:])...)
	s := anyURL.ReplaceAllString(string(runes), secretText)
	s = noSpace.ReplaceAllStringFunc(s, func(s string) string {
		if key, _, _ := strings.Cut(s, ":"); looksSecret(key) {
			return key + ":" + secretText
		}
		return s
	})
	return []rune(s), min(caret, utf8.RuneCountInString(s))
}

// scrub removes secrets that stand in a line as another value.
func (m *mask) scrub(runes []rune, caret int) ([]rune, int) {
	for _, w := range m.words {
		before, after := string(runes[:min(max(caret, 0), len(runes))]), string(runes[min(max(caret, 0), len(runes)):])
		if !strings.Contains(before+after, w) {
			continue
		}
		before = strings.ReplaceAll(before, w, secretText)
		runes, caret = []rune(before+strings.ReplaceAll(after, w, secretText)), utf8.RuneCountInString(before)
		runes = []rune(strings.ReplaceAll(string(runes), w, secretText)) // one may lie across the caret
	}
	return runes, caret
}

type span struct {
	from, to int
	certain  bool
}

// spans returns what to replace in a line, from right to left, not overlapping.
func (m *mask) spans(runes []rune, number int) []span {
	var out []span
	for _, h := range m.hidden {
		if s, ok := m.span(h, runes, number); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	joined := out[:0]
	for _, s := range out {
		if n := len(joined); n > 0 && s.from <= joined[n-1].to {
			joined[n-1].to = max(joined[n-1].to, s.to)
			joined[n-1].certain = joined[n-1].certain || s.certain
			continue
		}
		joined = append(joined, s)
	}
	slices.Reverse(joined)
	return joined
}

// span returns the part of a line that a secret takes: up to where the next
// value starts, as the tree does not know where one ends.
func (m *mask) span(h secret, runes []rune, number int) (span, bool) {
	start := place{h.line, h.column}
	i, found := slices.BinarySearchFunc(m.starts, start, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	if found {
		i++
	}
	end := place{len(m.doc.lines) + 1, 1}
	if i < len(m.starts) {
		end = m.starts[i]
	}
	if number < start.line || number > end.line {
		return span{}, false
	}
	s := span{indent(runes), len(runes), h.certain}
	if number == start.line {
		s.from = min(start.column-1, len(runes))
	}
	if number == end.line {
		s.to = min(end.column-1, len(runes))
	}
	if s.from >= s.to {
		return span{}, false
	}
	if own := m.doc.written(h); own > 0 { // it ends on its own line
		s.to = min(s.to, s.from+own)
		return s, number == start.line
	}
	if number == end.line && number > start.line && strings.Trim(string(runes[s.from:s.to]), "-? ") == "" {
		return span{}, false // only the indicators of the next value
	}
	return s, true
}

// written returns how many characters a value takes in the file, 0 where that
// is not plain to see.
func (d *document) written(h secret) int {
	if h.line > len(d.lines) {
		return 0
	}
	runes := []rune(d.lines[h.line-1])
	if h.column > len(runes) {
		return 0
	}
	rest, value := string(runes[h.column-1:]), h.value
	if q := rest[:1]; q == `"` || q == `'` {
		value = q + value + q
	}
	if !strings.HasPrefix(rest, value) {
		return 0
	}
	return len([]rune(value))
}

func indent(runes []rune) int {
	i := slices.IndexFunc(runes, func(r rune) bool { return !unicode.IsSpace(r) })
	return max(i, 0)
}

var (
	keyValue = regexp.MustCompile(`["']?([\w.-]+)["']?\s*:\s+`)
	noSpace  = regexp.MustCompile(`[\w.-]+:[^\s/][^\s]*`) // a colon that makes no key
	anyURL   = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"']+`)
)

// maskByName hides what follows a key that looks secret: all there is to go by
// where the file is no YAML, and in comments.
func maskByName(runes []rune) []rune {
	s := string(runes)
	for _, at := range keyValue.FindAllStringSubmatchIndex(s, -1) {
		if at[1] < len(s) && looksSecret(s[at[2]:at[3]]) {
			return []rune(s[:at[1]] + secretText)
		}
	}
	return runes
}

// belowSecret reports whether a line without a key of its own continues the
// value of a key that looks secret. It serves files that are no YAML.
func belowSecret(d *document, number int) bool {
	for i := number - 1; i >= 0; i-- {
		if at := keyLine.FindStringSubmatch(d.lines[i]); at != nil {
			return i < number-1 && looksSecret(at[1])
		}
	}
	return false
}

var keyLine = regexp.MustCompile(`^\s*(?:- +)*["']?([\w.-]+)["']?\s*:(?:\s|$)`)
