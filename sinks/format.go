package sinks

import (
	"fmt"
	"strings"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// Limits of the text for people. What is left out is counted.
const (
	maxTextAlerts     = 20
	maxTextNotes      = 10
	maxTextValueBytes = 512
)

// Format writes a notification as text for the person who gets it: what is
// wrong, what else belongs to it, what to do, who owns it and how many alerts
// it stands for. The text has several lines and ends with a line end; no
// string of a payload can add a line or a terminal escape to it.
func Format(n *correlate.Notification, c enrich.Context) string {
	return format(n, c, n.Kind == correlate.Page)
}

func format(n *correlate.Notification, c enrich.Context, page bool) string {
	t := text{}
	t.head(n, page)
	if len(n.Alerts) > 0 {
		t.line("", "%s", summary(&n.Alerts[0]))
	}
	t.alerts(n)
	t.context(c)
	t.line("counts", "%s", counts(n))
	if s := clip(labelText(n.GroupLabels)); s != "" {
		t.line("group", "%s", s)
	}
	t.line("receiver", "%s", clip(n.Receiver))
	return t.String()
}

// text is lines of a label and a value.
type text struct{ strings.Builder }

func (t *text) line(label, format string, args ...any) {
	if label != "" {
		fmt.Fprintf(t, "  %-10s ", label+":")
	} else {
		t.WriteString("  ")
	}
	fmt.Fprintf(t, format, args...)
	t.WriteByte('\n')
}

func (t *text) head(n *correlate.Notification, page bool) {
	kind := strings.ToUpper(n.Kind.String())
	if page {
		kind = "PAGE"
	}
	name := "no alerts listed"
	if len(n.Alerts) > 0 {
		name = clip(nameOf(&n.Alerts[0]))
	}
	fmt.Fprintf(t, "%s %s [%s] %s\n", kind, correlate.IncidentName(n.Incident), n.Severity, name)
	t.line("", "%s, at %s, open since %s", n.Reason, stamp(n.At), stamp(n.Opened))
	if n.Storm != nil {
		t.line("storm", "%s", storm(n))
	}
	if n.Continued {
		t.line("", "goes on from the notification before it: further criticals and errors")
	}
}

// alerts lists what is wrong and what else belongs to it.
func (t *text) alerts(n *correlate.Notification) {
	shown := min(len(n.Alerts), maxTextAlerts)
	for i := range shown {
		m := &n.Alerts[i]
		state, since := "firing", "since "+stamp(m.StartsAt)
		if m.Resolved() {
			state, since = "resolved", "ended "+stamp(m.EndsAt)
		}
		label := "alert"
		if i > 0 {
			label = "also"
		}
		t.line(label, "%s %s, %s, %s", state, clip(nameOf(m)), clip(labelText(m.Labels)), since)
	}
	for i := shown; i < len(n.Alerts); i++ { // nobody must be left to guess at these
		if m := &n.Alerts[i]; n.Storm != nil && mustBeNamed(m) {
			t.line("also", "%s %s, %s", m.Labels.Severity(), clip(nameOf(m)), clip(labelText(m.Labels)))
			shown++
		}
	}
	if rest := len(n.Alerts) - shown + n.Omitted; rest > 0 {
		t.line("also", "%d more", rest)
	}
}

// context says what to do and whom to ask.
func (t *text) context(c enrich.Context) {
	runbook := "none known"
	if c.Runbook != "" {
		runbook = clip(c.Runbook)
	}
	t.line("runbook", "%s", runbook)
	owner := "unknown"
	if c.Owner != "" {
		owner = clip(c.Owner)
	}
	if c.Tier != "" {
		owner += " (tier " + clip(c.Tier) + ")"
	}
	t.line("owner", "%s", owner)
	if c.Dashboard != "" {
		t.line("dashboard", "%s", clip(c.Dashboard))
	}
	for i := range min(len(c.Links), maxTextNotes) {
		t.line("link", "%s %s", clip(c.Links[i].Title), clip(c.Links[i].URL))
	}
	for i := range min(len(c.Notes), maxTextNotes) {
		t.line("note", "%s", clip(c.Notes[i]))
	}
	if len(c.Failed) > 0 {
		t.line("note", "not looked up: %s", clip(strings.Join(c.Failed, ", ")))
	}
}

// storm says what an incident stands for that is one.
func storm(n *correlate.Notification) string {
	return fmt.Sprintf("%s with no group to join, too many at once for a page each", plural(n.Storm.Joined, "alert"))
}

// mustBeNamed is said of what no other notification may name.
func mustBeNamed(m *correlate.Member) bool {
	return m.New && m.Labels.Severity() >= alert.Error
}

// counts says how many alerts the message stands for.
func counts(n *correlate.Notification) string {
	s := fmt.Sprintf("%s firing, %d resolved", plural(n.Firing, "alert"), n.Resolved)
	if d := deliveries(n); d > 0 {
		s += fmt.Sprintf(", received %s", plural(d, "time"))
	}
	return s
}

// deliveries counts what was received for the alerts listed.
func deliveries(n *correlate.Notification) uint64 {
	var d uint64
	for i := range n.Alerts {
		d += n.Alerts[i].Deliveries
	}
	return d
}

func plural[N int | uint64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// summary is the sentence that the rule's author wrote, if any.
func summary(m *correlate.Member) string {
	for _, name := range [...]string{"summary", "description", "message", "title"} {
		if v := m.Annotations.Get(name); v != "" {
			return clip(v)
		}
	}
	return clip(labelText(m.Labels))
}

func nameOf(m *correlate.Member) string {
	if v := m.Labels.Get("alertname"); v != "" {
		return v
	}
	return m.Fingerprint.String()
}

// labelText writes labels without the name, which stands before them.
func labelText(ls alert.Labels) string {
	var b strings.Builder
	for i := range ls {
		if ls[i].Name == "alertname" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(ls[i].Name + "=" + ls[i].Value)
	}
	return b.String()
}

func clip(s string) string { return cut(Clean(s), maxTextValueBytes) }

func stamp(t alert.Time) string {
	if t == 0 {
		return "an unknown time"
	}
	return t.Std().Format(time.RFC3339)
}
