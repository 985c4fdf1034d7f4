package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/internal/config"
)

// eachStory tells several seeds at several lengths.
func eachStory(t *testing.T, f func(t *testing.T, s *Story)) {
	for _, seed := range []uint64{1, 2, 1 << 63} {
		for _, d := range []time.Duration{MinDuration, 20 * time.Second, 30 * time.Second, 3 * time.Minute} {
			t.Run(fmt.Sprintf("seed %d in %s", seed, d), func(t *testing.T) { f(t, NewStory(seed, d)) })
		}
	}
}

// text writes everything of a story that a receiver can see.
func text(s *Story) string {
	var b strings.Builder
	for _, p := range s.Posts {
		fmt.Fprintln(&b, p.At, p.Sender.Name)
		for _, d := range p.Deliveries {
			fmt.Fprintln(&b, " ", d.Alert.Labels, d.Alert.Annotations, d.StartsAt, d.EndsAt, d.Resolved)
		}
	}
	for _, c := range s.Scenes {
		fmt.Fprintln(&b, c.At, c.Text)
	}
	return b.String()
}

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	a, b := text(NewStory(7, 20*time.Second)), text(NewStory(7, 20*time.Second))
	if a != b {
		t.Error("two stories of one seed differ")
	}
	if a == text(NewStory(8, 20*time.Second)) {
		t.Error("two seeds tell the same story")
	}
}

func TestStoryIsLargeEnough(t *testing.T) {
	eachStory(t, func(t *testing.T, s *Story) {
		deliveries := 0
		for _, p := range s.Posts {
			deliveries += len(p.Deliveries)
		}
		if len(s.Alerts) < 300 || deliveries < 3000 {
			t.Errorf("%d alerts in %d deliveries; several hundred in several thousand are wanted", len(s.Alerts), deliveries)
		}
	})
}

var (
	labelName = regexp.MustCompile(`^[a-z_]+$`)
	podName   = regexp.MustCompile(`^([a-z-]+)-[a-z0-9]{9}-[a-z0-9]{5}$`)
)

func TestAlertsAreSound(t *testing.T) {
	eachStory(t, func(t *testing.T, s *Story) {
		for _, a := range s.Alerts {
			soundAlert(t, a)
		}
		if q := s.Quiet; q.Labels.Severity() != alert.Critical || !slices.Contains(s.Alerts, q) {
			t.Errorf("the quiet alert is %s", q.Labels)
		}
	})
}

func soundAlert(t *testing.T, a *Alert) {
	t.Helper()
	get := a.Labels.Get
	for _, l := range a.Labels {
		if !labelName.MatchString(l.Name) {
			t.Errorf("%s: label %q", a.Labels, l.Name)
		}
	}
	for _, name := range []string{"alertname", "severity", "cluster"} {
		if get(name) == "" {
			t.Errorf("%s has no %s", a.Labels, name)
		}
	}
	if a.Labels.Severity() == alert.Unset {
		t.Errorf("%s: nobody knows the severity", a.Labels)
	}
	if (a.Annotations.Get("runbook_url") != "") != (a.Rule.Area != "") {
		t.Errorf("%s: runbook %q", a.Labels, a.Annotations.Get("runbook_url"))
	}
	if pod := get("pod"); pod != "" {
		m := podName.FindStringSubmatch(pod)
		if m == nil || !isService(m[1]) || (get("namespace") != serviceOf(m[1]).Namespace) {
			t.Errorf("%s: there is no such pod there", a.Labels)
		}
	}
	for _, name := range []string{"service", "deployment", "horizontalpodautoscaler", "consumergroup", "envoy_cluster_name", "container"} {
		if v := get(name); v != "" && !isService(v) {
			t.Errorf("%s: %s is no service", a.Labels, v)
		}
	}
	if n := get("node"); n != "" && !strings.HasPrefix(n, "worker-") {
		t.Errorf("%s: there is no node %s", a.Labels, n)
	}
}

func isService(name string) bool {
	return slices.ContainsFunc(services, func(v Service) bool { return v.Name == name })
}

func serviceOf(name string) Service {
	return services[slices.IndexFunc(services, func(v Service) bool { return v.Name == name })]
}

