package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// Of several processes on one log one owns the shard and may send. It says so
// every tenureEvery in a message of its own, which is stored only behind the one
// before: whoever has written another in between has taken over.
//
// No clock of another machine is asked. The owner counts from when it began to
// ask for a renewal, and another process from when it has seen its message, which
// is later; so tenureBelieved for the one is over before tenureLapses for the
// other, whatever their clocks say.
const (
	tenureEvery    = time.Second
	tenureTimeout  = time.Second     // of one renewal, or one look
	tenureBelieved = 3 * time.Second // after it was asked for
	tenureLapses   = 5 * time.Second // after it was seen to be renewed
	tenureLook     = 500 * time.Millisecond

	// tenureGrace is what an owner gets, after a time in which nobody could
	// renew anything, to do so.
	tenureGrace = 2500 * time.Millisecond

	// cutOffAfter is how many tries in a row that nobody answered say that the
	// servers are out of reach.
	cutOffAfter = 2

	// stoppedFor is how much longer than it may a try takes only if this process
	// stood still: it says nothing of the servers then.
	stoppedFor = time.Second
)

// tenure is the right to send, as far as this process knows.
type tenure struct {
	s      *Stream
	holder string // names this process, and no other that ever was

	lost chan struct{} // closed when another process has taken over
	quit chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	seq    uint64    // of the message at its end
	asked  time.Time // when the last renewal was asked for that was granted; zero before the first, and once it is over
	failed int       // tries in a row that nobody answered
	taken  bool
	over   bool // lost or given back
}

// holding is the message.
type holding struct {
	Holder   string `json:"holder"`
	Released bool   `json:"released,omitempty"` // it has stopped in order
}

func newTenure(s *Stream) *tenure {
	host, _ := os.Hostname() // for people only
	return &tenure{s: s, holder: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()), lost: make(chan struct{}), quit: make(chan struct{})}
}

// Shared reports whether the log is on a server of others, so that another
// process may be on it too.
func (s *Stream) Shared() bool { return s.tenure != nil }

// Holder names this process among those that share the log; "" where none do.
func (s *Stream) Holder() string {
	if s.tenure == nil {
		return ""
	}
	return s.tenure.holder
}

// Take waits until no other process owns the shard, and makes this one its owner.
// It is to be called once, before anything is decided. Where the log is not
// shared it does nothing.
func (s *Stream) Take(ctx context.Context) error {
	if s.tenure == nil {
		return nil
	}
	for v := (view{}); ; {
		took, err := s.tenure.try(ctx, &v)
		if took || err != nil {
			return err
		}
		if err := s.tenure.sleep(ctx, tenureLook); err != nil {
			return fmt.Errorf("stream: waiting for the shard: %w", err)
		}
	}
}

// TryTake is Take for now: false when another process owns the shard, or it is not
// known whether one does.
func (s *Stream) TryTake(ctx context.Context) (bool, error) {
	if s.tenure == nil {
		return true, nil
	}
	return s.tenure.try(ctx, &view{})
}

// May reports whether this process may send what the log decides. It is to be
// asked right before each message, and takes no time. Where the log is shared
// the answer holds for now only: a process that was stopped learns of it so.
func (s *Stream) May() bool { return s.tenure == nil || s.tenure.held(time.Now()) }

// CutOff reports whether the servers of a shared log have not answered for some
// time: neither can this process know whether it owns the shard, nor does it
// learn what others do about what it has accepted.
func (s *Stream) CutOff() bool {
	if s.tenure == nil {
		return false
	}
	s.tenure.mu.Lock()
	defer s.tenure.mu.Unlock()
	return s.tenure.failed >= cutOffAfter
}

// Lost is closed when another process has become the owner. This one has to end;
// what it has not sent the other sends. It is nil where the log is not shared.
func (s *Stream) Lost() <-chan struct{} {
	if s.tenure == nil {
		return nil
	}
	return s.tenure.lost
}

// held looks at both clocks: one stands still while the machine sleeps, and the
// other may be set back.
func (t *tenure) held(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.asked.IsZero() && now.Sub(t.asked) < tenureBelieved && now.Round(0).Sub(t.asked.Round(0)) < tenureBelieved
}

func (t *tenure) health() error {
	t.mu.Lock()
	taken, over, asked := t.taken, t.over, t.asked
	t.mu.Unlock()
	switch {
	case over:
		return ErrFenced
	case taken && time.Since(asked) >= tenureLapses:
		return fmt.Errorf("stream: the right to send could not be renewed for %s", time.Since(asked).Round(time.Second))
	}
	return nil
}

// view is what a process that waits has seen of the owner.
type view struct {
	seq     uint64    // of the message that was seen last
	since   time.Time // when it was seen first
	unheard time.Time // when a look got no answer last
}

