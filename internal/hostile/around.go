package hostile

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/winnowhq/winnow/alert"
)

// around puts something before or behind a body, or between its parts.
func around(add func(Case)) {
	put := func(name string, change func(body string) string, w Want) {
		for _, source := range []string{Alertmanager, Prometheus} {
			add(Case{Name: name, Source: source, Want: w, Body: func() []byte { return []byte(change(string(list(source, plain(0), plain(1))))) }})
		}
	}
	fine, behind := Want{Firing: 2, Unmarked: true}, unreadable(2)
	for _, s := range []string{" ", "\n", "\r\n", "\t\t", strings.Repeat("\n", 1000)} {
		put("before "+clip(s), func(b string) string { return s + b }, fine)
		put("behind "+clip(s), func(b string) string { return b + s }, fine)
		put("between "+clip(s), func(b string) string {
			return strings.NewReplacer(`,"`, s+","+s+`"`, `":`, `"`+s+":"+s, "[", s+"["+s, "{", s+"{"+s, "]", s+"]"+s, "}", s+"}"+s).Replace(b)
		}, fine)
	}
	put("before a mark of the byte order", func(b string) string { return "\ufeff" + b }, fine)
	for _, s := range []string{
		"x", "{}", "[]", ",", "]", "}", ")", ";", "null", "0", `"`, `""`, "\x00", "\x1a", "\ufeff", "//", "/**/", "\xff", "\u00a0", "\f", "\v", "\n---\n", "\r\n\r\nHTTP/1.1 200 OK", strings.Repeat("\x00", 4096), strings.Repeat("x", 1<<20),
	} {
		put("behind "+clip(s), func(b string) string { return b + s }, behind)
	}
	for _, s := range []string{")]}',\n", "\x00", "x", "//c\n", "callback(", "json=", "\u00a0", "\f", "HTTP/1.1 200 OK\r\n\r\n", "\ufeff\ufeff", "\x1e", ",", "]", "}", "5\r\n", "---\n"} {
		put("before "+clip(s), func(b string) string { return s + b }, unreadable(0))
	}
	put("twice", func(b string) string { return b + b }, behind)
	put("lines of JSON", func(b string) string { return b + "\n" + b + "\n" }, behind)
	put("quoted", func(b string) string { return marshal(b) }, unreadable(0))
	put("in an array", func(b string) string { return "[" + b + "]" }, unreadable(0))
	put("in an object", func(b string) string { return `{"data":` + b + `}` }, unreadable(0))
}

// formats are bodies that somebody took for what is wanted here.
func formats(add func(Case)) {
	gone := strings.NewReplacer("LABELS", `"labels":{"alertname":"A"}`)
	other := map[string]string{
		"YAML":                "alerts:\n- labels:\n    alertname: A\n",
		"TOML":                "[[alerts]]\n[alerts.labels]\nalertname = \"A\"\n",
		"XML":                 "<alerts><alert><labels><alertname>A</alertname></labels></alert></alerts>",
		"CSV":                 "alertname,severity\nA,critical\n",
		"form":                "payload=%7B%22alerts%22%3A%5B%5D%7D",
		"multipart":           "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n[]\r\n--x--\r\n",
		"HTML":                "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
		"Python":              "[{'labels': {'alertname': 'A'}, 'x': None}]",
		"JavaScript":          "[{labels:{alertname:'A'}}]",
		"a call":              "callback([{}])",
		"logfmt":              "level=error msg=x",
		"text format":         "# TYPE up gauge\nup 0\n",
		"syslog":              "<34>1 2025-06-01T12:00:00Z host app - - - x",
		"PNG":                 "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
		"PDF":                 "%PDF-1.7\n",
		"ZIP":                 "PK\x03\x04\x14\x00",
		"ELF":                 "\x7fELF\x02\x01\x01",
		"zstd":                "\x28\xb5\x2f\xfd\x04\x00",
		"gzip without a name": "\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"snappy":              "\xff\x06\x00\x00sNaPpY",
		"protobuf":            "\x0a\x0f\x0a\x09alertname\x12\x01A",
		"CBOR":                "\x81\xa1\x66labels\xa1\x69alertname\x61A",
		"MessagePack":         "\x91\x81\xa6labels\x81\xa9alertname\xa1A",
		"BSON":                "\x16\x00\x00\x00\x02a\x00\x02\x00\x00\x00b\x00\x00",
		"Avro":                "Obj\x01\x04\x16avro.schema",
		"GraphQL":             "mutation { alert(name: \"A\") { id } }",
		"HTTP":                "POST /ingest HTTP/1.1\r\nHost: x\r\n\r\n[]",
		"TLS":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"a number":            "42", "a string": `"alert"`, "true": "true", "base64": "W3t9XQ==", "hex": "5b7b7d5d", "a template": "{{ .Alerts | toJson }}",
		"a shell's variable": "$PAYLOAD", "a file's name": "@alerts.json", "undefined": "undefined", "an object of an object": "[object Object]", "dots": "...",
		"other alerts": `{"incident":{"id":1}}`, "GitHub": `{"zen":"Keep it logically awesome.","hook":{}}`, "CloudWatch": `{"Type":"Notification","Message":"{}"}`,
		"Slack": `{"text":"A","attachments":[]}`, "JSON-RPC": `{"jsonrpc":"2.0","method":"alert","params":[]}`, "a JSON string of JSON": marshal(gone.Replace(`[{LABELS}]`)),
		"GELF": `{"version":"1.1","host":"x","short_message":"A"}`, "an error": `{"error":"unauthorized"}`,
	}
	for _, name := range slices.Sorted(maps.Keys(other)) {
		body := other[name]
		for _, source := range []string{Alertmanager, Prometheus} {
			add(Case{Name: name, Source: source, Want: unreadable(0), Body: text(body)})
		}
	}
	for _, source := range []string{Alertmanager, Prometheus} {
		body := string(list(source, plain(0)))
		add(Case{Name: "UTF-16, little end first", Source: source, Want: unreadable(0), Body: func() []byte { return utf16Bytes(body, binary.LittleEndian) }})
		add(Case{Name: "UTF-16, big end first", Source: source, Want: unreadable(0), Body: func() []byte { return utf16Bytes(body, binary.BigEndian) }})
		add(Case{Name: "UTF-32", Source: source, Want: unreadable(0), Body: func() []byte { return utf32Bytes(body) }})
		add(Case{Name: "UTF-7", Source: source, Want: unreadable(0), Body: text(strings.NewReplacer("{", "+AHs-", "[", "+AFs-").Replace(body))})
		add(Case{Name: "EBCDIC", Source: source, Want: unreadable(0), Body: text("\xad\xc0\x7f\x93\x81\x82\x85\x93\xa2\x7f")})
		add(Case{Name: "noise", Source: source, Want: unreadable(0), Body: func() []byte { return noise(1 << 20) }})
	}
}

