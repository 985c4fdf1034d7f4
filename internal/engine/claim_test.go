package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// besideHost runs f in a bubble with the server of others, which is closed when
// what is under way is through: see stopIdle in internal/node.
func besideHost(t *testing.T, f func(t *testing.T, host *stream.Stream)) {
	synctest.Test(t, func(t *testing.T) {
		host, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			time.Sleep(time.Second)
			host.Close()
		}()
		f(t, host)
	})
}

// TestLifeBeginsWithAClaim holds that of two processes on one log the older can
// commit nothing from when the newer begins, though that has decided nothing yet;
// and that what it had committed until then is not decided again.
func TestLifeBeginsWithAClaim(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
		a := beginOn(t, stream.Options{Beside: host}, testPolicy(), "p1", "")
		a.post(alert.Firing, "a")
		time.Sleep(time.Minute)
		want(t, "delivered by the first", a.seen(), "INC-1 page A/a")

		// It goes on as if it had the right to: what keeps its commits out must not
		// rest on that.
		next, err := stream.Open(t.Context(), stream.Options{Beside: host})
		if err != nil {
			t.Fatal(err)
		}
		b := &Engine{opts: Options{Stream: next, Policy: testPolicy()}, log: a.engine.log}
		if err := b.begin(t.Context()); !errors.Is(err, stream.ErrFenced) {
			t.Errorf("a life that may not send has begun: %v", err)
		}
		c, counter, seq, err := next.LastCommit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o := NewOwner(c, counter, seq)
		o.Holder = next.Holder()
		record, err := o.Encode(o.Claim(c.At), next.MaxRecord())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.Commit(t.Context(), record, o.After()); err != nil {
			t.Fatal(err)
		}
		a.post(alert.Firing, "b")
		time.Sleep(time.Minute)
		if err := <-a.ended; !errors.Is(err, stream.ErrFenced) {
			t.Errorf("the first ended with %v, want that it was fenced", err)
		}
		want(t, "delivered by the first once there was another", a.seen(), "")
		a.stream.Close()
		next.Close()

		l := beginOn(t, stream.Options{Beside: host}, testPolicy(), "p1", "")
		time.Sleep(time.Minute)
		want(t, "delivered by the next", l.seen(), "INC-1 update A/a,A/b")
		r, err := host.ReadOutbox(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		for c.Owner != l.stream.Holder() {
			m, err := r.Next()
			if err == nil {
				_, c, err = frame.DecodeCommit(m.Data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if r.Close(); c.Epoch != 3 || c.Outputs != nil {
			t.Errorf("its first record is of epoch %d and has %d outputs", c.Epoch, len(c.Outputs))
		}
		time.Sleep(300 * time.Millisecond)
		l.end()
	})
}

// TestClaimIsAsGoodAsTheRecordBefore: what a life inherits is not changed by its
// claim, in the middle of a message's parts either.
func TestClaimIsAsGoodAsTheRecordBefore(t *testing.T) {
	before := &frame.Commit{Epoch: 4, Input: 9, Partial: 2, At: 77}
	o := NewOwner(before, 11, 30)
	o.Holder = "b"
	claim := o.Claim(before.At)
	if claim.Epoch != 5 || claim.Owner != "b" || claim.Input != 9 || claim.Partial != 2 || claim.At != 77 || claim.Outputs != nil {
		t.Errorf("claim %+v", claim)
	}
	o.Written(claim, 31)
	if o.After() != 31 || o.committed != (commitPoint{9, 2}) || o.inherited != 30 {
		t.Errorf("behind its claim the owner stands behind %d at %+v, and has inherited up to %d", o.After(), o.committed, o.inherited)
	}
}

// TestClaimsOfTwoAreToldApart: two processes that begin at once have the same
// epoch. Who finds the other's claim where its own was to be must not take it for
// its own, whose answer was lost.
func TestClaimsOfTwoAreToldApart(t *testing.T) {
	before := &frame.Commit{Epoch: 4, Input: 9}
	a, b := NewOwner(before, 11, 30), NewOwner(before, 11, 30)
	a.Holder, b.Holder = "a", "b"
	ours, theirs := a.Claim(0), b.Claim(0)
	if f := a.Fenced(ours, ours, 12); f != OurRecord {
		t.Errorf("our own claim is taken for %d", f)
	}
	if f := a.Fenced(ours, theirs, 12); f != TheirRecord {
		t.Errorf("the other's claim is taken for %d", f)
	}
}

// TestClaimWaitsForTheOlderLife: the older commits in the middle of a claim; the
// newer reads the outbox again.
func TestClaimWaitsForTheOlderLife(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
		s, err := stream.Open(t.Context(), stream.Options{Beside: host})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		older := func(counter, after uint64) uint64 {
			record, err := frame.AppendCommit(nil, counter, &frame.Commit{Epoch: 1, Owner: "older", Input: counter})
			if err != nil {
				t.Fatal(err)
			}
			seq, err := host.Commit(context.Background(), record, after)
			if err != nil {
				t.Fatal(err)
			}
			return seq
		}
		seq := older(1, 0)
		e := &Engine{opts: Options{Stream: s}, log: zap.NewNop()}
		c, counter, at, err := s.LastCommit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e.owner = NewOwner(c, counter, at)
		e.owner.Holder = s.Holder()
		older(2, seq)
		if err := e.write(t.Context(), e.owner.Claim(0)); !errors.Is(err, stream.ErrFenced) || !strings.Contains(err.Error(), "commit after") {
			t.Errorf("a claim behind another's record: %v", err)
		}
		if err := e.begin(t.Context()); err != nil || e.owner.committed.input != 2 || e.owner.epoch != 2 {
			t.Errorf("the life begins at %+v with epoch %d: %v", e.owner.committed, e.owner.epoch, err)
		}
		time.Sleep(300 * time.Millisecond)
		s.Close()
	})
}

