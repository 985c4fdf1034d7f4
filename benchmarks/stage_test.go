package benchmarks

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/benchmarks/shape"
	"github.com/winnowhq/winnow/benchmarks/stage"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
)

const live = 100_000 // alerts known, where the table's size matters

var universe = stage.Universe

// perAlert reports what one of n alerts of an iteration took.
func perAlert(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/alert")
}

// cpuTime is what the process has used, all threads, in user and kernel.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkDecode(b *testing.B) {
	var limits ingest.Limits
	limits.Defaults()
	now := alert.TimeOf(load.Started.Add(time.Minute))
	f := func(source string, n int) {
		b.Run(fmt.Sprintf("%s/alerts=%d", source, n), func(b *testing.B) {
			src, _ := ingest.Lookup(source)
			text := stage.Body(source, 0, n, load.Started.Add(time.Hour))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := ingest.Read(&src, text, now, &limits, func(*ingest.Batch) error { return nil })
				if err != nil || r.Accepted != n {
					b.Fatalf("%+v, %v", r, err)
				}
			}
			perAlert(b, n)
		})
	}
	f("alertmanager", 64)
	f("prometheus", 64)
	f("prometheus", 256)
}

func BenchmarkFingerprint(b *testing.B) {
	alerts := universe.Alerts(nil, 0, 1024)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		a := &alerts[i%len(alerts)]
		if a.Labels.Fingerprint() != a.Fingerprint {
			b.Fatal("another fingerprint")
		}
		i++
	}
	perAlert(b, 1)
}

func BenchmarkFrame(b *testing.B) {
	const n = 64
	alerts := universe.Alerts(nil, 0, n)
	var segment frame.Segment
	encode := func(dst, scratch []byte) (message, segmentBytes []byte) {
		segment.Reset()
		segment.AddAlerts("prometheus", 0, alerts)
		scratch = segment.Append(scratch[:0])
		return frame.Append(dst[:0], 1, scratch), scratch
	}
	b.Run(fmt.Sprintf("encode/alerts=%d", n), func(b *testing.B) {
		b.ReportAllocs()
		var message, scratch []byte
		for b.Loop() {
			message, scratch = encode(message, scratch)
		}
		perAlert(b, n)
		b.ReportMetric(float64(len(message))/n, "log-B/alert")
	})
	b.Run(fmt.Sprintf("decode/alerts=%d", n), func(b *testing.B) {
		message, _ := encode(nil, nil)
		var d frame.Decoder
		b.ReportAllocs()
		for b.Loop() {
			got := 0
			if _, err := d.Decode(message, func(e *frame.Event) error { got += len(e.Alerts); return nil }); err != nil || got != n {
				b.Fatalf("%d alerts, %v", got, err)
			}
		}
		perAlert(b, n)
	})
}

func newLine(tb testing.TB) *stage.Line {
	tb.Helper()
	l, err := stage.NewLine(stage.PolicyText)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// BenchmarkRepeat is the verdict that most alerts get: it fires already. Table
// and alerts are larger than any cache, so each one costs its misses.
func BenchmarkRepeat(b *testing.B) {
	b.Run("dedupe", func(b *testing.B) {
		table, alerts := dedupe.NewTable(), universe.Alerts(nil, 0, live)
		now := alert.TimeOf(load.Started)
		for i := range alerts {
			table.Observe(now, &alerts[i], 0)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, v := table.Observe(now, &alerts[i], 0); v != dedupe.Repeat {
				b.Fatal(v)
			}
			i = (i + 1) % live
		}
		perAlert(b, 1)
	})
	b.Run("core+ledger", func(b *testing.B) {
		l, alerts := newLine(b), universe.Alerts(nil, 0, live)
		for i := range alerts {
			l.Observe(&alerts[i])
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			l.Observe(&alerts[i])
			i = (i + 1) % live
		}
		perAlert(b, 1)
	})
}

// BenchmarkRepeatUnder is a repeat in a core that has more in force than any
// alert needs: none of it may cost a repeat anything.
func BenchmarkRepeatUnder(b *testing.B) {
	f := func(name, policy string, silences int) {
		b.Run(name, func(b *testing.B) {
			l, alerts := lineUnder(b, policy, silences), universe.Alerts(nil, 0, known)
			for i := range alerts {
				l.Observe(&alerts[i])
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				l.Observe(&alerts[i])
				i = (i + 1) % known
			}
			perAlert(b, 1)
		})
	}
	f("nothing", stage.PolicyText, 0)
	f("silences=10000", stage.PolicyText, 10_000)
	f("inhibit=1000", manyRules(1000), 0)
	f("routes=1000", manyRoutes(1000), 0)
}

// BenchmarkNewUnder is a new alert in such a core. It is checked against each
// silence and each rule once.
func BenchmarkNewUnder(b *testing.B) {
	f := func(name, policy string, silences int) {
		b.Run(name, func(b *testing.B) {
			l, alerts := lineUnder(b, policy, silences), universe.Alerts(nil, 0, known)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i == known {
					b.StopTimer()
					l, i = lineUnder(b, policy, silences), 0
					b.StartTimer()
				}
				l.Observe(&alerts[i])
				i++
			}
			perAlert(b, 1)
		})
	}
	f("nothing", stage.PolicyText, 0)
	f("silences=10000", stage.PolicyText, 10_000)
	f("inhibit=1000", manyRules(1000), 0)
	f("routes=1000", manyRoutes(1000), 0)
}

