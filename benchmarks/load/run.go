package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Run is one load on one server.
type Run struct {
	Address     string // host:port
	Connections int    // each with one request in flight
	Requests    []Request
	Sequence    Sequence

	// AlertsPerSecond is offered by the clock, whether answers come or not: an
	// open loop. Zero is a closed loop: each connection sends as soon as it has
	// its answer.
	AlertsPerSecond float64

	// Begin is when the first request of an open loop is due; at once where it is
	// zero.
	Begin time.Time

	// Validity is how far ahead of its sending the end of an alert lies.
	Validity time.Duration
}

// Result is what a Run has seen. Latency runs from when a request was due, so
// that a server which makes the load wait is charged for the wait.
type Result struct {
	Requests int
	Alerts   int
	Refused  int // answers 503, each sent again until it was taken
	Took     time.Duration
	Latency  Histogram
}

// PerSecond is the rate at which alerts were accepted.
func (r *Result) PerSecond() float64 { return float64(r.Alerts) / r.Took.Seconds() }

const (
	defaultValidity = 4 * time.Minute // as Prometheus with its defaults
	attemptTimeout  = 2 * time.Minute
	refusedPause    = 20 * time.Millisecond
)

// Do sends every request of the sequence until it is taken, and ends early only
// with an error.
func (r *Run) Do(ctx context.Context) (*Result, error) {
	if r.Connections < 1 || len(r.Requests) == 0 || len(r.Sequence) == 0 {
		return nil, errors.New("load: nothing to send, or no connection to send it on")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &sending{Run: r}
	if s.Validity == 0 {
		s.Validity = defaultValidity
	}
	if r.AlertsPerSecond > 0 {
		alerts := 0
		for _, i := range r.Sequence {
			alerts += r.Requests[i].Alerts
		}
		s.interval = time.Duration(float64(time.Second) * float64(alerts) / float64(len(r.Sequence)) / r.AlertsPerSecond)
	}
	workers := make([]worker, min(r.Connections, len(r.Sequence)))
	for i := range workers {
		if err := workers[i].dial(ctx, r.Address); err != nil {
			return nil, err
		}
		defer workers[i].conn.Close()
	}
	s.start = time.Now()
	if r.Begin.After(s.start) && s.interval > 0 {
		s.start = r.Begin
	}
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			if workers[i].err = workers[i].send(ctx, s); workers[i].err != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	out := &Result{Took: time.Since(s.start)}
	var errs []error
	for i := range workers {
		w := &workers[i]
		out.Requests += w.requests
		out.Alerts += w.alerts
		out.Refused += w.refused
		out.Latency.Merge(&w.latency)
		if w.err != nil && !errors.Is(w.err, context.Canceled) {
			errs = append(errs, w.err)
		}
	}
	return out, errors.Join(append(errs, context.Cause(ctx))...)
}

// sending is what the connections of a Run share.
type sending struct {
	*Run
	start    time.Time
	interval time.Duration // between requests; 0 in a closed loop
	next     atomic.Int64  // in the sequence
}

type worker struct {
	conn     net.Conn
	in       *bufio.Reader
	wire     []byte
	requests int
	alerts   int
	refused  int
	latency  Histogram
	err      error
}

func (w *worker) dial(ctx context.Context, address string) (err error) {
	var d net.Dialer
	if w.conn, err = d.DialContext(ctx, "tcp", address); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	w.in = bufio.NewReader(w.conn)
	return nil
}

func (w *worker) send(ctx context.Context, s *sending) error {
	for {
		n := int(s.next.Add(1)) - 1
		if n >= len(s.Sequence) {
			return nil
		}
		due := time.Now()
		if s.interval > 0 {
			due = s.start.Add(time.Duration(n) * s.interval)
			if err := pause(ctx, time.Until(due)); err != nil {
				return err
			}
		}
		r := &s.Requests[s.Sequence[n]]
		for {
			taken, err := w.attempt(r, s.Validity)
			if err != nil {
				return err
			}
			if taken {
				break
			}
			w.refused++
			if err := pause(ctx, refusedPause); err != nil {
				return err
			}
		}
		w.latency.Add(time.Since(due))
		w.requests++
		w.alerts += r.Alerts
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// attempt sends a request and reads its answer.
func (w *worker) attempt(r *Request, validity time.Duration) (taken bool, err error) {
	now := time.Now()
	w.wire = r.append(w.wire[:0], now.Add(validity))
	if err := w.conn.SetDeadline(now.Add(attemptTimeout)); err != nil {
		return false, fmt.Errorf("load: %w", err)
	}
	if _, err := w.conn.Write(w.wire); err != nil {
		return false, fmt.Errorf("load: send: %w", err)
	}
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return false, fmt.Errorf("load: answer: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	resp.Body.Close()
	switch {
	case err != nil:
		return false, fmt.Errorf("load: answer: %w", err)
	case resp.StatusCode/100 == 2:
		return true, nil
	case resp.StatusCode == http.StatusServiceUnavailable:
		return false, nil
	}
	return false, fmt.Errorf("load: answered %s: %s", resp.Status, text)
}

// timerLag is how late a timer of the runtime may be: it sleeps by whole
// milliseconds.
const timerLag = 2 * time.Millisecond

// pause waits for d, and no millisecond longer: a request that is sent late is a
// wait that the server would be charged for.
func pause(ctx context.Context, d time.Duration) error {
	until := time.Now().Add(d)
	if d > timerLag {
		t := time.NewTimer(d - timerLag)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if rest := time.Until(until); rest > 0 {
		nap(rest)
	}
	return ctx.Err()
}
