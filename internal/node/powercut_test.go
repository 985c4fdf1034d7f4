package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/selfalert"
)

// cuts are the figures of TestPowerCut.
type cuts struct {
	mu                                          sync.Mutex
	cuts, torn, old, empty, short, zero, absent int
	lost, unheard, phantoms, keys, open, faults int
	acked                                       uint64
}

func (c *cuts) add(n *int) {
	c.mu.Lock()
	*n++
	c.mu.Unlock()
}

// TestPowerCut starts nodes on what a loss of power may leave: all that was
// synced up to the last acknowledgement, of what was being synced any part, and
// of files that are never synced anything. What that rests on, that the blocks
// are written with O_SYNC, is TestBlocksAreSynced.
func TestPowerCut(t *testing.T) {
	n := number(t, "WINNOW_POWERCUT", 24)
	from, single := 0, false
	if seed := number(t, "WINNOW_POWERCUT_SEED", -1); seed >= 0 {
		from, n, single = seed, 1, true
	}
	const workers, perStory = 2, 40
	f := &cuts{}
	began := time.Now()
	t.Run("cuts", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				var moments []moment
				story := -1
				for seed := from + w; seed < from+n && !t.Failed(); seed += workers {
					if seed/perStory != story {
						story = seed / perStory
						moments = tell(t, uint64(story), 24)
					}
					synctest.Test(t, func(t *testing.T) { f.cut(t, uint64(seed), moments) })
					if t.Failed() {
						t.Errorf("again: WINNOW_POWERCUT_SEED=%d go test ./internal/node -run '^TestPowerCut$'", seed)
					}
				}
			})
		}
	})
	for what, got := range map[string]int{"torn writes": f.torn, "older files": f.old, "empty files": f.empty, "truncated files": f.short, "files of zeros": f.zero, "absent files": f.absent} {
		if !single && got < n/4 {
			t.Errorf("only %d %s in %d cuts: too few to prove anything", got, what, n)
		}
	}
	fmt.Printf("powercut: cuts=%d acked=%d torn=%d old=%d empty=%d truncated=%d zeroed=%d absent=%d lost=%d unheard=%d phantom=%d other_keys=%d open=%d false_alarms=%d seconds=%.0f\n",
		f.cuts, f.acked, f.torn, f.old, f.empty, f.short, f.zero, f.absent, f.lost, f.unheard, f.phantoms, f.keys, f.open, f.faults, time.Since(began).Seconds())
}

// cut takes the power away between two moments.
func (f *cuts) cut(t *testing.T, seed uint64, moments []moment) {
	rng := rand.New(rand.NewPCG(seed, 22))
	i := rng.IntN(len(moments) - 1)
	m, next := &moments[i], &moments[i+1]
	how := way(rng.IntN(int(numWays)))
	if how == allSynced {
		m = next
	}
	im, descriptions := f.leave(rng, moments[:i+2], how)
	s := m.revive(t, im)
	defer func() { s.network.Close() }()
	f.add(&f.cuts)
	f.mu.Lock()
	f.acked += m.sent
	f.mu.Unlock()
	fail := func(n *int, format string, args ...any) {
		t.Helper()
		f.add(n)
		t.Errorf("cut %d after moment %d: %s", seed, i, fmt.Sprintf(format, args...))
	}
	n, err := Start(t.Context(), s.options())
	if err != nil {
		fail(&f.lost, "it does not start: %v", err)
		return
	}
	s.node = n
	<-n.Ready()
	time.Sleep(briefWait + 5*time.Second)
	r := s.books()
	if r.Deliveries < m.sent || r.Deliveries > next.sent || !r.Balanced {
		fail(&f.lost, "%d deliveries were acknowledged, at most %d sent; the books have %d, balanced %v", m.sent, next.sent, r.Deliveries, r.Balanced)
	}
	live := both(m.live, next.live)
	time.Sleep(time.Minute)
	if names := s.unheard(live); len(names) > 0 {
		fail(&f.unheard, "nobody has heard of %v; %s", names, s.history())
	}
	raised := n.alarm.Raised()
	if slices.Contains(raised, selfalert.LogDamaged) && !descriptions {
		fail(&f.faults, "self-alerts %v of a store whose messages are whole", raised)
	}
	s.endAll(union(m.live, next.live))
	if open := s.pager.Open(); len(open) > 0 {
		fail(&f.open, "all is resolved, and %v are open", open)
	}
	if p := s.pager.Phantoms(); len(p) > 0 {
		fail(&f.phantoms, "phantoms %v", p)
	}
	if k := s.otherKeys(); k > 0 {
		fail(&f.keys, "%d groups were paged under two keys", k)
	}
	s.stop()
}