// TestSendersAreConsistent follows each alert through the deliveries of each
// sender: nothing ends that has not begun, nothing is said before it happens.
func TestSendersAreConsistent(t *testing.T) {
	eachStory(t, func(t *testing.T, s *Story) {
		type key struct {
			sender *Sender
			alert  *Alert
		}
		began := map[key]time.Duration{}
		at := time.Duration(0)
		said := map[*Alert]bool{}
		for _, p := range s.Posts {
			if p.At < at || p.At >= s.Duration || len(p.Deliveries) == 0 {
				t.Fatalf("a post of %d alerts at %s, after one at %s", len(p.Deliveries), p.At, at)
			}
			at = p.At
			for _, d := range p.Deliveries {
				k := key{p.Sender, d.Alert}
				start, known := began[k]
				said[d.Alert] = true
				switch {
				case d.StartsAt < 0 || d.StartsAt > p.At:
					t.Errorf("%s at %s: %s starts at %s", p.Sender.Name, p.At, d.Alert.Labels, d.StartsAt)
				case d.Resolved && (!known || start != d.StartsAt || d.EndsAt > p.At || d.EndsAt <= d.StartsAt):
					t.Errorf("%s at %s: %s from %s (known %v, %s) ends at %s", p.Sender.Name, p.At, d.Alert.Labels, d.StartsAt, known, start, d.EndsAt)
				case !d.Resolved && known && d.StartsAt < start:
					t.Errorf("%s at %s: %s is back in an episode that is over", p.Sender.Name, p.At, d.Alert.Labels)
				}
				began[k] = d.StartsAt
			}
		}
		for _, a := range s.Alerts {
			if !said[a] {
				t.Errorf("%s is never sent", a.Labels)
			}
		}
	})
}

func TestEveryRuleFires(t *testing.T) {
	fired := map[*Rule]bool{}
	for _, a := range NewStory(1, 20*time.Second).Alerts {
		fired[a.Rule] = true
	}
	for i := range rules {
		if !fired[&rules[i]] {
			t.Errorf("%s never fires", rules[i].Name)
		}
	}
}

func TestRuleDelaysShowInTheStory(t *testing.T) {
	s := NewStory(1, 30*time.Second)
	first := map[string]time.Duration{}
	for _, p := range s.Posts {
		for _, d := range p.Deliveries {
			if _, ok := first[d.Alert.Rule.Name]; !ok {
				first[d.Alert.Rule.Name] = p.At
			}
		}
	}
	// Three hours in 30 s: 15 minutes are 2.5 s.
	if d := first["KubePodCrashLooping"] - first["EnvoyHighClusterUpstream5xxErrorRate"]; d < 2*time.Second || d > 5*time.Second {
		t.Errorf("pods are reported as crash-looping %s after the first errors", d)
	}
}

func TestCallGraph(t *testing.T) {
	for i := range services {
		for _, callee := range services[i].Calls {
			if !isService(callee) {
				t.Errorf("%s calls %s, which does not exist", services[i].Name, callee)
			}
		}
	}
	var got []string
	for _, d := range newShop(newRand(1)).dependents(brokenDB) {
		got = append(got, fmt.Sprintf("%s %d %s", d.Name, d.Distance, d.Through))
	}
	want := "payments 1 payments-db|fraud-check 1 payments-db|refunds 1 payments-db|reports 1 payments-db|" +
		"checkout 2 payments|orders 2 payments|web-shop 3 checkout|mobile-api 3 checkout|shipping 3 orders|edge-gateway 4 web-shop"
	if strings.Join(got, "|") != want {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func testConfig(t *testing.T, catalogPath string) *config.Config {
	t.Helper()
	c, err := config.Parse("demo", []byte(ConfigText("http://127.0.0.1:1/v2/enqueue", catalogPath)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEveryAlertHasItsTeam routes the story: each alert that is not information
// reaches a team, and the team has a pager.
func TestEveryAlertHasItsTeam(t *testing.T) {
	c := testConfig(t, "catalog-info.yaml")
	teams := map[string]int{}
	for _, a := range NewStory(1, 20*time.Second).Alerts {
		to := routeOf(&c.Policy.Route, a.Labels)
		teams[to]++
		if quiet := a.Labels.Severity() == alert.Info; quiet != (to == "nobody") {
			t.Errorf("%s goes to %s", a.Labels, to)
		}
	}
	for _, r := range receivers {
		if teams[r] == 0 {
			t.Errorf("%s is never called", r)
		}
	}
	if routeOf(&c.Policy.Route, NewStory(1, MinDuration).Quiet.Labels) != "identity" {
		t.Error("the quiet alert goes to others than those who own the login")
	}
}

func routeOf(r *correlate.Route, ls alert.Labels) string {
	for i := range r.Routes {
		if r.Routes[i].Matchers.Matches(ls) {
			return routeOf(&r.Routes[i], ls)
		}
	}
	return r.Receiver
}

// TestPagesSayWhatToDo looks up every alert that may page: runbook and owner.
func TestPagesSayWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog-info.yaml")
	if err := os.WriteFile(path, []byte(catalogue()), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := enrich.New(testConfig(t, path).Winnow.Enrich, enrich.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, a := range NewStory(1, 20*time.Second).Alerts {
		if a.Labels.Severity() == alert.Info {
			continue
		}
		c := p.Run(t.Context(), &correlate.Notification{Alerts: []correlate.Member{{Labels: a.Labels, Annotations: a.Annotations}}})
		if c.Owner == "" || c.Runbook == "" || len(c.Failed) > 0 {
			t.Errorf("%s: owner %q, runbook %q, not looked up %v", a.Labels, c.Owner, c.Runbook, c.Failed)
		}
	}
}
