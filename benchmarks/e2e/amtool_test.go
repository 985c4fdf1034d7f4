//go:build e2e

package e2e

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// TestAmtoolAddsAlerts adds an alert with amtool, which asks for the server's
// version first unless it is told not to, and ends it.
func TestAmtoolAddsAlerts(t *testing.T) {
	dir, err := alertmanagerDir()
	if err != nil {
		t.Fatal("build amtool: ", err)
	}
	pd := newPager(t)
	w := newWinnow(t, pd.routes(timing{wait: time.Second, interval: time.Second}, false))
	amtool := func(args ...string) {
		t.Helper()
		args = append([]string{"--alertmanager.url", "http://" + w.address, "alert", "add"}, args...)
		if _, err := programs.Capture(context.Background(), "", filepath.Join(dir, "amtool"), args...); err != nil {
			t.Fatal(err)
		}
	}
	f := func(rule string, flags ...string) {
		t.Helper()
		labels := []string{"alertname=" + rule, "severity=warning", "cluster=eu-west-1", "namespace=checkout",
			"--annotation=runbook_url=https://runbooks.example.org/" + rule}
		key, _ := groupKey(map[string]string{"alertname": rule, "cluster": "eu-west-1", "namespace": "checkout"})
		amtool(append(labels, flags...)...)
		pd.heard(t, rule+" pages", key, "trigger")
		amtool(append(labels, append(flags, "--end="+time.Now().Format(time.RFC3339))...)...)
		pd.heard(t, rule+" is resolved", key, "trigger", "resolve")
		figures.add("amtool", "alerts", 1)
	}
	f("TargetDown")
	f("KubeNodeNotReady", "--no-version-check")
}
