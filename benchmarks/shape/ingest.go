package shape

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/benchmarks/target"
)

// Figures are values by unit. An alert here is an alert as sent, and CPU is that
// of the server.
type Figures map[string]float64

// Units of Figures.
const (
	CPUPerAlert       = "cpu-µs/alert"
	CPUPerRequest     = "cpu-µs/request"
	ClientCPUPerAlert = "client-cpu-µs/alert"
	LogPerAlert       = "log-B/alert"
	AlertsPerSecond   = "alerts/s"
	P50               = "p50-ms"
	P99               = "p99-ms"
	Longest           = "max-ms"
)

const (
	seed     = 1
	perGroup = 100
	primers  = 4   // connections that make alerts known
	together = 256 // alerts of a request that makes them known
)

var universe = load.New(seed, perGroup)

// Ingest is one way of sending.
type Ingest struct {
	Format      load.Format
	Batch       int
	Connections int

	Known  int     // alerts that fire before the measurement
	Repeat int     // of the alerts sent, those that are known: sent round and round
	Fresh  int     // those seen for the first time
	Rate   float64 // alerts a second; 0 is as fast as they are taken

	Policy   Policy
	Silences int

	// During, where there is one, is called before the load and its answer
	// after all has been dealt with.
	During func(context.Context) (func() error, error)
}

// Measure runs the shape once on a fresh server in a folder of its own below
// dir.
func (in *Ingest) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	if in.Format == "" {
		in.Format = load.API
	}
	r, err := open(ctx, s, dir, &in.Policy)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if in.Silences > 0 {
		if err := r.silence(ctx, in.Silences); err != nil {
			return nil, err
		}
	}
	if err := r.prime(ctx, 0, in.Known); err != nil {
		return nil, err
	}
	run, err := in.load(r.began())
	if err != nil {
		return nil, err
	}
	if err := warm(); err != nil {
		return nil, err
	}
	if in.During == nil {
		return r.measure(ctx, run)
	}
	end, err := in.During(ctx)
	if err != nil {
		return nil, err
	}
	f, err := r.measure(ctx, run)
	return f, errors.Join(err, end())
}

// load renders what is sent while measuring, of alerts that began when it says.
func (in *Ingest) load(began time.Time) (*load.Run, error) {
	run := &load.Run{Connections: in.Connections, AlertsPerSecond: in.Rate}
	known := universe.Render(in.Format, 0, in.Known, in.Batch, began)
	fresh := universe.Render(in.Format, in.Known, in.Known+in.Fresh, in.Batch, began)
	run.Requests = append(known, fresh...)
	switch {
	case in.Repeat > 0 && in.Fresh > 0:
		seq, err := load.Mixed(seed, len(known), len(run.Requests), float64(in.Fresh)/float64(in.Fresh+in.Repeat))
		if err != nil {
			return nil, err
		}
		run.Sequence = seq
	case in.Fresh > 0:
		for i := range fresh {
			run.Sequence = append(run.Sequence, int32(len(known)+i))
		}
	default:
		run.Sequence = load.Rounds(len(known), max(1, in.Repeat/in.Known))
	}
	return run, nil
}

// run is a server while it is measured.
type run struct {
	subject *Subject
	dir     string
	policy  *Policy
	server  *target.Server
	ready   time.Duration // how long its start took
	sent    int           // alerts since it was first started
	first   time.Time     // when the first of them was rendered
	pace    float64       // alerts a second that send sends; 0 is as fast as they are taken
}

// began is when all alerts of a run have begun: one that is sent again with
// another start is another alert.
func (r *run) began() time.Time {
	if r.first.IsZero() {
		r.first = time.Now()
	}
	return r.first
}

func open(ctx context.Context, s *Subject, dir string, p *Policy) (*run, error) {
	dir, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return nil, err
	}
	if p.Webhook == "" {
		p.Webhook = "http://127.0.0.1:9/" // nobody is paged: no group's moment comes
	}
	server, ready, err := s.start(ctx, dir, p)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &run{subject: s, dir: dir, policy: p, server: server, ready: ready}, nil
}

