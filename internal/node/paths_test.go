package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// leastPaths is what the table below must come to.
const leastPaths = 90

// TestPathsLeadNowhere: no path, however it is written, leads to a file of the
// machine, nor does a configuration that is posted to be looked at.
func TestPathsLeadNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		const marker = "only-on-the-disk"
		planted := filepath.Join(s.dir, "planted.yml")
		if err := os.WriteFile(planted, []byte(marker+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		tried := 0
		answer := func(what string, r *http.Request) {
			t.Helper()
			tried++
			rec := httptest.NewRecorder()
			s.node.Handler().ServeHTTP(rec, r)
			if body := rec.Body.String(); rec.Code == http.StatusOK || strings.Contains(body, marker) || strings.Contains(body, "root:") {
				t.Errorf("%s: %d %.200q", what, rec.Code, body)
			}
		}
		get := func(path string) {
			t.Helper()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL = &url.URL{Path: path, RawPath: path}
			if plain, err := url.PathUnescape(path); err == nil {
				r.URL.Path = plain
			}
			r.RequestURI = path
			answer(path, r)
		}
		for _, to := range []string{planted, "/etc/passwd", "/proc/self/environ"} {
			for _, up := range []string{
				"", "/..", "/../../../../../../../..", "/./.././..", "//", "/%2e%2e", "/%2e%2e/%2e%2e/%2e%2e/%2e%2e", "/..%2f..%2f..%2f..", "/%252e%252e/%252e%252e",
				`/..\..\..\..`, "/..%5c..%5c..", "/%c0%ae%c0%ae/%c0%ae%c0%ae", "/....//....//", "/..;/..;", "/%00/..", "/static/../../../..", "/ingest/../../../..", "/metrics/../../..",
				"/api/v1/explain/../../../../..", "/api/v1/explain/..%2f..%2f..%2f..", "/api/v1/explain/%2e%2e%2f%2e%2e", "/debug/pprof/../../..", "/api/v1/report/../../../..", "file://",
			} {
				get(up + to)
			}
		}
		for _, text := range []string{
			"receivers: [{name: r, pagerduty_configs: [{routing_key_file: %q}]}]\nroute: {receiver: r}",
			"receivers: [{name: r, webhook_configs: [{url_file: %q}]}]\nroute: {receiver: r}",
			"receivers: [{name: r, webhook_configs: [{url: 'http://a', http_config: {tls_config: {ca_file: %q}}}]}]\nroute: {receiver: r}",
			"receivers: [{name: r}]\nroute: {receiver: r}\ntemplates: [%q]",
			"receivers: [{name: r}]\nroute: {receiver: r}\nwinnow: {ingest: {sources: {prometheus: {tokens: [{token_file: %q}]}}}}",
			"receivers: [{name: r}]\nroute: {receiver: r}\nwinnow: {self_alert: {webhook: {url_file: %q}}}",
		} {
			for _, to := range []string{planted, "/etc/passwd", "../../../../../../../../etc/passwd"} {
				tried++
				rec := httptest.NewRecorder()
				s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v1/preview", strings.NewReader(fmt.Sprintf(text, to))))
				if body := rec.Body.String(); strings.Contains(body, marker) || strings.Contains(body, "root:") {
					t.Errorf("a posted configuration shows %s: %.300q", to, body)
				}
			}
		}
		if tried < leastPaths {
			t.Errorf("%d paths", tried)
		}
		s.stop()
	})
}