// try looks at the message at the end. When that is not renewed any more, or there
// is none, it writes its own behind it.
func (t *tenure) try(ctx context.Context, v *view) (took bool, err error) {
	last, seq, err := t.last(ctx)
	if ctx.Err() != nil {
		return false, fmt.Errorf("stream: waiting for the shard: %w", ctx.Err())
	}
	now := time.Now()
	if err != nil {
		v.unheard = now
		t.s.log.Warn("whether another process owns the shard is not known", zap.Error(err))
		return false, nil
	}
	if v.since.IsZero() || seq != v.seq {
		if v.since.IsZero() && seq > 0 && !last.Released {
			t.s.log.Info("another process owns the shard; waiting for its end", zap.String("holder", last.Holder))
		}
		v.seq, v.since = seq, now
	}
	lapsed := now.Sub(v.since) >= tenureLapses && now.Sub(v.unheard) >= tenureGrace
	if seq > 0 && !last.Released && last.Holder != t.holder && !lapsed {
		return false, nil
	}
	switch err := t.write(ctx, seq, false); {
	case wrongSequence(err):
		return false, nil // somebody else was faster
	case err != nil:
		v.unheard = now
		t.s.log.Warn("taking over the shard", zap.Error(err))
		return false, nil
	}
	t.mu.Lock()
	t.taken = true
	t.mu.Unlock()
	t.done.Go(t.run)
	t.s.log.Info("this process owns the shard", zap.String("holder", t.holder))
	return true, nil
}

func (t *tenure) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.quit:
		return errClosed
	}
}

// last reads the message at the end; seq is 0 when there is none.
func (t *tenure) last(ctx context.Context) (h holding, seq uint64, err error) {
	var msg *jetstream.RawStreamMsg
	_, err = t.ask(ctx, func(ctx context.Context, l *link) (err error) {
		msg, err = l.tn.GetLastMsgForSubject(ctx, tenureSubject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return h, 0, fmt.Errorf("tenure: last message: %w", err)
	}
	if msg == nil {
		return h, 0, nil
	}
	if err := json.Unmarshal(msg.Data, &h); err != nil {
		t.s.log.Error("the message of the process that owns the shard cannot be read", zap.Error(err)) // it lapses as any other
	}
	return h, msg.Sequence, nil
}

// ask makes one try at the servers, and returns when it began.
func (t *tenure) ask(ctx context.Context, f func(context.Context, *link) error) (asked time.Time, err error) {
	asked = time.Now()
	defer func() { t.note(asked, err) }()
	ctx, cancel := context.WithTimeout(ctx, tenureTimeout)
	defer cancel()
	l, err := t.s.linked()
	if err != nil {
		return asked, err
	}
	return asked, f(ctx, l)
}

// note counts a try that ended with err. One that took longer than it could says
// that this process was stopped.
func (t *tenure) note(asked time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil || wrongSequence(err) || time.Since(asked) >= tenureTimeout+stoppedFor {
		t.failed = 0
		return
	}
	t.failed++
}

// write stores our message behind the one with sequence after.
func (t *tenure) write(ctx context.Context, after uint64, released bool) error {
	b, err := json.Marshal(holding{t.holder, released})
	if err != nil {
		return err
	}
	var ack *jetstream.PubAck
	asked, err := t.ask(ctx, func(ctx context.Context, l *link) (err error) {
		ack, err = l.js.PublishMsg(ctx, &nats.Msg{Subject: tenureSubject, Data: b},
			jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithRetryAttempts(0))
		return err
	})
	if err != nil {
		return fmt.Errorf("tenure: write after %d: %w", after, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq = ack.Sequence
	if t.asked = asked; released {
		t.asked, t.over = time.Time{}, true
	}
	return nil
}

// run renews until another process has taken over, or end.
func (t *tenure) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for t.sleep(ctx, tenureEvery) == nil {
		if t.renew(ctx) {
			continue
		}
		t.mu.Lock()
		t.asked, t.over = time.Time{}, true
		t.mu.Unlock()
		t.s.log.Error("another process owns the shard now; this one sends nothing any more")
		close(t.lost)
		return
	}
}

// renew reports false when another process has taken over. When it is not known
// whether the last renewal was stored, the next finds out.
func (t *tenure) renew(ctx context.Context) bool {
	t.mu.Lock()
	after := t.seq
	t.mu.Unlock()
	for range 2 {
		err := t.write(ctx, after, false)
		if err == nil {
			return true
		}
		if !wrongSequence(err) {
			t.s.log.Warn("the right to send could not be renewed", zap.Error(err))
			return true
		}
		last, seq, err := t.last(ctx)
		switch {
		case err != nil:
			return true
		case seq > 0 && last.Holder != t.holder:
			return false
		}
		after = seq // ours, of a try whose answer was lost, or none: somebody has emptied the stream
	}
	return true
}

// end gives the right back, if it is ours.
func (t *tenure) end() {
	close(t.quit)
	t.done.Wait()
	t.mu.Lock()
	ours, after := t.taken && !t.over, t.seq
	t.mu.Unlock()
	if !ours {
		return
	}
	if err := t.write(context.Background(), after, true); err != nil {
		t.s.log.Warn("others wait until the right to send has lapsed", zap.Error(err))
	}
}
