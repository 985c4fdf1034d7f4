package enrich

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const checkoutYAML = `apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  labels: {example.com/tier: "1"}
  links:
    - {url: https://grafana.example/d/checkout, title: Checkout dashboard}
    - {url: https://wiki.example/checkout, title: Runbook}
    - {url: https://logs.example/checkout, title: Logs}
    - {url: mailto:pay@example.com, title: Mail}
spec:
  type: service
  lifecycle: production
  owner: group:default/payments
  system: shop
---
# nothing
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata:
  name: shop
  annotations: {criticality: gold}
  links: [{url: https://grafana.example/d/shop, type: dashboard}]
spec: {owner: shop-team}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: cart}
spec: {lifecycle: experimental, system: system:default/shop}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: checkout-api}
spec: {owner: [not, read, here]}
`

// folder writes files, name and content in turn, and returns where they are.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i+1 < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCatalogEntries(t *testing.T) {
	c, err := loadCatalog([]string{folder(t, "a/b/catalog-info.yaml", checkoutYAML)})
	if err != nil {
		t.Fatal(err)
	}
	f := func(name, want string) {
		t.Helper()
		got := "none"
		if e := c.find(name); e != nil {
			got = strings.Join([]string{e.kind, e.owner, e.tier, e.lifecycle, e.dashboard, e.runbook}, " | ")
			for _, l := range e.links {
				got += " | " + l.Title + "=" + l.URL
			}
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", name, got, want)
		}
	}
	f("checkout", "Component | payments | 1 | production | https://grafana.example/d/checkout | https://wiki.example/checkout | Logs=https://logs.example/checkout")
	f("cart", "Component | shop-team | gold | experimental | https://grafana.example/d/shop | ") // its system stands in
	f("shop", "System | shop-team | gold |  | https://grafana.example/d/shop | ")
	f("checkout-api", "none")
	f("Checkout", "none")
	f("", "none")
}

func TestEntityName(t *testing.T) {
	f := func(ref, want string) {
		t.Helper()
		if got := entityName(ref); got != want {
			t.Errorf("%q: got %q, want %q", ref, got, want)
		}
	}
	f("payments", "payments")
	f("group:payments", "payments")
	f("Group:default/payments", "payments")
	f("group:eu/payments", "eu/payments")
	f("user:default/jane", "jane")
	f("https://x", "https://x")
	f("", "")
}

func TestCatalogFiles(t *testing.T) {
	dir := folder(t,
		"catalog-info.yaml", "", "x/catalog-info.yml", "", "x/other.yaml", "",
		".git/catalog-info.yaml", "", "mounted/..data/catalog-info.yaml", "", "empty/readme.md", "")
	if err := os.Symlink("..data/catalog-info.yaml", filepath.Join(dir, "mounted/catalog-info.yaml")); err != nil {
		t.Fatal(err)
	}
	f := func(want string, paths ...string) {
		t.Helper()
		for i := range paths {
			paths[i] = filepath.Join(dir, paths[i])
		}
		files, err := catalogFiles(paths)
		got := strings.ReplaceAll(strings.Join(files, " "), dir+"/", "")
		if err != nil {
			got = "error: " + strings.ReplaceAll(err.Error(), dir+"/", "")
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", paths, got, want)
		}
	}
	f("")
	f(fmt.Sprintf("error: enrich.catalog[%d]: %d files, at most %d", MaxCatalogFiles, MaxCatalogFiles+1, MaxCatalogFiles), slices.Repeat([]string{"x/other.yaml"}, MaxCatalogFiles+1)...)
	f("catalog-info.yaml mounted/catalog-info.yaml x/catalog-info.yml", "")
	f("x/catalog-info.yml x/other.yaml", "x/*.y*ml")
	f("x/catalog-info.yml x/other.yaml", "x/other.yaml", "x", "x/other.yaml")
	f(`error: enrich.catalog[0]: glob "y/*.yaml" matches no file`, "y/*.yaml")
	f(`error: enrich.catalog[1]: stat nowhere.yaml: no such file or directory`, "x", "nowhere.yaml")
	f(`error: enrich.catalog[0]: directory empty: no catalog-info.yaml in it; files of other names need a glob, as empty/*.yaml`, "empty")
}

func TestCatalogFaultsAreLocated(t *testing.T) {
	const head = "apiVersion: backstage.io/v1alpha1\nkind: Component\n"
	f := func(src string, want ...string) {
		t.Helper()
		dir := folder(t, "c.yaml", src)
		_, err := loadCatalog([]string{dir + "/c.yaml"})
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q:\n got %v\nwant an error with %q", src, err, w)
			}
		}
	}
	f("kind: [\n", "c.yaml:2: did not find expected node content")
	f(head+"metadata: {name: [x]}\nspec: {owner: {a: b}}\n",
		"c.yaml:3: cannot construct !!seq into string", "c.yaml:4: cannot construct !!map into string")
	f("\n\nmetadata: {name: x}\n", "c.yaml:3: no kind")
	f("kind: Component\nmetadata: {name: x}\n", `c.yaml:1: apiVersion "": want Backstage's`)
	f("apiVersion: apps/v1\nkind: Deployment\n", `c.yaml:1: apiVersion "apps/v1": want Backstage's`)
	f(head+"metadata: {}\n", "c.yaml:1: Component without metadata.name")
	f(head+"metadata: {name: x, name: y}\n", `c.yaml:3: mapping key "name" already defined`)
	f(head+"metadata: {name: x, links: [{title: y}]}\n", "c.yaml:1: Component \"x\": metadata.links[0] has no url")
	f("just text\n", "c.yaml:1: cannot construct !!str")
	f(head+"metadata: {name: x}\n---\n"+head+"metadata: {name: x}\n", `c.yaml:5: Component "x" stands at `, "c.yaml:1 already")
	f(head+"metadata: {}\n---\n"+head+"metadata: {}\n", "c.yaml:1: Component without", "c.yaml:5: Component without") // all of them
	f(strings.Repeat("---\nkind: X\n", 30), "and 10 more")
	f(strings.Repeat("#", MaxCatalogFileBytes+1), "c.yaml: more than 4194304 bytes")
}

func TestSystemAndComponentMayShareAName(t *testing.T) {
	const head = "apiVersion: backstage.io/v1alpha1\n"
	dir := folder(t, "c.yaml", head+"kind: System\nmetadata: {name: shop}\nspec: {owner: a}\n---\n"+
		head+"kind: Component\nmetadata: {name: shop}\nspec: {owner: b, system: shop}\n")
	c, err := loadCatalog([]string{dir + "/c.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.find("shop").owner; got != "b" {
		t.Errorf("owner is %q, want that of the component", got)
	}
}
