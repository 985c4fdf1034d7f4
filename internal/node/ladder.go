package node

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/ladder"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/web"
)

const readEvery = time.Second

// steps takes readings, asks the ladder, and does what its steps ask for.
type steps struct {
	node    *Node
	ladder  ladder.Ladder // of run alone
	lag     lag
	digests digests
	limit   float64     // of memory, in bytes; 0 without one
	tight   atomic.Bool // too little of it is left for a snapshot

	level      atomic.Uint32
	unbalanced atomic.Bool

	lookUps, late, breaks uint64 // at the readings before

	mu    sync.Mutex
	state web.Ladder

	total *prometheus.CounterVec
}

func newSteps(n *Node) *steps {
	s := &steps{
		node: n, limit: cgroupLimit(), state: web.Ladder{Level: ladder.L0.String()},
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "winnow_ladder_steps_total", Help: "Steps of the ladder taken, up or down, by the level they led to."}, []string{"level"}),
	}
	s.lag.node = n
	s.digests = digests{node: n, told: map[alert.Fingerprint]bool{}, last: map[string]time.Time{}}
	for l := range ladder.NumLevels {
		s.total.WithLabelValues(l.String())
	}
	n.opts.Registerer.MustRegister(s.total, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "winnow_ladder_level", Help: "How far down its ladder Winnow stands: 0 does everything, 4 hands on past a log that takes nothing.",
	}, func() float64 { return float64(s.level.Load()) }))
	return s
}

func (s *steps) at(l ladder.Level) bool { return ladder.Level(s.level.Load()) >= l }

// noLookUps says why pages go out without look-ups; empty when they do not.
func (s *steps) noLookUps() string {
	if !s.at(ladder.L1) {
		return ""
	}
	return "Winnow is degraded to " + s.status().Level
}

// essentials reports whether what is not on the way of a page is put off.
func (s *steps) essentials() bool { return s.at(ladder.L2) }

// snapshotShare is the share of the memory limit up to which a snapshot is made:
// it is made of a second shard, which needs as much again.
const snapshotShare = 0.45

// holdsSnapshots reports whether snapshots wait.
func (s *steps) holdsSnapshots() bool {
	share := heapShare(s.limit)
	if tight := share > snapshotShare; s.tight.Swap(tight) != tight && tight {
		s.node.log.Warn("no snapshots for want of memory: a start after a kill replays the log since the last one",
			zap.String("alive", fmt.Sprintf("%.0f %% of the memory limit, at most %.0f", 100*share, 100*snapshotShare)))
	}
	return s.essentials() || s.tight.Load()
}

// shed says why questions to the shard are put off; empty when they are not.
func (s *steps) shed() string {
	if !s.at(ladder.L2) {
		return ""
	}
	st := s.status()
	return "Winnow is degraded to " + st.Level + ", " + st.Cause
}

func (s *steps) status() web.Ladder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// run takes readings until ctx ends. Before the log has been replayed the core
// is behind by nature, and there is nothing to step down from.
func (s *steps) run(ctx context.Context) {
	select {
	case <-s.node.engine.Ready():
		s.lag.done.Go(func() { s.closeBefore(ctx) }) // a core that hangs must not hold this up
	case <-ctx.Done():
		return
	}
	every(ctx, readEvery, func() {
		now := time.Now()
		r := s.read(ctx, now)
		step, ok := s.ladder.Read(now, r)
		if ok {
			s.take(step)
		}
		s.digests.look(ctx, now)
	})
	s.lag.wait()
}

// closeBefore ends in the books what an earlier life did not come back from.
func (s *steps) closeBefore(ctx context.Context) {
	open := false
	err := s.node.engine.Query(ctx, func(sh *engine.Shard) {
		d := sh.Ledger.Degraded()
		open = len(d) > 0 && d[len(d)-1].Until.IsZero()
	})
	if err == nil && open {
		s.write(ladder.Step{To: ladder.L0, Cause: "another life began", At: time.Now()})
	}
}

