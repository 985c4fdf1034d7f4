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

// rules are those of kube-prometheus and, without a runbook, those that the
// collection awesome-prometheus-alerts has for common exporters.
var rules = []Rule{
	{"Watchdog", 0, "none", "general",
		"Always fires, to show that alerts arrive", "Silence from this alert means that alerting itself is broken."},
	{"KubePodCrashLooping", 15 * time.Minute, "warning", "kubernetes",
		"A pod keeps crashing", "$namespace/$pod ($container) waits to be started again after crashes."},
	{"KubePodNotReady", 15 * time.Minute, "warning", "kubernetes",
		"A pod has not been ready for 15 minutes", "$namespace/$pod takes no traffic."},
	{"KubeDeploymentReplicasMismatch", 15 * time.Minute, "warning", "kubernetes",
		"A deployment lacks replicas", "$namespace/$deployment has fewer replicas than it should."},
	{"KubeDeploymentRolloutStuck", 15 * time.Minute, "warning", "kubernetes",
		"A rollout does not move on", "The rollout of $namespace/$deployment has stopped half way."},
	{"KubeStatefulSetReplicasMismatch", 15 * time.Minute, "warning", "kubernetes",
		"A stateful set lacks replicas", "$namespace/$statefulset has fewer replicas than it should."},
	{"KubeHpaMaxedOut", 15 * time.Minute, "warning", "kubernetes",
		"An autoscaler is at its maximum", "$namespace/$horizontalpodautoscaler cannot grow any further."},
	{"KubeJobFailed", 15 * time.Minute, "warning", "kubernetes",
		"A job has failed", "Job $namespace/$job_name did not complete."},
	{"KubeNodeNotReady", 15 * time.Minute, "warning", "kubernetes",
		"A node is not ready", "$node does not answer the control plane."},
	{"CPUThrottlingHigh", 15 * time.Minute, "info", "kubernetes",
		"A container is throttled", "$container in $namespace/$pod gets less CPU than it asks for."},
	{"NodeFilesystemAlmostOutOfSpace", 30 * time.Minute, "warning", "node",
		"A file system has less than 5 % left", "$device on $mountpoint of $instance is nearly full."},
	{"NodeDiskIOSaturation", 30 * time.Minute, "warning", "node",
		"A disk's queue is long", "Requests pile up at $device of $instance."},

	{"EnvoyHighClusterUpstream5xxErrorRate", 1 * time.Minute, "critical", "",
		"More than 5 % of calls to a service fail", "$pod gets errors from $envoy_cluster_name."},
	{"EnvoyHighClusterUpstreamRequestTimeoutRate", 5 * time.Minute, "warning", "",
		"More than 5 % of calls to a service time out", "$pod waits in vain for $envoy_cluster_name."},
	{"EnvoyHighDownstreamRequestTimeoutRate", 5 * time.Minute, "warning", "",
		"Callers of a pod run into time-outs", "$pod is too slow for those who call it."},
	{"JvmThreadsBlocked", 5 * time.Minute, "warning", "",
		"Many threads are blocked", "Threads of $pod wait for each other or for the database."},
	{"KafkaConsumerGroupLag", 1 * time.Minute, "warning", "",
		"Consumers fall behind", "Consumer group $consumergroup is more than 10,000 messages behind."},
	{"PostgresqlTooManyConnections", 2 * time.Minute, "warning", "",
		"Over 80 % of the connections are in use", "$instance is about to refuse connections."},
	{"PostgresqlTooManyLocksAcquired", 2 * time.Minute, "critical", "",
		"The lock table fills up", "Transactions on $instance hold far more locks than usual."},
	{"PostgresqlReplicationLag", 30 * time.Second, "warning", "",
		"A replica is behind", "$instance replays its primary's log more than 5 s late."},
	{"PgbouncerActiveConnections", 2 * time.Minute, "warning", "",
		"A connection pool fills up", "Pool $database of $instance has more than 200 busy connections."},
	{"PgbouncerMaxConnections", 0, "critical", "",
		"A connection pool turns clients away", "$instance has reached max_client_conn."},
	{"BlackboxProbeSlowHttp", 1 * time.Minute, "warning", "",
		"A page takes longer than a second", "$instance answers slowly from outside."},
	{"BlackboxSslCertificateExpired", 0, "critical", "",
		"A TLS certificate has expired", "Browsers refuse $instance: nobody can log in."},
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
		{Name: "summary", Value: r.Summary}, {Name: "description", Value: os.Expand(r.Description, a.Labels.Get)},
	}
	if r.Area != "" {
		a.Annotations = append(a.Annotations, alert.Label{Name: "runbook_url", Value: runbooks + r.Area + "/" + strings.ToLower(r.Name)})
	}
	a.Annotations.Sort()
	a.Fingerprint = a.Labels.Fingerprint()
	return a
}
