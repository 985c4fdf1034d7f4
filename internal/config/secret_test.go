package config

import (
	"regexp"
	"strings"
	"testing"
)

// However a line of a good file is damaged, no error shows a secret.
func TestDamagedFilesShowNoSecrets(t *testing.T) {
	damages := map[string]func(line string) string{
		"removed":        func(string) string { return "" },
		"indented":       func(s string) string { return "  " + s },
		"outdented":      func(s string) string { return strings.TrimPrefix(s, "  ") },
		"tabbed":         func(s string) string { return "\t" + s },
		"no colon":       func(s string) string { return strings.Replace(s, ":", "", 1) },
		"no space":       func(s string) string { return strings.ReplaceAll(s, ": ", ":") },
		"two colons":     func(s string) string { return strings.Replace(s, ": ", ": x: ", 1) },
		"key misspelled": func(s string) string { return anyKey.ReplaceAllString(s, "${1}x:") },
		"key unknown":    func(s string) string { return anyKey.ReplaceAllString(s, "zzz:") },
		"key doubled":    func(s string) string { return s + "\n" + s },
		"value a list":   func(s string) string { return anyValue.ReplaceAllString(s, ": [$1]") },
		"value an alias": func(s string) string { return anyValue.ReplaceAllString(s, ": *$1") },
		"value a tag":    func(s string) string { return anyValue.ReplaceAllString(s, ": !!int $1") },
		"quote opened":   func(s string) string { return anyValue.ReplaceAllString(s, `: "$1`) },
		"quote closed":   func(s string) string { return s + `"` },
		"brace opened":   func(s string) string { return strings.Replace(s, ": ", ": {", 1) },
		"brace closed":   func(s string) string { return s + "}" },
		"bracket lost":   func(s string) string { return strings.NewReplacer("]", "", "}", "").Replace(s) },
		"comma lost":     func(s string) string { return strings.ReplaceAll(s, ",", "") },
		"block opened":   func(s string) string { return anyValue.ReplaceAllString(s, ": |\n   $1") },
		"a list item":    func(s string) string { return "- " + s },
	}
	failed, shown := 0, 0
	for path, text := range validFiles(t) {
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			for name, damage := range damages {
				lines[i] = damage(line)
				_, err := Parse("x", []byte(strings.Join(lines, "\n")))
				if err == nil {
					continue
				}
				failed++
				for _, s := range secretsIn {
					if strings.Contains(err.Error(), s) {
						t.Errorf("%s:%d, %s: %s\n%v", path, i+1, name, lines[i], err)
						if shown++; shown > 10 {
							t.FailNow()
						}
					}
				}
			}
			lines[i] = line
		}
	}
	if failed < 1000 {
		t.Errorf("only %d damaged files were refused", failed)
	}
}

var (
	anyKey   = regexp.MustCompile(`([a-z_]+):`)
	anyValue = regexp.MustCompile(`: ([^{\[|>].*)$`)
)

func TestLooksSecret(t *testing.T) {
	f := func(key string, want bool) {
		t.Helper()
		if got := looksSecret(key); got != want {
			t.Errorf("%s: got %t", key, got)
		}
	}
	f("smtp_auth_password", true)
	f("routing_key", true)
	f("user_key", true)
	f("key", true)
	f("apiKey", true)
	f("bot_token", true)
	f("api_url", true)
	f("Authorization", true)
	f("client_secret", true)
	f("http_headers", true)
	f("bot_token_file", false)
	f("tokens_files", false)
	f("client_id", false)
	f("token_id", true)
	f("webhook_configs", false)
	f("keyboard", false)
	f("receiver", false)
	f("group_by", false)
}

func TestNearest(t *testing.T) {
	known := []string{"group_by", "group_wait", "group_interval", "receiver", "routes", "match", "matchers"}
	f := func(word, want string) {
		t.Helper()
		if got := nearest(word, known); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	f("group_wat", "group_wait")
	f("recevier", "receiver") // two letters swapped are one edit
	f("Receiver", "receiver")
	f("route", "routes")
	f("matcher", "matchers")
	f("group", "")
	f("x", "")
	f("something", "")
	f("groupby", "group_by")
	f("group-interval", "group_interval")
}
