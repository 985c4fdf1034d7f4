package benchmarks

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/benchmarks/stage"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
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

// A stopwatch is the timer of a benchmark, which counts CPU time beside it: what a
// shared machine does to the one, it does not do to the other.
type stopwatch struct {
	b         *testing.B
	sum, from time.Duration
}

func watch(b *testing.B) *stopwatch { return &stopwatch{b: b, from: cpuTime(b)} }

func (w *stopwatch) stop() {
	w.b.StopTimer()
	w.sum += cpuTime(w.b) - w.from
}

func (w *stopwatch) start() {
	w.from = cpuTime(w.b)
	w.b.StartTimer()
}

// perAlert ends the watch and reports what one of n alerts of an iteration took.
func (w *stopwatch) perAlert(n int) {
	w.stop()
	perAlert(w.b, n)
	w.b.ReportMetric(float64(w.sum.Nanoseconds())/float64(w.b.N)/float64(n), "cpu-ns/alert")
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
	var packer frame.Packer
	encode := func(dst, scratch []byte) (message, segmentBytes []byte) {
		segment.Reset()
		segment.AddAlerts("prometheus", 0, alerts)
		scratch = segment.Append(scratch[:0])
		return packer.Append(dst[:0], frame.Header{Counter: 1}, scratch), scratch
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

func newShard(tb testing.TB) *engine.Shard {
	tb.Helper()
	s, err := stage.NewShard()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// BenchmarkRepeat is the verdict that most alerts get: it fires already. Table
// and alerts are larger than any cache, so each one costs its misses. By number is
// how the log names an alert that comes in the bytes in which it came before, and
// what is measured is all that a shard does with its message; in full is how it
// names one that comes in others.
func BenchmarkRepeat(b *testing.B) {
	b.Run("number", func(b *testing.B) {
		s, log := newShard(b), new(stage.Log)
		apply(b, s, log.New(live))
		b.ReportAllocs()
		w := watch(b)
		for b.Loop() {
			w.stop()
			again := log.Again(live)
			w.start()
			apply(b, s, again)
		}
		w.perAlert(live)
		if got, want := s.Ledger.Totals().Dispositions[correlate.Repeat], uint64(b.N)*live; got != want {
			b.Fatalf("%d of %d were repeats", got, want)
		}
	})
	b.Run("dedupe", func(b *testing.B) {
		table, alerts := dedupe.NewTable(), universe.Alerts(nil, 0, live)
		now := alert.TimeOf(load.Started)
		for i := range alerts {
			table.Observe(now, &alerts[i], 0)
		}
		b.ReportAllocs()
		w := watch(b)
		i := 0
		for b.Loop() {
			if _, v := table.Observe(now, &alerts[i], 0); v != dedupe.Repeat {
				b.Fatal(v)
			}
			i = (i + 1) % live
		}
		w.perAlert(1)
	})
	b.Run("core+ledger", func(b *testing.B) {
		l, alerts := newLine(b), universe.Alerts(nil, 0, live)
		repeats(b, l, alerts)
	})
}

// repeats measures alerts that the line has seen once.
func repeats(b *testing.B, l *stage.Line, alerts []alert.Alert) {
	b.Helper()
	for i := range alerts {
		l.Observe(&alerts[i])
	}
	b.ReportAllocs()
	w := watch(b)
	i := 0
	for b.Loop() {
		l.Observe(&alerts[i])
		i = (i + 1) % len(alerts)
	}
	w.perAlert(1)
}

// firsts measures alerts that the line has not seen; each len(alerts) of them
// there is a new line.
func firsts(b *testing.B, fresh func() *stage.Line, alerts []alert.Alert) {
	b.Helper()
	l := fresh()
	b.ReportAllocs()
	w := watch(b)
	i := 0
	for b.Loop() {
		if i == len(alerts) {
			w.stop()
			l, i = fresh(), 0
			w.start()
		}
		l.Observe(&alerts[i])
		i++
	}
	w.perAlert(1)
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

func TestRepeatByNumberAllocatesNothing(t *testing.T) {
	const known, rounds = 1024, 20
	s, log := newShard(t), new(stage.Log)
	turns := [][]stream.Message{log.New(known)}
	for range rounds + 2 { // one warms up, and AllocsPerRun has one more
		turns = append(turns, log.Again(known))
	}
	round := func() {
		for i := range turns[0] {
			s.Apply(&turns[0][i])
		}
		turns = turns[1:]
	}
	round()
	round()
	if n := testing.AllocsPerRun(rounds, round); n != 0 {
		t.Errorf("%d repeats allocate %v times", known, n)
	}
	if got, want := s.Ledger.Totals().Dispositions[correlate.Repeat], uint64(known*(rounds+2)); got != want || len(s.Faults()) > 0 {
		t.Errorf("%d repeats, want %d: %v", got, want, s.Faults())
	}
}

// BenchmarkNew is an alert that nobody has seen: it gets a place in the table
// and in a group.
func BenchmarkNew(b *testing.B) {
	const fresh = 20_000
	alerts := universe.Alerts(nil, 0, fresh)
	firsts(b, func() *stage.Line { return newLine(b) }, alerts)
}

// BenchmarkReplay is a start with a log of alerts that nobody has seen: frames are
// read, and core and accounts take in what stands in them. It has memory that was
// in use before: what a first touch costs is the machine's.
func BenchmarkReplay(b *testing.B) {
	log := new(stage.Log).New(live)
	apply(b, newShard(b), log)
	b.ReportAllocs()
	w := watch(b)
	for b.Loop() {
		w.stop()
		s := newShard(b)
		runtime.GC() // what the shard before this has left is not its own
		w.start()
		apply(b, s, log)
	}
	w.perAlert(live)
}

// apply is what a shard does with messages of the first alerts of the universe.
func apply(b *testing.B, s *engine.Shard, log []stream.Message) {
	for i := range log {
		s.Apply(&log[i])
	}
	if faults := s.Faults(); len(faults) > 0 || s.Core.Live() != live {
		b.Fatalf("%d alerts are live, want %d: %v", s.Core.Live(), live, faults)
	}
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
