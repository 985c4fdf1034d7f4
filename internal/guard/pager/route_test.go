package pager

import (
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
)

func TestRoutesAsTheCoreDoes(t *testing.T) {
	m, err := alert.NewMatcher("team", alert.Equal, "db")
	if err != nil {
		t.Fatal(err)
	}
	r := &Route{Key: "{}", Receiver: "root", Routes: []Route{
		{Key: "1", Receiver: "both", Continue: true, Matchers: alert.Matchers{m}},
		{Key: "2", Receiver: "db", Matchers: alert.Matchers{m}, GroupByAll: true},
		{Key: "3", Receiver: "never", Matchers: alert.Matchers{m}},
	}}
	f := func(team, want string) {
		t.Helper()
		var got []string
		for _, x := range r.Match(nil, alert.Labels{{Name: "team", Value: team}}) {
			got = append(got, x.Receiver)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("team %s: %s, want %s", team, s, want)
		}
	}
	f("db", "both db")
	f("web", "root")
}

// TestReceiversAreThoseOfTheWays: routes of one receiver are one way where its
// provider knows the alert by one key, and else two.
func TestReceiversAreThoseOfTheWays(t *testing.T) {
	m, err := alert.NewMatcher("team", alert.Equal, "db")
	if err != nil {
		t.Fatal(err)
	}
	twice := func(key string) Route {
		return Route{ID: key, Key: key, Receiver: "db", Continue: true, Matchers: alert.Matchers{m}}
	}
	f := func(team, want string, routes ...Route) {
		t.Helper()
		p := New(Options{Aliases: new(Aliases)}, &Route{Key: "{}", Receiver: "root", Routes: routes})
		a := &alert.Alert{Labels: alert.Labels{{Name: "team", Value: team}}}
		var ways []string
		for _, w := range p.Ways(a) {
			ways = append(ways, w.Receiver)
		}
		if got := strings.Join(p.Receivers(a), " "); got != want || strings.Join(ways, " ") != want {
			t.Errorf("team %s: receivers %q, of the ways %q, want %q", team, got, ways, want)
		}
	}
	f("web", "root", twice("1"))
	f("db", "db", twice("1"))
	f("db", "db", twice("1"), twice("1"))
	f("db", "db db", twice("1"), twice("2"))
}
