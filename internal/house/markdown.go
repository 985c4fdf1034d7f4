package house

import (
	"regexp"
	"strings"
	"unicode"
)

// A markdownLine is a line of a document, and whether it is prose or stands in
// a fenced block.
type markdownLine struct {
	n      int // from 1
	text   string
	fenced bool
	lang   string // of the fence
	block  int    // counts the fences; lines of one block share it
}

var fence = regexp.MustCompile("^( *)(`{3,}|~{3,})([^`]*)$")

// markdownLines reads as much of Markdown as the checks need: fences.
func markdownLines(body string) []markdownLine {
	var out []markdownLine
	open, indent, lang, block := "", "", "", 0
	for i, text := range strings.Split(body, "\n") {
		m := fence.FindStringSubmatch(text)
		switch {
		case m != nil && open == "":
			open, indent, lang = m[2], m[1], strings.ToLower(strings.TrimSpace(m[3]))
			block++
			continue
		case m != nil && strings.HasPrefix(m[2], open) && strings.TrimSpace(m[3]) == "":
			open = ""
			continue
		}
		l := markdownLine{n: i + 1, text: text}
		if open != "" {
			l.text = strings.TrimPrefix(text, indent)
			l.fenced, l.lang, l.block = true, lang, block
		}
		out = append(out, l)
	}
	return out
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// spans lists what stands in backticks in a line of prose.
func (l markdownLine) spans() []string {
	if l.fenced {
		return nil
	}
	var out []string
	for _, m := range codeSpan.FindAllStringSubmatch(l.text, -1) {
		out = append(out, strings.TrimSpace(m[1]))
	}
	return out
}

// prose is the line without what stands in backticks, empty within a fence.
func (l markdownLine) prose() string {
	if l.fenced {
		return ""
	}
	return codeSpan.ReplaceAllString(l.text, "")
}

// A block is what stands in one fence.
type block struct {
	n    int // line of its first line
	lang string
	text string
}

func blocks(body string) []block {
	var out []block
	last := 0
	for _, l := range markdownLines(body) {
		if !l.fenced {
			continue
		}
		if l.block != last {
			out, last = append(out, block{n: l.n, lang: l.lang}), l.block
		}
		out[len(out)-1].text += l.text + "\n"
	}
	return out
}

// anchors are the names that headings can be linked by, as GitHub makes them.
func anchors(body string) map[string]bool {
	out := map[string]bool{}
	for _, l := range markdownLines(body) {
		title := strings.TrimLeft(l.text, "#")
		if l.fenced || title == l.text || !strings.HasPrefix(title, " ") {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '-':
				return '-'
			case unicode.IsLetter(r) || unicode.IsNumber(r) || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		for i, s := 0, slug; ; i++ {
			if i > 0 {
				s = slug + "-" + string(rune('0'+i%10))
			}
			if !out[s] || i > 9 {
				out[s] = true
				break
			}
		}
	}
	return out
}
