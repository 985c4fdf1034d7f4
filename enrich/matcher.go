package enrich

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// parseMatchers reads the list of a rule. Each entry holds one matcher or, as
// Alertmanager allows, several with commas between them, in braces or not.
func parseMatchers(entries []string) (alert.Matchers, error) {
	var out alert.Matchers
	for _, entry := range entries {
		rest := strings.TrimSpace(entry)
		if inner, ok := strings.CutPrefix(rest, "{"); ok {
			if rest, ok = strings.CutSuffix(inner, "}"); !ok {
				return nil, fmt.Errorf("matcher %q: the brace is not closed", entry)
			}
		}
		if strings.TrimSpace(rest) == "" {
			return nil, fmt.Errorf(`matcher %q: is empty: want name="value"`, entry)
		}
		for rest = strings.TrimSpace(rest); rest != ""; {
			m, tail, err := nextMatcher(rest)
			if err != nil {
				return nil, fmt.Errorf("matcher %q: %w", entry, err)
			}
			out, rest = append(out, m), tail
		}
	}
	return out, nil
}

// nextMatcher reads one matcher and the comma behind it.
func nextMatcher(s string) (*alert.Matcher, string, error) {
	name, s, err := matcherName(s)
	if err != nil {
		return nil, "", err
	}
	op, s, err := matcherOp(s)
	if err != nil {
		return nil, "", err
	}
	value, s, err := matcherValue(s)
	if err != nil {
		return nil, "", err
	}
	if s != "" {
		var ok bool
		if s, ok = strings.CutPrefix(s, ","); !ok {
			return nil, "", fmt.Errorf("%q follows the value: want a comma", s)
		}
	}
	m, err := alert.NewMatcher(name, op, value)
	if err == nil {
		err = m.Check()
	}
	return m, strings.TrimSpace(s), err
}

func matcherName(s string) (name, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		if name, rest, err = quoted(s); err != nil {
			return "", "", err
		}
	} else {
		i := strings.IndexAny(s, "=!")
		if i < 0 {
			return "", "", fmt.Errorf(`no operator: want =, !=, =~ or !~`)
		}
		name, rest = strings.TrimSpace(s[:i]), s[i:]
		if strings.ContainsAny(name, " \t,{}\"'`~") {
			return "", "", fmt.Errorf("label name %q: put it in double quotes", name)
		}
	}
	if name == "" {
		return "", "", fmt.Errorf("no label name before the operator")
	}
	return name, strings.TrimSpace(rest), nil
}

func matcherOp(s string) (op alert.Op, rest string, err error) {
	for _, op := range [...]alert.Op{alert.Regexp, alert.NotRegexp, alert.NotEqual, alert.Equal} { // the longer ones first
		if rest, ok := strings.CutPrefix(s, op.String()); ok {
			return op, strings.TrimSpace(rest), nil
		}
	}
	return 0, "", fmt.Errorf(`no operator: want =, !=, =~ or !~`)
}

func matcherValue(s string) (value, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		value, rest, err = quoted(s)
		return value, strings.TrimSpace(rest), err
	}
	i := strings.IndexByte(s, ',')
	if i < 0 {
		i = len(s)
	}
	value = strings.TrimSpace(s[:i])
	if strings.ContainsAny(value, "{}\"'`") {
		return "", "", fmt.Errorf("value %q: put it in double quotes", value)
	}
	return value, s[i:], nil
}

// quoted reads a string in double quotes. Alertmanager takes Go's escapes and
// falls back to its older rule, where only \", \\ and \n are escapes: people
// write "web-\d+\.example" and mean it.
func quoted(s string) (value, rest string, err error) {
	end := 1
	for ; end < len(s) && s[end] != '"'; end++ {
		if s[end] == '\\' {
			end++
		}
	}
	if end >= len(s) {
		return "", "", fmt.Errorf("%s: the quote is not closed", s)
	}
	body, rest := s[:end+1], s[end+1:]
	if value, err := strconv.Unquote(body); err == nil {
		return value, rest, nil
	}
	return olderEscapes.Replace(body[1:end]), rest, nil
}

var olderEscapes = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")
