package shape

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Units of what is kept.
const (
	MemoryPerAlert  = "rss-B/alert"  // settled, above that of an empty server
	PeakPerAlert    = "peak-B/alert" // the most that it ever was
	ReadyAfterStop  = "ready-s"      // start after an orderly stop
	ReadyAfterKill  = "ready-after-kill-s"
	ReplayPerSecond = "replay-alerts/cpu-s" // of CPU, the start itself included
)

// State is a server that knows so many live alerts: what they take in memory,
// and how long a start takes.
type State struct {
	Live int
}

// settle is how long a server is left alone before its memory is read: the
// runtime gives back what it does not need, at its own pace.
const settle = 5 * time.Second

// statePace is how many alerts a second come, more than an Alertmanager takes on
// two cores. Winnow's broker keeps in memory what was written in the last ten
// seconds: of a million that come within ten that is all of them, once more.
const statePace = 20_000

// Measure runs it once.
func (st *State) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	r, err := open(ctx, s, dir, &Policy{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	empty, _, err := r.server.Memory()
	if err != nil {
		return nil, err
	}
	r.pace = statePace
	if err := r.prime(ctx, 0, st.Live); err != nil {
		return nil, err
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now, peak, err := r.server.Memory()
	if err != nil {
		return nil, err
	}
	f := Figures{MemoryPerAlert: float64(now-empty) / float64(st.Live), PeakPerAlert: float64(peak-empty) / float64(st.Live)}
	if s.Peer {
		return f, nil // it would have forgotten all of them
	}
	if err := r.restart(ctx, true, nil); err != nil {
		return nil, err
	}
	f[ReadyAfterStop] = r.ready.Seconds()
	if err := r.restart(ctx, false, nil); err != nil {
		return nil, err
	}
	f[ReadyAfterKill] = r.ready.Seconds()
	return f, r.server.Drained(ctx, r.sent)
}

// Replay is a start with nothing but the log, which holds so many alerts.
type Replay struct {
	Known  int // alerts that are sent once
	Repeat int // alerts sent again after them
}

// Measure runs it once. The rate is of all alerts in the log, a second of CPU.
func (rp *Replay) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	r, err := open(ctx, s, dir, &Policy{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.prime(ctx, 0, rp.Known); err != nil {
		return nil, err
	}
	if rp.Repeat > 0 {
		if _, err := r.again(ctx, rp.Known, rp.Repeat/rp.Known); err != nil {
			return nil, err
		}
	}
	// Neither a last snapshot nor an earlier one: the log alone.
	err = r.restart(ctx, false, func() error { return os.RemoveAll(filepath.Join(r.dir, storageDir, "snapshots")) })
	if err != nil {
		return nil, err
	}
	cpu, err := r.server.CPU()
	if err != nil {
		return nil, err
	}
	return Figures{ReplayPerSecond: float64(r.sent) / cpu.Seconds(), ReadyAfterKill: r.ready.Seconds()}, r.server.Drained(ctx, r.sent)
}

// Flush is what the first notification of groups costs, an alert: so many alerts
// in groups of a hundred, whose moment comes once all have been taken in.
type Flush struct {
	Alerts   int
	Policy   Policy
	Silences int
}

// flushWait is long enough for all of a flush's alerts to be in before the
// first of them is told.
const flushWait = 15 * time.Second

// flushEve is how long before that its clock starts: what a server does while it
// waits is not the flush.
const flushEve = 500 * time.Millisecond

// Measure runs it once.
func (fl *Flush) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	p, err := newPager()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	policy := fl.Policy
	policy.Webhook, policy.GroupWait = p.url, flushWait.String()
	r, err := open(ctx, s, dir, &policy)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if fl.Silences > 0 {
		if err := r.silence(ctx, fl.Silences); err != nil {
			return nil, err
		}
	}
	due := time.Now().Add(flushWait) // or a little later: no alert has come yet
	if err := r.prime(ctx, 0, fl.Alerts); err != nil {
		return nil, err
	}
	if err := warm(); err != nil {
		return nil, err
	}
	time.Sleep(time.Until(due.Add(-flushEve)))
	before, err := r.server.CPU()
	if err != nil {
		return nil, err
	}
	if n := len(p.all()); n > 0 || time.Now().After(due) {
		return nil, errors.New("shape: pages went out before all alerts were in: the machine is too slow for this measurement")
	}
	_, inhibited, err := r.told(ctx, p, fl.Alerts)
	if err != nil {
		return nil, err
	}
	after, err := r.server.CPU()
	return Figures{CPUPerAlert: micros(after-before) / float64(fl.Alerts), Pages: float64(len(p.all())), Inhibited: float64(inhibited)}, err
}
