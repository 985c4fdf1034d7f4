package demo

import (
	"fmt"
	"strings"
	"time"
)

// groupWait is that of the configuration below; a page is to go out this long
// after its first alert.
const groupWait = time.Second

// receivers are the teams on call, each a receiver of the configuration.
var receivers = []string{"platform", "web", "checkout", "payments", "fulfilment", "identity", "databases", "finance"}

// ConfigText is the demo's configuration. Pages go to the pager at pagerURL;
// the catalogue of services is the file at catalogPath.
func ConfigText(pagerURL, catalogPath string) string {
	var pagers, prints strings.Builder
	for _, r := range receivers {
		fmt.Fprintf(&pagers, "  - {name: %[1]s, pagerduty_configs: [{routing_key: demo-%[1]s}]}\n", r)
		fmt.Fprintf(&prints, "    - {receiver: %s, stdout: {}}\n", r)
	}
	return fmt.Sprintf(configText, pagerURL, pagers.String(), catalogPath, prints.String())
}

const configText = `# The configuration of winnow demo: an alertmanager.yml as it may stand anywhere,
# and one key more, winnow. Waiting times are seconds where they would be minutes.

global:
  pagerduty_url: %[1]s   # a pager of the demo's own

route:                                 # each team has its namespaces
  receiver: platform
  group_by: [cluster, namespace]
  group_wait: 1s                       # usually 30s
  group_interval: 5s                   # usually 5m
  repeat_interval: 4h
  routes:
    - matchers: [alertname="Watchdog"] # proves that alerts arrive; nobody is called
      receiver: nobody
    - matchers: [severity="info"]
      receiver: nobody
    - matchers: [alertname=~"Node.+|KubeNode.+"]
      receiver: platform
      group_by: [cluster, node, instance]
    - matchers: [namespace="storefront"]
      receiver: web
    - matchers: [namespace="checkout"]
      receiver: checkout
    - matchers: [namespace="payments"]
      receiver: payments
    - matchers: [namespace="fulfilment"]
      receiver: fulfilment
    - matchers: [namespace="identity"]
      receiver: identity
      group_by: [cluster, namespace, alertname]
    - matchers: [namespace="data"]
      receiver: databases
    - matchers: [namespace="reporting"]
      receiver: finance

inhibit_rules:                         # a node that is down explains its pods
  - name: node-down
    source_matchers: [alertname="KubeNodeNotReady"]
    target_matchers: [alertname=~"KubePod.+|Envoy.+|Jvm.+"]
    equal: [cluster, node]

receivers:
  - name: nobody
%[2]s
winnow:
  enrich:
    catalog: ['%[3]s'] # Backstage: owner, tier, dashboard
    service_labels: [service, namespace]
    runbooks:                          # for rules that bring none
      - matchers: [alertname=~"Envoy.+|Jvm.+|Kafka.+|Postgresql.+|Pgbouncer.+|Blackbox.+"]
        url: "https://runbooks.shop.example/{{ .Labels.alertname | lower }}"
  sinks:                               # and each page is printed as well
%[4]s`
