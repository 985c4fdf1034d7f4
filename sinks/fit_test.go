package sinks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// fieldLimits are what providers take of a field, in the unit that they count in;
// where that is not known, in each that it may be. Path is where the field stands
// in a request; those of a form begin with "?".
var fieldLimits = []struct {
	kind, field, path string
	max               int
	size              func(string) int
}{
	{"discord", "title", "embeds/0/title", 256, utf8.RuneCountInString},
	{"discord", "message", "embeds/0/description", 4096, utf8.RuneCountInString},
	{"discord", "message", "embeds/0/description", 4096, utf16Len},
	{"discord", "content", "content", 2000, utf8.RuneCountInString},
	{"jira", "summary", "fields/summary", 255, utf8.RuneCountInString},
	{"jira", "description", "fields/description", 32767, utf16Len},
	{"mattermost", "text", "", 800_000, byteLen},
	{"msteams", "text", "", 28 << 10, byteLen},
	{"msteams", "title", "", 28 << 10, byteLen},
	{"msteamsv2", "text", "", 28 << 10, byteLen},
	{"opsgenie", "message", "message", 130, utf8.RuneCountInString},
	{"opsgenie", "description", "description", 15000, utf8.RuneCountInString},
	{"opsgenie", "description", "description", 15000, utf16Len},
	{"pagerduty", "description", "payload/summary", 1024, utf8.RuneCountInString},
	{"pagerduty", "details", "", 512_000, byteLen},
	{"pushover", "title", "?title", 250, utf8.RuneCountInString},
	{"pushover", "message", "?message", 1024, utf8.RuneCountInString},
	{"pushover", "url", "?url", 512, utf8.RuneCountInString},
	{"rocketchat", "title", "attachments/0/title", 1024, utf8.RuneCountInString},
	{"slack", "title", "attachments/0/title", 1024, utf8.RuneCountInString},
	{"sns", "message", "?Message", 256 << 10, byteLen},
	{"sns", "subject", "?Subject", 99, byteLen},
	{"telegram", "message", "text", 4096, utf8.RuneCountInString},
	{"victorops", "state_message", "state_message", 20480, utf8.RuneCountInString},
	{"webex", "message", "markdown", 7439, byteLen},
}

// picky is a provider that refuses what is over a limit.
type picky struct {
	kind    string
	refused []string // fields, with how long they were
	bodies  []string // those that were taken, with the query before
	fields  map[string]string
}

func (p *picky) take(r *http.Request, accept string) (status int, answer string) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	for _, l := range fieldLimits {
		if l.kind != p.kind {
			continue
		}
		text := at(l.path, r, b)
		if text != "" {
			p.fields[l.field] = text
		}
		if n := l.size(text); n > l.max || l.path != "" && !utf8.ValidString(text) {
			p.refused = append(p.refused, fmt.Sprintf("%s of %d", l.field, n))
			return http.StatusBadRequest, l.field + " is too long"
		}
	}
	p.bodies = append(p.bodies, readable(r, b))
	return http.StatusOK, accept
}

// at is a field of a request, all of it for no path.
func at(path string, r *http.Request, body []byte) string {
	if path == "" {
		return string(body)
	}
	if name, ok := strings.CutPrefix(path, "?"); ok {
		q := r.URL.Query()
		if form, err := url.ParseQuery(string(body)); err == nil && len(q) == 0 {
			q = form
		}
		return q.Get(name)
	}
	var v any
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	for name := range strings.SplitSeq(path, "/") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			v = x[0]
		}
	}
	s, _ := v.(string)
	return s
}

// readable is what people see of a request.
func readable(r *http.Request, body []byte) string {
	if form, err := url.ParseQuery(string(body)); err == nil && strings.Contains(r.Header.Get("Content-Type"), "urlencoded") {
		return fmt.Sprint(form)
	}
	return fmt.Sprint(r.URL.Query(), string(body))
}

// configured is the entry of integrations with one more setting.
func configured(t *testing.T, kind, setting string) (conf, accept string) {
	t.Helper()
	for _, c := range integrations {
		if c.kind == kind {
			return strings.Replace(c.conf, "[{", "[{"+setting, 1), c.accept
		}
	}
	t.Fatalf("no integration %s", kind)
	return "", ""
}

// least is what every provider of a kind takes of a field, where Winnow keeps
// below that on its own account.
func least(kind, field string) int {
	switch kind + " " + field {
	case "sns message":
		return 250 << 10
	case "sns subject":
		return 99
	}
	least := 1 << 30
	for _, l := range fieldLimits {
		if l.kind == kind && l.field == field {
			least = min(least, l.max)
		}
	}
	return least
}

// filled has so many of a unit, of the given character as long as that goes.
func filled(n int, size func(string) int, of string) string {
	s := strings.Repeat(of, n/size(of))
	return s + strings.Repeat("x", n-size(s))
}

