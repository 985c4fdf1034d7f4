package hostile

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// message is what a provider makes of its requests: the form that its program
// reads, and the texts that its people do.
type message struct {
	form  string            // keys, types, parameters, headers, tags: all that is not text
	texts map[string]string // by where they stand
}

func read(kind string, requests []request) (message, error) {
	m := message{texts: map[string]string{}}
	for i, q := range requests {
		var err error
		at := fmt.Sprint(i)
		switch {
		case q.mail != nil:
			err = m.readMail(at, q.mail)
		case kind == "sns":
			var values url.Values
			if values, err = url.ParseQuery(q.body); err == nil {
				m.readValues(at, values)
			}
		case kind == "pushover":
			m.readValues(at, q.query)
		case q.body != "":
			var v any
			if err = json.Unmarshal([]byte(q.body), &v); err == nil {
				m.form += m.readJSON(at, v)
			}
		}
		if err != nil {
			return m, fmt.Errorf("request %d: %w", i, err)
		}
		m.form += fmt.Sprintf("\n%s %s %d parameters\n", q.method, q.path, len(q.query))
	}
	// Where the text is HTML its tags are form.
	for _, at := range slices.Sorted(maps.Keys(m.texts)) {
		if isHTML(kind, at, m.form) {
			m.form += at + " " + tags(m.texts[at]) + "\n"
			m.texts[at] = withoutTags(m.texts[at])
		}
	}
	return m, nil
}

// isHTML reports whether a text is read as HTML.
func isHTML(kind, at, form string) bool {
	switch kind {
	case "email":
		return strings.HasSuffix(at, "text/html")
	case "telegram":
		return strings.HasSuffix(at, "/text") && strings.Contains(form, "parse_mode=HTML")
	case "pushover":
		return strings.HasSuffix(at, "/message") && strings.Contains(form, "html=1")
	}
	return false
}

// payloads are the members whose names come from labels, or whose values are
// read as YAML and may be of any type.
var payloads = []string{"custom_details", "labels", "annotations", "commonLabels", "commonAnnotations", "groupLabels", "details"}

// readJSON notes the texts and returns the form.
func (m *message) readJSON(at string, v any) string {
	switch v := v.(type) {
	case map[string]any:
		var b strings.Builder
		b.WriteString("{")
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if inner, ok := v[k].(map[string]any); ok && slices.Contains(payloads, k) {
				fmt.Fprintf(&b, "%s:%d ", k, len(inner))
				if k == "custom_details" { // names of ours
					fmt.Fprint(&b, slices.Sorted(maps.Keys(inner)))
				}
				for i, name := range slices.Sorted(maps.Keys(inner)) {
					m.texts[fmt.Sprintf("%s/%s/%d name", at, k, i)] = name
					m.readJSON(fmt.Sprintf("%s/%s/%d", at, k, i), inner[name])
				}
				continue
			}
			if k == "parse_mode" {
				fmt.Fprintf(&b, "parse_mode=%v ", v[k])
			}
			fmt.Fprintf(&b, "%s:%s ", k, m.readJSON(at+"/"+k, v[k]))
		}
		return b.String() + "}"
	case []any:
		var b strings.Builder
		for i := range v {
			b.WriteString(m.readJSON(fmt.Sprintf("%s/%d", at, i), v[i]) + ",")
		}
		return "[" + b.String() + "]"
	case string:
		m.texts[at] = v
		return "s"
	}
	return fmt.Sprintf("%T", v)
}

func (m *message) readValues(at string, values url.Values) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		m.form += fmt.Sprintf("%s:%d ", k, len(values[k]))
		if k == "html" {
			m.form += "html=" + values.Get(k) + " "
		}
		m.texts[at+"/"+k] = values.Get(k)
	}
}

// readMail takes a message apart: commands, headers, parts.
func (m *message) readMail(at string, said []string) error {
	begin := slices.Index(said, "DATA") + 1
	m.form += strings.Join(said[:begin], " ") + " " + said[len(said)-1] + "\n"
	msg, err := mail.ReadMessage(strings.NewReader(strings.Join(said[begin:len(said)-1], "\r\n") + "\r\n"))
	if err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(msg.Header)) {
		m.form += fmt.Sprintf("%s:%d ", k, len(msg.Header[k]))
		text, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get(k))
		if err != nil {
			return err
		}
		if k == "Subject" || k == "X-Alert" {
			m.texts[at+"/"+k] = text
		}
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			return err
		}
		kind, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";")
		m.form += "part:" + kind + " "
		m.texts[at+"/"+kind] = string(text)
	}
}

// tag is a tag of HTML as a browser finds one, well formed or not.
var tag = regexp.MustCompile(`<(?:!--[\s\S]*?(?:-->|$)|[/!?]?[A-Za-z](?:"[^"]*"|'[^']*'|[^'">])*(?:>|$)|[!/?][^>]*>?)`)

var (
	attribute = regexp.MustCompile(`\s([A-Za-z-]+)\s*=\s*("[^"]*"|'[^']*'|[^\s>]*)`)
	elsewhere = regexp.MustCompile(`^[\s\x00-\x1f]*[A-Za-z][A-Za-z0-9+.\-\s]*:`)
	web       = regexp.MustCompile(`^(?i)https?://`)
)

// tags writes down the tags of a text: names, names of attributes, and whether
// a link leads to the web or nowhere.
func tags(s string) string {
	var b strings.Builder
	for _, t := range tag.FindAllString(s, -1) {
		name := strings.FieldsFunc(t, func(r rune) bool { return strings.ContainsRune("<> \t\r\n", r) })
		b.WriteString("<" + strings.Join(name[:min(1, len(name))], ""))
		for _, a := range attribute.FindAllStringSubmatch(t, -1) {
			b.WriteString(" " + a[1])
			if value := html.UnescapeString(strings.Trim(a[2], `"'`)); a[1] == "href" || a[1] == "src" {
				fmt.Fprintf(&b, "=%v", web.MatchString(value) || !elsewhere.MatchString(value))
			}
		}
		b.WriteString(">")
	}
	return b.String()
}

func withoutTags(s string) string { return html.UnescapeString(tag.ReplaceAllString(s, "")) }
