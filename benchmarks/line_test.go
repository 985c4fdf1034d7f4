package benchmarks

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/stage"
	"github.com/winnowhq/winnow/ingest"
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
	w, err := stage.StartWhole(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	ends := time.Now().Add(24 * time.Hour)
	const together = 256
	for i := 0; i < resent; i += together {
		if err := w.Post(source, stage.Body(source, i, i+together, ends), together); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
	bodies := make([][]byte, resent/alerts)
	for i := range bodies {
		bodies[i] = stage.Body(source, i*alerts, (i+1)*alerts, ends)
	}

	var next atomic.Int64
	b.ReportAllocs()
	runtime.GC()
	cpu := cpuTime(b)
	each(b, senders, func() {
		if err := w.Post(source, bodies[int(next.Add(1))%len(bodies)], alerts); err != nil {
			b.Error(err)
		}
	})
	if err := w.Drain(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	perAlert(b, alerts)
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N)/float64(alerts), "cpu-ns/alert")
}
