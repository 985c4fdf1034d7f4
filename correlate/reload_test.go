package correlate

import (
	"strings"
	"testing"
)

// reloaded runs a script over several policies and compares the notifications.
func reloaded(t *testing.T, policies map[string]*Policy, script, notifications string) {
	t.Helper()
	w := newWorld(t, policies)
	w.run(script)
	if got, want := strings.Join(w.log, "\n"), trimLines(notifications); got != want {
		t.Errorf("script:\n%s\nnotified:\n%s\nwant:\n%s", trimLines(script), got, want)
	}
}

// TestReloadGivesNoGroupToAStranger: a group that went on under its own key was
// taken over by that of an alert of a sibling route, which came first and had the
// same receiver and labels. The alerts that its receiver knew of were paged again,
// under another key, by a reload of the policy that was in force already.
func TestReloadGivesNoGroupToAStranger(t *testing.T) {
	by := func(labels ...string) *Policy {
		return basic(func(p *Policy) {
			team := child("{}/a/0", "oncall", false, "team=a")
			p.Route.GroupBy, team.GroupBy = labels, labels
			p.Route.Routes = []Route{team}
		})
	}
	reloaded(t, map[string]*Policy{"": by("alertname", "cluster"), "name": by("alertname")},
		`0s fire alertname=A cluster=x pod=a team=a
		 1s fire alertname=A cluster=y pod=b
		 1m resolve alertname=A cluster=x pod=a team=a
		 2m policy name
		 3m policy name
		 20m resolve alertname=A cluster=y pod=b
		 30m wait`,
		`30s page oncall A/a
		 31s page oncall A/b
		 2m0s page oncall A/b
		 5m30s resolve oncall -A/a
		 20m31s resolve oncall -A/b
		 22m0s resolve oncall -A/b`)
}

// TestReloadGivesAGroupToItsAlerts: of several groups that could succeed one,
// that of the alerts which its receiver was told of does, whatever comes first.
func TestReloadGivesAGroupToItsAlerts(t *testing.T) {
	routes := func(rs ...Route) *Policy { return basic(func(p *Policy) { p.Route.Routes = rs }) }
	// The route of the alert that was told of has a new place; that of another,
	// which went elsewhere, comes first.
	reloaded(t, map[string]*Policy{
		"":     routes(child("{}/a/0", "chat", false, "team=a"), child("{}/b/0", "oncall", false, "team=b")),
		"next": routes(child("{}/a/1", "oncall", false, "team=a"), child("{}/b/1", "oncall", false, "team=b")),
	},
		`0s fire alertname=A pod=a team=a
		 1s fire alertname=A pod=b team=b
		 1m policy next
		 10m wait`,
		`30s page chat A/a
		 31s page oncall A/b
		 1m0s page oncall A/a`)
	// The group's own key goes to an alert that is new to it, while the one that
	// was told of goes to another route.
	reloaded(t, map[string]*Policy{
		"":     routes(child("{}/a/0", "chat", false, "team=a")),
		"next": routes(child("{}/b/0", "oncall", false, "team=b")),
	},
		`0s fire alertname=A pod=a team=a
		 1s fire alertname=A pod=b team=b
		 1m policy next
		 10m wait`,
		`30s page chat A/a
		 31s page oncall A/b
		 1m0s page oncall A/a`)
}
