// Package load makes alerts in the shape in which monitoring sends them: twelve
// labels, four annotations, about a kilobyte each, of rules that exist.
//
// It decides what a load consists of, by a seed and a number alone, so that two
// runs, or two programs under comparison, get the same bytes. A Run sends it over
// HTTP at a given rate or as fast as it is taken, and measures from when each
// request was due. What it costs the server is measured elsewhere.
package load

import (
	"fmt"
	"strconv"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// rules are alerting rules of the Kubernetes, node, Prometheus and etcd mixins.
var rules = [...]struct{ name, severity, summary string }{
	{"KubePodCrashLooping", "warning", "A pod is crash looping."},
	{"KubePodNotReady", "warning", "A pod does not become ready."},
	{"KubeDeploymentReplicasMismatch", "warning", "A deployment has fewer replicas than it asks for."},
	{"KubeStatefulSetReplicasMismatch", "warning", "A stateful set has fewer replicas than it asks for."},
	{"KubeContainerWaiting", "warning", "A container waits for longer than an hour."},
	{"KubeJobFailed", "warning", "A job has failed."},
	{"KubeHpaMaxedOut", "warning", "An autoscaler is at its upper bound."},
	{"CPUThrottlingHigh", "info", "A container is throttled much of the time."},
	{"KubePersistentVolumeFillingUp", "critical", "A volume is about to be full."},
	{"KubePersistentVolumeErrors", "critical", "A volume has provisioning errors."},
	{"KubeNodeNotReady", "warning", "A node does not become ready."},
	{"KubeNodeUnreachable", "warning", "A node cannot be reached."},
	{"KubeletDown", "critical", "A kubelet has vanished from discovery."},
	{"KubeAPIErrorBudgetBurn", "critical", "The API server burns its error budget."},
	{"NodeFilesystemAlmostOutOfSpace", "critical", "A file system has little space left."},
	{"NodeNetworkReceiveErrs", "warning", "A network interface reports receive errors."},
	{"NodeClockNotSynchronising", "warning", "A clock does not synchronise."},
	{"PrometheusRuleFailures", "critical", "Prometheus fails rule evaluations."},
	{"PrometheusNotConnectedToAlertmanagers", "warning", "Prometheus reaches no Alertmanager."},
	{"TargetDown", "warning", "Scrape targets are down."},
	{"etcdHighFsyncDurations", "warning", "Syncs of the write-ahead log are slow."},
	{"etcdNoLeader", "critical", "A member of etcd has no leader."},
}

var (
	clusters   = [...]string{"eu-west-1a", "eu-west-1b", "us-east-2a", "ap-south-1c"}
	namespaces = [...]string{"checkout", "payments", "search", "catalogue", "shipping", "identity", "monitoring", "ingress"}
	teams      = [...]string{"storefront", "money", "discovery", "platform"}
)

// Started is when all alerts started.
var Started = time.Date(2026, 1, 5, 9, 30, 0, 123e6, time.UTC)

// Universe is a set of alerts without end, numbered from 0. Its methods may be
// called concurrently.
type Universe struct {
	seed     uint64
	perGroup int
}

// New returns the universe of a seed. So many alerts in a row share alertname,
// cluster and namespace, and so are of one group.
func New(seed uint64, perGroup int) *Universe { return &Universe{seed, max(perGroup, 1)} }

// Alert is alert i as it is once decoded: it fires, and its sender gave it no
// end.
func (u *Universe) Alert(i int) alert.Alert {
	group, own := u.hash(uint64(i/u.perGroup)), u.hash(uint64(i)+1<<40)
	r := &rules[group%uint64(len(rules))]
	namespace := namespaces[group>>8%uint64(len(namespaces))]
	cluster := clusters[group>>16%uint64(len(clusters))] + "-" + strconv.Itoa(i/u.perGroup/64)
	service := namespace + "-api"
	pod := service + "-" + strconv.FormatUint(own>>32|1<<31, 36) + "-" + strconv.Itoa(i)
	node := "10.42." + strconv.Itoa(int(own>>8%256)) + "." + strconv.Itoa(int(own%256))
	a := alert.Alert{
		Labels: alert.Labels{
			{Name: "alertname", Value: r.name}, {Name: "cluster", Value: cluster}, {Name: "container", Value: service},
			{Name: "endpoint", Value: "http-metrics"}, {Name: "instance", Value: node + ":8080"}, {Name: "job", Value: "kube-state-metrics"},
			{Name: "namespace", Value: namespace}, {Name: "pod", Value: pod}, {Name: "prometheus", Value: "monitoring/k8s"},
			{Name: "service", Value: service}, {Name: "severity", Value: r.severity}, {Name: "team", Value: teams[group>>8%uint64(len(teams))]},
		},
		Annotations: alert.Labels{
			{Name: "dashboard_url", Value: "https://grafana.example.org/d/workload?var-cluster=" + cluster + "&var-namespace=" + namespace},
			{Name: "description", Value: "Pod " + namespace + "/" + pod + " on " + node + " has been in this state for longer than fifteen minutes: " + r.summary},
			{Name: "runbook_url", Value: "https://runbooks.example.org/runbooks/kubernetes/" + r.name},
			{Name: "summary", Value: r.summary},
		},
		StartsAt:     alert.TimeOf(Started),
		GeneratorURL: "https://prometheus.example.org/graph?g0.expr=rate%28errors_total%7Bnamespace%3D%22" + namespace + "%22%7D%5B5m%5D%29+%3E+0&g0.tab=1",
	}
	a.Fingerprint = a.Labels.Fingerprint()
	return a
}

// hash is splitmix64 of the seed and n.
func (u *Universe) hash(n uint64) uint64 {
	z := u.seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Alerts appends alerts from to to-1.
func (u *Universe) Alerts(dst []alert.Alert, from, to int) []alert.Alert {
	for i := from; i < to; i++ {
		dst = append(dst, u.Alert(i))
	}
	return dst
}

// AppendAPI appends the body of a POST to Alertmanager's /api/v2/alerts with
// alerts from to to-1, as Prometheus writes it. An end that has passed resolves
// them.
func (u *Universe) AppendAPI(dst []byte, from, to int, ends time.Time) []byte {
	dst = append(dst, '[')
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, ',')
		}
		a := u.Alert(i)
		dst = appendOne(dst, &a, ends)
	}
	return append(dst, ']')
}

