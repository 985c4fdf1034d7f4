package enrich

import (
	"strings"
	"testing"
)

func TestParseMatchers(t *testing.T) {
	f := func(want string, entries ...string) {
		t.Helper()
		ms, err := parseMatchers(entries)
		if err != nil {
			t.Errorf("%q: %v", entries, err)
			return
		}
		if got := ms.String(); got != want {
			t.Errorf("%q: got %s, want %s", entries, got, want)
		}
	}
	f(`{}`)
	f(`{alertname=~"Kube.*"}`, `alertname=~"Kube.*"`)
	f(`{severity="critical"}`, `severity=critical`)
	f(`{severity=~"critical|error"}`, `severity =~ critical|error`)
	f(`{team!=""}`, `team!=`)
	f(`{team!="a"}`, `team != "a"`)
	f(`{env!~"dev-.*"}`, `env!~dev-.*`)
	f(`{a="1",b="2"}`, `a=1`, `b="2"`)
	f(`{a="1",b="2"}`, `{a="1", b=2}`)
	f(`{a="1",b="2"}`, `a="1",b="2",`)
	f(`{a="x, y=\"z\""}`, `a="x, y=\"z\""`)
	f(`{"label with space"="v"}`, `"label with space"=v`)
	f(`{instance=~"web-\\d+\\.example"}`, `instance=~"web-\d+\.example"`)
	f(`{a="b=c"}`, `a=b=c`)
	f(`{a="é"}`, `a="\u00e9"`)
}

func TestParseMatchersRefuses(t *testing.T) {
	f := func(entry, want string) {
		t.Helper()
		_, err := parseMatchers([]string{entry})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "matcher") {
			t.Errorf("%q: got %v, want an error with %q", entry, err, want)
		}
	}
	f(``, "is empty")
	f(`{}`, "is empty")
	f(`{a="b"`, "brace is not closed")
	f(`severity`, "no operator")
	f(`severity!critical`, "no operator")
	f(`="x"`, "no label name")
	f(`a="b`, "quote is not closed")
	f(`a="b\"`, "quote is not closed")
	f(`a="b" c="d"`, "want a comma")
	f(`a=~Kube{2}`, "double quotes")
	f(`a b=c`, "double quotes")
	f(`a=~"("`, "missing closing")
}