// TestStandbyKeepsUp holds that a process that waits has a snapshot of what the
// owner has committed, and of no more: what that applied and did not commit is
// decided by the one that takes over.
func TestStandbyKeepsUp(t *testing.T) {
	besideHost(t, func(t *testing.T, host *stream.Stream) {
		a := beginOn(t, stream.Options{Beside: host}, testPolicy(), "p1", "")
		for i := range 2 * snapshotMessages {
			a.post(alert.Firing, fmt.Sprint("early", i%7))
		}
		time.Sleep(time.Minute)
		s, err := stream.Open(t.Context(), stream.Options{Beside: host})
		if err != nil {
			t.Fatal(err)
		}
		a.post(alert.Firing, "late") // its group waits, and so the owner has nothing to commit
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			KeepUp(ctx, Options{Stream: s, Policy: testPolicy(), SnapshotDir: dir})
			close(done)
		}()
		time.Sleep(snapshotPoll + time.Second)
		cancel()
		<-done
		c, _, _, err := host.LastCommit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kept, faults, err := snapshots{dir}.newest()
		if err != nil || faults != nil {
			t.Fatalf("%v, %v", faults, err)
		}
		if kept.seq != c.Input {
			t.Errorf("the snapshot is of message %d, the outbox has what %d has decided", kept.seq, c.Input)
		}
		a.end()
		s.Close()
		b := beginOn(t, stream.Options{Beside: host}, testPolicy(), "p1", dir)
		if got := b.engine.owner.readFrom; got != kept.seq+1 {
			t.Errorf("it has read the log from message %d, want %d", got, kept.seq+1)
		}
		time.Sleep(10 * time.Minute)
		if got := b.seen(); !strings.Contains(got, "A/late") {
			t.Errorf("it delivered %q, and nothing of the latest alert", got)
		}
		time.Sleep(300 * time.Millisecond)
		b.end()
	})
}
