// Package shape holds the loads that Winnow is measured under, each as a
// function from a program to figures.
//
// It decides what a shape consists of, when the clock of a figure starts and
// stops, and that a run whose alerts are not all accounted for is no
// measurement. It never says whether a figure is good: that is the budget's.
package shape

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/winnowhq/winnow/benchmarks/target"
)

// Subject is a program under measurement.
type Subject struct {
	Name   string
	Binary string
	Peer   bool     // an Alertmanager
	Env    []string // of its process
}

// Winnow is a binary built from this repository.
func Winnow(binary string) Subject { return Subject{Name: "winnow", Binary: binary} }

// Alertmanager is a stock build of it.
func Alertmanager(binary string) Subject {
	return Subject{Name: "alertmanager", Binary: binary, Peer: true}
}

// Policy is what a subject is configured with. Both read the same file.
type Policy struct {
	Webhook string // where pages go
	Routes  int    // more of them, none of which any alert takes
	Inhibit int    // more rules, whose sources never fire

	// GroupWait is that of all groups; 4h, so that no moment of a group comes
	// while a figure is taken, where it is empty.
	GroupWait string

	// GroupInterval is how long a group waits to tell of what joined it; 4h
	// where it is empty.
	GroupInterval string

	// MaxAlerts is how many a Winnow may know; what it knows by default where it is 0.
	MaxAlerts int
}

const (
	// storageDir is where a subject keeps what it knows, below its folder.
	storageDir = "data"

	// probeRoute pages each probe by itself and at once.
	probeRoute = "    - matchers: ['probe=\"true\"']\n      group_by: [probe_id]\n      group_wait: 0s\n"

	// fiveRules are inhibition rules as the mixins recommend them.
	fiveRules = `inhibit_rules:
  - {source_matchers: ['severity="critical"'], target_matchers: ['severity=~"warning|info"'], equal: [namespace, alertname, pod]}
  - {source_matchers: ['severity="warning"'], target_matchers: ['severity="info"'], equal: [namespace, alertname, pod]}
  - {source_matchers: ['alertname="InfoInhibitor"'], target_matchers: ['severity="info"'], equal: [namespace]}
  - {source_matchers: ['alertname="KubeNodeUnreachable"'], target_matchers: ['alertname="KubePodNotReady"'], equal: [cluster, instance]}
  - {source_matchers: ['alertname="KubeletDown"'], target_matchers: ['alertname="KubeNodeNotReady"'], equal: [cluster, instance]}
`
)

// text is the policy as an Alertmanager file; for Winnow, without its storm
// control, which would tell of many new groups in one page.
func (p *Policy) text(peer bool) string {
	wait := p.GroupWait
	if wait == "" {
		wait = "4h"
	}
	interval := p.GroupInterval
	if interval == "" {
		interval = "4h"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "route:\n  receiver: oncall\n  group_by: [alertname, cluster, namespace]\n  group_wait: %s\n  group_interval: %s\n  repeat_interval: 24h\n  routes:\n%s", wait, interval, probeRoute)
	for i := range p.Routes {
		fmt.Fprintf(&b, "    - {matchers: ['team=\"team-%d\"', 'namespace=~\"ns-%d-.*\"']}\n", i, i)
	}
	b.WriteString(fiveRules)
	for i := range p.Inhibit {
		fmt.Fprintf(&b, "  - {source_matchers: ['alertname=\"Root%d\"'], target_matchers: ['severity=\"warning\"', 'service=~\".*-api\"'], equal: [cluster]}\n", i)
	}
	fmt.Fprintf(&b, "receivers: [{name: oncall, webhook_configs: [{url: %q}]}]\n", p.Webhook)
	if !peer {
		fmt.Fprintf(&b, "winnow: {storm: {new_groups_per_minute: 0}, max_alerts: %d}\n", p.MaxAlerts)
	}
	return b.String()
}

// start runs the subject on a folder, which may hold what an earlier run left,
// and returns once it is ready, and after how long that was.
func (s *Subject) start(ctx context.Context, dir string, p *Policy) (_ *target.Server, ready time.Duration, err error) {
	file := filepath.Join(dir, "policy.yml")
	if err := os.WriteFile(file, []byte(p.text(s.Peer)), 0o644); err != nil {
		return nil, 0, err
	}
	storage := filepath.Join(dir, storageDir)
	c := target.Command{Name: s.Name, Path: s.Binary, Dir: storage, Env: s.Env}
	if s.Peer {
		c.Args = []string{"--config.file", file, "--storage.path", storage, "--web.listen-address", "127.0.0.1:0", "--cluster.listen-address", "", "--log.level", "info"}
		c.Taken = `alertmanager_alerts_received_total\{.*\}`
		c.Inhibited = `alertmanager_(?:marked_)?alerts\{state="suppressed"\}`
	} else {
		c.Args = []string{"serve", "--config.file", file, "--storage.path", storage, "--web.listen-address", "127.0.0.1:0"}
		c.Taken = `winnow_ledger_deliveries_total`
		c.Inhibited = `winnow_ledger_dispositions\{disposition="inhibited"\}`
	}
	server, err := target.Start(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	if ready, err = server.Ready(ctx); err != nil {
		server.Kill()
		return nil, 0, err
	}
	return server, ready, nil
}
