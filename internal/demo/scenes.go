package demo

import (
	"fmt"
	"strconv"
	"time"
)

// The plot, in shares of the story's length.
const (
	repairFrom, repairTo = 0.04, 0.90
	deployAt             = 0.12
	rollbackAt           = 0.72
	nodeDownAt           = 0.18
	nodeUpAt             = 0.80
	quietAt              = 0.45

	forever = 1 << 62 // a fault that nobody mends tonight

	// settling is kept free of new faults at the end, so that what is due has
	// gone out when the accounts are drawn up.
	settling = 6 * time.Second
)

// scenes tells the night: one storm, the noise of every night, and one alert
// that must not drown in them.
func (w *writer) scenes() {
	w.everyNight()
	w.maintenance()
	w.storm()
	w.nodeDown()
	w.quiet()
}

// everyNight is what nobody looks at any more: the Watchdog, throttled
// containers, a disk that fills up and is cleaned up again, and a job that
// fails each time it runs.
func (w *writer) everyNight() {
	w.fires(0, forever, "Watchdog", "prometheus", "monitoring/k8s")
	for i := range services {
		for _, p := range w.shop.pods[services[i].Name] {
			if w.rng.IntN(4) == 0 {
				w.fires(-w.wait(15*time.Minute)+w.within(time.Hour), forever, "CPUThrottlingHigh",
					"namespace", p.service.Namespace, "pod", p.name, "container", p.service.Name, "job", "kubelet")
			}
		}
	}
	last := max(w.length-settling, w.length/2)

	disk := []string{"job", "node-exporter", "namespace", "monitoring", "instance", fullNode, "device", "/dev/nvme0n1p3"}
	w.fires(-w.wait(25*time.Minute), forever, "NodeDiskIOSaturation", disk...)
	disk = append(disk, "fstype", "ext4", "mountpoint", "/var/log")
	for full := -w.wait(25 * time.Minute); full+w.wait(30*time.Minute) < last; full += w.wait(46 * time.Minute) {
		w.fires(full, full+w.wait(38*time.Minute), "NodeFilesystemAlmostOutOfSpace", disk...)
	}
	w.scene(w.wait(5*time.Minute), "the log disk of "+fullNode+" is nearly full, then it is not, then it is")

	// Only the last failed job is kept, so each failure ends the alert before.
	const every = 14 * time.Minute
	for run, n := w.wait(2*time.Minute), 29012345; run+w.wait(15*time.Minute) < last; run, n = run+w.wait(every), n+1 {
		mended := run + w.wait(15*time.Minute) + w.wait(every)
		if mended >= last { // no other run follows
			mended = forever
		}
		w.fires(run, mended, "KubeJobFailed",
			"namespace", "reporting", "job_name", "reports-export-"+strconv.Itoa(n), "job", "kube-state-metrics")
	}
	w.scene(w.wait(20*time.Minute), "the export of reports fails, as it does every 14 minutes")
}

// maintenance is work that was announced, under a silence.
func (w *writer) maintenance() {
	from, to := w.at(repairFrom), w.at(repairTo)
	w.scene(from, "planned work on search begins; somebody has set a silence for it")
	w.fires(from, to, "KubeStatefulSetReplicasMismatch", "namespace", inRepair, "statefulset", "search", "job", "kube-state-metrics")
	for _, p := range w.shop.pods["search"] {
		on := []string{"namespace", inRepair, "pod", p.name, "node", p.node}
		w.fires(from+w.within(5*time.Minute), to, "KubePodNotReady", append(on, "job", "kube-state-metrics")...)
		on = append(on, "service", "search", "job", "envoy")
		w.fires(from+w.within(5*time.Minute), to, "EnvoyHighDownstreamRequestTimeoutRate", on...)
		w.fires(from+w.within(5*time.Minute), to, "EnvoyHighClusterUpstreamRequestTimeoutRate", append(on, "envoy_cluster_name", "catalog")...)
	}
}

// storm is a deploy that makes a database slow, and with it all that need it.
func (w *writer) storm() {
	deploy, rollback := w.at(deployAt), w.at(rollbackAt)
	w.scene(deploy, "payments 4.18.0 is rolled out; its queries hold locks in "+brokenDB)
	w.scene(rollback, "payments is rolled back")
	w.database(deploy, rollback)
	affected := w.shop.dependents(brokenDB)
	w.scene(deploy+w.wait(12*time.Minute), fmt.Sprintf("%d services that need %s fail or slow down", len(affected), brokenDB))
	for _, d := range affected {
		fault := deploy + w.wait(time.Duration(d.Distance)*time.Minute)
		w.callers(d, fault, rollback)
		w.kubernetes(d, fault, rollback)
	}
	for _, page := range []string{"", "cart", "checkout"} {
		w.firesOutside(deploy+w.wait(4*time.Minute)+w.within(5*time.Minute), w.mended(rollback), "BlackboxProbeSlowHttp",
			"namespace", "storefront", "service", "edge-gateway", "instance", "https://www.shop.example/"+page, "job", "blackbox")
	}
	for _, group := range []string{"orders", "shipping", "mailer"} {
		w.fires(deploy+w.wait(6*time.Minute)+w.within(4*time.Minute), w.mended(rollback), "KafkaConsumerGroupLag",
			"namespace", "fulfilment", "service", group, "consumergroup", group, "job", "kafka-exporter")
	}
}

