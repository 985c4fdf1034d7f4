package sinks

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/winnowhq/winnow/alert"
)

// Alertmanager's notifiers put labels and annotations into a message as they
// come. Whoever can set a label could then wake a whole channel, hide where a
// link leads, or show a line that nobody wrote. So the strings of a payload are
// made inert before a notifier sees them, by the rules of its provider; what a
// template of the configuration says itself is left alone, and so is every
// string that holds none of these forms:
//
//   - mentions: @channel, <!here>, <@U1>, [~user]
//   - links whose text is not their target: <url|text>, [text](url), [text|url]
//   - pictures, which the reader's client fetches: ![](url), !url!
//   - tags of HTML, where the provider does not take the text for text
//   - control characters, and those that turn the direction of text
//   - numbers of YAML that stop a message of PagerDuty or Jira
//
// Emphasis, headings and quotes are left: they change how a text looks, not what
// it does, and names are full of their characters.

// joiner is U+200D, which nobody sees. Between the characters of a form it makes
// plain text of it.
const joiner = "\u200d"

// inert makes strings of a payload plain text for one provider.
type inert struct {
	label, note, link func(string) string
}

// inertFor returns the rules for a kind of integration. Those that are not named
// take what they get for text: the HTML of email, Telegram and Pushover comes
// from html/template.
func inertFor(kind string) *inert {
	switch kind {
	case "webhook", "incidentio": // for programs, which want what was sent
		same := func(s string) string { return s }
		return &inert{same, same, same}
	case "slack":
		return people(slackForms)
	case "discord":
		return people(discordForms)
	case "jira":
		return people(func(s string) string { return withoutInfinity(jiraForms(s)) })
	case "pagerduty":
		return people(withoutInfinity)
	case "mattermost", "msteams", "msteamsv2", "rocketchat", "webex", "wechat", "opsgenie":
		return people(markdownForms)
	case "telegram": // may be told to read Markdown
		return people(func(s string) string { return withoutMentions(withoutLinks(s)) })
	}
	return people(func(s string) string { return s })
}

// people is for what a person reads.
func people(forms func(string) string) *inert {
	return &inert{
		// A line break in a label has no use but to forge a line.
		label: func(s string) string { return forms(visible(s, false)) },
		note:  func(s string) string { return forms(visible(s, true)) },
		link:  func(s string) string { return forms(webLink(visible(s, false))) },
	}
}

