package enrich

import (
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
)

// labels reads name, value, name, value.
func labels(pairs ...string) alert.Labels {
	var ls alert.Labels
	for i := 0; i+1 < len(pairs); i += 2 {
		ls = append(ls, alert.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	ls.Sort()
	return ls
}

func TestURLTemplate(t *testing.T) {
	const base = "https://runbooks.example/"
	f := func(text string, ls alert.Labels, want string) {
		t.Helper()
		ut, err := parseURLTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		got, err := ut.render(newTemplateInput(ls, labels("cluster", "eu 1"), labels("summary", "a&b")))
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want && (!strings.HasPrefix(want, "error: ") || !strings.Contains(got, strings.TrimPrefix(want, "error: "))) {
			t.Errorf("%s with %s:\n got %s\nwant %s", text, ls, got, want)
		}
	}
	name := base + "{{ .Labels.alertname }}"
	f(name, labels("alertname", "KubePodCrashLooping"), base+"KubePodCrashLooping")
	f(base+"{{ lower .Labels.alertname }}.html#fix", labels("alertname", "KubeDown"), base+"kubedown.html#fix")
	f(base+"?q={{ urlquery .Labels.alertname }}&x=1", labels("alertname", "a b&c"), base+"?q=a+b%26c&x=1")
	f(base+"?q={{ .Labels.alertname }}&x=1", labels("alertname", "a b&c=d#e"), base+"?q=a%20b%26c%3Dd%23e&x=1")
	f(base+"{{ .GroupLabels.cluster }}/{{ .Annotations.summary }}", nil, base+"eu%201/a%26b")
	f(base+"{{ or .Labels.team .Labels.owner }}", labels("owner", "web"), base+"web")
	f(base+`{{ if eq .Labels.severity "critical" }}now{{ else }}later{{ end }}`, labels("severity", "critical"), base+"now")
	f(base+"{{ .Labels.absent }}", nil, base)
	f("https://runbooks.example", labels("alertname", "x"), "https://runbooks.example")
	f("http://127.0.0.1:8080/{{ .Labels.alertname }}", labels("alertname", "x"), "http://127.0.0.1:8080/x")

	// A label cannot leave its place.
	f(name, labels("alertname", "//evil.example/x"), base+"%2F%2Fevil.example%2Fx")
	f(name, labels("alertname", `\\evil.example`), base+"%5C%5Cevil.example")
	f(name, labels("alertname", "x?admin=1#y"), base+"x%3Fadmin%3D1%23y")
	f(name, labels("alertname", "a@evil.example:80"), base+"a%40evil.example%3A80")
	f(name, labels("alertname", "<script>|`'\"\r\n"), base+"%3Cscript%3E%7C%60%27%22%0D%0A")
	f(name, labels("alertname", "../admin"), "error: climbs in the path")
	f(name, labels("alertname", ".."), "error: climbs in the path")
	f(base+"{{ .Labels.a }}{{ .Labels.b }}/x", labels("a", ".", "b", "."), "error: climbs in the path")
	f(name, labels("alertname", strings.Repeat("x", 3000)), "error: more than 2048 bytes")
	f(base+"{{ range .Labels }}{{ . }}{{ end }}", labels("a", "/x", "b", "?y"), base+"%2Fx%3Fy")

	// No verb and no function of text/template is a way around the escaping.
	f(base+`{{ printf "%s%v%x" .Labels.a .Labels.a .Labels.a }}`, labels("a", "/"), base+"%2F%2F%2F")
	f(base+`{{ printf "%#v%d%q" .Labels.a .Labels.a .Labels.a }}`, labels("a", "/"), base+"%2F%2F%2F")
	f(base+`{{ print .Labels.a }}{{ html .Labels.a }}{{ lower .Labels.a }}`, labels("a", "?"), base+"%3F%3F%3F")
	f(base+`{{ if .Labels.a }}{{ slice .Labels.a 0 2 }}{{ end }}`, labels("a", "/?#"), base+"%2F%3F")
	f(base+`{{ index .Labels "a" }}`, labels("a", "/"), base+"%2F")
}

func TestURLTemplateRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := parseURLTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
	f("", "literal text")
	f("{{ .Labels.url }}", "literal text")
	f("https://{{ .Labels.host }}/x", "literal text")
	f("https://runbooks.example{{ .Labels.x }}/y", "literal text")
	f("https://runbooks.example:{{ .Labels.port }}/", "literal text")
	f(`https://runbooks.example\{{ .Labels.x }}/`, "literal text")
	f("javascript:alert({{ .Labels.x }})/", "literal text")
	f("ftp://runbooks.example/", "literal text")
	f("https://user:secret@runbooks.example/{{ .Labels.x }}", "carries a user name")
	f("https://runbooks.example/{{ .Labels.x", "unclosed action")
	f("https://runbooks.example/{{ .Lables.x }}", "can't evaluate field Lables")
	f("https://runbooks.example/{{ env .Labels.x }}", `function "env" not defined`)
	f("https://runbooks.example/{{ lower 1 }}", "want a string")
	f("https://runbooks.example/a/../b", "climbs in the path")
}

func TestWebURL(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		u, err := webURL(in)
		got := "refused"
		if err == nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	f("https://wiki.example/Runbooks/Disk full", "https://wiki.example/Runbooks/Disk%20full")
	f(" http://wiki.example:8080?a=b ", "http://wiki.example:8080?a=b")
	f(`https://wiki.example/?q="<a>|b`, "https://wiki.example/?q=%22%3Ca%3E%7Cb")
	f("https://[::1]/x", "https://[::1]/x")
	f("wiki/Runbooks", "refused")
	f("//wiki.example/x", "refused")
	f("https:wiki.example", "refused")
	f("https://", "refused")
	f("https://:80/", "refused")
	f("javascript:alert(1)", "refused")
	f("data:text/html,x", "refused")
	f("https://user:pw@wiki.example/", "refused")
	f("https://wiki.example/\x00", "refused")
	f("https://wiki.example/\u202egnp.exe", "refused")
	f("https://wiki.example/"+strings.Repeat("x", MaxURLBytes), "refused")
}

func FuzzURLTemplateKeepsHost(f *testing.F) {
	ut, err := parseURLTemplate("https://runbooks.example/{{ .Labels.a }}?q={{ .Labels.a }}&r={{ urlquery .Labels.a }}#{{ lower .Labels.a }}")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"x", "//evil", "..", "%2e%2e", "\\", "@", "?&#=", "\xff", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ut.render(newTemplateInput(alert.Labels{{Name: "a", Value: s}}, nil, nil))
		if err != nil {
			return
		}
		u, err := webURL(got)
		if err != nil || u.Host != "runbooks.example" || u.Scheme != "https" || strings.Count(u.Path, "/") != 1+strings.Count(s, "/") {
			t.Fatalf("%q led to %s (%v)", s, got, err)
		}
		if q := u.Query(); len(q) != 2 || q.Get("q") != s || q.Get("r") != s {
			t.Fatalf("%q led to the query %q", s, u.RawQuery)
		}
	})
}
