package hostile

import (
	"fmt"
	"strings"
)

// values has one of every type, and of arrays and objects several.
var values = []string{
	`null`, `true`, `false`, `0`, `-1.5`, `""`, `"x"`, `[]`, `{}`, `[1]`, `[[]]`, `{"a":1}`, `{"a":{}}`, `[{"a":"b"}]`, `{"a":null}`,
}

// types puts a value of every type in every place.
func types(add func(Case)) {
	is := func(bad bool, v verdict) verdict {
		if bad {
			return v
		}
		return good
	}
	for _, v := range values {
		collection := v[0] == '[' || v[0] == '{'
		member := func(name string, e element) { one(add, name+"="+v, e) }

		labels := element{json: `{"labels":` + v + `}`, is: is(v != `{"a":1}` && v != `{"a":{}}`, refused)}
		if v == `{"a":{}}` {
			labels.is = flawed
		}
		member("labels", labels)
		member("element", element{json: v, is: refused})

		e := withLabels(`"x":` + v)
		e.is = is(collection, flawed)
		member("labels.x", e)
		member("annotations.x", labelled(`"annotations":{"x":`+v+`}`))
		member("unknown", labelled(`"unknown":`+v))
		for _, m := range []string{"annotations", "startsAt", "endsAt", "generatorURL"} {
			want := byte('"')
			if m == "annotations" {
				want = '{'
			}
			e := labelled(`"` + m + `":` + v)
			e.is = is(v != `null` && v[0] != want, flawed)
			member(m, e)
		}
		typesOfTheWhole(add, v)
	}
}

// typesOfTheWhole are the places that differ from source to source.
func typesOfTheWhole(add func(Case), v string) {
	status := labelled(`"status":` + v)
	if v != `null` && v[0] != '"' {
		status.is = flawed
	}
	add(Case{Name: "status=" + v, Source: Alertmanager, Want: expect(status), Body: func() []byte { return list(Alertmanager, status) }})
	status.is = good // not read there
	add(Case{Name: "status=" + v, Source: Prometheus, Want: expect(status), Body: func() []byte { return list(Prometheus, status) }})

	array := unreadable(0)
	if v == `[]` {
		array = Want{}
	}
	add(Case{Name: "alerts=" + v, Source: Alertmanager, Want: array, Body: text(`{"alerts":` + v + `}`)})
	add(Case{Name: "root=" + v, Source: Prometheus, Want: array, Body: text(v)})
	add(Case{Name: "root=" + v, Source: Alertmanager, Want: unreadable(0), Body: text(v)})
}

// positions puts an element that is no alert at each place among good ones.
func positions(add func(Case)) {
	const n = 6
	for _, bad := range []string{
		`7`, `"x"`, `null`, `true`, `[]`, `{}`, `{"labels":null}`, `{"labels":[]}`, `{"labels":"x"}`, `{"labels":{}}`, `{"labels":{"a":""}}`, `{"annotations":{"a":"b"}}`,
		`{"labels":{"":""},"startsAt":7}`,
	} {
		for at := range n {
			var all []element
			for i := range n {
				all = append(all, plain(i))
			}
			all[at] = element{json: bad, is: refused}
			both(add, fmt.Sprintf("%s at %d", bad, at), all, unmarked)
		}
	}
	var everyOther, all []element
	for i := range 200 {
		everyOther = append(everyOther, plain(i), element{json: `{"labels":[7]}`, is: refused})
		all = append(all, element{json: `7`, is: refused})
	}
	both(add, "every other", everyOther)
	both(add, "all", all)
}

// truncated cuts a body at every point where its structure changes.
func truncated(add func(Case)) {
	elements := []element{plain(0), plain(1), labelled(`"annotations":{"a":[1,{"b":null}]},"endsAt":"2025-06-01T13:00:00Z","x":-1.5e+7`)}
	for _, source := range []string{Alertmanager, Prometheus} {
		body := string(list(source, elements...))
		var ends []int
		at := 0
		for _, e := range elements {
			at += strings.Index(body[at:], e.json) + len(e.json)
			ends = append(ends, at)
		}
		for i := range body {
			if i > 0 && !strings.ContainsRune(`{}[]:,"`, rune(body[i])) && !strings.ContainsRune(`{}[]:,"`, rune(body[i-1])) {
				continue
			}
			accepted := 0
			for _, end := range ends {
				if end <= i {
					accepted++
				}
			}
			add(Case{Name: fmt.Sprint(i), Source: source, Want: unreadable(accepted), Body: text(body[:i])})
		}
	}
}

