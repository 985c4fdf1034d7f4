package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// Every relative path of a file is resolved against its directory, those that
// Alertmanager leaves alone included.
func TestPathsAreRelativeToTheFile(t *testing.T) {
	dir, err := filepath.Abs("testdata/valid")
	if err != nil {
		t.Fatal(err)
	}
	f := func(file string, want ...string) {
		t.Helper()
		c, err := Load(filepath.Join("testdata/valid", file))
		if err != nil {
			t.Fatal(err)
		}
		var n yaml.Node
		if err := yaml.Load([]byte(c.Redacted()), &n); err != nil {
			t.Fatal(err)
		}
		got := pathsIn(nil, &n, "")
		for i, p := range got {
			key, path, _ := strings.Cut(p, " ")
			if !filepath.IsAbs(path) {
				t.Errorf("%s: %s is left relative", file, p)
			}
			got[i] = key + " " + strings.TrimPrefix(path, dir+"/")
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f("pagerduty_slack.yml",
		"ca_file tls/ca.pem",
		"ca_file tls/ca.pem", // and what four integrations inherit
		"ca_file tls/ca.pem",
		"ca_file tls/ca.pem",
		"ca_file tls/ca.pem",
		"templates templates/*.tmpl",
		"service_key_file secrets/pagerduty-database",
	)
	f("email_and_auth.yml",
		"smtp_auth_password_file secrets/smtp",
		"auth_password_file secrets/smtp",
		"ca_file tls/mail-ca.pem",
		"telegram_bot_token_file secrets/telegram",
		"bot_token_file secrets/telegram",
		"cert_file tls/client.pem",
		"key_file tls/client.key",
		"url_file secrets/webhook",
		"client_secret_file secrets/oauth",
		"ca_file tls/login.pem",
		"files secrets/header",
		"alert_source_token_file secrets/incidentio",
		"ca_file tls/incidentio.pem",
		"ca_file tls/otel.pem",
	)
	f("winnow.yml",
		"token_file secrets/next-token",
		"catalog catalog",
		"catalog /srv/catalog-info.yaml",
		"path var/archive.jsonl",
	)
	f("access.yml",
		"token_file secrets/scrape",
		"secret_file secrets/grafana",
	)
}

func TestParseLeavesPathsAlone(t *testing.T) {
	c, err := Parse("some/dir/x.yml", []byte("{route: {receiver: a}, receivers: [{name: a}], templates: [a.tmpl]}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Alertmanager.Templates[0]; got != "a.tmpl" {
		t.Errorf("got %q", got)
	}
}

// pathsIn lists the keys and values below n that are paths.
func pathsIn(dst []string, n *yaml.Node, key string) []string {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			dst = pathsIn(dst, n.Content[i+1], n.Content[i].Value)
		}
	case yaml.ScalarNode:
		if (namesPath(key) || namesPaths(key)) && n.Value != "" {
			dst = append(dst, key+" "+n.Value)
		}
	default:
		for _, c := range n.Content {
			dst = pathsIn(dst, c, key)
		}
	}
	return dst
}