// TestFieldLimits sends each field one short of its limit, at it and one beyond,
// in characters of one, two and four bytes, and nothing is refused. What the
// provider takes arrives whole.
func TestFieldLimits(t *testing.T) {
	p := newProvider(t)
	for _, l := range fieldLimits {
		setting := l.field + `: '{{ .CommonAnnotations.summary }}', `
		if l.field == "details" {
			setting = `details: {x: '{{ .CommonAnnotations.summary }}'}, `
		}
		conf, accept := configured(t, l.kind, setting)
		in := p.build(t, conf)
		for _, of := range []string{"x", "é", "😀"} {
			for _, n := range []int{l.max - 1, l.max, l.max + 1} {
				text := filled(n, l.size, of)
				provider := &picky{kind: l.kind, fields: map[string]string{}}
				p.set(func(w http.ResponseWriter, r *http.Request) {
					status, answer := provider.take(r, accept)
					w.WriteHeader(status)
					_, _ = io.WriteString(w, answer)
				})
				err := send(t, in, func(m *correlate.Notification) {
					m.Alerts[0].Annotations = alert.Labels{{Name: "summary", Value: text}}
				})
				what := fmt.Sprintf("%s: %s of %d × %s", l.kind, l.field, n, of)
				if err != nil || len(provider.refused) > 0 {
					t.Errorf("%s: refused %v: %.300v", what, provider.refused, err)
				}
				switch got := provider.fields[l.field]; {
				case len(provider.bodies) == 0:
					t.Errorf("%s: nothing was sent", what)
				case l.path != "" && of == "x" && n <= l.max && l.max == least(l.kind, l.field) && got != text:
					t.Errorf("%s: it fits, and %d arrived: %.200q", what, l.size(got), got)
				case l.path != "" && of == "x" && n > l.max && l.size(got) < least(l.kind, l.field)*9/10:
					t.Errorf("%s: %d arrived", what, l.size(got))
				}
			}
		}
	}
}

// TestNamesOutlastDescriptions: with the default templates and each provider's
// limits, three criticals are named whatever is said of them, and as many of many
// as there is room for; what is left out of a text that says how many is counted.
func TestNamesOutlastDescriptions(t *testing.T) {
	p := newProvider(t)
	long := strings.Repeat("This text goes on & on, as <b>some</b> do. 😀 ", 1300)
	f := func(what string, names int, alerts ...correlate.Member) {
		for _, c := range integrations {
			switch c.kind {
			case "email", "slack", "rocketchat", "incidentio", "webhook": // list none by default, or have no limit of a field
				continue
			}
			provider := &picky{kind: c.kind, fields: map[string]string{}}
			p.set(func(w http.ResponseWriter, r *http.Request) {
				status, answer := provider.take(r, c.accept)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, answer)
			})
			err := send(t, p.build(t, c.conf), func(m *correlate.Notification) {
				m.Alerts, m.Firing, m.GroupLabels = alerts, len(alerts), alert.Labels{{Name: "cluster", Value: "eu"}}
			})
			if err != nil || len(provider.refused) > 0 {
				t.Errorf("%s, %s: refused %v: %.300v", c.kind, what, provider.refused, err)
				continue
			}
			text, missing := strings.Join(provider.bodies, "\n"), 0
			for i := range names {
				if name := alerts[i].Labels.Get("alertname"); !strings.Contains(text, name) {
					missing++
				}
			}
			if missing > 0 {
				t.Errorf("%s, %s: %d of %d names are not in %.1000s", c.kind, what, missing, names, text)
			}
		}
	}
	critical := func(i int, labels int, description string) correlate.Member {
		m := correlate.Member{Labels: alert.Labels{{Name: "alertname", Value: fmt.Sprintf("Alert%dName", i)}}, StartsAt: 1, New: true}
		for k := range labels {
			m.Labels = append(m.Labels, alert.Label{Name: fmt.Sprintf("label%02d", k), Value: fmt.Sprintf("a value of %d that is not so short", i)})
		}
		m.Labels = append(m.Labels, alert.Label{Name: "severity", Value: "critical"})
		if description != "" {
			m.Annotations = alert.Labels{{Name: "description", Value: description}, {Name: "summary", Value: description}}
		}
		return m
	}
	f("one of a long description", 1, critical(0, 2, long))
	f("three of long descriptions", 3, critical(0, 2, long), critical(1, 2, long), critical(2, 2, long))
	f("a long label", 2, critical(0, 0, ""), func() correlate.Member {
		m := critical(1, 0, "")
		m.Labels = append(m.Labels, alert.Label{Name: "zz", Value: long})
		return m
	}())
	var many []correlate.Member
	for i := range 200 {
		many = append(many, critical(i, 8, "Something is wrong."))
	}
	f("many", 1, many...)
}