func utf16Bytes(s string, order binary.AppendByteOrder) []byte {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func utf32Bytes(s string) []byte {
	var b []byte
	for _, r := range s {
		b = binary.LittleEndian.AppendUint32(b, uint32(r))
	}
	return b
}

// noise is n bytes without a pattern, the same each time, the first one no part
// of JSON.
func noise(n int) []byte {
	b := bytes.Repeat([]byte{0x99}, n)
	state := uint32(1)
	for i := 1; i < n; i++ {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return b
}

// envelope is what stands around Alertmanager's alerts and is not believed.
func envelope(add func(Case)) {
	f := func(name, before, after string, change ...func(*Want)) {
		w := expect(plain(0))
		for _, c := range change {
			c(&w)
		}
		add(Case{Name: name, Source: Alertmanager, Want: w, Body: text(`{` + before + `"alerts":[` + plain(0).json + `]` + after + `}`)})
	}
	for _, status := range []string{`"resolved"`, `"firing"`, `""`, `null`, `7`, `[]`, `{}`} {
		f("status of the group "+status, `"status":`+status+`,`, "")
	}
	for _, version := range []string{`"4"`, `"3"`, `"5"`, `4`, `null`, `"v4"`} {
		f("version "+version, `"version":`+version+`,`, "")
	}
	for _, n := range []string{`0`, `7`, `-7`, `2147483648`, `1e9`, `"7"`, `[7]`} {
		f("truncatedAlerts "+n, "", `,"truncatedAlerts":`+n)
	}
	f("common labels of a wrong type", `"commonLabels":7,"groupLabels":[],"commonAnnotations":"x",`, "")
	f("common labels that contradict", `"commonLabels":{"severity":"info"},"groupLabels":{"alertname":"B"},`, "", severe(alert.Critical))
	f("a key of a megabyte", `"groupKey":"`+filled("k", 1<<20)+`",`, "")
	f("a receiver of markup", `"receiver":"<!channel>\u001b[2J",`, "")
	f("a thousand members", numbered(1000, `"m%d":[{"labels":{}}]`)+`,`, "")
	f("alerts within", `"data":{"alerts":[{"labels":{"a":"b"}}]},`, "")
	f("behind", "", `,"x":{"alerts":[7]}`)
	f("no quotes behind", "", `,x:1`, func(w *Want) { *w = unreadable(1) })
	for _, s := range []struct {
		status string
		is     verdict
	}{{"resolved", over}, {"RESOLVED", over}, {"Resolved", over}, {"firing", good}, {"suppressed", good}, {"", good}, {"resolved ", good}, {"ok", good}, {"resolvеd", good}} {
		e := labelled(`"status":"` + s.status + `","endsAt":"2025-06-01T11:59:30Z"`)
		e.is = s.is
		add(Case{Name: "status " + s.status, Source: Alertmanager, Want: expect(e), Body: func() []byte { return list(Alertmanager, e) }})
	}
}