// visible replaces control characters as Clean does, those that turn the
// direction of text, and what is not UTF-8, for which SNS sends nothing. Other characters that are not seen stay: Persian, Arabic
// and emoji are written with them.
func visible(s string, lines bool) string {
	if strings.IndexFunc(s, isHidden) < 0 {
		return strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	var b strings.Builder
	b.Grow(len(s))
	for i, r := range s {
		lineEnd := r == '\n' || r == '\r' && strings.HasPrefix(s[i:], "\r\n")
		switch {
		case r == '\t', lines && lineEnd, !isHidden(r):
			b.WriteRune(r)
		default:
			b.WriteRune(cleanRune(r))
		}
	}
	return b.String()
}

func isHidden(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 ||
		r >= '\u2028' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' ||
		r >= '\uf780' && r <= '\uf7ff' // bytes that were not UTF-8
}

var (
	webScheme = regexp.MustCompile(`(?i)^https?://`)
	// A browser skips blanks before a scheme and within it.
	anyScheme    = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z0-9+.\-\s]*:`)
	hostAndPort  = regexp.MustCompile(`^[A-Za-z0-9.-]+:\d+([/?#]|$)`)
	scriptScheme = regexp.MustCompile(`(?i)^(javascript|vbscript|data):`)
)

// webLink leaves out a link that leads elsewhere than to the web: a template may
// make a button of it.
func webLink(s string) string {
	switch {
	case webScheme.MatchString(s), !anyScheme.MatchString(s):
		return s
	case hostAndPort.MatchString(s) && !scriptScheme.MatchString(s):
		return s
	}
	return ""
}

// The forms, as the documents of the providers have them. Some count at the end
// or the start of a string as well, since a template may put another one beside
// it.
var (
	// An angle bracket that begins a mention, a link, a command or a tag.
	bracket = regexp.MustCompile(`<([!@#:/?A-Za-z]|$)`)

	// A mention of many; of one, at the start of a word: an address of email is
	// none. Discord finds its two within words as well.
	mentionAll        = regexp.MustCompile(`(?i)@((?:all|channel|everyone|group|here)\b)`)
	mention           = regexp.MustCompile(`(^|[^\pL\pN])@([\pL\pN_]|$)`)
	mentionAllDiscord = regexp.MustCompile(`@(everyone|here)`)

	// A link or a picture of Markdown, and where one leads that goes by name.
	markdownLink   = regexp.MustCompile(`\]\(`)
	markdownRest   = regexp.MustCompile(`^(\(\s*<?[A-Za-z][A-Za-z0-9+.-]*:\S)`)
	markdownTarget = regexp.MustCompile(`\](:\s*<?([A-Za-z][A-Za-z0-9+.-]*:|/|www\.))`)

	// Jira's wiki: a link with a text, a mention or a file; a picture; a macro
	// that brings in more than text.
	jiraLink    = regexp.MustCompile(`(\\*)(\[(?:[~^]|(?i:javascript|vbscript|data|file):|[^\]\n]*(?:\||$)))`)
	jiraPicture = regexp.MustCompile(`(\\*)(!(?:(?:[A-Za-z][A-Za-z0-9+.-]*:)?//|data:))`)
	jiraMacro   = regexp.MustCompile(`(\\*)(\{(?i:html|include|iframe|script)[:}|])`)

	// What YAML reads as a number that JSON does not have.
	infinity = regexp.MustCompile(`(^|[^\pL\pN])\.((?i:inf|nan)\b)`)
)

// slackForms writes the bracket as Slack asks for, and only there: Slack shows
// what is left as it is, and not every field of a message knows escapes.
func slackForms(s string) string {
	if strings.ContainsRune(s, '<') {
		s = bracket.ReplaceAllString(s, "&lt;$1")
	}
	return withoutMentions(s)
}

func discordForms(s string) string {
	return mentionAllDiscord.ReplaceAllString(markdownForms(s), "@"+joiner+"$1")
}

// markdownForms serves all who read Markdown, some of it, or HTML.
func markdownForms(s string) string {
	if strings.ContainsRune(s, '<') {
		s = bracket.ReplaceAllString(s, "<"+joiner+"$1")
	}
	return withoutMentions(withoutLinks(s))
}

// jiraForms writes the backslash with which Jira's wiki escapes.
func jiraForms(s string) string {
	if strings.ContainsAny(s, "[!{") {
		for _, form := range []*regexp.Regexp{jiraLink, jiraPicture, jiraMacro} {
			s = form.ReplaceAllStringFunc(s, func(match string) string {
				before := len(match) - len(strings.TrimLeft(match, `\`))
				if before%2 == 1 {
					return match // it is escaped, and one more would undo that
				}
				return match[:before] + `\` + match[before:]
			})
		}
	}
	return s
}

func withoutMentions(s string) string {
	if strings.ContainsRune(s, '@') {
		s = mentionAll.ReplaceAllString(s, "@"+joiner+"$1")
		s = mention.ReplaceAllString(s, "$1@"+joiner+"$2")
	}
	return s
}

func withoutLinks(s string) string {
	if strings.ContainsAny(s, "](") {
		s = markdownLink.ReplaceAllString(s, "]"+joiner+"(")
		s = markdownRest.ReplaceAllString(s, joiner+"$1")
		s = markdownTarget.ReplaceAllString(s, "]"+joiner+"$1")
	}
	return s
}

// withoutInfinity is for notifiers that read what a template gave as YAML and
// write it as JSON: a value of .nan would stop the whole message.
func withoutInfinity(s string) string {
	if strings.ContainsRune(s, '.') {
		s = infinity.ReplaceAllString(s, "$1."+joiner+"$2")
	}
	return s
}

// labels makes names and values inert. It returns ls itself where they are.
func (in *inert) labels(ls alert.Labels) alert.Labels { return rewrite(ls, in.label, in.label) }

// annotations may have values of several lines.
func (in *inert) annotations(ls alert.Labels) alert.Labels { return rewrite(ls, in.label, in.note) }

func rewrite(ls alert.Labels, name, value func(string) string) alert.Labels {
	out := ls
	for i, l := range ls {
		n := alert.Label{Name: name(l.Name), Value: value(l.Value)}
		if n == l {
			continue
		}
		if &out[0] == &ls[0] {
			out = append(alert.Labels(nil), ls...)
		}
		out[i] = n
	}
	return out
}