// syntax puts what is no JSON into the first, the middle and the last element.
func syntax(add func(Case)) {
	for _, broken := range []string{
		`{"labels":{"a":NaN}}`, `{"labels":{"a":Infinity}}`, `{"labels":{"a":-Infinity}}`, `{"labels":{"a":+1}}`, `{"labels":{"a":01}}`, `{"labels":{"a":.5}}`,
		`{"labels":{"a":1.}}`, `{"labels":{"a":0x10}}`, `{"labels":{"a":1e}}`, `{"labels":{"a":-}}`, `{"labels":{"a":1_000}}`, `{"labels":{"a":True}}`,
		`{"labels":{"a":None}}`, `{"labels":{"a":undefined}}`, `{"labels":{"a":nul}}`, `{"labels":{"a":'b'}}`, `{'labels':{}}`, `{labels:{"a":"b"}}`,
		`{"labels":{"a":"b",}}`, `{"labels":{,"a":"b"}}`, `{"labels":{"a" "b"}}`, `{"labels":{"a":"b" "c":"d"}}`, `{"labels":{"a":"b"};}`, `{"labels"={"a":"b"}}`,
		`{"labels":{"a":"\x41"}}`, `{"labels":{"a":"\u12G4"}}`, `{"labels":{"a":"\u12"}}`, `{"labels":{"a":"\'"}}`, `{"labels":{"a":"\101"}}`, `{"labels":{"a":"b\"}}`,
		`{"labels":{"a":"b"}/*c*/}`, "{\"labels\":{\"a\":\"b\"}//c\n}", "{\"labels\":{\"a\":\"b\"}#c\n}", `{"labels":{"a":}}`, `{"labels":{:"b"}}`, `{"labels":{"a":"b"]}`,
		`{"labels":["a":"b"]}`, `{"labels":{"a":"b"}`, `{"labels":{"a":"b"}}}`, `{{"labels":{"a":"b"}}}`, "{\"labels\":{\"a\":\x00}}", "{\"labels\":{\"a\"\xa0:\"b\"}}",
		`<alert/>`, `(1)`, `{"labels":{1:"b"}}`, `{"labels":{null:"b"}}`, `{"labels":{"a":"b"},,"x":1}`, "{\"labels\":{\"a\":`b`}}", `{"labels":{...}}`, `@`,
	} {
		for at := range 3 {
			elements := []element{plain(0), plain(1), plain(2)}
			elements[at] = element{json: broken}
			both(add, fmt.Sprintf("%s at %d", clip(broken), at), elements, func(w *Want) {
				*w = unreadable(at)
				if broken == `{"labels":{"a":"b"}}}` { // an alert, and a bracket too many
					w.Firing++
				}
			})
		}
	}
}

// numbers are JSON, but no machine holds some of them.
func numbers(add func(Case)) {
	for _, n := range []string{
		`0`, `-0`, `-0.0`, `1e999`, `-1e999`, `1E-999`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775809`, `18446744073709551616`,
		`1.7976931348623157e309`, `4.9e-325`, `0.1`, `1e+5`, `1E5`, strings.Repeat("9", 1000), `0.` + strings.Repeat("3", 1000), `1e` + strings.Repeat("9", 1000),
	} {
		one(add, "label "+clip(n), withLabels(`"x":`+n), unmarked)
		one(add, "annotation "+clip(n), labelled(`"annotations":{"x":`+n+`}`), unmarked)
		one(add, "unknown "+clip(n), labelled(`"x":[`+n+`]`), unmarked)
		startsAt := labelled(`"startsAt":` + n)
		startsAt.is = flawed
		one(add, "startsAt "+clip(n), startsAt)
	}
	for _, n := range []string{`-1`, `1.5`, `1e999`, `9223372036854775808`, `"7"`, `null`, `{}`, `[]`, `true`, `0`, `4294967296`} {
		add(Case{
			Name: "truncatedAlerts " + n, Source: Alertmanager, Want: expect(plain(0)),
			Body: text(`{"truncatedAlerts":` + n + `,"alerts":[` + plain(0).json + `]}`),
		})
	}
}

// depth nests values deeper and deeper. What is deeper than any sender needs
// ends the reading.
func depth(add func(Case)) {
	const most = 512
	for _, n := range []int{1, 2, 10, 100, 511, 512, 513, 1000, 10_000, 1 << 20} {
		for _, open := range []string{"[", `{"a":`} {
			end := map[string]string{"[": "]", `{"a":`: "}"}[open]
			inner := ""
			if open != "[" {
				inner = "1"
			}
			nested := func() string { return strings.Repeat(open, n) + inner + strings.Repeat(end, n) }
			for _, place := range []string{"unknown", "annotation", "label", "open"} {
				w := Want{Firing: 3}
				switch {
				case n > most || place == "open":
					w = unreadable(1)
				case place == "label":
					w.Problems = 1
				}
				for _, source := range []string{Alertmanager, Prometheus} {
					add(Case{Name: fmt.Sprintf("%s %s %d", place, open[:1], n), Source: source, Want: w, Body: func() []byte {
						return nestedIn(source, place, open, n, nested)
					}})
				}
			}
		}
	}
}

func nestedIn(source, place, open string, n int, nested func() string) []byte {
	var e element
	switch place {
	case "unknown":
		e = labelled(`"x":` + nested())
	case "annotation":
		e = labelled(`"annotations":{"x":` + nested() + `}`)
	case "label":
		e = withLabels(`"x":` + nested())
	default:
		e = labelled(`"x":` + strings.Repeat(open, n))
	}
	return list(source, plain(0), e, plain(1))
}
