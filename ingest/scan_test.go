package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// scanAny reads text into the values that encoding/json gives with UseNumber.
func scanAny(text []byte) (any, *scanner) {
	s := new(scanner)
	s.reset(text)
	s.peek()
	v := scanValue(s)
	s.end()
	return v, s
}

func scanValue(s *scanner) any {
	switch s.peek() {
	case '"':
		return s.str()
	case '{':
		m := map[string]any{}
		for s.open(); s.more('}'); {
			k := s.name()
			m[k] = scanValue(s)
		}
		return m
	case '[':
		l := []any{}
		for s.open(); s.more(']'); {
			l = append(l, scanValue(s))
		}
		return l
	}
	switch text := s.literal(); text {
	case "null", "":
		return nil
	case "true":
		return true
	case "false":
		return false
	default:
		return json.Number(text)
	}
}

// jsonAny is the same by encoding/json.
func jsonAny(text []byte) (any, error) {
	var v any
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err := d.Decode(&v)
	return v, err
}

// strict writes text as encoding/json wants it: without a byte order mark, and
// within its strings the control characters escaped. What is no text it would make
// U+FFFD of, whatever it was: that is the rune that stands for it here.
func strict(text []byte) []byte {
	out := make([]byte, 0, len(text))
	inString := false
	for text = bytes.TrimPrefix(text, []byte("\ufeff")); len(text) > 0; {
		r, n := utf8.DecodeRune(text)
		switch c := text[0]; {
		case r == utf8.RuneError && n == 1:
			out = utf8.AppendRune(out, 0xf700+rune(c))
		case inString && c < ' ':
			out = fmt.Appendf(out, `\u%04x`, c)
		case inString && c == '\\':
			escape := escapeLen(text)
			high, low := rune(-1), rune(-1)
			if escape == 6 {
				high = hex4(text[2:])
			}
			if escapeLen(text[max(escape, 0):]) == 6 {
				low = hex4(text[escape+2:])
			}
			if n = escape; n == 0 {
				n = min(2, len(text)) // no escape, with what makes it none
			}
			switch {
			case utf16.IsSurrogate(high) && utf16.DecodeRune(high, low) != utf8.RuneError:
				n = 12
				out = append(out, text[:n]...)
			case utf16.IsSurrogate(high):
				out = utf8.AppendRune(out, 0xe000+high-0xd800)
			default:
				out = append(out, text[:n]...)
			}
		default:
			inString = inString != (c == '"')
			out = append(out, text[:n]...)
		}
		text = text[n:]
	}
	return out
}

// deepest is how deep the brackets of text may nest, strings not looked at.
func deepest(text []byte) int { return bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{")) }

func FuzzScan(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, ` [ 1 , -0.5e+7 , 0E1 , "a" , null , true , false , {"k" : [ ] } ] `, `{"a":1,"a":2}`, `{"a":{"b":[{}]}}`,
		`"\u0041\ud83d\ude8b\ud83d\ud83dx\/\b\f\n\r\t\\\""`, `"\ude8b"`, `"\ud83d\u0041"`, "\"\xff\xc3\xa9\xe6\x9d\xb1\xe6\"", `"` + strings.Repeat("x", 40) + `é"`,
		``, ` `, `{`, `[`, `"`, `"\`, `"\u12`, `"\x"`, "\"\n\"", `01`, `1.`, `-`, `+1`, `.5`, `1e`, `1e+`, `tru`, `nulll`, `[1,]`, `[,1]`, `{"a":1,}`, `{a:1}`,
		`{"a" 1}`, `[1 2]`, `{} {}`, `[}`, `{]`, "\x00", "[1\x00]", `NaN`, `1e999`, "\ufeff{}", `{"a":1 "b":2}`, `[[[[`, `"\u00zz"`, `'a'`, `/**/1`, "[1,\v2]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, s := scanAny(text)
		want, err := jsonAny(strict(text))
		if (err == nil) == s.failed() && deepest(text) < maxDepth {
			t.Fatalf("%q: encoding/json says %v, the scanner %q at %d", text, err, s.reason, s.offset)
		}
		if s.failed() {
			if s.offset < 0 || s.offset > len(text) {
				t.Fatalf("%q: fault at %d, outside of it", text, s.offset)
			}
			return
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\n got %#v\nwant %#v", text, got, want)
		}
		skipped := new(scanner)
		skipped.reset(text)
		skipped.skip()
		if skipped.end(); skipped.failed() && deepest(text) < maxDepth {
			t.Fatalf("%q: read, but skipping fails: %s", text, skipped.reason)
		}
	})
}

func TestScannerNamesTheFault(t *testing.T) {
	f := func(text, reason string, offset int) {
		t.Helper()
		if _, s := scanAny([]byte(text)); s.reason != reason || s.offset != offset {
			t.Errorf("%q: %q at %d, want %q at %d", text, s.reason, s.offset, reason, offset)
		}
	}
	f(``, "the body ends where a value should stand", 0)
	f(`{"a":1,}`, `'}' where a name in quotes should stand`, 7)
	f(`{"a" 1}`, `'1' where a colon should stand`, 5)
	f(`[1 2]`, `'2' where a comma or the closing ] should stand`, 3)
	f(`{"a":1`, "the body ends where a comma or the closing } should stand", 6)
	f(`[tru]`, `']' where the rest of true should stand`, 4)
	f(`[1.]`, `']' where a digit should stand`, 3)
	f(`"a`, "the body ends within a string", 2)
	f(`"a\q"`, "a string holds an escape that JSON does not have", 2)
	f("\"a\\\tb\"", "a string holds an escape that JSON does not have", 2)
	f("\"a\tb", "the body ends within a string", 4)
	f("\ufeff", "the body ends where a value should stand", 3)
	f("[\ufeff]", "byte 0xef where a value should stand", 1)
	f("[1,\t\v2]", "byte 0x0b where a value should stand", 4)
	f("[1,\xff]", "byte 0xff where a value should stand", 3)
	f(`[] []`, "the JSON value has ended, but the body goes on", 3)
}

