package sinks

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// TestOrdinaryStringsStayAsTheyAre for every kind of integration, byte by byte.
func TestOrdinaryStringsStayAsTheyAre(t *testing.T) {
	for _, s := range []string{
		"", "HighLatency", "p99 is over 2 s", "a < b", "x<5 and y>7", "cpu >= 90 %", "a & b", "R&D", "50 % <= x", "1 -> 2",
		"rate(http_requests_total[5m])", `up{job!="a.b"} == 0`, "foo[0]", "(see [1])", "[warn]: disk full", "[FIRING:1] x", "{{ $labels.x }}",
		"a_b_c *x* ~y~ `z` | w", "# one\n- two\n> three\n", "one\r\ntwo\r\n", "tab\there", "bob@example.org", "mailto:bob@example.org",
		"https://run.book/a?b=c&d=e#f", "wow! really!", "C:\\dir", "10.0.3.17:9100", "node@7", "a@b@c", "100 @ 5", "root@hereford.example",
		"Größe 東京 🚒 👨\u200d👩\u200d👧 می\u200cخواهم", "soft\u00adhyphen", "[1, 2]", "{quote}", "!important", "<3", "<=>", "<< x", "me@", "a|b", "~~", "^",
	} {
		for _, c := range integrations {
			if c.kind == "discord" && s == "root@hereford.example" {
				continue // it wakes everybody there
			}
			in := inertFor(c.kind)
			if got := in.note(s); got != s {
				t.Errorf("%s: %q became %q", c.kind, s, got)
			}
			if !strings.Contains(s, "\n") && in.label(s) != s {
				t.Errorf("%s: the label %q became %q", c.kind, s, in.label(s))
			}
		}
	}
	for _, s := range []string{"", "http://a/b?c=d", "HTTPS://a", "/graph?x=y:z", "?orgId=1", "prometheus:9090/graph", "grafana.example", "a b"} {
		for _, c := range integrations {
			if got := inertFor(c.kind).link(s); got != s {
				t.Errorf("%s: the link %q became %q", c.kind, s, got)
			}
		}
	}
}

func TestFormsAreMadeInert(t *testing.T) {
	f := func(kinds, in, want string) {
		t.Helper()
		for kind := range strings.FieldsSeq(kinds) {
			// The joiner is shown as _ here.
			if got := strings.ReplaceAll(inertFor(kind).note(in), joiner, "_"); got != want {
				t.Errorf("%s: %q: got %q, want %q", kind, in, got, want)
			}
		}
	}
	const markdown = "discord mattermost msteams msteamsv2 rocketchat webex wechat opsgenie"
	f("slack", "<!channel> <@U1> <#C1|x> <!subteam^S1>", "&lt;!channel> &lt;@_U1> &lt;#C1|x> &lt;!subteam^S1>")
	f("slack", "<https://evil|https://good>", "&lt;https://evil|https://good>")
	f("slack", "now <", "now &lt;")
	f("slack", "@channel @here, (@bob) x@here.", "@_channel @_here, (@_bob) x@_here.")
	f(markdown, "<!channel>", "<_!channel>")
	f(markdown, "<@123> <a href=x> </a>", "<_@_123> <_a href=x> <_/a>")
	f(markdown, "[good](https://evil) ![](https://evil/x.png)", "[good]_(https://evil) ![]_(https://evil/x.png)")
	f(markdown, "(https://evil)", "_(https://evil)")
	f(markdown, "[a][b]\n[b]: https://evil", "[a][b]\n[b]_: https://evil")
	f(markdown+" telegram", "@all _@bob_ @@here", "@_all _@_bob_ @@_here")
	f("discord", "x@everyonex", "x@_everyonex")
	f("telegram", "[you](tg://user?id=1)", "[you]_(tg://user?id=1)")
	f("jira", "[~bob] [good|https://evil] [open !https://evil/x.png! {html}x{html}", `\[~bob] \[good|https://evil] \[open \!https://evil/x.png! \{html}x\{html}`)
	f("jira", `\[~bob] \\[~bob] \\\[~bob]`, `\[~bob] \\\[~bob] \\\[~bob]`)
	f("pagerduty jira", ".nan -.INF [.inf] {a: +.NaN} x.info a.inf", "._nan -._INF [._inf] {a: +._NaN} x.info a.inf")
	f("email pagerduty pushover sns victorops", "<!channel> @here [a](b)", "<!channel> @here [a](b)")
	f("email pagerduty pushover sns victorops slack telegram "+markdown, "a\x1b[31m\x00\u202eb\u0085\rc", "a␛[31m␀\ufffdb\ufffd c")
	f("email pagerduty pushover sns victorops slack jira telegram "+markdown, "a\xffb", "a\ufffdb")
	f("email pagerduty pushover sns victorops slack jira telegram "+markdown, "a\uf7ffb", "a\ufffdb") // as the door writes it
	f("webhook incidentio", "a\uf7ffb", "a\uf7ffb")
	f("webhook incidentio", "<!channel>\x1b\u202e@here\r", "<!channel>\x1b\u202e@here\r")

	for kind := range strings.FieldsSeq("slack email pagerduty sns " + markdown) {
		in := inertFor(kind)
		if got := in.label("a\r\nb\n - severity = info"); got != "a  b  - severity = info" {
			t.Errorf("%s: a label of several lines: %q", kind, got)
		}
		for _, link := range []string{"javascript:alert(1)", " JavaScript:x", "java\tscript:x", "data:text/html,x", "javascript:1/x", "file:///etc/passwd", "tg://x", "\x01javascript:x"} {
			if got := in.link(link); got != "" && !strings.HasPrefix(got, "␁") {
				t.Errorf("%s: the link %q became %q", kind, link, got)
			}
		}
	}
}

