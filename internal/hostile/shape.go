package hostile

import (
	"fmt"
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// What Winnow takes of one alert before it cuts, as documented.
const (
	mostLabels     = 256
	mostNameBytes  = 1 << 10
	mostValueBytes = 64 << 10
)

// duplicates are names that stand twice, in one case and in others.
func duplicates(add func(Case)) {
	twice := marked(alert.MarkDuplicateKey)
	element := func(json string) element { return element{json: json} }
	for _, m := range []struct{ name, a, b string }{
		{"labels", `{"alertname":"A","severity":"critical"}`, `{"alertname":"B","severity":"info"}`},
		{"labels", `{"alertname":"A","severity":"info"}`, `{"severity":"critical"}`},
		{"labels", `{"alertname":"A","severity":"critical"}`, `{}`},
		{"labels", `{}`, `{"alertname":"A","severity":"critical"}`},
		{"labels", `{"alertname":"A","severity":"critical"}`, `null`},
	} {
		for _, second := range []string{m.name, strings.ToUpper(m.name), "Labels", "lAbElS"} {
			one(add, fmt.Sprintf("%s %s, %s %s", m.name, m.a, second, m.b), element(`{"`+m.name+`":`+m.a+`,"`+second+`":`+m.b+`}`), twice, severe(alert.Critical))
		}
	}
	for _, m := range []struct{ name, a, b string }{
		{"annotations", `{"a":"1"}`, `{"a":"2"}`}, {"annotations", `{"a":"1"}`, `null`}, {"annotations", `null`, `{}`},
		{"startsAt", `"2025-06-01T11:00:00Z"`, `"2025-06-01T11:30:00Z"`}, {"startsAt", `null`, `"x"`}, {"endsAt", `"2025-06-01T13:00:00Z"`, `"2025-06-01T14:00:00Z"`},
		{"generatorURL", `"http://a"`, `"http://b"`}, {"generatorURL", `null`, `"http://b"`},
	} {
		for _, second := range []string{m.name, strings.ToUpper(m.name), strings.ToUpper(m.name[:1]) + m.name[1:]} {
			one(add, fmt.Sprintf("%s %s, %s %s", m.name, m.a, second, m.b), labelled(`"`+m.name+`":`+m.a+`,"`+second+`":`+m.b), twice)
		}
	}
	severityTwice := func(a, b string, want alert.Severity) {
		one(add, "severity "+a+" then "+b, element(`{"labels":{"alertname":"A","severity":"`+a+`","severity":"`+b+`"}}`), twice, severe(want))
		one(add, "severity "+a+" far from "+b, element(`{"labels":{"severity":"`+a+`","z":"1","y":"2","severity":"`+b+`","alertname":"A"}}`), twice, severe(want))
		one(add, "priority "+a+" then "+b, element(`{"labels":{"alertname":"A","priority":"`+a+`","priority":"`+b+`"}}`), twice, severe(want))
	}
	severityTwice("critical", "info", alert.Critical)
	severityTwice("info", "critical", alert.Critical)
	severityTwice("critical", "critical", alert.Critical)
	severityTwice("critical", "", alert.Critical)
	severityTwice("", "critical", alert.Critical)
	severityTwice("page", "p3", alert.Critical)
	severityTwice("warning", "error", alert.Error)
	severityTwice("error", "info", alert.Error)

	one(add, "a label a thousand times", element(`{"labels":{"alertname":"A"`+strings.Repeat(`,"a":"b"`, 1000)+`}}`), twice)
	one(add, "labels a thousand times", element(`{`+strings.Repeat(`"labels":{"alertname":"A"},`, 999)+`"labels":{"a":"b"}}`), twice)
	again := strings.Repeat(`"labels":{},`, 100_000)
	one(add, "many labels and then none, again and again", element(`{"labels":{`+numbered(250, `"l%d":"v"`)+`},`+again+`"x":1}`), twice)
	one(add, "labels and annotations by turns", element(`{"labels":{`+numbered(250, `"l%d":"v"`)+`},"annotations":{`+numbered(250, `"a%d":"v"`)+`},`+
		strings.ReplaceAll(again[:len(again)/10], `{},`, `{},"annotations":{},`)+`"x":1}`), twice)
	one(add, "an annotation twice", labelled(`"annotations":{"a":"1","a":"2"}`), twice)
	one(add, "unknown twice", labelled(`"x":1,"x":2`), unmarked)
	one(add, "label names in two cases", withLabels(`"Team":"a","team":"b","TEAM":"c"`), unmarked)
	one(add, "an alert twice", element(`{"labels":{"alertname":"A"}},{"labels":{"alertname":"A"}}`), func(w *Want) { w.Firing = 2 })
	for _, second := range []string{"alerts", "Alerts", "ALERTS"} {
		add(Case{
			Name: "alerts, " + second, Source: Alertmanager, Want: expect(plain(0), plain(1)),
			Body: text(`{"alerts":[` + plain(0).json + `],"` + second + `":[` + plain(1).json + `]}`),
		})
	}
	one(add, "in another case alone", element(`{"Labels":{"alertname":"A","severity":"critical"},"StartsAt":"2025-06-01T11:00:00Z","Annotations":{"a":"b"}}`), unmarked, severe(alert.Critical))
}

// severities are words for how bad it is, one or several of them at odds.
func severities(add func(Case)) {
	f := func(labels string, want alert.Severity) {
		one(add, labels, element{json: `{"labels":{"alertname":"A",` + labels + `}}`}, unmarked, severe(want))
	}
	for _, want := range []alert.Severity{alert.Critical, alert.Error, alert.Warning, alert.Info} {
		word := want.String()
		f(`"severity":"`+word+`"`, want)
		f(`"severity":" `+strings.ToUpper(word)+` "`, want)
		f(`"priority":"`+word+`"`, want)
		f(`"level":"`+word+`"`, want)
		f(`"severity":"`+word+`","priority":"p1","level":"fatal"`, want)
		f(`"severity":"","priority":"`+word+`"`, want)
	}
	for _, word := range []string{"P1", "page", "fatal", "0", "SEV1", "disaster"} {
		f(`"severity":"`+word+`"`, alert.Critical)
	}
	f(`"severity":1`, alert.Critical) // a number is taken as its text
	for _, word := range []string{"bogus", "crítical", "critical critical critical", "критический", "\\u0000critical", "critical\\u200b", "criticаl", "-1", "99", "true", "{}", "<!channel>", "critical,info"} {
		one(add, "word "+word, element{json: `{"labels":{"alertname":"A","severity":"` + word + `"}}`}, unmarked)
	}
	one(add, "none", element{json: `{"labels":{"alertname":"A"}}`}, unmarked)
	one(add, "in another case", element{json: `{"labels":{"alertname":"A","Severity":"critical"}}`}, unmarked)
}

// sizes are strings and sets around the limits, and far beyond them.
func sizes(add func(Case)) {
	truncatedAbove := func(n, limit int) func(*Want) {
		if n > limit {
			return marked(alert.MarkTruncated)
		}
		return unmarked
	}
	for _, fill := range []string{"x", "é", "東", "🚒", "\u0301", " "} {
		for _, n := range []int{mostValueBytes - 1, mostValueBytes, mostValueBytes + 1, 2 * mostValueBytes} {
			s := filled(fill, n)
			one(add, fmt.Sprintf("label of %d %s", n, clip(fill)), withLabels(`"x":"`+s+`"`), truncatedAbove(n, mostValueBytes), severe(alert.Critical))
			one(add, fmt.Sprintf("annotation of %d %s", n, clip(fill)), labelled(`"annotations":{"x":"`+s+`"}`), truncatedAbove(n, mostValueBytes))
		}
		for _, n := range []int{mostNameBytes - 1, mostNameBytes, mostNameBytes + 1, 64 << 10} {
			one(add, fmt.Sprintf("label name of %d %s", n, clip(fill)), withLabels(`"`+filled(fill, n)+`":"x"`), truncatedAbove(n, mostNameBytes), severe(alert.Critical))
		}
	}
	for _, n := range []int{1 << 20, 4 << 20} {
		one(add, fmt.Sprintf("label of %d", n), withLabels(`"x":"`+filled("x", n)+`"`), marked(alert.MarkTruncated), severe(alert.Critical))
		one(add, fmt.Sprintf("alertname of %d", n), element{json: `{"labels":{"alertname":"` + filled("x", n) + `","severity":"critical"}}`}, marked(alert.MarkTruncated), severe(alert.Critical))
		one(add, fmt.Sprintf("link of %d", n), labelled(`"generatorURL":"http://`+filled("x", n)+`"`), marked(alert.MarkTruncated))
		one(add, fmt.Sprintf("unknown of %d", n), labelled(`"x":"`+filled("x", n)+`"`), unmarked)
		one(add, fmt.Sprintf("escapes of %d", n), labelled(`"annotations":{"x":"`+filled(`\u00e9`, n)+`"}`), marked(alert.MarkTruncated))
		one(add, fmt.Sprintf("damage of %d", n), labelled(`"annotations":{"x":"`+filled("\xff", n)+`"}`), marked(alert.MarkTruncated|alert.MarkSanitised))
	}
	for _, n := range []int{mostLabels - 4, mostLabels - 3, mostLabels, mostLabels + 1, 1000, 10_000, 100_000} {
		labels := numbered(n, `"l%06d":"v"`)
		one(add, fmt.Sprintf("%d labels", n), withLabels(labels), truncatedAbove(n+2, mostLabels), severe(alert.Critical))
		one(add, fmt.Sprintf("%d labels first", n), element{json: `{"labels":{` + labels + `,"alertname":"A","severity":"critical"}}`}, truncatedAbove(n+2, mostLabels), severe(alert.Critical))
		one(add, fmt.Sprintf("%d annotations", n), labelled(`"annotations":{`+labels+`}`), truncatedAbove(n, mostLabels))
	}
	for _, kib := range []int{1, 8, 32} {
		one(add, fmt.Sprintf("200 labels of %d KiB", kib), withLabels(numbered(200, `"l%03d":"`+filled("x", kib<<10)+`"`)), severe(alert.Critical))
	}
	differ := func(what, before, after string) {
		both(add, what, []element{withLabels(`"x":"` + before + `1` + after + `"`), withLabels(`"x":"` + before + `2` + after + `"`)}, func(w *Want) { w.Distinct = true })
	}
	differ("differ behind the cut", filled("x", 100_000), "")
	differ("differ before a long end", "", filled("x", 100_000))
	many := numbered(1000, `"l%04d":"v"`)
	both(add, "differ in a label that is dropped", []element{withLabels(many + `,"z":"1"`), withLabels(many + `,"z":"2"`)}, func(w *Want) { w.Distinct = true })
}

// filled repeats fill up to n bytes at most, and with x to n.
func filled(fill string, n int) string {
	s := strings.Repeat(fill, n/len(fill))
	return s + strings.Repeat("x", n-len(s))
}

// numbered writes n members, each with its number.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// counts are batches of many, up to a group of a hundred thousand.
func counts(add func(Case)) {
	for _, n := range []int{0, 1, 2, 511, 512, 513, 1024, 2000, 5000, 20_000, 100_000} {
		for _, source := range []string{Alertmanager, Prometheus} {
			add(Case{Name: fmt.Sprint(n), Source: source, Want: Want{Firing: n, Unmarked: true, Distinct: true}, Body: func() []byte { return crowd(source, n) }})
			if n == 5000 || n == 20_000 {
				continue
			}
			add(Case{Name: fmt.Sprint(n, " in chunks"), Source: source, Want: Want{Firing: n, Unmarked: true, Distinct: true}, Chunked: true, Body: func() []byte { return crowd(source, n) }})
		}
	}
	for _, source := range []string{Alertmanager, Prometheus} {
		add(Case{
			Name: "100000 that are no alerts", Source: source, Want: Want{Problems: 100_000, Quarantined: 100_000},
			Body: func() []byte { return list(source, element{json: strings.Repeat("1,", 99_999) + "1"}) },
		})
		add(Case{Name: "100000 small", Source: source, Want: Want{Firing: 100_000}, Body: func() []byte {
			return list(source, element{json: strings.Repeat(`{"labels":{"a":"b"}},`, 99_999) + `{"labels":{"a":"b"}}`})
		}})
	}
}

// crowd is a list of n alerts as a real rule makes them.
func crowd(source string, n int) []byte {
	all := make([]element, n)
	for i := range all {
		all[i].json = fmt.Sprintf(`{"labels":{"alertname":"KubePodCrashLooping","severity":"critical","namespace":"team-%d","pod":"checkout-%d"},`+
			`"annotations":{"description":"Pod team-%d/checkout-%d keeps being restarted & backs off.","summary":"A pod crashes again and again."},`+
			`"startsAt":"2025-06-01T11:42:18.123Z","generatorURL":"http://prometheus-k8s-0:9090/graph?g0.expr=x"}`, i%97, i, i%97, i)
	}
	return list(source, all...)
}

// cardinality is one value of a label for each alert.
func cardinality(add func(Case)) {
	for _, place := range []string{"value", "name", "alertname", "service", "severity"} {
		for _, n := range []int{100, 10_000} {
			all := make([]element, n)
			for i := range all {
				switch place {
				case "value":
					all[i] = withLabels(fmt.Sprintf(`"request_id":"%08x"`, i*2654435761))
				case "name":
					all[i] = withLabels(fmt.Sprintf(`"l%d":"x"`, i))
				case "severity":
					all[i].json = fmt.Sprintf(`{"labels":{"alertname":"A","severity":"s%d"}}`, i)
				case "service":
					all[i] = withLabels(fmt.Sprintf(`"service":"s%d"`, i))
				default:
					all[i].json = fmt.Sprintf(`{"labels":{"alertname":"A%d"}}`, i)
				}
			}
			both(add, fmt.Sprintf("%d of a %s", n, place), all, func(w *Want) { w.Distinct = true })
		}
	}
}

// empty is nothing, in every place.
func empty(add func(Case)) {
	for _, body := range []string{"", " ", "\n", "\r\n\t ", "\ufeff", strings.Repeat(" ", 2<<20), "\x00", "null", `""`, "0", "false"} {
		for _, source := range []string{Alertmanager, Prometheus} {
			add(Case{Name: "body " + clip(body), Source: source, Want: unreadable(0), Body: text(body)})
		}
	}
	for _, e := range []element{
		{json: `{"labels":{"a":"b","c":""}}`}, {json: `{"labels":{"a":"b"},"annotations":{"c":"","":""}}`}, {json: `{"labels":{"":"b"}}`}, {json: `{"labels":{"a":" "}}`},
		{json: `{"labels":{"a":"b"},"startsAt":"","endsAt":"","generatorURL":"","status":""}`}, {json: `{"labels":{"alertname":""," ":"x"}}`},
		{json: `{"labels":{"a":""}}`, is: refused}, {json: `{"labels":{"":""}}`, is: refused}, {json: `{"labels":{"alertname":"","severity":""}}`, is: refused}, {json: `{"":{}}`, is: refused},
		{json: `{"labels":{"a":null}}`, is: refused}, {json: `{ }`, is: refused},
	} {
		one(add, e.json, e)
	}
	add(Case{Name: "null alerts", Source: Alertmanager, Want: unreadable(0), Body: text(`{"version":"4","alerts":null}`)})
	add(Case{Name: "no alerts", Source: Alertmanager, Want: unreadable(0), Body: text(`{"version":"4"}`)})
}
