package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/internal/config"
)

func runDemo(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := demoCommand()
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

func TestDemoPrintsAConfigurationThatIsValid(t *testing.T) {
	text, err := runDemo(t, "--print-config")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("printed", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if n := countRoutes(c); n < 5 || len(c.Policy.Inhibit) == 0 || len(c.Winnow.Enrich.Catalog) == 0 {
		t.Errorf("%d routes, %d inhibition rules, %d catalogues", n, len(c.Policy.Inhibit), len(c.Winnow.Enrich.Catalog))
	}
}

func TestDemoCalledWrongly(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		_, err := runDemo(t, args...)
		if _, usage := errors.AsType[usageError](err); !usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
	f("--duration 5s: the story needs at least 10s", "--duration=5s")
	f(`log level "loud"`, "--log.level=loud")
}