// FuzzInert: a string that is inert stays as it is, or a retry would be
// another message.
func FuzzInert(f *testing.F) {
	for _, s := range []string{"<!channel>", "@here", "[a](b)", "[~bob|x", "!//x", "(x:y", "]: /", "<", "@", "\r\n\u202e", "@<@<!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range integrations {
			in := inertFor(c.kind)
			got := in.note(s)
			if strings.HasPrefix(c.kind, "slack") && strings.Count(got, "<") > strings.Count(s, "<") {
				t.Fatalf("%q: brackets were added: %q", s, got)
			}
			if again := in.note(got); again != got {
				t.Fatalf("%s: %q became %q, and then %q", c.kind, s, got, again)
			}
			if c.kind == "webhook" || c.kind == "incidentio" {
				continue
			}
			if i := strings.IndexFunc(in.label(s), func(r rune) bool { return r != '\t' && unicode.IsControl(r) }); i >= 0 {
				t.Fatalf("%s: %q: a control character in %q", c.kind, s, in.label(s))
			}
		}
	})
}

// TestAHostileLabelReachesNoChannel sends one to Slack: the payload wakes
// nobody, what the configuration's own template says still does.
func TestAHostileLabelReachesNoChannel(t *testing.T) {
	p := newProvider(t)
	var sent string
	p.set(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		sent = string(b)
		_, _ = io.WriteString(w, "ok")
	})
	in := p.build(t, `slack_configs: [{api_url: "URL", channel: "#ops", text: '<!here> {{ .CommonAnnotations.summary }} {{ .GroupLabels.service }} {{ .CommonAnnotations.owner }} {{ .CommonAnnotations.runbook_url }}.'}]`)
	n := note(correlate.Page, 1, 1, func(n *correlate.Notification) {
		n.GroupLabels = alert.Labels{{Name: "service", Value: "<!channel>"}}
		n.Alerts[0].Annotations = alert.Labels{{Name: "summary", Value: "<!everyone>"}}
	})
	before := n.Alerts[0].Annotations[0].Value
	if err := in.Send(t.Context(), &Message{Notification: n, Key: "k", Page: true, Context: enrich.Context{Owner: "@here", Runbook: "javascript:alert(1)"}}); err != nil {
		t.Fatal(err)
	}
	var body struct{ Attachments []struct{ Text string } }
	if err := json.Unmarshal([]byte(sent), &body); err != nil {
		t.Fatal(err)
	}
	if got, want := body.Attachments[0].Text, "<!here> &lt;!everyone> &lt;!channel> @"+joiner+"here ."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Contains(sent, "\\u003c!channel") || n.Alerts[0].Annotations[0].Value != before {
		t.Errorf("%s", sent)
	}
}

// TestAValueOfNotANumberStopsNoPage: a detail whose template gives .nan alone
// failed to encode, and the page was never sent.
func TestAValueOfNotANumberStopsNoPage(t *testing.T) {
	p := newProvider(t)
	p.status(200, "")
	in := p.build(t, `pagerduty_configs: [{url: "URL/v2/enqueue", routing_key: k, details: {x: '{{ .CommonAnnotations.summary }}'}}]`)
	for _, s := range []string{".nan", "-.inf", "[.Inf]", "!!float .NAN"} {
		err := send(t, in, func(n *correlate.Notification) { n.Alerts[0].Annotations[0].Value = s })
		if err != nil || p.requests.Load() == 0 {
			t.Errorf("%s: %v", s, err)
		}
		p.status(200, "")
	}
}

func TestJSONLHidesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pages.jsonl")
	s := &jsonl{name: "jsonl[0]", path: path}
	evil := "a\x7f\u009b31m\u202eb\n\U000e0041\u200d東"
	n := note(correlate.Page, 1, 1, func(n *correlate.Notification) { n.Alerts[0].Annotations[0].Value = evil })
	if err := s.Send(t.Context(), &Message{Notification: n}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexFunc(bytes.TrimSuffix(b, []byte("\n")), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("unseen at %d of %q", i, b)
	}
	var l Line
	if err := json.Unmarshal(b, &l); err != nil || l.Notification.Alerts[0].Annotations[0].Value != evil {
		t.Errorf("%v: %q", err, l.Notification.Alerts[0].Annotations[0].Value)
	}
}
