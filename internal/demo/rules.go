package demo

import (
	"os"
	"strings"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Rule is an alerting rule as its collection ships it: its name, how long its
// condition must hold before it fires, how bad that is, and where its runbook
// stands. The texts are the demo's; $name in one is the value of that label.
type Rule struct {
	Name     string
	For      time.Duration
	Severity string
	Area     string // of the collection's runbooks; "": it has none, the configuration finds one

	Summary     string
	Description string
}

const runbooks = "https://runbooks.prometheus-operator.dev/runbooks/"

// rules are those of kube-prometheus and, without an area, those that the
// collection awesome-prometheus-alerts has for common exporters.
var rules = []Rule{
	{"Watchdog", 0, "none", "general",
		"Alerts arrive", "Fires always. Silence from this alert means that alerting itself is broken."},
	{"KubePodCrashLooping", 15 * time.Minute, "warning", "kubernetes",
		"$namespace/$pod keeps crashing", "Its container $container waits to be started again."},
	{"KubePodNotReady", 15 * time.Minute, "warning", "kubernetes",
		"$namespace/$pod is not ready", "It has taken no traffic for 15 minutes."},
	{"KubeDeploymentReplicasMismatch", 15 * time.Minute, "warning", "kubernetes",
		"Deployment $namespace/$deployment lacks replicas", "It has had fewer than it should for 15 minutes."},
	{"KubeDeploymentRolloutStuck", 15 * time.Minute, "warning", "kubernetes",
		"The rollout of $namespace/$deployment is stuck", "It has not moved on for 15 minutes."},
	{"KubeStatefulSetReplicasMismatch", 15 * time.Minute, "warning", "kubernetes",
		"Stateful set $namespace/$statefulset lacks replicas", "It has had fewer than it should for 15 minutes."},
	{"KubeHpaMaxedOut", 15 * time.Minute, "warning", "kubernetes",
		"$namespace/$horizontalpodautoscaler is at its maximum", "The autoscaler cannot add any more."},
	{"KubeJobFailed", 15 * time.Minute, "warning", "kubernetes",
		"Job $namespace/$job_name has failed", "It did not complete, and stands until somebody removes it."},
	{"KubeNodeNotReady", 15 * time.Minute, "warning", "kubernetes",
		"Node $node is not ready", "It has not answered the control plane for 15 minutes."},
	{"CPUThrottlingHigh", 15 * time.Minute, "info", "kubernetes",
		"$namespace/$pod is throttled", "Its container $container gets less CPU than it asks for."},
	{"NodeFilesystemAlmostOutOfSpace", 30 * time.Minute, "warning", "node",
		"$mountpoint of $instance has less than 5 % left", "Device $device is nearly full."},
	{"NodeDiskIOSaturation", 30 * time.Minute, "warning", "node",
		"The queue of $device at $instance is long", "More than 10 requests have waited for 30 minutes."},

	{"EnvoyHighClusterUpstream5xxErrorRate", time.Minute, "critical", "",
		"$service: more than 5 % of its calls to $envoy_cluster_name fail", "Seen by the proxy of $pod."},
	{"EnvoyHighClusterUpstreamRequestTimeoutRate", 5 * time.Minute, "warning", "",
		"$service: more than 5 % of its calls to $envoy_cluster_name time out", "Seen by the proxy of $pod."},
	{"EnvoyHighDownstreamRequestTimeoutRate", 5 * time.Minute, "warning", "",
		"$service is too slow for its callers", "Their requests to $pod time out."},
	{"JvmThreadsBlocked", 5 * time.Minute, "warning", "",
		"$service: more than 50 threads are blocked", "Seen in $pod."},
	{"KafkaConsumerGroupLag", time.Minute, "warning", "",
		"Consumer group $consumergroup falls behind", "More than 10,000 messages wait."},
	{"PostgresqlTooManyConnections", 2 * time.Minute, "warning", "",
		"$instance is about to refuse connections", "Over 80 % of them are in use."},
	{"PostgresqlTooManyLocksAcquired", 2 * time.Minute, "critical", "",
		"The lock table of $instance fills up", "Transactions hold far more locks than usual."},
	{"PostgresqlReplicationLag", 30 * time.Second, "warning", "",
		"$instance is behind its primary", "It replays the log more than 5 s late."},
	{"PgbouncerActiveConnections", 2 * time.Minute, "warning", "",
		"The connection pool of $instance fills up", "Pool $database has more than 200 busy connections."},
	{"PgbouncerMaxConnections", 0, "critical", "",
		"The connection pool of $instance turns clients away", "It has reached max_client_conn."},
	{"BlackboxProbeSlowHttp", time.Minute, "warning", "",
		"$instance takes longer than a second", "Measured from outside."},
	{"BlackboxSslCertificateExpired", 0, "critical", "",
		"The TLS certificate of $instance has expired", "Browsers refuse the page: nobody can log in."},
}

func ruleOf(name string) *Rule {
	for i := range rules {
		if rules[i].Name == name {
			return &rules[i]
		}
	}
	panic("demo: no rule " + name)
}

// Alert is a rule with the labels of one thing that it fires for.
type Alert struct {
	Rule         *Rule
	Labels       alert.Labels
	Annotations  alert.Labels
	Fingerprint  alert.Fingerprint
	GeneratorURL string
}

// alert makes one. Labels come as name, value, name, value.
func (r *Rule) alert(pairs ...string) *Alert {
	a := &Alert{Rule: r, GeneratorURL: "https://prometheus.shop.example/graph?g0.expr=" + r.Name}
	a.Labels = alert.Labels{{Name: "alertname", Value: r.Name}, {Name: "severity", Value: r.Severity}, {Name: "cluster", Value: cluster}}
	for i := 0; i+1 < len(pairs); i += 2 {
		a.Labels = append(a.Labels, alert.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	if a.Labels.Sort() {
		panic("demo: " + r.Name + " is given a label twice: " + strings.Join(pairs, " "))
	}
	a.Annotations = alert.Labels{
		{Name: "summary", Value: os.Expand(r.Summary, a.label)},
		{Name: "description", Value: os.Expand(r.Description, a.label)},
	}
	if r.Area != "" {
		a.Annotations = append(a.Annotations, alert.Label{Name: "runbook_url", Value: runbooks + r.Area + "/" + strings.ToLower(r.Name)})
	}
	a.Annotations.Sort()
	a.Fingerprint = a.Labels.Fingerprint()
	return a
}

// label is the value that a text asks for.
func (a *Alert) label(name string) string {
	v := a.Labels.Get(name)
	if v == "" {
		panic("demo: the text of " + a.Rule.Name + " names " + name + ", the alert has only " + a.Labels.String())
	}
	return v
}
