package sim

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/correlate"
)

// smallBudget is how many crash points `go test` tries.
const smallBudget = 10_000

// maxHeap is the heap that the simulation may grow to.
const maxHeap = 96 << 20

// variants of each cut: one crash, or another one soon after the first.
const variants = 2

// tally counts what has happened to all worlds, so that a run in which too
// little did proves nothing.
type tally struct {
	points, stories int
	hit, hitAgain   [numMoments]int

	alerts, receipts, late, again, superseded, parts, fenced, broke, stops       int
	numbered, inFull, older, steps, raw, rawEnds, orphans                        int
	snapshots, torn, restored, replayed, double, outboxDown, overtaken, verdicts int
	passedOver                                                                   int // by a delivery again: had it already
	unpaged                                                                      int // alerts that were over before anybody had confirmed them

	faults [numFaults]int
	moves  [correlate.NumDispositions]int
	kept   map[string]int
	said   map[string]int
}

// explorer tries the crash points of stories.
type explorer struct {
	tally
	t    *testing.T
	only bool // one point is looked into
}

// cutting runs f and reports at which moment the world was cut, and which
// promise was broken.
func cutting(f func()) (at *cut, broken error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case cut:
			at = &r
		case violation:
			broken = r
		default:
			panic(r)
		}
	}()
	f()
	return nil, nil
}

// place is where a story can be cut.
type place struct {
	moment moment
	left   durable
}

// reference tells the story without a crash, and returns the places where it can
// be cut and the state after each message.
func (x *explorer) reference(st *story) (places []place, known map[uint64]uint64, err error) {
	w := newWorld(st, &x.tally)
	w.whole, known = true, map[uint64]uint64{}
	w.watch = func(m moment) { places = append(places, place{m, w.keep()}) }
	w.applied = func(seq uint64) { known[seq] = w.sum() }
	at, err := cutting(w.run)
	if err != nil && x.only {
		x.t.Log(w.trace())
	}
	if err == nil && at == nil {
		for _, r := range w.outbox {
			for i := range r.commit.Outputs {
				n := &r.commit.Outputs[i]
				x.said[n.Kind.String()]++
				x.said[n.Reason.String()]++
			}
		}
	}
	return places, known, err
}

// crash goes on from a place: after a crash there, and in every other variant
// after another one soon.
func (x *explorer) crash(st *story, p *place, n int, known map[uint64]uint64) error {
	w := newWorld(st, &x.tally)
	w.whole = x.only
	w.durable, w.known, w.first = p.left, known, uint64(len(p.left.log))
	w.rng ^= uint64(n) * 0xd1342543de82ef95
	x.hit[p.moment]++
	crashes := 0
	if n%variants == 1 {
		crashes = 1 + w.roll(4)/3
	}
	for {
		w.down()
		soon := 1 + w.roll(24)
		w.watch = func(m moment) {
			if crashes == 0 {
				return
			}
			if soon--; soon == 0 {
				crashes--
				x.double++
				x.hitAgain[m]++
				panic(cut{m})
			}
		}
		at, err := cutting(w.run)
		if at == nil {
			if err != nil && x.only {
				x.t.Log(w.trace())
			}
			return err
		}
		if x.only {
			x.t.Logf("and again %s at %s", at.at, w.now.Sub(st.begins))
		}
	}
}

// down is a crash: memory is gone, and the machine is away for a while.
func (w *world) down() {
	w.life = nil
	if w.roll(2) == 0 {
		w.now = w.now.Add(time.Duration(w.roll(900)) * time.Second)
	}
	if w.roll(3) == 0 {
		w.files = nil
	}
}

// explore tries all crash points of one story, or only one.
func (x *explorer) explore(seed uint64, only int) {
	x.stories++
	st := tell(seed)
	places, known, err := x.reference(st)
	x.fail(seed, 0, err)
	for i := range places {
		for v := range variants {
			n := 1 + i*variants + v
			if only > 0 && n != only {
				continue
			}
			x.points++
			if x.only {
				x.t.Logf("cut at %s, %s", places[i].moment, places[i].left.now.Sub(st.begins))
			}
			x.fail(seed, n, x.crash(st, &places[i], n, known))
		}
	}
}

func (x *explorer) fail(seed uint64, point int, err error) {
	if err != nil {
		x.t.Fatalf("SEED=%d POINT=%d: %v\nonly this one: SEED=%d POINT=%d go test ./internal/sim -run TestCrashPoints -count=1", seed, point, err, seed, point)
	}
}