// mended is when a thing is well again after the rollback.
func (w *writer) mended(rollback time.Duration) time.Duration {
	return rollback + w.wait(2*time.Minute) + w.within(10*time.Minute)
}

func (w *writer) database(deploy, rollback time.Duration) {
	for i := range 3 {
		on := []string{"namespace", "data", "service", brokenDB, "instance", brokenDB + "-" + strconv.Itoa(i), "job", "postgres-exporter"}
		w.firesOutside(deploy+w.within(2*time.Minute), w.mended(rollback), "PostgresqlTooManyConnections", on...)
		if i > 0 {
			w.firesOutside(deploy+w.within(10*time.Minute), w.mended(rollback), "PostgresqlReplicationLag", on...)
		}
		pool := append(on[:len(on)-2:len(on)-2], "job", "pgbouncer-exporter", "database", "payments")
		w.firesOutside(deploy+w.within(5*time.Minute), w.mended(rollback), "PgbouncerActiveConnections", pool...)
		// Worse than what was paged by then: an escalation.
		w.firesOutside(deploy+w.wait(20*time.Minute)+w.within(3*time.Minute), w.mended(rollback), "PgbouncerMaxConnections", pool...)
	}
	w.firesOutside(deploy+w.wait(20*time.Minute), w.mended(rollback), "PostgresqlTooManyLocksAcquired",
		"namespace", "data", "service", brokenDB, "instance", brokenDB+"-0", "job", "postgres-exporter")
}

// callers are the alerts of the proxies beside each pod of a service that
// waits for the database.
func (w *writer) callers(d dependent, fault, rollback time.Duration) {
	for _, p := range w.shop.pods[d.Name] {
		on := []string{"namespace", d.Namespace, "service", d.Name, "pod", p.name, "node", p.node}
		proxy := append(on[:len(on):len(on)], "job", "envoy")
		through := append(proxy[:len(proxy):len(proxy)], "envoy_cluster_name", d.Through)
		if d.Distance <= 3 {
			w.fires(fault+w.within(2*time.Minute), w.mended(rollback), "EnvoyHighClusterUpstream5xxErrorRate", through...)
		}
		w.fires(fault+w.within(6*time.Minute), w.mended(rollback), "EnvoyHighClusterUpstreamRequestTimeoutRate", through...)
		w.fires(fault+w.within(6*time.Minute), w.mended(rollback), "EnvoyHighDownstreamRequestTimeoutRate", proxy...)
		if d.Distance == 1 {
			w.fires(fault+w.within(8*time.Minute), w.mended(rollback), "JvmThreadsBlocked", append(on, "job", "jmx")...)
		}
	}
}

// kubernetes is how the control plane sees a service that fails: pods that miss
// their probes, that are restarted, and an autoscaler that does what it can.
func (w *writer) kubernetes(d dependent, fault, rollback time.Duration) {
	const ksm = "kube-state-metrics"
	w.fires(fault+w.within(5*time.Minute), w.mended(rollback), "KubeHpaMaxedOut", "namespace", d.Namespace, "horizontalpodautoscaler", d.Name, "job", ksm)
	if d.Distance > 2 {
		return
	}
	w.fires(fault+w.within(5*time.Minute), w.mended(rollback), "KubeDeploymentReplicasMismatch", "namespace", d.Namespace, "deployment", d.Name, "job", ksm)
	for _, p := range w.shop.pods[d.Name] {
		on := []string{"namespace", d.Namespace, "pod", p.name, "node", p.node, "job", ksm}
		w.fires(fault+w.within(10*time.Minute), w.mended(rollback), "KubePodNotReady", on...)
		if d.Distance == 1 {
			w.fires(fault+w.within(15*time.Minute), w.mended(rollback), "KubePodCrashLooping", append(on, "container", d.Name)...)
		}
	}
	if d.Name == "payments" {
		w.fires(fault, w.mended(rollback), "KubeDeploymentRolloutStuck", "namespace", d.Namespace, "deployment", d.Name, "job", ksm)
	}
}

// nodeDown takes a node away; what is raised for its pods is inhibited by its
// own alert.
func (w *writer) nodeDown() {
	down, up := w.at(nodeDownAt), w.at(nodeUpAt)
	w.scene(down, downNode+" goes down, and "+strconv.Itoa(len(w.shop.on(downNode)))+" pods with it")
	w.fires(down, up, "KubeNodeNotReady", "node", downNode, "job", "kube-state-metrics", "namespace", "monitoring")
	for _, p := range w.shop.on(downNode) {
		w.fires(down+w.within(2*time.Minute), up-w.wait(3*time.Minute), "KubePodNotReady",
			"namespace", p.service.Namespace, "pod", p.name, "node", p.node, "job", "kube-state-metrics")
	}
}

// quiet is one alert of one team, in the middle of all this.
func (w *writer) quiet() {
	at := w.at(quietAt)
	w.scene(at, "the TLS certificate of "+loginProbe[len("https://"):]+" expires: one quiet alert")
	w.story.Quiet = w.firesOutside(at, forever, "BlackboxSslCertificateExpired",
		"namespace", "identity", "service", "login", "instance", loginProbe, "job", "blackbox")
}
