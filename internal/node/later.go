package node

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/frame"
)

const (
	// maxLaterBytes bounds what waits in memory for a log that takes nothing.
	// What comes beyond it is not accepted: its sender comes again.
	maxLaterBytes = 64 << 20

	// laterAtOnce bounds what is written of it in one message, in bytes.
	laterAtOnce = 256 << 10

	laterEvery   = time.Second
	laterTimeout = 5 * time.Second
)

// later holds, in order, what has happened and is not in the log: alerts that
// were handed on past it, who was told of them, steps of the ladder.
type later struct {
	write func(context.Context, ...frame.Event) (uint64, error)

	turnedAway atomic.Uint64 // for want of room

	mu    sync.Mutex
	queue []waiting
	bytes int
}

type waiting struct {
	event frame.Event
	bytes int
}

// handedOn is what the log will have of an alert that went past it: the
// delivery as it came, and that its receivers were told.
func handedOn(b *ingest.Batch, a *alert.Alert, receivers []string) []frame.Event {
	out := []frame.Event{{Kind: frame.Alerts, Source: b.Source, Validity: b.Validity, Alerts: []alert.Alert{a.Clone()}}}
	for _, r := range receivers {
		out = append(out, frame.Event{Kind: frame.Bypass, Bypass: &frame.Bypassed{Fingerprint: a.Fingerprint, Receiver: r}})
	}
	return out
}

// add keeps events until they are written; false when there is no room for all
// of them, and then for none.
func (l *later) add(events ...frame.Event) bool {
	more := make([]waiting, 0, len(events))
	size := 0
	for i := range events {
		n := sizeOf(&events[i])
		size += n
		more = append(more, waiting{events[i], n})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes+size > maxLaterBytes {
		l.turnedAway.Add(1)
		return false
	}
	l.queue = append(l.queue, more...)
	l.bytes += size
	return true
}

// sizeOf is about what an event takes in memory.
func sizeOf(e *frame.Event) int {
	n := 256
	for i := range e.Alerts {
		a := &e.Alerts[i]
		n += 256 + len(a.GeneratorURL)
		for _, ls := range []alert.Labels{a.Labels, a.Annotations} {
			for _, l := range ls {
				n += 32 + len(l.Name) + len(l.Value)
			}
		}
	}
	return n
}

func (l *later) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0
}

// next returns the oldest that fit one message.
func (l *later) next() (events []frame.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := 0
	for i := range l.queue {
		if size += l.queue[i].bytes; size > laterAtOnce && i > 0 {
			break
		}
		events = append(events, l.queue[i].event)
	}
	return events
}

func (l *later) drop(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range n {
		l.bytes -= l.queue[i].bytes
	}
	l.queue = slices.Delete(l.queue, 0, n)
}

// flush writes what waits, until the log takes no more.
func (l *later) flush(ctx context.Context) error {
	for {
		events := l.next()
		if len(events) == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, laterTimeout)
		_, err := l.write(ctx, events...)
		cancel()
		if err != nil {
			return err
		}
		l.drop(len(events))
	}
}

// run writes what could not be written, once the log takes something again, and
// finds out whether it does.
func (f *forward) run(ctx context.Context) {
	every(ctx, laterEvery, func() {
		down := f.down.Load()
		if !down && f.later.empty() {
			return
		}
		if down && f.later.empty() {
			f.later.add(frame.Event{Kind: frame.Tick}) // changes nothing, and shows whether it is taken
		}
		if err := f.later.flush(ctx); err != nil {
			f.node.log.Debug("the log still takes nothing", zap.Error(err))
			return
		}
		f.recovered()
	})
}
