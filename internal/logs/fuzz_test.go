package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/zap"
)

// readLogfmt is the least a reader must understand: key=value pairs parted by
// spaces, values bare or quoted with JSON's escapes.
func readLogfmt(line string) (keys, values []string, err error) {
	for line != "" {
		key, rest, ok := strings.Cut(line, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \"") {
			return nil, nil, fmt.Errorf("no key at %q", line)
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			dec := json.NewDecoder(strings.NewReader(rest))
			if err := dec.Decode(&value); err != nil {
				return nil, nil, fmt.Errorf("value of %s: %w", key, err)
			}
			rest = rest[dec.InputOffset():]
		} else {
			n := strings.IndexByte(rest, ' ')
			if n < 0 {
				n = len(rest)
			}
			value, rest = rest[:n], rest[n:]
		}
		if rest != "" && rest[0] != ' ' {
			return nil, nil, fmt.Errorf("%q follows the value of %s", rest, key)
		}
		line = strings.TrimPrefix(rest, " ")
		keys, values = append(keys, key), append(values, value)
	}
	return keys, values, nil
}

// checkLine holds what is true of a line of either format.
func checkLine(t *testing.T, line string) {
	t.Helper()
	if !strings.HasSuffix(line, "\n") || strings.Count(line, "\n") != 1 {
		t.Fatalf("not one line: %q", line)
	}
	if !utf8.ValidString(line) {
		t.Fatalf("not UTF-8: %q", line)
	}
	for _, r := range strings.TrimSuffix(line, "\n") {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Fatalf("raw %U in %q", r, line)
		}
	}
}

func FuzzLogfmt(f *testing.F) {
	f.Add("msg", "key", "value", "context")
	f.Add("", "", "", "")
	f.Add("two\nlines", "a b", "x=y \"z\"", "\x1b[2J")
	f.Add("\x00", "=", `\`, "\u202e\u2066")
	f.Add("\xff", "\xff", "\"", `{"a":1}`)
	f.Fuzz(func(t *testing.T, msg, key, value, context string) {
		fields := []zap.Field{
			zap.String(key, value),
			zap.Strings(key, []string{value, msg}),
			zap.Any(key, map[string]string{key: value}),
			zap.Namespace(key),
			zap.ByteString(value, []byte(key)),
		}
		var out bytes.Buffer
		l, err := New(&out, "info", Logfmt)
		if err != nil {
			t.Fatal(err)
		}
		l.With(zap.String(value, context)).Info(msg, fields...)
		checkLine(t, out.String())
		keys, values, err := readLogfmt(strings.TrimSuffix(out.String(), "\n"))
		if err != nil {
			t.Fatalf("%v in %q", err, out.String())
		}
		const own, context1, namespaces = 3, 1, 1 // ts level msg; With; Namespace has no value
		if want := own + context1 + len(fields) - namespaces; len(keys) != want {
			t.Fatalf("%d keys, want %d: %q", len(keys), want, out.String())
		}
		for i, want := range map[int]string{2: msg, 3: context, 4: value, 7: key} {
			if want = strings.ToValidUTF8(want, "\ufffd"); !sameRunes(values[i], want) {
				t.Fatalf("%s=%q, want %q", keys[i], values[i], want)
			}
		}

		out.Reset()
		if l, err = New(&out, "info", JSON); err != nil {
			t.Fatal(err)
		}
		l.With(zap.String(value, context)).Info(msg, fields...)
		checkLine(t, out.String())
		if !json.Valid(out.Bytes()) {
			t.Fatalf("not JSON: %q", out.String())
		}
	})
}

// sameRunes compares up to how many replacement characters stand for a run of
// invalid bytes.
func sameRunes(a, b string) bool {
	squeeze := func(s string) string {
		for strings.Contains(s, "\ufffd\ufffd") {
			s = strings.ReplaceAll(s, "\ufffd\ufffd", "\ufffd")
		}
		return s
	}
	return squeeze(a) == squeeze(b)
}
