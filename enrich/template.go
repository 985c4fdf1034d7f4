package enrich

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/winnowhq/winnow/alert"
)

// value is a string out of a payload. However a template prints it, it comes
// out escaped for a URL; comparing and slicing see it as it is.
type value string

// Format serves every verb, so that printf is no way around the escaping.
func (v value) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, escape(string(v))) }

// templateInput is all that a template sees.
type templateInput struct {
	Labels, GroupLabels, Annotations map[string]value
}

func newTemplateInput(labels, groupLabels, annotations alert.Labels) templateInput {
	return templateInput{values(labels), values(groupLabels), values(annotations)}
}

func values(ls alert.Labels) map[string]value {
	m := make(map[string]value, len(ls))
	for i := range ls {
		m[ls[i].Name] = value(ls[i].Value)
	}
	return m
}

// urlTemplate renders links to one host.
type urlTemplate struct {
	t    *template.Template
	host string
}

// literalHost wants the host to end inside the literal text, so that nothing
// that follows can become part of it.
var literalHost = regexp.MustCompile(`^https?://[^/?#\\\s]+[/?#]`)

func parseURLTemplate(text string) (*urlTemplate, error) {
	text = strings.TrimSpace(text)
	t, err := template.New("url").Option("missingkey=zero").Funcs(template.FuncMap{
		"lower":    lower,
		"urlquery": urlquery,
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	first := ""
	if t.Tree != nil && len(t.Root.Nodes) > 0 {
		if n, ok := t.Root.Nodes[0].(*parse.TextNode); ok {
			first = string(n.Text)
		}
		if len(t.Root.Nodes) == 1 && first != "" {
			first += "/" // no action at all: the host may end the URL
		}
	}
	prefix := literalHost.FindString(first)
	if prefix == "" {
		return nil, errors.New("scheme and host must be literal text with a slash behind them, as https://runbooks.example/{{ .Labels.alertname }}")
	}
	u, err := webURL(prefix)
	if err != nil {
		return nil, err
	}
	ut := &urlTemplate{t: t, host: u.Host}
	// An alert may lack any label, and a misspelt field shows here, not at night.
	if _, err := ut.render(templateInput{}); err != nil {
		return nil, fmt.Errorf("rendering it for an alert without labels: %w", err)
	}
	return ut, nil
}

func (ut *urlTemplate) render(in templateInput) (string, error) {
	var out boundedBuilder
	if err := ut.t.Execute(&out, in); err != nil {
		return "", err
	}
	u, err := webURL(out.b.String())
	switch {
	case err != nil:
		return "", err
	case u.Host != ut.host:
		return "", fmt.Errorf("the result points to %s instead of %s", clip(u.Host), clip(ut.host))
	case hasDotSegment(u):
		return "", fmt.Errorf("%s climbs in the path", clip(u.Path))
	}
	return u.String(), nil
}

// lower keeps a payload's value a payload's value, so that it is still escaped.
func lower(v any) (any, error) {
	switch v := v.(type) {
	case value:
		return value(strings.ToLower(string(v))), nil
	case string:
		return strings.ToLower(v), nil
	}
	return nil, fmt.Errorf("lower: want a string, not %T", v)
}

// urlquery writes spaces as +, as forms do.
func urlquery(v any) (string, error) {
	switch v := v.(type) {
	case value:
		return url.QueryEscape(string(v)), nil
	case string:
		return url.QueryEscape(v), nil
	}
	return "", fmt.Errorf("urlquery: want a string, not %T", v)
}

// boundedBuilder stops a template that writes more than a URL may hold.
type boundedBuilder struct{ b strings.Builder }

func (w *boundedBuilder) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > MaxURLBytes {
		return 0, fmt.Errorf("a URL of more than %d bytes", MaxURLBytes)
	}
	return w.b.Write(p)
}
