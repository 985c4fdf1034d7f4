package hostile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/sinks"
)

const leastStrings = 400

// active are the forms that do something when a provider shows a text, as its
// documents have them: mentions, links that hide their target, pictures, tags.
var active = map[string]*regexp.Regexp{
	"discord":    regexp.MustCompile(`(?i)@everyone|@here|<(?:@|#|:|/|a:|t:|id:)|\]\(|\]:\s*<?https?:`),
	"mattermost": regexp.MustCompile(`(?i)` + wakes + `|<[!@#/]|<[a-z]+:|\]\(|\]:\s*<?https?:`),
	"rocketchat": regexp.MustCompile(`(?i)` + wakes + `|<[a-z]+:|\]\(|\]:\s*<?https?:`),
	"slack":      regexp.MustCompile(`(?i)` + wakes + `|<[!@#/a-z]`),
	"msteams":    regexp.MustCompile(`(?i)<[!/?a-z]|\]\(|\]:\s*<?https?:`),
	"msteamsv2":  regexp.MustCompile(`(?i)<[!/?a-z]|\]\(|\]:\s*<?https?:`),
	"webex":      regexp.MustCompile(`(?i)<[@!/?a-z]|\]\(|\]:\s*<?https?:`),
	"wechat":     regexp.MustCompile(`(?i)<[@!/?a-z]|\]\(`),
	"opsgenie":   regexp.MustCompile(`(?i)<[!/?a-z]`),
	"jira":       regexp.MustCompile(`(?i)(?:^|[^\\])(?:\\\\)*(?:\[~|\[\^|\[[^\]\n\\]+\||!https?://|\{(?:html|include|iframe)[:}])`),
	"telegram":   regexp.MustCompile(`(?i)(?:^|[^\pL\pN])@[\pL\pN_]|\]\(`),
}

// wakes is a mention that somebody hears.
const wakes = `@(?:all|channel|everyone|group|here)\b|(?:^|[^\pL\pN])@[\pL\pN_]`

// TestInjection sends every string through the door, the core and each sink. A
// message may differ from the one with a harmless string in its text alone.
func TestInjection(t *testing.T) {
	e, line, r := newEntrance(t), newLine(t), newRecorder(t)
	targets := r.integrations(t)
	all := Strings()
	if len(all) < leastStrings {
		t.Errorf("%d strings, want %d", len(all), leastStrings)
	}
	// A template may leave out what belongs to a link that there is not.
	harmless, withoutLink := make([]message, len(targets)), make([]message, len(targets))
	note := notify(t, e, line, "harmless", "harmless")
	linkless := *note
	linkless.Alerts = slices.Clone(note.Alerts)
	linkless.Alerts[0].GeneratorURL = ""
	for i, in := range targets {
		withoutLink[i] = deliver(t, r, i, in, &linkless, "harmless")
		harmless[i] = deliver(t, r, i, in, note, "harmless")
		withoutLink[i] = deliver(t, r, i, in, &linkless, "harmless") // WeChat asked for a token before
	}
	for i, s := range all {
		if i%sample != 0 {
			continue
		}
		// In the first message a line break would have to come from a label.
		values := []string{strings.NewReplacer("\r", " ", "\n", " ").Replace(s)}
		if values[0] != s {
			values = append(values, s)
		}
		for _, value := range values {
			n := notify(t, e, line, s, value)
			line.print(t, clip(s), n, foundBy(s))
			for i, in := range targets {
				want := harmless[i]
				got := deliver(t, r, i, in, n, s)
				if got.form == withoutLink[i].form {
					want = withoutLink[i]
				}
				compare(t, i, s, value, got, want)
			}
		}
	}
	figures.strings, figures.sinks = len(all), 18+len(line.own)
}

// foundBy is what an enricher might find in a catalogue that somebody else
// writes.
func foundBy(s string) enrich.Context {
	return enrich.Context{Owner: s, Tier: s, Runbook: s, Dashboard: s, Links: []enrich.Link{{Title: s, URL: s}}, Notes: []string{s}, Failed: []string{s}}
}

// notify makes the notification of an alert with s in every place where a sender
// can put it, and value in its annotations.
func notify(t *testing.T, e *entrance, l *line, s, value string) *correlate.Notification {
	t.Helper()
	body := fmt.Sprintf(`[{"labels":{"alertname":%s,"severity":"critical","service":%s,%s:"x"},"annotations":{"summary":%s,"description":%s,%s:"x"},"generatorURL":%s}]`,
		marshal(s), marshal(s), marshal("n"+s), marshal(value), marshal("see "+value+" there"), marshal("a"+s), marshal(s))
	c := &Case{Family: "injection", Source: Prometheus, Name: clip(s), Body: text(body), Want: Want{Firing: 1}}
	o := e.try(t, c, "/ingest/prometheus", []byte(body))
	judge(t, c, "/ingest/prometheus", []byte(body), o)
	for i := range o.alerts {
		l.write(t, c.String(), &o.alerts[i])
	}
	all := l.decide(t, c, o)
	if len(all) != 1 {
		t.Fatalf("%q: %d notifications", s, len(all))
	}
	return &all[0]
}