// close ends the server; its storage has been read.
func (r *run) close() error {
	if r.server != nil {
		r.server.Kill()
	}
	return os.RemoveAll(r.dir)
}

// restart ends the server, in order or at once, and starts it again.
func (r *run) restart(ctx context.Context, orderly bool, between func() error) (err error) {
	if orderly {
		if err := r.server.Stop(); err != nil {
			return err
		}
	} else {
		r.server.Kill()
	}
	r.server = nil
	if between != nil {
		if err := between(); err != nil {
			return err
		}
	}
	if err := warm(); err != nil { // this start may be what is measured
		return err
	}
	r.server, r.ready, err = r.subject.start(ctx, r.dir, r.policy)
	return err
}

// renderAtOnce bounds the alerts that are held as text.
const renderAtOnce = 100_000

// prime makes alerts known.
func (r *run) prime(ctx context.Context, from, to int) error {
	refused := 0
	for i := from; i < to; i += renderAtOnce {
		end := min(i+renderAtOnce, to)
		res, err := r.send(ctx, i, end, 1)
		if err != nil {
			return err
		}
		refused += res.Refused
	}
	if refused > 0 { // of what was refused a part may have been stored, and came again
		taken, err := r.server.Settled(ctx, r.sent)
		r.sent = taken
		return err
	}
	return r.server.Drained(ctx, r.sent)
}

// again sends the first n alerts so many times more, and waits until they are
// dealt with.
func (r *run) again(ctx context.Context, n, times int) (*load.Result, error) {
	res, err := r.send(ctx, 0, n, times)
	if err != nil {
		return nil, err
	}
	return res, r.server.Drained(ctx, r.sent)
}

// send sends alerts so many times, at the pace.
func (r *run) send(ctx context.Context, from, to, times int) (*load.Result, error) {
	l := load.Run{Address: r.server.Address, Connections: primers, Validity: 12 * time.Hour, AlertsPerSecond: r.pace,
		Requests: universe.Render(load.API, from, to, together, r.began())}
	l.Sequence = load.Rounds(len(l.Requests), times)
	res, err := l.Do(ctx)
	if err != nil {
		return nil, err
	}
	r.sent += res.Alerts
	return res, nil
}

// measure sends a load and reads what it cost until all of it is dealt with.
func (r *run) measure(ctx context.Context, l *load.Run) (Figures, error) {
	l.Address = r.server.Address
	disk, err := r.server.Disk("jetstream")
	if err != nil && !r.subject.Peer {
		return nil, err
	}
	before, err := r.server.CPU()
	if err != nil {
		return nil, err
	}
	client := ownCPU()
	res, err := l.Do(ctx)
	if err != nil {
		return nil, err
	}
	client = ownCPU() - client
	r.sent += res.Alerts
	if err := r.server.Drained(ctx, r.sent); err != nil {
		return nil, err
	}
	after, err := r.server.CPU()
	if err != nil {
		return nil, err
	}
	f := Figures{
		CPUPerAlert: micros(after-before) / float64(res.Alerts), CPUPerRequest: micros(after-before) / float64(res.Requests),
		ClientCPUPerAlert: micros(client) / float64(res.Alerts), AlertsPerSecond: res.PerSecond(),
		P50: millis(res.Latency.Quantile(0.5)), P99: millis(res.Latency.Quantile(0.99)), Longest: millis(res.Latency.Max()),
	}
	if after-before < minCPU {
		return nil, fmt.Errorf("shape: the server used only %v: nothing is measured with clock ticks of 10 ms", after-before)
	}
	if r.subject.Peer {
		return f, nil
	}
	grown, err := r.server.Disk("jetstream")
	f[LogPerAlert] = float64(grown-disk) / float64(res.Alerts)
	return f, err
}

// minCPU is the least whose clock ticks say something.
const minCPU = 200 * time.Millisecond

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("shape: getrusage of the process itself: " + err.Error()) // it has no way to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
