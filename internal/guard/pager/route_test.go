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