func appendOne(dst []byte, a *alert.Alert, ends time.Time) []byte {
	dst = appendPairs(append(dst, `{"annotations":`...), a.Annotations)
	dst = appendTime(append(dst, `,"endsAt":`...), ends)
	dst = appendTime(append(dst, `,"startsAt":`...), Started)
	dst = appendText(append(dst, `,"generatorURL":`...), a.GeneratorURL)
	dst = appendPairs(append(dst, `,"labels":`...), a.Labels)
	return append(dst, '}')
}

// AppendWebhook appends the body of Alertmanager's webhook, version 4, with
// alerts from to to-1: firing, or, where ended is not zero, resolved then.
func (u *Universe) AppendWebhook(dst []byte, from, to int, ended time.Time) []byte {
	status := `"firing"`
	if !ended.IsZero() {
		status = `"resolved"`
	}
	dst = append(dst, `{"receiver":"winnow","status":`+status+`,"alerts":[`...)
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, ',')
		}
		a := u.Alert(i)
		dst = appendPairs(append(dst, `{"status":`+status+`,"labels":`...), a.Labels)
		dst = appendPairs(append(dst, `,"annotations":`...), a.Annotations)
		dst = appendTime(append(dst, `,"startsAt":`...), Started)
		dst = appendTime(append(dst, `,"endsAt":`...), ended)
		dst = appendText(append(dst, `,"generatorURL":`...), a.GeneratorURL)
		dst = appendText(append(dst, `,"fingerprint":`...), fmt.Sprintf("%016x", uint64(a.Fingerprint)))
		dst = append(dst, '}')
	}
	return append(dst, `],"groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"https://alertmanager.example.org",`+
		`"version":"4","groupKey":"{}:{}","truncatedAlerts":0}`...)
}

func appendPairs(dst []byte, ls alert.Labels) []byte {
	dst = append(dst, '{')
	for i, l := range ls {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(appendText(dst, l.Name), ':'), l.Value)
	}
	return append(dst, '}')
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	return append(t.UTC().AppendFormat(dst, time.RFC3339Nano), '"')
}

// appendText writes plain ASCII as encoding/json does, which escapes &.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '&' {
			dst = append(dst, `\u0026`...)
			continue
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
