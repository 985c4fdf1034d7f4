package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/node"
	"github.com/winnowhq/winnow/internal/stream"
)

// An Op is a stage as something to repeat.
type Op struct {
	Name   string
	Alerts int  // of one run
	Exact  bool // a run allocates as often as the one before, to the last
	Setup  func() (run func() error, err error)
}

// together is how many alerts come in one request or frame.
const together = 64

// Ops are the stages in the order in which an alert meets them. What a source
// sends is decoded, framed, read back and observed.
func Ops() []Op {
	return []Op{
		{"decode/prometheus", together, true, decode("prometheus")},
		{"decode/alertmanager", together, true, decode("alertmanager")},
		{"frame/encode", together, true, encodeFrame},
		{"frame/decode", together, true, decodeFrame},
		{"dedupe/repeat", hot, true, dedupeRepeat},
		{"core/repeat", hot, true, coreRepeat},
		{"core/new", fresh, false, coreNew},
	}
}

func decode(source string) func() (func() error, error) {
	return func() (func() error, error) {
		src, ok := ingest.Lookup(source)
		if !ok {
			return nil, errors.New("stage: there is no source " + source)
		}
		limits := new(ingest.Limits)
		limits.Defaults()
		now := alert.TimeOf(load.Started.Add(time.Minute))
		text := Body(source, 0, together, load.Started.Add(time.Hour))
		return func() error {
			r, err := ingest.Read(&src, text, now, limits, func(*ingest.Batch) error { return nil })
			if err == nil && r.Accepted != together {
				err = fmt.Errorf("stage: %d of %d alerts were decoded", r.Accepted, together)
			}
			return err
		}, nil
	}
}

// encoder writes alerts as a message of the log.
type encoder struct {
	segment          frame.Segment
	packer           frame.Packer
	message, scratch []byte
}

func (e *encoder) encode(alerts []alert.Alert) {
	e.segment.Reset()
	e.segment.AddAlerts("prometheus", 0, alerts)
	e.scratch = e.segment.Append(e.scratch[:0])
	e.message = e.packer.Append(e.message[:0], frame.Header{Counter: 1}, e.scratch)
}

func encodeFrame() (func() error, error) {
	alerts := Universe.Alerts(nil, 0, together)
	e := new(encoder)
	return func() error { e.encode(alerts); return nil }, nil
}

func decodeFrame() (func() error, error) {
	e, d := new(encoder), new(frame.Decoder)
	e.encode(Universe.Alerts(nil, 0, together))
	return func() error {
		got := 0
		_, err := d.Decode(e.message, func(ev *frame.Event) error { got += len(ev.Alerts); return nil })
		if err == nil && got != together {
			err = fmt.Errorf("stage: %d of %d alerts were read back", got, together)
		}
		return err
	}, nil
}

// hot is few enough alerts for the caches, so that what is measured is ours and
// not the neighbours' use of the memory bus.
const hot = 1024

func dedupeRepeat() (func() error, error) {
	table, alerts := dedupe.NewTable(), Universe.Alerts(nil, 0, hot)
	now := alert.TimeOf(load.Started)
	for i := range alerts {
		table.Observe(now, &alerts[i], 0)
	}
	return func() error {
		for i := range alerts {
			if _, v := table.Observe(now, &alerts[i], 0); v != dedupe.Repeat {
				return fmt.Errorf("stage: alert %d is %v, not a repeat", i, v)
			}
		}
		return nil
	}, nil
}

func coreRepeat() (func() error, error) {
	l, err := NewLine(PolicyText)
	if err != nil {
		return nil, err
	}
	alerts := Universe.Alerts(nil, 0, hot)
	for i := range alerts {
		l.Observe(&alerts[i])
	}
	return func() error {
		for i := range alerts {
			l.Observe(&alerts[i])
		}
		return nil
	}, nil
}

// fresh is how many alerts a new core gets to know in a run.
const fresh = 4096

func coreNew() (func() error, error) {
	alerts := Universe.Alerts(nil, 0, fresh)
	return func() error {
		l, err := NewLine(PolicyText)
		if err != nil {
			return err
		}
		for i := range alerts {
			l.Observe(&alerts[i])
		}
		if got := l.Core.Live(); got != fresh {
			return fmt.Errorf("stage: %d of %d alerts are live", got, fresh)
		}
		return nil
	}, nil
}

// Whole is a whole node in this process, on a store in a folder.
type Whole struct {
	node *node.Node
	sent atomic.Int64
}

// StartWhole returns once the node is ready.
func StartWhole(ctx context.Context, dir string) (*Whole, error) {
	c, err := config.Parse("benchmark", []byte(PolicyText))
	if err != nil {
		return nil, err
	}
	n, err := node.Start(ctx, node.Options{
		Load: func() (*config.Config, error) { return c, nil }, Stream: stream.Options{Dir: dir},
		ExternalURL: &url.URL{Scheme: "http", Host: "winnow.example.org"},
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-n.Ready():
		return &Whole{node: n}, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), n.Stop())
	}
}

// Post hands the node a request with so many alerts. It may be called
// concurrently.
func (w *Whole) Post(source string, body []byte, alerts int) error {
	rec := httptest.NewRecorder()
	w.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/ingest/"+source, bytes.NewReader(body)))
	if rec.Code != http.StatusOK {
		return fmt.Errorf("stage: POST to %s: %d %s", source, rec.Code, rec.Body)
	}
	w.sent.Add(int64(alerts))
	return nil
}

// Drain waits until the accounts hold all that was posted.
func (w *Whole) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	poll := time.NewTicker(200 * time.Microsecond)
	defer poll.Stop()
	for {
		var got uint64
		if err := w.node.Engine().Query(ctx, func(s *engine.Shard) { got = s.Ledger.Totals().Deliveries }); err != nil {
			return err
		}
		if got == uint64(w.sent.Load()) {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("stage: the accounts hold %d deliveries, %d were sent", got, w.sent.Load())
		}
	}
}

// Stop ends the node.
func (w *Whole) Stop() error { return w.node.Stop() }
