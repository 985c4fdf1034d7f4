package enrich

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// maxMembers bounds how many alerts of a notification are looked at. The most
// severe come first, so what is left out matters least.
const maxMembers = 64

// runbookAnnotations may carry a runbook, best first.
var runbookAnnotations = [...]string{"runbook_url", "runbook"}

// runbookRule is a compiled RunbookRule.
type runbookRule struct {
	matchers alert.Matchers
	url      *urlTemplate
}

func compileRules(rules []RunbookRule) ([]runbookRule, error) {
	var errs []error
	out := make([]runbookRule, 0, len(rules))
	for i := range rules {
		ms, err := parseMatchers(rules[i].Matchers)
		if err != nil {
			errs = append(errs, fmt.Errorf("enrich.runbooks[%d].matchers: %w", i, err))
		}
		t, err := parseURLTemplate(rules[i].URL)
		if err != nil {
			errs = append(errs, fmt.Errorf("enrich.runbooks[%d].url: %w", i, err))
		}
		out = append(out, runbookRule{ms, t})
	}
	return out, errors.Join(errs...)
}

// runbookEnricher takes the runbook of the most severe alert that has one: its
// annotation, or the first rule that matches it. Other runbooks that alerts
// bring become links.
type runbookEnricher struct {
	rules []runbookRule
	cache *linkCache
}

func (*runbookEnricher) Name() string { return "runbook" }

func (e *runbookEnricher) Enrich(ctx context.Context, n *correlate.Notification, c *Context) error {
	var last readLink
	for i := range n.Alerts[:min(len(n.Alerts), maxMembers)] {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := &n.Alerts[i]
		link := last.of(m, runbookAnnotations[:], c)
		if link == "" && c.Runbook == "" {
			link = e.byRule(n, m, c)
		}
		switch {
		case link == "" || link == c.Runbook:
		case c.Runbook == "":
			c.Runbook = link
			if i > 0 && memberName(m) != memberName(&n.Alerts[0]) {
				c.Notes = append(c.Notes, fmt.Sprintf("the runbook is that of %s; %s has none", memberName(m), memberName(&n.Alerts[0])))
			}
		default:
			c.Links = append(c.Links, Link{Title: "Runbook: " + memberName(m), URL: link})
		}
	}
	return nil
}

// byRule renders the link of the first rule that matches m and gives one.
func (e *runbookEnricher) byRule(n *correlate.Notification, m *correlate.Member, c *Context) string {
	for i := range e.rules {
		if !e.rules[i].matchers.Matches(m.Labels) {
			continue
		}
		r := e.render(i, n, m)
		if r.url != "" {
			return r.url
		}
		c.Notes = append(c.Notes, r.note)
	}
	return ""
}

func (e *runbookEnricher) render(rule int, n *correlate.Notification, m *correlate.Member) rendered {
	key := binary.AppendUvarint(make([]byte, 0, 512), uint64(rule))
	for _, ls := range [...]alert.Labels{m.Labels, n.GroupLabels, m.Annotations} {
		key = appendLabels(key, ls)
	}
	if r, ok := e.cache.get(key); ok {
		return r
	}
	link, err := e.rules[rule].url.render(newTemplateInput(m.Labels, n.GroupLabels, m.Annotations))
	r := rendered{url: link}
	if err != nil {
		r.note = fmt.Sprintf("runbook rule %d gave no link for %s: %v", rule, memberName(m), err)
	}
	e.cache.put(key, r)
	return r
}

// appendLabels writes lengths before strings, so that no two sets write the same.
func appendLabels(b []byte, ls alert.Labels) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for i := range ls {
		b = binary.AppendUvarint(b, uint64(len(ls[i].Name)))
		b = append(b, ls[i].Name...)
		b = binary.AppendUvarint(b, uint64(len(ls[i].Value)))
		b = append(b, ls[i].Value...)
	}
	return b
}

// readLink is the link that was read last, as it was written and as it is: alerts
// of one rule mostly have the same.
type readLink struct{ text, link string }

// of returns the first of the annotations that is a link, and notes those that are
// something else.
func (last *readLink) of(m *correlate.Member, names []string, c *Context) string {
	for _, name := range names {
		v := m.Annotations.Get(name)
		if v == "" {
			continue
		}
		if v == last.text {
			return last.link
		}
		u, err := webURL(v)
		if err == nil {
			*last = readLink{v, u.String()}
			return last.link
		}
		c.Notes = append(c.Notes, fmt.Sprintf("annotation %s of %s is ignored: %v", name, memberName(m), err))
	}
	return ""
}

func memberName(m *correlate.Member) string {
	if name := m.Labels.Get("alertname"); name != "" {
		return name
	}
	return m.Fingerprint.String()
}
