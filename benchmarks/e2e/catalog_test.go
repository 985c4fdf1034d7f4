//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rule is an alerting rule as rule collections publish them.
type rule struct {
	Name        string            `json:"alertname"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// builtin are rules of the Kubernetes mixins, for where the catalogue is not at
// hand: name, severity.
var builtin = []string{
	"Watchdog none", "InfoInhibitor none", "KubePodCrashLooping warning", "KubePodNotReady warning",
	"KubeDeploymentReplicasMismatch warning", "KubeDeploymentRolloutStuck warning", "KubeStatefulSetReplicasMismatch warning",
	"KubeDaemonSetRolloutStuck warning", "KubeContainerWaiting warning", "KubeJobFailed warning", "KubeHpaMaxedOut warning",
	"KubeCPUOvercommit warning", "KubeMemoryOvercommit warning", "KubeQuotaExceeded warning", "CPUThrottlingHigh info",
	"KubePersistentVolumeFillingUp critical", "KubePersistentVolumeFillingUp warning", "KubePersistentVolumeErrors critical",
	"KubeNodeNotReady warning", "KubeNodeUnreachable warning", "KubeletTooManyPods info", "KubeletDown critical",
	"KubeAPIDown critical", "KubeAPIErrorBudgetBurn critical", "KubeAPIErrorBudgetBurn warning", "KubeSchedulerDown critical",
	"KubeControllerManagerDown critical", "KubeStateMetricsListErrors critical", "NodeFilesystemSpaceFillingUp critical",
	"NodeFilesystemSpaceFillingUp warning", "NodeFilesystemAlmostOutOfSpace critical", "NodeFilesystemAlmostOutOfSpace warning",
	"NodeNetworkReceiveErrs warning", "NodeClockNotSynchronising warning", "NodeRAIDDegraded critical", "NodeMemoryMajorPagesFaults warning",
	"PrometheusBadConfig critical", "PrometheusNotConnectedToAlertmanagers warning", "PrometheusTSDBReloadsFailing warning",
	"PrometheusRuleFailures critical", "AlertmanagerFailedReload critical", "AlertmanagerClusterDown critical", "etcdNoLeader critical",
	"etcdHighFsyncDurations warning", "TargetDown warning", "ConfigReloaderSidecarErrors warning",
}

// catalog reads the rules that carry a runbook: from the file that
// WINNOW_E2E_CATALOG names, from the shared catalogue beside the repository, or
// those built in.
func catalog(t testing.TB) []rule {
	t.Helper()
	path := os.Getenv("WINNOW_E2E_CATALOG")
	if path == "" {
		beside := filepath.FromSlash("../../../shared/data/alert-catalog/prometheus-alert-rules.jsonl.xz")
		if _, err := os.Stat(beside); err == nil {
			path = beside
		}
	}
	if path == "" {
		return builtinRules()
	}
	text, err := readCatalog(path)
	if errors.Is(err, exec.ErrNotFound) {
		t.Logf("%v; the rules built in do instead", err)
		return builtinRules()
	}
	if err != nil {
		t.Fatal("read the catalogue: ", err)
	}
	var rules []rule
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r rule
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		key := r.Name + " " + r.Labels["severity"]
		if r.Annotations["runbook_url"] == "" || r.Labels["severity"] == "" || seen[key] {
			continue
		}
		seen[key] = true
		rules = append(rules, r)
	}
	if err := lines.Err(); err != nil || len(rules) == 0 {
		t.Fatalf("%s holds %d rules with a runbook: %v", path, len(rules), err)
	}
	return rules
}

func readCatalog(path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".xz") {
		return os.ReadFile(path)
	}
	return exec.Command("xz", "-dc", path).Output()
}

func builtinRules() []rule {
	var rules []rule
	for _, line := range builtin {
		name, severity, _ := strings.Cut(line, " ")
		rules = append(rules, rule{
			Name: name, Labels: map[string]string{"severity": severity},
			Annotations: map[string]string{
				"summary":     "The condition of " + name + " holds.",
				"description": name + " fires on {{ $labels.pod }} in {{ $labels.namespace }}.",
				"runbook_url": "https://runbooks.example.org/" + strings.ToLower(name),
			},
		})
	}
	return rules
}

// postable is an alert as Prometheus posts it.
type postable struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     string            `json:"startsAt,omitempty"`
	EndsAt       string            `json:"endsAt,omitempty"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

var expression = regexp.MustCompile(`\{\{[^}]*\}\}`)

// spread makes alerts of rules: count of each, in one namespace a rule. Alerts
// of one group stand together.
func spread(rules []rule, count int) []postable {
	namespaces := []string{"checkout", "payments", "monitoring", "kube-system", "ingress"}
	var out []postable
	for i, r := range rules {
		ns := namespaces[len(r.Name)%len(namespaces)]
		for n := range count {
			pod := fmt.Sprintf("%s-%d-%d", strings.ToLower(r.Name), i, n)
			p := postable{
				Labels: map[string]string{
					"alertname": r.Name, "cluster": "eu-west-1", "namespace": ns, "pod": pod, "service": ns + "-api",
					"job": "kube-state-metrics", "instance": fmt.Sprintf("10.42.%d.%d:8080", i, n), "prometheus": "monitoring/k8s",
				},
				Annotations:  map[string]string{},
				GeneratorURL: "http://prometheus.example.org/graph?g0.expr=up%3D%3D0&g0.tab=1",
			}
			for k, v := range r.Labels {
				p.Labels[k] = v
			}
			for k, v := range r.Annotations {
				p.Annotations[k] = expression.ReplaceAllString(v, pod)
			}
			out = append(out, p)
		}
	}
	return out
}

// severity is a filter of alerts.
func severity(s string) func(postable) bool {
	return func(p postable) bool { return p.Labels["severity"] == s }
}

func pick(ps []postable, keep func(postable) bool) []postable {
	var out []postable
	for _, p := range ps {
		if keep(p) {
			out = append(out, p)
		}
	}
	return out
}

// first limits the rules, so that no kind of severity is lost: an equal share of
// each.
func first(rules []rule, n int) []rule {
	bySeverity := map[string][]rule{}
	var order []string
	for _, r := range rules {
		s := r.Labels["severity"]
		if bySeverity[s] == nil {
			order = append(order, s)
		}
		bySeverity[s] = append(bySeverity[s], r)
	}
	var out []rule
	for i := 0; len(out) < min(n, len(rules)); i++ {
		for _, s := range order {
			if i < len(bySeverity[s]) && len(out) < n {
				out = append(out, bySeverity[s][i])
			}
		}
	}
	return out
}