// deliver sends a notification whose owner a catalogue names so.
func deliver(t *testing.T, r *recorder, i int, in sinks.Integration, n *correlate.Notification, owner string) message {
	t.Helper()
	r.accept = providers[i].accept
	m := &sinks.Message{Notification: n, Key: n.GroupKey, Page: true, Context: enrich.Context{Owner: owner, Runbook: "https://run.book/harmless"}}
	if err := in.Send(t.Context(), m); err != nil {
		t.Errorf("%s: %q: %v", providers[i].conf, n.Alerts[0].Labels, err)
	}
	got := r.take()
	for wait := time.Now(); providers[i].kind == "email" && len(got) == 0 && time.Since(wait) < time.Minute; {
		got = r.take() // the server is a moment behind
	}
	out, err := read(providers[i].kind, got)
	if err != nil {
		t.Errorf("%s: %q: %v", providers[i].conf, n.Alerts[0].Labels, err)
	}
	return out
}

// compare holds that the two differ in their text alone, and that the text only
// reads.
func compare(t *testing.T, i int, s, value string, got, harmless message) {
	t.Helper()
	kind := providers[i].kind
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %q: %s\n(%.90s)", kind, s, fmt.Sprintf(format, args...), providers[i].conf)
	}
	if got.form != harmless.form {
		bad("the form changed:\n got %s\nwant %s", got.form, harmless.form)
	}
	if kind == "webhook" || kind == "incidentio" {
		if want := strings.ToValidUTF8(s, "\ufffd"); got.texts["0/alerts/0/labels/2"] != want && kind == "webhook" {
			bad("a program gets %q, want %q", got.texts["0/alerts/0/labels/2"], want)
		}
		return // for programs: the form is all that counts
	}
	for at, text := range got.texts {
		if forms := active[kind]; forms != nil {
			if found := forms.FindString(text); found != "" {
				bad("%s is active at %s: %.300q", found, at, text)
			}
		}
		if k := strings.IndexFunc(text, func(r rune) bool { return hidden(r) && r != '\n' && r != '\t' && r != '\r' }); k >= 0 {
			bad("something unseen at %s: %.300q", at, text)
		}
		if !strings.Contains(value, "\n") && strings.Count(text, "\n") > strings.Count(harmless.texts[at], "\n") {
			bad("a line that is not ours at %s: %.300q", at, text)
		}
	}
}

// TestFormsAreFound keeps the test above from finding nothing for want of eyes.
func TestFormsAreFound(t *testing.T) {
	f := func(kind string, texts ...string) {
		t.Helper()
		for _, s := range texts {
			if !active[kind].MatchString(s) {
				t.Errorf("%s: %q is not found", kind, s)
			}
		}
	}
	f("slack", "<!channel>", "x <@U1>", "<https://a|b>", "@here", "(@bob)", "<#C1>")
	f("discord", "x@everyone", "<@1>", "<@&1>", "[a](b)", "@here")
	f("mattermost", "@all", "<!here>", "<https://a|b>", "[a](b)", "![](b)", "[a]: https://b")
	f("rocketchat", "@all", "[a](b)", "<https://a|b>")
	f("msteams", "<a href=x>", "[a](b)", "<at>")
	f("webex", "<@all>", "[a](b)")
	f("wechat", "<a href=x>", "<@bob>")
	f("jira", "[~bob]", "x [a|https://b]", "!https://a/b.png!", `\\[~bob]`, "{html}")
	f("telegram", "@bob", "[a](tg://b)")
	for _, s := range []string{"[a]\u200d(b)", `\[~bob]`, "&lt;!channel>", "@\u200dhere", "bob@example.org", "a < b", "5m]"} {
		for kind, forms := range active {
			if found := forms.FindString(s); found != "" && !(kind != "jira" && s == `\[~bob]`) {
				t.Errorf("%s: %q is found in %q", kind, found, s)
			}
		}
	}
	if got := tags(`<p title="<b>">x</p><script>alert(1)</script><a href="javascript:x">`); got != `<p title></p><script></script><a href=false>` {
		t.Errorf("tags %s", got)
	}
}
