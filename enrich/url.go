package enrich

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxURLBytes bounds a link: providers cut or refuse longer ones.
const MaxURLBytes = 2048

// webURL checks that s is a link that is safe to hand to a person: absolute,
// http or https, with a host, without a password. It returns it in the form
// that has no space, quote or angle bracket left in it.
func webURL(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxURLBytes {
		return nil, fmt.Errorf("a URL of %d bytes, at most %d", len(s), MaxURLBytes)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.C, r) }) {
		return nil, fmt.Errorf("%s has control or invisible characters", clip(s))
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", clip(s))
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fmt.Errorf("%s is not an http or https URL", clip(s))
	case u.User != nil:
		return nil, fmt.Errorf("the URL for %s carries a user name", clip(u.Host))
	}
	u.RawQuery = unsafeInQuery.Replace(u.RawQuery)
	return u, nil
}

// unsafeInQuery is what net/url leaves alone in a query although RFC 3986 does
// not allow it there, and chat markup trips over.
var unsafeInQuery = strings.NewReplacer(" ", "%20", `"`, "%22", "<", "%3C", ">", "%3E", "|", "%7C", "\\", "%5C", "^", "%5E", "`", "%60", "{", "%7B", "}", "%7D")

// escape percent-encodes all but RFC 3986's unreserved characters, so that a
// value stays one segment of a path and one value of a query alike.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// hasDotSegment reports whether a client would climb in the path: browsers
// treat %2e as a dot.
func hasDotSegment(u *url.URL) bool {
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

const clipBytes = 120

// clip quotes s for a note, shortened.
func clip(s string) string {
	if len(s) > clipBytes {
		s = cut(s, clipBytes) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// cut shortens s to at most limitBytes, between two characters.
func cut(s string, limitBytes int) string {
	for limitBytes > 0 && !utf8.RuneStart(s[limitBytes]) {
		limitBytes--
	}
	return s[:limitBytes]
}
