package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
)

// webhookAlert is an alert of about 1 KB as Alertmanager writes it: 12 labels,
// 4 annotations, the link escaped as Go escapes it.
func webhookAlert(i int) string {
	return fmt.Sprintf(`{"status":"firing","labels":{"alertname":"KubePodNotReady","cluster":"eu-west-1a","container":"checkout",`+
		`"endpoint":"http-metrics","instance":"10.42.%d.%d:8080","job":"kube-state-metrics","namespace":"payments",`+
		`"pod":"checkout-6d5f7c9b8-%05d","prometheus":"monitoring/k8s","service":"checkout","severity":"warning","team":"payments"},`+
		`"annotations":{"dashboard":"https://grafana.example.org/d/pods?var-namespace=payments",`+
		`"description":"Pod payments/checkout-6d5f7c9b8-%05d has been waiting to become ready for more than a quarter of an hour.",`+
		`"runbook_url":"https://runbooks.example.org/kubernetes/kubepodnotready","summary":"A pod does not become ready."},`+
		`"startsAt":"2025-06-01T11:42:18.123Z","endsAt":"0001-01-01T00:00:00Z",`+
		`"generatorURL":"https://prometheus.example.org/graph?g0.expr=kube_pod_status_ready%%7Bcondition%%3D%%22false%%22%%7D\u0026g0.tab=1",`+
		`"fingerprint":"%016x"}`, i/256%256, i%256, i, i, i)
}

func webhookBody(n int) []byte {
	alerts := make([]string, n)
	for i := range alerts {
		alerts[i] = webhookAlert(i)
	}
	return []byte(`{"receiver":"winnow","status":"firing","alerts":[` + strings.Join(alerts, ",") +
		`],"groupLabels":{"namespace":"payments"},"commonLabels":{"namespace":"payments"},"commonAnnotations":{},` +
		`"externalURL":"https://alertmanager.example.org","version":"4","groupKey":"{}:{namespace=\"payments\"}","truncatedAlerts":0}`)
}

func apiBody(n int) []byte {
	alerts := make([]string, n)
	for i := range alerts {
		alerts[i] = strings.Replace(webhookAlert(i), `"endsAt":"0001-01-01T00:00:00Z"`, `"endsAt":"2025-06-01T12:04:00Z"`, 1)
	}
	return []byte("[" + strings.Join(alerts, ",") + "]")
}

func BenchmarkRead(b *testing.B) {
	limits := testLimits()
	discard := func(*Batch) error { return nil }
	for _, c := range []struct {
		source string
		alerts int
		body   []byte
	}{
		{"alertmanager", 1, webhookBody(1)},
		{"alertmanager", 64, webhookBody(64)},
		{"prometheus", 256, apiBody(256)},
	} {
		src, _ := Lookup(c.source)
		b.Run(fmt.Sprintf("%s/alerts=%d", c.source, c.alerts), func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				if r, err := Read(&src, c.body, testNow, &limits, discard); err != nil || r.Accepted != c.alerts {
					b.Fatalf("%+v, %v", r, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.alerts), "ns/alert")
		})
	}
}

func BenchmarkParseTime(b *testing.B) {
	for b.Loop() {
		if _, ok := parseTime("2025-06-01T11:42:18.123Z"); !ok {
			b.Fatal("not read")
		}
	}
}

// testNow is 2025-06-01T12:00:00Z.
const testNow = alert.Time(1748779200e9)

func testLimits() Limits {
	var l Limits
	l.Defaults()
	return l
}
