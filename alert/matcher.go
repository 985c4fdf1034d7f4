package alert

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Op is how a Matcher compares.
type Op uint8

const (
	Equal Op = iota
	NotEqual
	Regexp
	NotRegexp
)

var opText = [...]string{"=", "!=", "=~", "!~"}

func (o Op) String() string { return opText[min(int(o), len(opText)-1)] }

// MaxRegexpBytes bounds the source of a matcher's expression.
const MaxRegexpBytes = 64 << 10

// Matcher tests one label, with Alertmanager's meaning: an absent label has
// the value "", and an expression must match the whole value (RE2 syntax).
type Matcher struct {
	Name  string
	Op    Op
	Value string

	re    *regexp.Regexp
	words []string // what the expression is a choice of, where it is no more than that
}

// NewMatcher compiles a matcher.
func NewMatcher(name string, op Op, value string) (*Matcher, error) {
	m := &Matcher{Name: name, Op: op, Value: value}
	if op == Regexp || op == NotRegexp {
		if len(value) > MaxRegexpBytes {
			return nil, fmt.Errorf("matcher on %q: expression of %d bytes, at most %d", name, len(value), MaxRegexpBytes)
		}
		re, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil {
			return nil, fmt.Errorf("matcher on %q: %w", name, err)
		}
		m.re, m.words = re, choice(value)
	}
	return m, nil
}

// maxChoice bounds the words that are compared one by one.
const maxChoice = 64

// choice splits an expression like warning|info, as most are. It is nil for any
// other.
func choice(expression string) []string {
	if strings.ContainsAny(expression, `\.+*?()[]{}^$`) || strings.ContainsRune(expression, utf8.RuneError) || strings.Count(expression, "|") >= maxChoice {
		return nil
	}
	return strings.Split(expression, "|")
}

// MatchesValue tests a value.
func (m *Matcher) MatchesValue(v string) bool {
	switch m.Op {
	case Equal:
		return v == m.Value
	case NotEqual:
		return v != m.Value
	case Regexp:
		return m.expressionMatches(v)
	}
	return !m.expressionMatches(v)
}

func (m *Matcher) expressionMatches(v string) bool {
	if m.words == nil {
		return m.re.MatchString(v)
	}
	return slices.Contains(m.words, v)
}

// String writes the matcher as Alertmanager does: name="value".
func (m *Matcher) String() string {
	return string(appendQuoted(append([]byte(quoteName(m.Name)), m.Op.String()...), m.Value))
}

// MarshalText is String.
func (m *Matcher) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote and compiles it.
func (m *Matcher) UnmarshalText(b []byte) error {
	s := string(b)
	name := s
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return fmt.Errorf("matcher %q: %w", s, err)
		}
		name, s = mustUnquote(q), s[len(q):]
	} else {
		i := strings.IndexAny(s, "=!")
		if i < 0 {
			return fmt.Errorf("matcher %q: no operator", s)
		}
		name, s = s[:i], s[i:]
	}
	op := -1
	for i := len(opText) - 1; i >= 0; i-- { // the longer ones first
		if strings.HasPrefix(s, opText[i]) {
			op = i
			break
		}
	}
	if op < 0 {
		return fmt.Errorf("matcher %q: no operator", string(b))
	}
	value, err := strconv.Unquote(s[len(opText[op]):])
	if err != nil {
		return fmt.Errorf("matcher %q: value: %w", string(b), err)
	}
	n, err := NewMatcher(name, Op(op), value)
	if err != nil {
		return err
	}
	*m = *n
	return nil
}

// Matchers match when all of them do.
type Matchers []*Matcher

// Matches tests a label set. No matchers match everything.
func (ms Matchers) Matches(ls Labels) bool {
	for _, m := range ms {
		if !m.MatchesValue(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// String writes {a="b",c=~"d"} as Alertmanager's route keys have it.
func (ms Matchers) String() string {
	b := []byte{'{'}
	for i, m := range ms {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m.String()...)
	}
	return string(append(b, '}'))
}

func quoteName(s string) string {
	for i, r := range s {
		if !(r == '_' || r == ':' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || i > 0 && '0' <= r && r <= '9') {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

func appendQuoted(b []byte, s string) []byte { return strconv.AppendQuote(b, s) }

func mustUnquote(q string) string {
	s, err := strconv.Unquote(q)
	if err != nil {
		panic("alert: unquoting a checked string: " + err.Error())
	}
	return s
}