// both and union are the alerts that fire at both of two moments, and at one.
func both(a, b []sample) (out []sample) {
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

func union(a, b []sample) []sample {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// way is where between two moments the power went away. Nothing is left of what
// can only have been written after something that is lost.
type way int

const (
	logTorn    way = iota // in the first write to the log
	outboxTorn            // behind it, in the first write to the outbox
	allSynced             // behind all of them
	numWays
)

// leave makes an image of what stays while the store is on its way from the last
// but one of the moments to the last. Descriptions says that the streams' own
// are not whole.
func (f *cuts) leave(rng *rand.Rand, moments []moment, how way) (im image, descriptions bool) {
	base, next, past := moments[len(moments)-2].image, moments[len(moments)-1].image, moments[:len(moments)-1]
	if how == allSynced {
		past = moments
	}
	im = image{}
	names := slices.Compact(slices.Sorted(slices.Values(append(base.names(), next.names()...))))
	for _, name := range names {
		b, ok := base[name]
		switch {
		case strings.HasSuffix(name, ".blk"):
			b, ok = f.block(rng, name, base, next, how)
		case strings.HasSuffix(name, ".snapshot"), slices.Contains([]string{"poison.json", "receivers.json", "raw.json"}, path.Base(name)), name == "provisioned", name == "lock":
			new, has := next[name]
			switch {
			case how == allSynced && has && (ok || rng.IntN(2) == 0):
				b, ok = new, true
			case !ok && has:
				im[name+".tmp"] = new[:rng.IntN(len(new)+1)]
			}
		default:
			b, ok = f.unsynced(rng, name, past)
			if was := past[len(past)-1].image[name]; was != nil && strings.HasPrefix(path.Base(name), "meta.") && (!ok || !bytes.Equal(b, was)) {
				descriptions = true
			}
		}
		if ok {
			im[name] = b
		}
	}
	return im, descriptions
}

// block is what stays of a file that is written with O_SYNC: what was there, and
// of what was being written a part.
func (f *cuts) block(rng *rand.Rand, name string, base, next image, how way) ([]byte, bool) {
	was, ok := base[name]
	new, has := next[name]
	outbox := strings.Contains(name, "WINNOW_OUTBOX")
	switch {
	case how == allSynced:
		return new, has
	case !has || !bytes.HasPrefix(new, was) || len(new) < len(was)+recordHead:
		return was, ok
	case outbox && how == logTorn:
		return was, ok
	}
	added := new[len(was):]
	first := min(len(added), int(binary.LittleEndian.Uint32(added)&^(1<<31))) // the length of its first record
	if !outbox && how == outboxTorn {
		return new[:len(was)+first], true
	}
	b := slices.Clone(new[:len(was)+rng.IntN(first)])
	if rng.IntN(2) == 0 { // the file is as long as it was to be, and its end has not been written
		b = append(b, make([]byte, len(was)+first-len(b))...)
	}
	f.add(&f.torn)
	return b, true
}

// recordHead is what a record of the server's blocks has at least.
const recordHead = 22

// unsynced is what may be found of a file that nobody syncs.
func (f *cuts) unsynced(rng *rand.Rand, name string, past []moment) ([]byte, bool) {
	b, ok := past[len(past)-1].image[name]
	switch rng.IntN(8) {
	case 0:
		f.add(&f.absent)
		return nil, false
	case 1:
		f.add(&f.empty)
		return []byte{}, true
	case 2:
		if len(b) > 0 {
			f.add(&f.short)
			return b[:rng.IntN(len(b))], true
		}
	case 3:
		f.add(&f.zero)
		return make([]byte, len(b)), true
	case 4, 5:
		older := past[rng.IntN(len(past))].image
		was, had := older[name]
		f.add(&f.old)
		return was, had
	}
	return b, ok
}
