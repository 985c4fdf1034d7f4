package sinks

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	commoncfg "github.com/prometheus/common/config"
)

func TestRedact(t *testing.T) {
	mustParse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-in-file\n")
	type conf struct {
		Key       commoncfg.Secret
		Long      commoncfg.Secret
		Webhook   *amcommoncfg.SecretURL
		Template  amcommoncfg.SecretTemplateURL
		Plain     amcommoncfg.URL
		HTTP      *commoncfg.HTTPClientConfig
		TokenFile string
		unread    commoncfg.Secret
	}
	r := newRedactor([]*conf{{
		Key: "pass", Long: "pass word/1", TokenFile: file, unread: "x",
		Webhook:  &amcommoncfg.SecretURL{URL: mustParse("https://hooks.example/services/T0/B0/abcdefgh?key=v")},
		Template: "https://{{ .Labels.team }}.example/{{ .Labels.env }}/tok-12345678/in",
		Plain:    amcommoncfg.URL{URL: mustParse("https://me:mypw@plain.example/path?token=qqqqqqqq&v=2")},
		HTTP: &commoncfg.HTTPClientConfig{
			BasicAuth:   &commoncfg.BasicAuth{Username: "u", Password: "basicpw"},
			ProxyConfig: commoncfg.ProxyConfig{ProxyURL: commoncfg.URL{URL: mustParse("http://p:proxypw@proxy.example")}},
			HTTPHeaders: &commoncfg.Headers{Headers: map[string]commoncfg.Header{"X": {Secrets: []commoncfg.Secret{"headerpw"}}}},
		},
	}})
	f := func(in, want string) {
		t.Helper()
		if got := r.error(errors.New(in)); got != want {
			t.Errorf("%q\n got  %q\n want %q", in, got, want)
		}
	}
	f("nothing to hide", "nothing to hide")
	f("key pass!", "key <secret>!")
	f("pass word/1", "<secret>") // and not "<secret> word/1"
	f("pass+word%2F1 pass%20word/1 pass%20word%2F1", "<secret> <secret> <secret>")
	f(`"pass word\/1"`, `"<secret> word\/1"`) // a form of escape that nobody we know writes: the shorter one still goes
	f("https://hooks.example/services/T0/B0/abcdefgh?key=v", "https://hooks.example<secret>?<secret>")
	f("no such path: abcdefgh", "no such path: <secret>")
	f("https://sre.example/prod/tok-12345678/in", "https://sre.example/prod<secret>")
	f("https://me:mypw@plain.example/path?token=qqqqqqqq&v=2", "https://<secret>@plain.example/path?token=<secret>&v=2")
	f("Basic dTpiYXNpY3B3 basicpw", "Basic <secret> <secret>")
	f("proxypw headerpw", "<secret> <secret>")
	f("first-in-file", "<secret>")
	f("two\nlines \x1b[31mred", "two lines ␛[31mred")

	write("rotated-since\n")
	f("first-in-file rotated-since", "<secret> <secret>")

	f(strings.Repeat("é", 2000), strings.Repeat("é", (maxErrorBytes-3)/2)+"…")
	wrapped := fmt.Errorf("notify: %w", &url.Error{Op: "Post", URL: "https://rendered.example/of-a-template?k=v", Err: errors.New("refused")})
	if got, want := r.error(wrapped), `notify: Post "https://rendered.example": refused`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
