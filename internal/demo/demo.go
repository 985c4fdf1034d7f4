// Package demo tells one night of an online shop to a whole Winnow: a storm, the
// noise of every night, and one quiet alert that must not drown in them.
//
// It decides what happens that night, and it counts for itself what it sent and
// which pages arrived, so that the books can be checked against it. It takes no
// short cut: alerts enter through the HTTP doors, pages leave for a pager on
// loopback. It never reaches beyond this machine, and never leaves anything
// behind unless it is told to.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/node"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/ledger"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// Options of Run.
type Options struct {
	Duration time.Duration // at least MinDuration
	Seed     uint64
	Version  string

	Stdout   io.Writer
	Terminal bool // Stdout is one: the status is rewritten in place
	Color    bool
	Headless bool // nothing is shown while it runs
	Assert   bool // fail if anything is not as it must be
	Keep     bool // leave the folder of the log

	Logger *zap.Logger

	// network replaces loopback in tests.
	network *network
}

// network is where the demo's servers listen and its clients dial.
type network struct {
	listen func() (net.Listener, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// ErrAssert is what Run returns when something is not as it must be; what that
// is stands in the output.
var ErrAssert = errors.New("the demo did not end as it must")

// demo is one telling.
type demo struct {
	opts   Options
	story  *Story
	screen *screen
	dir    string

	pager   *sinktest.PagerDuty
	console *console
	node    *node.Node
	client  *http.Client
	feed    *feed

	base, pagerURL string
	closers        []func() error // in the order in which things were opened
}

// Run tells the story and reports. When ctx ends it stops early, and reports
// all the same.
func Run(ctx context.Context, o Options) (err error) {
	if o.Duration < MinDuration {
		return fmt.Errorf("demo: a duration of %s is too short: give at least %s", o.Duration, MinDuration)
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	d := &demo{
		opts: o, story: NewStory(o.Seed, o.Duration), pager: sinktest.NewPagerDuty(),
		screen: &screen{out: o.Stdout, terminal: o.Terminal, color: o.Color},
	}
	d.console = &console{show: d.showPage}
	defer func() { err = errors.Join(err, d.close(), d.screen.err) }()
	if err := d.open(ctx); err != nil {
		return err
	}
	d.intro()
	cut, err := d.play(ctx)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	d.settle(ctx, cut)
	r, err := d.outcome(ctx, cut)
	if err != nil {
		return err
	}
	return d.conclude(r)
}

// open starts the pager, then Winnow, then its HTTP server.
func (d *demo) open(ctx context.Context) (err error) {
	if d.opts.network == nil {
		loopback := func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
		d.opts.network = &network{listen: loopback, dial: new(net.Dialer).DialContext}
	}
	if d.dir, err = os.MkdirTemp("", "winnow-demo-"); err != nil {
		return fmt.Errorf("demo: make a folder for the log: %w", err)
	}
	if !d.opts.Keep {
		d.closers = append(d.closers, func() error { return os.RemoveAll(d.dir) })
	}
	transport := &http.Transport{DialContext: d.opts.network.dial}
	d.client = &http.Client{Transport: transport}
	d.closers = append(d.closers, func() error { transport.CloseIdleConnections(); return nil })

	l, err := d.opts.network.listen()
	if err != nil {
		return fmt.Errorf("demo: listen for the pager: %w", err)
	}
	d.pagerURL = "http://" + l.Addr().String() + "/v2/enqueue"
	d.serve(l, d.pager)

	if l, err = d.opts.network.listen(); err != nil {
		return fmt.Errorf("demo: listen: %w", err)
	}
	d.base = "http://" + l.Addr().String()
	if err := d.start(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	d.serve(l, d.node.Handler())
	d.feed = newFeed(d.client, d.base, d.story)
	select {
	case <-d.node.Ready():
	case <-d.node.Done():
		return d.node.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	return d.silence(ctx)
}

// start starts Winnow from an ordinary configuration.
func (d *demo) start(ctx context.Context) error {
	catalogPath := filepath.Join(d.dir, "catalog-info.yaml")
	if err := os.WriteFile(catalogPath, []byte(catalogue()), 0o600); err != nil {
		return fmt.Errorf("demo: write the catalogue: %w", err)
	}
	external, err := url.Parse(d.base)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	text := []byte(ConfigText(d.pagerURL, catalogPath))
	d.node, err = node.Start(ctx, node.Options{
		Load:   func() (*config.Config, error) { return config.Parse("demo", text) },
		Stream: stream.Options{Dir: filepath.Join(d.dir, "log"), MaxBytes: logBytes}, ExternalURL: external, Version: d.opts.Version,
		Stdout: d.console, Logger: d.opts.Logger, HTTP: []commoncfg.HTTPClientOption{commoncfg.WithDialContextFunc(d.opts.network.dial)},
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.closers = append(d.closers, d.node.Stop)
	return nil
}

const (
	logBytes      = 1 << 30
	headerTimeout = 5 * time.Second
	closeTimeout  = 500 * time.Millisecond
)

// serve serves h until the demo ends. What is under way then may finish.
func (d *demo) serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, ErrorLog: zap.NewStdLog(d.opts.Logger)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	d.closers = append(d.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // somebody looks on; nothing is lost with that
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
}

// close ends everything in the opposite order.
func (d *demo) close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	return errors.Join(errs...)
}

// silence does what somebody does before planned work.
func (d *demo) silence(ctx context.Context) error {
	on, err := alert.NewMatcher("namespace", alert.Equal, inRepair)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	now := time.Now()
	err = d.node.Engine().SetSilence(ctx, &correlate.Silence{
		ID: "planned-work-on-" + inRepair, Matchers: []alert.Matchers{{on}}, CreatedBy: "discovery",
		Comment:  "search is re-indexed tonight",
		StartsAt: alert.TimeOf(now), EndsAt: alert.TimeOf(now.Add(d.opts.Duration + time.Hour)),
	})
	if err != nil {
		return fmt.Errorf("demo: set the silence: %w", err)
	}
	return nil
}

// play feeds the story, with a line of progress every second.
func (d *demo) play(ctx context.Context) (cut bool, err error) {
	watched, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !d.opts.Headless {
			d.watch(watched)
		}
	}()
	cut, err = d.feed.play(ctx, d.showScene)
	stop()
	<-done
	d.screen.settle()
	return cut, err
}

// watch shows the accounts once a second.
func (d *demo) watch(ctx context.Context) {
	start := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, last := uint64(0), start
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		t, err := d.totals(ctx)
		if err != nil {
			return // it is over
		}
		now := time.Now()
		rate := float64(t.Deliveries-before) / max(now.Sub(last).Seconds(), 0.001)
		before, last = t.Deliveries, now
		d.screen.progress(statusLine(now.Sub(start), &t, rate))
	}
}

func (d *demo) totals(ctx context.Context) (t ledger.Totals, err error) {
	err = d.node.Engine().Query(ctx, func(s *engine.Shard) { t = s.Ledger.Totals() })
	return t, err
}

const (
	settleTimeout = 10 * time.Second
	settlePoll    = 100 * time.Millisecond
	settledPolls  = 3
)

// settle waits until all that was taken is decided and all that was decided is
// with the pager; after a cut only for what is on its way already.
func (d *demo) settle(ctx context.Context, cut bool) {
	deadline := time.Now().Add(settleTimeout)
	var before ledger.Totals
	for still := 0; still < settledPolls && time.Now().Before(deadline); {
		waitUntil(ctx, time.Now().Add(settlePoll))
		t, err := d.totals(ctx)
		if err != nil {
			return
		}
		if t.Deliveries >= d.feed.total().Accepted && (t.Pending == 0 || cut) && t.Notifications == before.Notifications {
			still++
		} else {
			still = 0
		}
		before = t
	}
}
