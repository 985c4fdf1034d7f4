package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	"go.yaml.in/yaml/v4"
)

// validFiles returns the text of each file of testdata/valid by its path.
func validFiles(t testing.TB) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/valid/*.yml")
	if err != nil || len(paths) < 7 {
		t.Fatalf("%d valid files, want at least 7 (%v)", len(paths), err)
	}
	out := map[string]string{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(b)
	}
	return out
}

// secretsIn are the words that stand for secrets in all of testdata.
var secretsIn = []string{"verysecret", "hunter2", "0123456789abcdef"}

func TestValidFilesLoad(t *testing.T) {
	for path := range validFiles(t) {
		if _, err := Load(path); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// An alertmanager.yml means what it means to Alertmanager, and goes on to mean
// that when a winnow key comes into it.
func TestAlertmanagerFilesMeanTheSame(t *testing.T) {
	compared := 0
	for path, text := range validFiles(t) {
		if strings.Contains(text, "winnow:") || strings.Contains(text, `"winnow"`) {
			continue
		}
		initCompat()
		want, err := amconfig.Load(text)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, text := range []string{text, "winnow: {}\n" + text, text + "\nwinnow:\n"} {
			c, err := Parse(path, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := c.Alertmanager.String(), want.String(); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
			}
			compared++
		}
	}
	if compared < 15 {
		t.Errorf("only %d texts compared", compared)
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	for path, text := range validFiles(t) {
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		policy, err := json.Marshal(c.Policy)
		if err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string]string{
			"Redacted": c.Redacted(),
			"%v":       fmt.Sprintf("%v", c),
			"%+v":      fmt.Sprintf("%+v", *c),
			"%#v":      fmt.Sprintf("%#v", c),
			"Policy":   string(policy),
		} {
			for _, s := range secretsIn {
				if strings.Contains(got, s) {
					t.Errorf("%s: %s shows %q:\n%s", path, what, s, got)
				}
			}
		}
		if strings.Contains(text, "verysecret") && !strings.Contains(c.Redacted(), secretText) {
			t.Errorf("%s: Redacted has no %s", path, secretText)
		}
	}
}

func TestRedactedIsTheEffectiveConfiguration(t *testing.T) {
	c, err := Load("testdata/valid/winnow.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := c.Redacted()
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil {
		t.Fatalf("it is no YAML: %v\n%s", err, text)
	}
	f := func(want string, path ...string) {
		t.Helper()
		at := n.Content[0]
		for _, key := range path {
			if list := items(at); list != nil {
				at = list[0]
			}
			at = get(at, key)
		}
		if got := text2(at); got != want {
			t.Errorf("%s: got %q, want %q", strings.Join(path, "."), got, want)
		}
	}
	f("5m", "global", "resolve_timeout")
	f("oncall", "route", "receiver")
	f(secretText, "receivers", "webhook_configs", "url")
	f("5s", "winnow", "ingest", "deadline")
	f("128", "winnow", "ingest", "limits", "labels")
	f("256", "winnow", "ingest", "limits", "annotations")
	f(secretText, "winnow", "ingest", "sources", "alertmanager", "tokens", "token")
	f("am", "winnow", "ingest", "sources", "alertmanager", "basic_users", "username")
	f("500ms", "winnow", "enrich", "timeout")
	f("10m0s", "winnow", "enrich", "cache_ttl")
	f("oncall", "winnow", "sinks", "receiver")
}

func text2(n *yaml.Node) string {
	if n == nil {
		return "(absent)"
	}
	return n.Value
}

func TestPasswordsInFreeFormSettingsAreRedacted(t *testing.T) {
	c, err := Load("testdata/valid/email_and_auth.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"api_token: <secret>", "password: <secret>", "access_key: <secret>",
		"https://<secret>@jira.example.com/rest/api/2/",
		"smtp_auth_password_file: ", "client_id: winnow", "token_url: https://login.example.com/token",
	} {
		if !strings.Contains(c.Redacted(), want) {
			t.Errorf("want %q in\n%s", want, c.Redacted())
		}
	}
}

func TestSameTextSameConfig(t *testing.T) {
	for path, text := range validFiles(t) {
		first, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(first.Policy)
		for range 5 {
			c, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(c.Policy); string(got) != string(want) {
				t.Fatalf("%s: got\n%s\nwant\n%s", path, got, want)
			}
			if c.Hash != first.Hash || c.Text != text {
				t.Fatalf("%s: another hash or text", path)
			}
		}
	}
}

func TestHash(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		c, err := Parse("x", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if c.Hash != want {
			t.Errorf("%q: got %s, want %s", text, c.Hash, want)
		}
	}
	f("{route: {receiver: a}, receivers: [{name: a}]}", "0f56549a9716f640")
	f("{route: {receiver: a}, receivers: [{name: a}]} ", "5d065b26ff5e1602")
}

func TestDefault(t *testing.T) {
	c := Default()
	r := c.Policy.Route
	got := fmt.Sprint(r.Receiver, r.GroupBy, r.GroupWait, r.GroupInterval, r.RepeatInterval, c.Policy.Receivers, c.Policy.ResolveTimeout)
	want := "stdout[alertname namespace service]30s5m0s4h0m0s[{stdout true false}]5m0s"
	if got := strings.ReplaceAll(got, " ", ""); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(c.Winnow.Sinks) != 1 || c.Winnow.Sinks[0].Stdout == nil {
		t.Errorf("got sinks %+v, want one to standard output", c.Winnow.Sinks)
	}
	if c.Winnow.Ingest.Deadline == 0 || c.Winnow.Enrich.Timeout == 0 {
		t.Error("the owners' defaults are not filled in")
	}
}

func TestLoadNamesTheFileItCannotRead(t *testing.T) {
	_, err := Load("testdata/none.yml")
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "testdata/none.yml") {
		t.Errorf("got %v", err)
	}
}

// TestAHugeFileIsNotReadWhole: a path may lead to a disk image.
func TestAHugeFileIsNotReadWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, []byte(DefaultText), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<36); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "a file of more than") {
		t.Errorf("got %v", err)
	}
}

func TestUnreadableTexts(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Parse("x", []byte(text))
		es, ok := errors.AsType[*Errors](err)
		if !ok || len(*es) != 1 {
			t.Fatalf("%.20q: got %v, want one error", text, err)
		}
		e := (*es)[0]
		if got := fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message); got != want {
			t.Errorf("%.20q: got %q, want %q", text, got, want)
		}
	}
	noRoute := "no route: a file needs at least a route with a receiver, and that receiver"
	f("", "1:1: "+noRoute)
	f("\n\n", "1:1: "+noRoute)
	f("---\n...\n", "1:1: "+noRoute)
	f("null", "1:1: "+noRoute)
	f("route:\n  r\xff: a", "2:4: the file is not UTF-8 text")
	f("\xff\xfer\x00", "1:1: the file is not UTF-8 text")
	f("route:\n\x00", "2:1: a control character (U+0000) that YAML does not allow")
	f("a: b: c", "1:5: not valid YAML: mapping values are not allowed in this context")
	f("a: &x b\nc: *y", "2:4: not valid YAML: no anchor (&name) for this alias (*name) before it")
	f(strings.Repeat(" ", MaxTextBytes+1), "1:1: a file of more than 8388608 bytes, which is the most that is read")
	f("? [a]\n: b\nroute: {receiver: a}\nreceivers: [{name: a}]", "1:3: a key must be a single value, not a list")
}

func TestByteOrderMarkIsNoMistake(t *testing.T) {
	c, err := Parse("x", []byte("\ufeff"+DefaultText))
	if err != nil {
		t.Fatal(err)
	}
	if c.Alertmanager.Route.Receiver != "stdout" {
		t.Errorf("got receiver %q", c.Alertmanager.Route.Receiver)
	}
}

func TestAReceiverWithoutIntegrationsIsFine(t *testing.T) {
	c, err := Parse("x", []byte("{route: {receiver: nobody}, receivers: [{name: nobody}]}"))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Policy.Receivers[0]; r.Resolved || r.FiringOnly {
		t.Errorf("got %+v, want a receiver that pages nobody", r)
	}
}

// The excerpt of a long line shows the place, not the beginning.
func TestExcerptOfALongLine(t *testing.T) {
	text := "route: {receiver: a, group_by: [" + strings.Repeat("x, ", 200) + "y], group_wat: 5s, continue: false" + strings.Repeat(" ", 300) + "}\nreceivers: [{name: a}]\n"
	_, err := Parse("x", []byte(text))
	es, ok := errors.AsType[*Errors](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	e := (*es)[len(*es)-1]
	line, caret, _ := strings.Cut(e.Excerpt, "\n")
	at := strings.IndexByte(caret, '^')
	if len(line) > excerptRunes+10 || !strings.HasPrefix(line[at:], "group_wat: ...") {
		t.Errorf("got\n%s", e.Excerpt)
	}
}
