package enrich

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// notification holds members with the given labels and annotations in turn,
// each as name=value words.
func notification(sets ...string) *correlate.Notification {
	n := &correlate.Notification{Incident: 7, Revision: 1, GroupLabels: labels("cluster", "eu")}
	for i := 0; i+1 < len(sets); i += 2 {
		n.Alerts = append(n.Alerts, correlate.Member{Labels: words(sets[i]), Annotations: words(sets[i+1])})
	}
	return n
}

func words(s string) alert.Labels {
	var pairs []string
	for w := range strings.FieldsSeq(s) {
		name, v, _ := strings.Cut(w, "=")
		pairs = append(pairs, name, v)
	}
	return labels(pairs...)
}

func TestLookUps(t *testing.T) {
	cfg := Defaults()
	cfg.Catalog = []string{folder(t, "catalog-info.yaml", checkoutYAML)}
	cfg.Runbooks = []RunbookRule{
		{Matchers: []string{`alertname=~"Kube.*"`, "severity=critical"}, URL: "https://runbooks.example/{{ .GroupLabels.cluster }}/{{ lower .Labels.alertname }}"},
		{Matchers: []string{"alertname=~Kube.*"}, URL: "https://runbooks.example/kube"},
		{Matchers: []string{"alertname=Odd"}, URL: "https://runbooks.example/{{ .Labels.pod }}"},
		{Matchers: []string{"alertname=Odd"}, URL: "https://runbooks.example/odd"},
	}
	p, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := func(n *correlate.Notification, want string) {
		t.Helper()
		for range 2 { // the second time out of the cache
			got, err := json.Marshal(p.Run(t.Context(), n))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("%v:\n got %s\nwant %s", n.Alerts, got, want)
			}
			p.cache.c.Wait()
		}
	}
	f(notification(), `{}`)
	f(notification("alertname=Disk", ""), `{}`)

	// Runbook: the annotation, then rules in their order, alert by alert.
	f(notification("alertname=Disk", "runbook_url=https://wiki.example/disk"), `{"runbook":"https://wiki.example/disk"}`)
	f(notification("alertname=Disk", "runbook=https://wiki.example/disk"), `{"runbook":"https://wiki.example/disk"}`)
	f(notification("alertname=KubeDown severity=critical", ""), `{"runbook":"https://runbooks.example/eu/kubedown"}`)
	f(notification("alertname=KubeDown severity=warning", ""), `{"runbook":"https://runbooks.example/kube"}`)
	f(notification("alertname=KubeDown", "runbook_url=https://wiki.example/k"), `{"runbook":"https://wiki.example/k"}`)
	f(notification("alertname=KubeDown", "runbook_url=wiki/k"),
		`{"runbook":"https://runbooks.example/kube","notes":["annotation runbook_url of KubeDown is ignored: \"wiki/k\" is not an http or https URL"]}`)
	f(notification("alertname=Odd pod=..", ""),
		`{"runbook":"https://runbooks.example/odd","notes":["runbook rule 2 gave no link for Odd: \"/..\" climbs in the path"]}`)
	f(notification("alertname=Disk", "", "alertname=KubeDown", "", "alertname=Cpu", "runbook_url=https://wiki.example/cpu", "alertname=Cpu", "runbook_url=https://wiki.example/cpu"),
		`{"runbook":"https://runbooks.example/kube","links":[{"title":"Runbook: Cpu","url":"https://wiki.example/cpu"}],"notes":["the runbook is that of KubeDown; Disk has none"]}`)

	// Owner: the alert's own word, then the catalogue by label.
	f(notification("alertname=A owner=jane team=web", ""), `{"owner":"jane"}`)
	f(notification("alertname=A team=web", ""), `{"owner":"web"}`)
	const shop = `"tier":"gold","dashboard":"https://grafana.example/d/shop"`
	const cartNote = `"the catalogue lists cart as experimental"`
	f(notification("alertname=A service=shop", ""), `{"owner":"shop-team",`+shop+`}`)
	f(notification("alertname=A service=nobody job=shop", ""), `{"owner":"shop-team",`+shop+`}`)
	f(notification("alertname=A service=cart namespace=shop team=web", ""), `{"owner":"web",`+shop+`,"notes":[`+cartNote+`]}`)
	f(notification("alertname=A team=a", "", "alertname=A service=cart", "", "alertname=A team=a", ""),
		`{"owner":"a",`+shop+`,"notes":[`+cartNote+`,"alerts of other owners belong to it: shop-team"]}`)

	// Dashboard: the annotation wins, and so does an alert's runbook.
	f(notification("alertname=A service=shop", "dashboard=https://g.example/a"),
		`{"owner":"shop-team","tier":"gold","dashboard":"https://g.example/a"}`)
	f(notification("alertname=A service=checkout", "dashboard_url=https://g.example/b runbook_url=https://wiki.example/b"),
		`{"runbook":"https://wiki.example/b","owner":"payments","tier":"1","dashboard":"https://g.example/b","links":[{"title":"Logs","url":"https://logs.example/checkout"}]}`)
	f(notification("alertname=A", "dashboard=javascript:alert(1)"),
		`{"notes":["annotation dashboard of A is ignored: \"javascript:alert(1)\" is not an http or https URL"]}`)
}

// A storm's notification costs no more than maxMembers look-ups and its answer
// stays within the limits.
func TestAnswersAreBounded(t *testing.T) {
	var sets []string
	for i := range 5000 {
		sets = append(sets, fmt.Sprintf("alertname=A%d team=t%d", i, i), fmt.Sprintf("runbook_url=https://wiki.example/%d dashboard=x%s", i, strings.Repeat("y", 3000)))
	}
	p, err := New(Defaults(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := p.Run(t.Context(), notification(sets...))
	if len(c.Links) != MaxLinks || len(c.Notes) != MaxNotes || len(c.Failed) != 0 {
		t.Errorf("%d links, %d notes, failed %v: want %d, %d, none", len(c.Links), len(c.Notes), c.Failed, MaxLinks, MaxNotes)
	}
	for _, note := range c.Notes {
		if len(note) > MaxNoteBytes+len("…") {
			t.Errorf("a note of %d bytes", len(note))
		}
	}
}

func TestLinkCacheStaysWithinItsBounds(t *testing.T) {
	lc, err := newLinkCache(minCacheBytes, Defaults().CacheTTL)
	if err != nil {
		t.Fatal(err)
	}
	lc.put([]byte("a"), rendered{url: "u"})
	lc.put(make([]byte, maxCachedKeyBytes+1), rendered{url: "long"})
	lc.c.Wait()
	if r, ok := lc.get([]byte("a")); !ok || r.url != "u" {
		t.Errorf("got %v, %v", r, ok)
	}
	if _, ok := lc.get(make([]byte, maxCachedKeyBytes+1)); ok {
		t.Error("an entry with an overlong key was kept")
	}
	for i := range 10_000 { // far more than fits
		lc.put(fmt.Appendf(nil, "%0512d", i), rendered{url: "u"})
		if i%100 == 0 {
			lc.c.Wait()
		}
	}
	lc.c.Wait()
	if left := lc.c.RemainingCost(); left < 0 {
		t.Errorf("the cache is %d bytes over its limit", -left)
	}
	lc.close()
	lc.close()
	lc.put([]byte("a"), rendered{url: "u"})
	if _, ok := lc.get([]byte("a")); ok {
		t.Error("a closed cache answered")
	}
}