func number(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, v)
	}
	return n
}

// TestCrashPoints tries WINNOW_SIM_POINTS crash points, those of whole stories
// from the one with seed WINNOW_SIM_FIRST on;
// or, with SEED and POINT, one of one story. POINT 0 is the story without a
// crash.
func TestCrashPoints(t *testing.T) {
	x := &explorer{t: t, tally: tally{kept: map[string]int{}, said: map[string]int{}}}
	if seed := number(t, "SEED", 0); seed > 0 {
		x.only = true
		x.explore(uint64(seed), number(t, "POINT", 0))
		return
	}
	// Worlds are many and small: collect them when there are some to collect.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(maxHeap))
	began := cpu()
	budget := number(t, "WINNOW_SIM_POINTS", smallBudget)
	for seed := uint64(number(t, "WINNOW_SIM_FIRST", 1)); x.points < budget; seed++ {
		x.explore(seed, 0)
	}
	x.gates()
	fmt.Printf("sim: %s cpu=%.0fs\n", x.figures(), (cpu() - began).Seconds())
}

// cpu is the time that this process has computed for.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (x *explorer) kinds() (n int) {
	for m := range numMoments {
		if x.hit[m]+x.hitAgain[m] > 0 {
			n++
		}
	}
	return n
}

func (x *explorer) figures() string {
	return fmt.Sprintf("points=%d stories=%d kinds=%d/%d double=%d snapshots_used=%d from_none=%d again=%d overtaken=%d numbered=%d raw=%d orphans=%d steps=%d verdicts=%d lost=0 phantom=0",
		x.points, x.stories, x.kinds(), numMoments, x.double, x.restored, x.replayed, x.again, x.overtaken, x.numbered, x.raw, x.orphans, x.steps, x.verdicts)
}

// gates fail a run that proves nothing, because too little has happened in it.
func (x *explorer) gates() {
	for m := range numMoments {
		if x.hit[m]+x.hitAgain[m] == 0 {
			x.t.Errorf("no world was cut at %s", m)
		}
	}
	least := func(what string, got, want int) {
		if got < want {
			x.t.Errorf("%s: only %d, want %d at least", what, got, want)
		}
	}
	// For each thousand points, but one at least; what is rare is asked for once.
	per := func(n int) int { return max(1, n*x.points/1000) }
	least("crashes after a crash", x.double, per(300))
	least("snapshots used", x.restored, per(400))
	least("replays from none", x.replayed, per(400))
	least("damaged snapshots passed over", x.torn, per(10))
	least("deliveries again", x.again, per(300))
	least("deliveries overtaken", x.overtaken, per(5))
	least("providers passed over", x.passedOver, per(5))
	least("records in parts", x.parts, per(100))
	least("answers of the outbox lost", x.fenced, per(50))
	least("commits refused", x.outboxDown, per(20))
	least("breaks of the core", x.broke, per(5))
	least("late receipts", x.late, per(300))
	least("notifications superseded", x.superseded, per(10))
	least("orderly stops", x.stops, per(50))
	least("repeats by number", x.numbered, per(500))
	least("deliveries in full", x.inFull, per(500))
	least("requests from before a dictionary", x.older, per(50))
	least("steps of the ladder", x.steps, per(20))
	least("raw pages", x.raw, per(20))
	least("ends of raw pages told past the core", x.rawEnds, 1)
	least("whole verdicts", x.verdicts, per(100))
	least("alerts that nobody was paged for after all", x.unpaged, per(10))
	for f, n := range x.faults {
		least("provider: "+faultNames[f], n, per(10))
	}
	for _, d := range []correlate.Disposition{
		correlate.Paged, correlate.Grouped, correlate.Silenced, correlate.Inhibited, correlate.Muted,
		correlate.ResolvedBeforePage, correlate.BelowThreshold,
	} {
		least("alerts that became "+d.String(), x.moves[d], per(10))
	}
	for _, why := range []string{"silenced", "inhibited", "muted", "below threshold"} {
		least("standing alerts kept back: "+why, x.kept[why], 1)
	}
	for what, n := range map[string]int{"page": 40, "resolve": 40, "update": 3, "escalation": 0} { // of ten stories
		least("decided in the stories: "+what, x.said[what], max(1, n*x.stories/10))
	}
}
