package enrich

import (
	"strings"
	"testing"
)

// FuzzParseMatchers holds the matchers that people write: what is read has the
// same meaning once it is written as Alertmanager writes it, and what is not
// read says so.
func FuzzParseMatchers(f *testing.F) {
	for _, s := range []string{
		`a=b`, `a="b"`, `a != b`, `a=~"web-\d+\.x"`, `{a="1", b=2}`, `{a="1",}`, `"a b"=c`, `a="x, y=\"z\""`, `a=`, `{}`, ``, `{`, `a`, `a="`, `a="b" c`, `a=~(`, `a="\`, "a=\"\xff\"", `a="\u00e9\n"`,
		`a={}`, `a,b=c`, `=b`, `a==b`, `a=~=b`, `{a=b}}`, " a = b , c =~ d ", "a=\"b\\\"", `a="\\"`, `a="\q"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		ms, err := parseMatchers([]string{entry})
		if err != nil {
			if !strings.Contains(err.Error(), "matcher") {
				t.Fatalf("%q: the error does not say what was read: %v", entry, err)
			}
			return
		}
		if len(ms) == 0 {
			t.Fatalf("%q: nothing was read, and no error", entry)
		}
		for _, m := range ms {
			if m.Name == "" {
				t.Fatalf("%q: a matcher without a name", entry)
			}
		}
		again, err := parseMatchers([]string{ms.String()})
		if err != nil || again.String() != ms.String() {
			t.Fatalf("%q was written as %q and read as %q, %v", entry, ms, again, err)
		}
	})
}

// FuzzParseCatalog holds Backstage's documents: an entry has a name, and a fault
// says where it stands.
func FuzzParseCatalog(f *testing.F) {
	for _, s := range []string{
		"apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: checkout, annotations: {a: b}, links: [{url: 'https://a', title: t}]}\nspec: {owner: payments, system: shop, lifecycle: production}\n",
		"apiVersion: backstage.io/v1alpha1\nkind: System\nmetadata: {name: shop}\n---\nkind: API\napiVersion: backstage.io/v1\n", "kind: Component", "---\n---\n", "- a", "a: &a [*a]", "\xff", "{", "kind: [Component]", "? a\n: b",
		"x: &a [1,2,3]\ny: &b [*a,*a,*a,*a]\nz: [*b,*b,*b,*b]", "apiVersion: backstage.io/v1\nkind: Component\nmetadata: {name: \"a\\nb\", links: [{url: 'javascript:x'}]}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		entries, faults := parseCatalog("catalog-info.yaml", src)
		for _, e := range entries {
			if e.name == "" || !strings.HasPrefix(e.at, "catalog-info.yaml:") {
				t.Fatalf("%q: an entry without a name or a place: %+v", src, e)
			}
			for _, l := range e.links {
				if !strings.HasPrefix(l.URL, "http") {
					t.Fatalf("%q: a link to %q", src, l.URL)
				}
			}
		}
		for _, err := range faults {
			if !strings.Contains(err.Error(), "catalog-info.yaml") {
				t.Fatalf("%q: a fault that does not say where: %v", src, err)
			}
		}
	})
}