func TestScannerDepth(t *testing.T) {
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	f := func(n int, reason string) {
		t.Helper()
		s := new(scanner)
		s.reset(nest(n))
		s.skip()
		if s.end(); s.reason != reason {
			t.Errorf("%d deep: %q, want %q", n, s.reason, reason)
		}
	}
	f(maxDepth, "")
	f(maxDepth+1, "values nest more than 512 deep")
	f(1<<20, "values nest more than 512 deep")
}

func TestStringsAliasTheTextUnlessTheyCannot(t *testing.T) {
	f := func(text string, alias bool) {
		t.Helper()
		b := []byte(text)
		s := new(scanner)
		s.reset(b)
		s.peek()
		got := s.str()
		if inside := unsafe.StringData(got) == &b[1]; inside != alias || s.failed() {
			t.Errorf("%s: alias %v, want %v (%s)", text, inside, alias, s.reason)
		}
	}
	f(`"plain"`, true)
	f(`"longer than a word of eight bytes"`, true)
	f(`"東京 is valid UTF-8"`, true)
	f(`"a\nb"`, false)
	f("\"a\xffb\"", false)
}

// TestArenaKeepsWhatItGave reads strings with escapes through several growths
// of the arena: those read before must stay what they were.
func TestArenaKeepsWhatItGave(t *testing.T) {
	var s scanner
	var got []string
	for n := range 2000 {
		s.reset([]byte(`"` + strings.Repeat("x", n%97) + `\n"`))
		s.peek()
		got = append(got, s.str())
	}
	for n, g := range got {
		if want := strings.Repeat("x", n%97) + "\n"; g != want {
			t.Fatalf("string %d: %q, want %q", n, g, want)
		}
	}
}

// TestInvalidBytesGrow: each becomes three, in a chunk made for them.
func TestInvalidBytesGrow(t *testing.T) {
	const n = 3 * minChunkBytes
	var s scanner
	s.reset([]byte(`"` + strings.Repeat("\xff", n) + `"`))
	s.peek()
	if got := s.str(); got != strings.Repeat("\uf7ff", n) || !s.sanitised {
		t.Errorf("%d bytes, sanitised %v", len(got), s.sanitised)
	}
}

// TestAStringOfNoTextTakesNoThreefoldRoom: a body of 0xff bytes took four times
// its size.
func TestAStringOfNoTextTakesNoThreefoldRoom(t *testing.T) {
	const n = 4 * maxReplaced
	bad := strings.Repeat("\xff", n)
	want := strings.Repeat("\uf7ff", maxReplaced) + strings.Repeat("?", n-maxReplaced)
	var s scanner
	s.reset([]byte(`"` + bad + `"`))
	s.peek()
	if got := s.str(); got != want || !s.sanitised || cap(s.arena.chunk) > n+2*maxReplaced {
		t.Errorf("%d bytes in %d, sanitised %v", len(got), cap(s.arena.chunk), s.sanitised)
	}
	s.reset([]byte(`["` + bad + `"]`))
	if got := s.raw(); got != `["`+want+`"]` || !s.sanitised {
		t.Errorf("raw: %d bytes, sanitised %v", len(got), s.sanitised)
	}
}

// TestControlCharactersThatAreNotEscaped: what is otherwise JSON is read, and
// who reads it is told.
func TestControlCharactersThatAreNotEscaped(t *testing.T) {
	f := func(text, want string, sanitised bool) {
		t.Helper()
		v, s := scanAny([]byte(text))
		if v != want || s.failed() || s.sanitised != sanitised {
			t.Errorf("%q: %q (%s), sanitised %v", text, v, s.reason, s.sanitised)
		}
	}
	f("\"two\nlines\"", "two\nlines", true)
	f("\"\x00\x1b[31m\t\\u0041\r\n\"", "\x00\x1b[31m\tA\r\n", true)
	f("\"\x01\xff\"", "\x01\uf7ff", true)
	f(`"two\nlines"`, "two\nlines", false)
	f("\ufeff\"marked\"", "marked", false)
}

// TestPlainStopsAtEveryByte puts each byte at each place of two words.
func TestPlainStopsAtEveryByte(t *testing.T) {
	for c := range 256 {
		stops := c < ' ' || c == '"' || c == '\\' || c >= 0x80
		for at := range 16 {
			for _, before := range []byte{' ', '!', '#', '[', ']', 0x7f} {
				b := bytes.Repeat([]byte{before}, 16)
				b[at] = byte(c)
				want := len(b)
				if stops {
					want = at
				}
				if got := plain(b, 0); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
			}
		}
	}
}

// TestWhatIsNoTextStaysApart: each byte and each half of a pair has a rune of its
// own, and is found again in it.
func TestWhatIsNoTextStaysApart(t *testing.T) {
	seen := map[string]string{}
	f := func(text string, want rune) {
		t.Helper()
		v, s := scanAny([]byte(text))
		got, _ := v.(string)
		if got != string(want) || !s.sanitised || s.failed() {
			t.Errorf("%q: %+q, sanitised %v, %s; want %+q", text, got, s.sanitised, s.reason, want)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q are one", text, other)
		}
		seen[got] = text
	}
	for b := 0x80; b <= 0xff; b++ {
		f("\""+string([]byte{byte(b)})+"\"", 0xf700+rune(b))
	}
	for r := 0xd800; r <= 0xdfff; r++ {
		f(fmt.Sprintf(`"\u%04x"`, r), 0xe000+rune(r-0xd800))
	}
}
