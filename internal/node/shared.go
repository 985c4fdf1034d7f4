package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/internal/stream"
)

const (
	// handOverTimeout bounds how long a node that stops tries to put into a shared
	// log what nobody else knows: longer than the election of a leader takes.
	handOverTimeout = 20 * time.Second
	handOverAgain   = 500 * time.Millisecond

	// A takeover that fails, as the servers may be electing leaders, is tried again
	// after takeOverAgain, for as long as takeOverPatience; then the process ends,
	// and another has its turn.
	takeOverAgain    = 500 * time.Millisecond
	takeOverPatience = 15 * time.Second
)

// standBy waits until this node owns the shard. Its doors only append to the log
// meanwhile: the owner reads it.
func (n *Node) standBy(ctx context.Context) {
	c := n.current.Load()
	waiting, took := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		engine.KeepUp(waiting, engine.Options{Stream: n.stream, Policy: &c.Policy, SnapshotDir: n.opts.SnapshotDir, Hold: n.steps.holdsSnapshots, Logger: n.log})
	})
	err := n.stream.Take(ctx)
	took()
	keeping.Wait()
	for begun := time.Now(); err == nil; {
		if err = n.own(ctx, ctx); err == nil {
			return
		}
		if errors.Is(err, stream.ErrFenced) || time.Since(begun) >= takeOverPatience {
			break // another may be better off
		}
		n.log.Error("taking over; it is tried again", zap.Error(err))
		select {
		case <-time.After(takeOverAgain):
			err = nil
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil {
		n.err = err
	}
	close(n.ended)
}

// standsBy reports whether the node does not own the shard yet.
func (n *Node) standsBy() bool {
	select {
	case <-n.owns:
		return false
	default:
		return true
	}
}

// dictionaries has the doors name repeats by number, where no other process does
// so: the core keeps the numbers of two only.
func (n *Node) dictionaries() *ingest.Dictionaries {
	if n.stream.Shared() {
		return nil
	}
	return &n.spoken
}

// watchTenure ends the node when another process has taken over: whoever starts
// Winnow again has one that waits.
func (n *Node) watchTenure(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-n.stream.Lost(): // nil, and so never, where the log is not shared
		n.log.Error("ending: another process on the same log has taken over; start Winnow again to stand by")
		n.cancel()
	}
}

// overtaken says whether that was the end of the node.
func (n *Node) overtaken() error {
	select {
	case <-n.stream.Lost():
		return stream.ErrFenced
	default:
		return nil
	}
}

// mayPageRaw is asked right before a raw page is sent. What the log has is paged
// by whoever owns it. A process that the log's servers do not answer cannot know
// whether anybody does: what it knows of it pages itself, as it pages what it has
// taken and the log has not.
func (n *Node) mayPageRaw(ctx context.Context, logged bool) error {
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		return context.DeadlineExceeded // its timer may be late where all stood still
	}
	if logged && !n.stream.May() && !n.stream.CutOff() {
		return fmt.Errorf("another process may be paging in place of this one; %w", pager.ErrPace)
	}
	return nil
}

// handOver puts into a shared log what only this process knows: what it has
// handed on past it. Another process tells people of the end.
func (n *Node) handOver() {
	if !n.stream.Shared() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
	defer cancel()
	if err := insist(ctx, n.forward.later.flush); err != nil {
		n.log.Error("what was handed on past the log is not in it; its end is told by a later life of this process, or has to be told by hand", zap.Error(err))
	}
	for _, p := range n.raw.list() {
		if !p.Unnoted {
			continue
		}
		err := insist(ctx, func(ctx context.Context) error {
			_, err := n.stream.AppendEvents(ctx, bypassed(p.Fingerprint, p.Receiver))
			return err
		})
		if err != nil {
			n.log.Error("a raw page is not in the log", zap.Stringer("fingerprint", p.Fingerprint), zap.Error(err))
			continue
		}
		n.rawNoted(p.Fingerprint, p.Receiver, p.Key)
	}
}

// insist tries until it succeeds or ctx ends, once at least, and returns the last
// error.
func insist(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(handOverAgain):
		}
	}
}
