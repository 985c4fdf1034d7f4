package benchmarks

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/node"
	"github.com/winnowhq/winnow/internal/stream"
)

// BenchmarkAppend makes batches durable, each synced before it is answered,
// from many senders at once.
func BenchmarkAppend(b *testing.B) {
	f := func(alerts, senders int) {
		b.Run(fmt.Sprintf("alerts=%d/senders=%d", alerts, senders), func(b *testing.B) {
			s, err := stream.Open(b.Context(), stream.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			batches := make([][]alert.Alert, 64)
			for i := range batches {
				batches[i] = universe.Alerts(nil, i*alerts, (i+1)*alerts)
			}
			var next atomic.Int64
			cpu := cpuTime(b)
			each(b, senders, func() {
				batch := ingest.Batch{Source: "prometheus", Alerts: batches[int(next.Add(1))%len(batches)]}
				if err := s.Append(context.Background(), &batch); err != nil {
					b.Error(err)
				}
			})
			b.StopTimer()
			perAlert(b, alerts)
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N)/float64(alerts), "cpu-ns/alert")
		})
	}
	f(64, 1)
	f(64, 64)
	f(1, 64)
}

// each runs the benchmark's iterations, from so many senders at once: one, or a
// multiple of GOMAXPROCS.
func each(b *testing.B, senders int, f func()) {
	if senders == 1 {
		for b.Loop() {
			f()
		}
		return
	}
	b.SetParallelism(max(senders/runtime.GOMAXPROCS(0), 1))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f()
		}
	})
}

// resent is how many alerts the line knows while they are sent again.
const resent = 10_240

// BenchmarkLine is everything between a request and the accounts: HTTP handler,
// decoding, the log with its syncs, and the core. The alerts are known, as most
// are. CPU time is that of the whole process, the client's share included.
func BenchmarkLine(b *testing.B) {
	f := func(source string, alerts, senders int) {
		b.Run(fmt.Sprintf("%s/alerts=%d/senders=%d", source, alerts, senders), func(b *testing.B) {
			benchmarkLine(b, source, alerts, senders)
		})
	}
	f("alertmanager", 64, 4)
	f("prometheus", 64, 4)
	f("prometheus", 256, 4)
	f("prometheus", 1, 64)
}

func benchmarkLine(b *testing.B, source string, alerts, senders int) {
	c, err := config.Parse("benchmark", []byte(policyText))
	if err != nil {
		b.Fatal(err)
	}
	n, err := node.Start(b.Context(), node.Options{
		Load: func() (*config.Config, error) { return c, nil }, Stream: stream.Options{Dir: b.TempDir()},
		ExternalURL: &url.URL{Scheme: "http", Host: "winnow.example.org"},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Stop()
	<-n.Ready()
	path := "/ingest/" + source
	ends := time.Now().Add(24 * time.Hour)
	const together = 256
	for i := 0; i < resent; i += together {
		post(b, n.Handler(), path, body(source, i, i+together, ends))
	}
	drain(b, n, resent)
	bodies := make([][]byte, resent/alerts)
	for i := range bodies {
		bodies[i] = body(source, i*alerts, (i+1)*alerts, ends)
	}

	var next, posted atomic.Int64
	b.ReportAllocs()
	runtime.GC()
	cpu := cpuTime(b)
	each(b, senders, func() {
		post(b, n.Handler(), path, bodies[int(next.Add(1))%len(bodies)])
		posted.Add(1)
	})
	drain(b, n, resent+int(posted.Load())*alerts)
	b.StopTimer()
	perAlert(b, alerts)
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N)/float64(alerts), "cpu-ns/alert")
}

func post(b *testing.B, h http.Handler, path string, body []byte) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)))
	if w.Code != http.StatusOK {
		b.Errorf("POST %s: %d %s", path, w.Code, w.Body)
	}
}

// drain waits until the accounts hold so many deliveries, all but the first of
// each alert repeats.
func drain(b *testing.B, n *node.Node, deliveries int) {
	poll := time.NewTicker(200 * time.Microsecond)
	defer poll.Stop()
	deadline := time.After(time.Minute)
	for {
		var got uint64
		if err := n.Engine().Query(b.Context(), func(s *engine.Shard) { got = s.Ledger.Totals().Deliveries }); err != nil {
			b.Fatal(err)
		}
		if got == uint64(deliveries) {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			b.Fatalf("the accounts hold %d deliveries, %d were sent", got, deliveries)
		}
	}
}
