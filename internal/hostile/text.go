package hostile

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// places are where a sender can put a string.
var places = []struct {
	name    string
	element func(quoted string) element
	kept    bool // the string is kept, so that what is wrong with it is marked
}{
	{"alertname", func(q string) element { return element{json: `{"labels":{"alertname":` + q + `}}`} }, true},
	{"label", func(q string) element { return withLabels(`"x":` + q) }, true},
	{"label name", func(q string) element { return withLabels(q + `:"x"`) }, true},
	{"annotation", func(q string) element { return labelled(`"annotations":{"summary":` + q + `}`) }, true},
	{"annotation name", func(q string) element { return labelled(`"annotations":{` + q + `:"x"}`) }, true},
	{"generatorURL", func(q string) element { return labelled(`"generatorURL":` + q) }, true},
	{"unknown", func(q string) element { return labelled(`"x":` + q + `,` + `"y":{` + q + `:1}`) }, false},
}

// everywhere puts a string, quoted as JSON, in every place.
func everywhere(add func(Case), name, quoted string, m alert.Mark) {
	for _, p := range places {
		change := unmarked
		if m != 0 && p.kept {
			change = marked(m)
		}
		one(add, name+" in "+p.name, p.element(quoted), change)
	}
}

// damage is text that is not UTF-8.
func damage(add func(Case)) {
	for _, d := range []struct{ name, bytes string }{
		{"continuation alone", "a\x80b"}, {"two continuations", "\xbf\x80"}, {"cut after one of two", "a\xc3"}, {"cut after one of three", "a\xe6b"},
		{"cut after two of three", "a\xe6\x9db"}, {"cut after three of four", "a\xf0\x9f\x92b"}, {"overlong slash", "a\xc0\xafb"}, {"overlong NUL", "\xc0\x80"},
		{"overlong of three", "\xe0\x80\xaf"}, {"overlong of four", "\xf0\x80\x80\xaf"}, {"surrogate", "\xed\xa0\x80"}, {"surrogate pair", "\xed\xa0\xbd\xed\xb2\xa9"},
		{"above the last character", "\xf4\x90\x80\x80"}, {"five bytes", "\xf8\x88\x80\x80\x80"}, {"0xff", "a\xffb"}, {"0xfe 0xff", "\xfe\xff"},
		{"Latin-1", "Gr\xf6\xdfe"}, {"Windows-1252", "it\x92s"}, {"Shift JIS", "\x93\x8c\x8b\x9e"}, {"many", strings.Repeat("\xff", 2000)},
	} {
		everywhere(add, d.name, `"`+d.bytes+`"`, alert.MarkSanitised)
	}
	one(add, "in a time", labelled("\"startsAt\":\"2025\xff\""), marked(alert.MarkClock))
	one(add, "between values", element{json: "{\"labels\":{\"a\":\"b\"}\xff}"}, func(w *Want) { *w = unreadable(0) })
}

// unseen are characters that nobody sees, or that change what is seen.
var unseen = []rune{
	0x00, 0x01, 0x07, 0x08, '\t', '\n', '\v', '\f', '\r', 0x1b, 0x1f, 0x7f, 0x80, 0x85, 0x8d, 0x9b, 0x9c, 0x9d, 0x9f, 0xa0, 0xad,
	0x061c, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e,
	0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0x3164, 0xe000, 0xfe0f, 0xfeff, 0xfff9, 0xfffd, 0xfffe, 0xffff, 0xe0001, 0xe0041, 0x10ffff,
}

// controls are characters that must not reach a terminal or a log, escaped as
// JSON wants it and, below U+0020, as they are.
func controls(add func(Case)) {
	for _, r := range unseen {
		name := fmt.Sprintf("%U", r)
		everywhere(add, name, quote("before"+string(r)+"after"), 0)
		if r < ' ' {
			everywhere(add, name+" not escaped", `"before`+string(r)+`after"`, alert.MarkSanitised)
		}
	}
}

// quote writes s as JSON, with everything escaped that is not printable ASCII.
func quote(s string) string { return asciiEscapes(strconv.QuoteToASCII(s)) }

// asciiEscapes turns Go's escapes into JSON's.
func asciiEscapes(q string) string {
	var b strings.Builder
	for i := 0; i < len(q); {
		if q[i] != '\\' {
			b.WriteByte(q[i])
			i++
			continue
		}
		r, _, rest, err := strconv.UnquoteChar(q[i:], '"')
		if err != nil {
			panic("hostile: an escape of strconv's own: " + err.Error())
		}
		i = len(q) - len(rest)
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// escapes are JSON's own, right, odd and halved.
func escapes(add func(Case)) {
	for _, q := range []string{
		`"\u0041"`, `"\ud83d\udca9"`, `"\/\b\f\n\r\t\"\\"`, `"\u00e9"`, `"\uFFFF"`, `"\u0000"`, `"\\u0041"`, `"\\\\"`, `"a\u0301"`,
	} {
		everywhere(add, q, q, 0)
	}
	for _, q := range []string{`"\ud83d"`, `"\udca9"`, `"\ud83d\u0041"`, `"\udca9\ud83d"`, `"\ud83d\ud83d\udca9"`, `"a\ud83d"`, `"\ud83dx\udca9"`} {
		everywhere(add, q, q, alert.MarkSanitised)
	}
	one(add, "names of members", element{json: `{"\u006cabels":{"a":"b"},"\u0061nnotations":{"c":"d"}}`}, unmarked)
	one(add, "twice by an escape", element{json: `{"labels":{"severity":"info","\u0073everity":"critical"}}`}, marked(alert.MarkDuplicateKey), severe(alert.Critical))
	one(add, "thousands", withLabels(`"x":"`+strings.Repeat(`\u00e9\n`, 5000)+`"`), unmarked)
}

// names are label names that no rule of Prometheus makes.
func names(add func(Case)) {
	for _, n := range []string{
		"", " ", "a b", "é", "東京", "0a", "__name__", "__reserved__", "a.b", "a-b", "a:b", "a/b", "a~b", "a~1b", `a"b`, `a\b`, "a{b}", "a=b", "a,b", "a'b", "a`b",
		"{{.}}", "$labels", "alertname ", "Alertname", "ALERTNAME", "labels", "le", "quantile", "winnow_truncated", "instance\x00", "constructor", "__proto__", "toString",
		"a\nb", "a\tb", "\u202ea", strings.Repeat("n", 1000), "🚒", "a\u0301", "-", "~", "*", "%s", "%00", "../../x", "null", "true", "NaN",
	} {
		one(add, "label "+clip(n), withLabels(quote(n)+`:"x"`), unmarked)
		one(add, "annotation "+clip(n), labelled(`"annotations":{`+quote(n)+`:"x"}`), unmarked)
		one(add, "only label "+clip(n), element{json: `{"labels":{` + quote(n) + `:"x"}}`}, unmarked)
	}
}

// injection puts each of Strings wherever a sender can.
func injection(add func(Case)) {
	for i, s := range Strings() {
		e := []element{{json: `{"labels":{"alertname":` + marshal(s) + `,"severity":"critical","x":` + marshal(s) + `},"annotations":{"summary":` + marshal(s) + `,` +
			marshal(s) + `:"x"},"generatorURL":` + marshal(s) + `}`}, {json: `{"labels":{"alertname":"Name",` + marshal("n"+s) + `:"x"}}`}}
		both(add, fmt.Sprintf("%d %s", i, clip(s)), e)
	}
}

func marshal(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("hostile: marshal a string: " + err.Error())
	}
	return string(b)
}