func (s *steps) read(ctx context.Context, now time.Time) ladder.Readings {
	v := s.node.delivery
	lookUps, late, breaks := v.lookUps.Load(), v.late.Load(), s.node.engine.Stats().Breaks.Load()
	r := ladder.Readings{
		Lag: s.lag.read(ctx, now), Heap: heapShare(s.limit),
		LookUps: int(lookUps - s.lookUps), Late: int(late - s.late), Panics: int(breaks - s.breaks),
		Unbalanced: s.unbalanced.Load(), LogRefuses: s.node.forward.down.Load(),
	}
	s.lookUps, s.late, s.breaks = lookUps, late, breaks
	return r
}

// take does what a step asks for.
func (s *steps) take(step ladder.Step) {
	s.level.Store(uint32(step.To))
	s.total.WithLabelValues(step.To.String()).Inc()
	st := web.Ladder{Level: step.To.String(), Since: step.At}
	if step.To > ladder.L0 {
		st.Cause = step.Cause
	}
	s.mu.Lock()
	s.state = st
	s.mu.Unlock()
	s.node.log.Warn("a step of the ladder", zap.Stringer("from", step.From), zap.Stringer("to", step.To), zap.String("cause", step.Cause))
	s.node.guard.Bypass(step.To >= ladder.L3)
	s.write(step)
	detail := step.To.String() + ": " + step.Cause
	switch {
	case step.To == ladder.L0:
		s.node.alarm.Clear(selfalert.Degraded)
	case step.To < ladder.L3: // people are paged as they should be
		s.node.alarm.RaiseAs(selfalert.Degraded, "warning", detail)
	default:
		s.node.alarm.RaiseAs(selfalert.Degraded, "critical", detail)
	}
}

// write has the step written to the log, as soon as that takes something.
func (s *steps) write(step ladder.Step) {
	s.node.forward.later.add(frame.Event{Kind: frame.Ladder, Ladder: &frame.Stepped{
		Level: uint8(step.To), Cause: step.Cause, At: alert.TimeOf(step.At),
	}})
}

// maxMarks bounds how many readings are remembered of a core that is behind.
const maxMarks = 64

// lag measures how far the core is behind: how old the oldest message is that
// it has not applied, and how long it has not answered.
type lag struct {
	node  *Node
	marks []mark // of messages not applied, oldest first

	asking atomic.Int64 // since when the core has not answered, in Unix nanoseconds; 0 when it has
	done   sync.WaitGroup
}

// mark says that the log held messages up to seq at a time.
type mark struct {
	seq uint64
	at  time.Time
}

func (l *lag) read(ctx context.Context, now time.Time) time.Duration {
	applied, stored := l.node.engine.Stats().Applied.Load(), l.node.stream.Stored()
	for len(l.marks) > 0 && l.marks[0].seq <= applied {
		l.marks = l.marks[1:]
	}
	if n := len(l.marks); stored > applied && n < maxMarks && (n == 0 || l.marks[n-1].seq < stored) {
		l.marks = append(l.marks, mark{stored, now})
	}
	var behind time.Duration
	if len(l.marks) > 0 {
		behind = now.Sub(l.marks[0].at)
	}
	if since := l.asking.Load(); since != 0 {
		return max(behind, now.Sub(time.Unix(0, since)))
	}
	l.asking.Store(now.UnixNano())
	l.done.Go(func() {
		if l.node.engine.Query(ctx, func(*engine.Shard) {}) == nil {
			l.asking.Store(0)
		}
	})
	return behind
}

func (l *lag) wait() { l.done.Wait() }

// heapShare is how much of the memory limit was alive after the last collection.
func heapShare(limit float64) float64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(samples)
	if goLimit := samples[1].Value.Uint64(); goLimit < math.MaxInt64 {
		limit = float64(goLimit)
	}
	if limit <= 0 {
		return 0
	}
	return float64(samples[0].Value.Uint64()) / limit
}

// cgroupLimit is the memory that the container may use; 0 where nothing is said.
func cgroupLimit() float64 {
	const unlimited = 1 << 62 // what version 1 says for none
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && n < unlimited {
			return float64(n)
		}
	}
	return 0
}
