package house

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// homes are the folders at the root. What a document names below one of them
// must exist, also where the whole folder is gone.
const homes = "alert ingest dedupe correlate ledger enrich sinks cmd internal benchmarks docs deploy examples .ci .github"

const truthWhy = "a document that is wrong once is not read twice"

var (
	repositoryPath = regexp.MustCompile(`^[\w.*<>{},@+-]+(/[\w.*<>{},@+-]+)*/?$`)
	lineNumber     = regexp.MustCompile(`:\d+(-\d+)?$`)
	placeholder    = regexp.MustCompile(`<[^>]*>|\{[^}]*\}`)
)

// Paths wants every repository path that a document names in backticks to
// exist. A part in <angle brackets>, {braces} or with a star stands for any.
func Paths(t *Tree) []Finding {
	var out []Finding
	for _, doc := range t.Markdown() {
		if path.Base(doc.Path) == "CHANGELOG.md" { // tells of what is gone
			continue
		}
		for _, l := range markdownLines(doc.Body) {
			for _, s := range l.spans() {
				if p, ok := t.claimed(s); ok && !t.found(doc, p) {
					out = append(out, Finding{doc.Path + ":" + strconv.Itoa(l.n), "names " + s + ", which does not exist",
						truthWhy, "name what is there, or take the backticks away"})
				}
			}
		}
	}
	return out
}

// claimed reports whether a code span claims to be a path of this repository,
// and which.
func (t *Tree) claimed(span string) (string, bool) {
	p := strings.TrimPrefix(span, Module+"/")
	inModule := p != span
	p, dotted := strings.CutPrefix(lineNumber.ReplaceAllString(p, ""), "./")
	p = strings.TrimSuffix(strings.TrimSuffix(p, "/..."), "/")
	if !repositoryPath.MatchString(p) || p == "..." {
		return "", false
	}
	top, _, below := strings.Cut(p, "/")
	if !below && !dotted && !inModule {
		return p, contains(".go .md", path.Ext(p)) && path.Ext(p) != p
	}
	return p, dotted || inModule || contains(homes, top) || t.Exists(top) && !strings.Contains(top, ".")
}

func (t *Tree) found(doc Text, p string) bool {
	p = placeholder.ReplaceAllString(p, "*")
	if !strings.Contains(p, "/") && contains(".go .md", path.Ext(p)) {
		for q := range t.paths { // a file of the package that the text is about
			if ok, _ := path.Match(p, path.Base(q)); ok {
				return true
			}
		}
		return false
	}
	for _, candidate := range []string{p, path.Join(path.Dir(doc.Path), p)} {
		if t.Exists(candidate) || strings.Contains(candidate, "*") && t.Matches(candidate) {
			return true
		}
	}
	// dir.Name is a Go name, and it is the folder that must exist.
	i := strings.LastIndexByte(p, '.')
	return i > strings.LastIndexByte(p, '/') && i+1 < len(p) && unicode.IsUpper(rune(p[i+1])) && t.Exists(p[:i])
}

var (
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	referenceLink = regexp.MustCompile(`^\s*\[[^\]]+\]:\s+<?([^\s>]+)`)
	htmlLink      = regexp.MustCompile(`\b(?:src|href)="([^"]+)"`)
	scheme        = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*:|//)`)
)

// Links wants every relative link to resolve, to the heading where it names one.
func Links(t *Tree) []Finding {
	var out []Finding
	bodies := map[string]string{}
	for _, doc := range t.Markdown() {
		bodies[doc.Path] = doc.Body
	}
	for _, doc := range t.Markdown() {
		for _, l := range markdownLines(doc.Body) {
			for _, re := range []*regexp.Regexp{inlineLink, referenceLink, htmlLink} {
				for _, m := range re.FindAllStringSubmatch(l.prose(), -1) {
					if why := t.broken(doc, m[1], bodies); why != "" {
						out = append(out, Finding{doc.Path + ":" + strconv.Itoa(l.n), "links to " + m[1] + ", " + why,
							truthWhy, "link to what is there"})
					}
				}
			}
		}
	}
	return out
}

func (t *Tree) broken(doc Text, link string, bodies map[string]string) string {
	if scheme.MatchString(link) {
		return ""
	}
	file, anchor, _ := strings.Cut(link, "#")
	target := doc.Path
	if rooted, ok := strings.CutPrefix(file, "/"); ok {
		target = rooted
	} else if file != "" {
		target = path.Join(path.Dir(doc.Path), file)
	}
	if !t.Exists(target) {
		return "which does not exist"
	}
	if body, ok := bodies[target]; ok && anchor != "" && !anchors(body)[anchor] {
		return "which has no such heading"
	}
	return ""
}
