package access

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// hardened are set on every answer. A handler may set its own.
var hardened = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "deny",
}

// configurable are the headers that http_server_config may set, with the values
// that they may have; none means any.
var configurable = map[string][]string{
	"Content-Security-Policy":   nil,
	"Strict-Transport-Security": nil,
	"X-Content-Type-Options":    {"nosniff"},
	"X-Frame-Options":           {"deny", "sameorigin"},
	"X-XSS-Protection":          nil,
}

func checkHeaders(headers map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		values, ok := configurable[name]
		switch {
		case !ok:
			return fmt.Errorf("http_server_config: headers: %q cannot be set; %s can", name, strings.Join(slices.Sorted(maps.Keys(configurable)), ", "))
		case len(values) > 0 && !slices.Contains(values, headers[name]):
			return fmt.Errorf("http_server_config: headers: %s: %q is not %s", name, headers[name], strings.Join(values, " or "))
		}
	}
	return nil
}

// headersOf joins hardened with the headers of the web configuration file.
func headersOf(configured map[string]string) http.Header {
	out := http.Header{}
	for _, from := range []map[string]string{hardened, configured} {
		for name, value := range from {
			out.Set(name, value)
		}
	}
	return out
}

// Harden sets the headers of an answer that say what a browser may do with it,
// and those of the web configuration file.
func (g *Gate) Harden(h http.Header) {
	if r := g.rules.Load(); r != nil {
		// The values are shared by all answers. Whoever adds to one gets a copy.
		maps.Copy(h, r.headers)
	}
}