// BenchmarkFlush is the moment at which groups tell what they have, an alert:
// the core's part, without encoding or sending.
func BenchmarkFlush(b *testing.B) {
	f := func(name, policy string, silences int) {
		b.Run(name, func(b *testing.B) {
			alerts := universe.Alerts(nil, 0, known)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				l := lineUnder(b, policy, silences)
				for i := range alerts {
					l.Observe(&alerts[i])
				}
				b.StartTimer()
				if l.Advance(l.Now+alert.Time(5*time.Hour)) == 0 {
					b.Fatal("no group told anything")
				}
			}
			perAlert(b, known)
		})
	}
	f("nothing", stage.PolicyText, 0)
	f("silences=10000", stage.PolicyText, 10_000)
	f("inhibit=1000", manyRules(1000), 0)
}

const known = 10_000

// lineUnder is a core under a policy, with silences that match nothing.
func lineUnder(b *testing.B, policy string, silences int) *stage.Line {
	l, err := stage.NewLine(policy)
	if err != nil {
		b.Fatal(err)
	}
	all, err := shape.Silences(silences, load.Started)
	if err != nil {
		b.Fatal(err)
	}
	for i := range all {
		l.Core.SetSilence(all[i])
	}
	return l
}

func manyRules(n int) string {
	text := stage.PolicyText + "inhibit_rules:\n"
	for i := range n {
		text += fmt.Sprintf("  - {source_matchers: ['alertname=\"Root%d\"'], target_matchers: ['severity=\"warning\"', 'service=~\".*-api\"'], equal: [cluster]}\n", i)
	}
	return text
}

func manyRoutes(n int) string {
	text := "route:\n  receiver: oncall\n  group_by: [alertname, cluster, namespace]\n  group_wait: 4h\n  group_interval: 4h\n  routes:\n"
	for i := range n {
		text += fmt.Sprintf("    - {matchers: ['team=\"team-%d\"', 'namespace=~\"ns-%d-.*\"']}\n", i, i)
	}
	return text + "receivers: [{name: oncall}]\n"
}

func TestRepeatAllocatesNothing(t *testing.T) {
	l, alerts := newLine(t), universe.Alerts(nil, 0, 1000)
	for range 2 {
		for i := range alerts {
			l.Observe(&alerts[i])
		}
	}
	i := 0
	n := testing.AllocsPerRun(2*len(alerts), func() {
		l.Observe(&alerts[i%len(alerts)])
		i++
	})
	if n != 0 {
		t.Errorf("a repeat allocates %v times", n)
	}
	if got := l.Ledger.Totals(); got.Onsets != uint64(len(alerts)) || got.Deliveries-got.Onsets != got.Dispositions[correlate.Repeat] {
		t.Errorf("they were not repeats: %+v", got)
	}
}

// BenchmarkNew is an alert that nobody has seen: it gets a place in the table
// and in a group.
func BenchmarkNew(b *testing.B) {
	const fresh = 20_000
	alerts := universe.Alerts(nil, 0, fresh)
	l := newLine(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == fresh {
			b.StopTimer()
			l, i = newLine(b), 0
			b.StartTimer()
		}
		l.Observe(&alerts[i])
		i++
	}
	perAlert(b, 1)
}

// BenchmarkMemory is the heap that a live alert takes, all of it: table, group,
// accounts and their trail.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // what the first one's finalizers gave up
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var bytes float64
	for b.Loop() {
		before := heap()
		l := newLine(b)
		for i := range live {
			a := universe.Alert(i)
			l.Observe(&a)
		}
		l.Out = correlate.Output{}
		bytes = float64(heap()-before) / live
		if got := l.Core.Live(); got != live {
			b.Fatalf("%d alerts are live, want %d", got, live)
		}
	}
	b.ReportMetric(0, "ns/op") // it is no time that is measured
	b.ReportMetric(bytes, "heap-B/alert")
}
