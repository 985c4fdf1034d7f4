package ledger

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/wire"
)

func TestDamageIsNamedAndChangesNothing(t *testing.T) {
	refused := func(want string, state []byte) {
		t.Helper()
		l := fold(New(dims, Options{TrailRows: 60}), onset(0, 1, 0, correlate.Paged))
		before := stateOf(l)
		err := l.LoadState(wire.NewReader(state))
		if !errors.Is(err, wire.ErrCorrupt) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at byte ") {
			t.Errorf("got %v, want %q", err, want)
		}
		if !bytes.Equal(before, stateOf(l)) {
			t.Errorf("%s: the ledger was changed", want)
		}
	}
	// f damages the books before they are written.
	f := func(want string, damage func(*Ledger)) {
		t.Helper()
		l := goldenLedger()
		damage(l)
		refused(want, stateOf(l))
	}
	f("counts: corrupt data", func(l *Ledger) { l.total.pages++ })
	f("the dimensions do not add up", func(l *Ledger) { l.byDim[1].dispositions[correlate.Repeat]-- })
	f("262145 dimensions, at most 262144", func(l *Ledger) { l.byDim = make([]counts, MaxDims+1) })
	f("delays: corrupt data", func(l *Ledger) { l.delays[1] = histogram{shortest: 5, longest: 4, buckets: [delayBuckets]uint64{1}} })
	f("delays from 0 to 18446744073709551615", func(l *Ledger) { l.delays[1] = histogram{longest: -1, buckets: [delayBuckets]uint64{1}} })
	f("18446744073709551615 delays in bucket 1", func(l *Ledger) { l.delays[1].buckets = [delayBuckets]uint64{1, math.MaxUint64} })
	f("hours: corrupt data", func(l *Ledger) { l.hours.ring[0] = hourCounts{hour: 2562048, onsets: 1} })
	f("hour 744 is empty or there twice", func(l *Ledger) {
		l.hours.ring[0], l.hours.ring[1] = hourCounts{hour: HoursKept, onsets: 1}, hourCounts{hour: HoursKept, onsets: 1}
	})
	f("episodes: corrupt data", func(l *Ledger) { l.episodes.open.put(7, episode{dim: 4}) })
	f("dimension 262143 of 4", func(l *Ledger) { l.episodes.open.put(7, episode{dim: MaxDims - 1}) })
	f("1 criticals listed of 0", func(l *Ledger) { l.episodes.swallowed.n = 0 })
	f("101 criticals listed of 200, at most 100", func(l *Ledger) { l.episodes.belowThreshold = criticals{200, make([]critical, 101)} })
	f("unconfirmed: corrupt data: at byte ", func(l *Ledger) { l.unconfirmed.naming[notice{3, 1}] = naming{} })
	f("notification 1 of incident 3 names nobody", func(l *Ledger) { l.unconfirmed.naming[notice{3, 1}] = naming{} })
	f("1048577 names, at most 1048576", func(l *Ledger) {
		l.unconfirmed.naming = map[notice]naming{{3, 1}: {0, make([]alert.Fingerprint, MaxUnconfirmed+1)}}
	})
	f("flags 1 and 0 episodes of v1:0000000000000007", func(l *Ledger) { l.unconfirmed.alerts[7] = claim{waits: 1, holds: true} }) // it stands nowhere
	f("flags 10 and 0 episodes of v1:000000000000000c", func(l *Ledger) { l.unconfirmed.alerts[12] = claim{}; l.unconfirmed.over = nil })
	f("flags 10 and 1 episodes of v1:0000000000000007", func(l *Ledger) {
		l.unconfirmed.alerts[7], l.unconfirmed.over[7] = claim{}, []overdue{{}}
	})
	f("that waits for 3, with v1:000000000000000d that waits for 1", func(l *Ledger) { l.unconfirmed.over[13][0].waits = 3 })
	f("receipts: corrupt data", func(l *Ledger) { l.receipts.byIncident[3].dim = 4 })
	f("incident 3 is there twice", func(l *Ledger) { l.receipts.order = append(l.receipts.order, 3) })
	f("a list of 65, at most 64", func(l *Ledger) { l.receipts.byIncident[3].pages = make([]uint32, 65) })
	f("a list of 66, at most 64", func(l *Ledger) { l.receipts.byIncident[3].accepted = make([]acceptance, 66) })
	f("65537 incidents, at most 65536", func(l *Ledger) {
		l.receipts = receipts{map[uint64]*incident{0: {}}, make([]uint64, MaxIncidents+1)}
	})
	f("trail: corrupt data", func(l *Ledger) { l.trail = newTrail(10); fillTrail(&l.trail, 11) })
	f("59 rows, 9223372036854775748 overwritten, in a trail of 60 rows", func(l *Ledger) { l.trail = newTrail(59); fillTrail(&l.trail, 59); l.trail.next = 1 << 63 })
	f("61 rows, 0 overwritten, in a trail of 60 rows: open the ledger with", func(l *Ledger) { l.trail = newTrail(61); fillTrail(&l.trail, 61) })
	last := func(l *Ledger) *trailRow { l.trail = newTrail(60); fillTrail(&l.trail, 10); return l.trail.at(10) }
	f("row 10 links 10 rows back", func(l *Ledger) { last(l).alertBack = 10 })
	f("row 10 links 4294967295 rows back", func(l *Ledger) { last(l).incidentBack = 1<<32 - 1 })
	f("row 10 links 2 rows back, and the latest of its chain is 1 back", func(l *Ledger) { last(l).alertBack = 2 })
	f("row 10 links 0 rows back, and the latest of its chain is 1 back", func(l *Ledger) { last(l).incidentBack = 0 })
	f("a row with fields 11101", func(l *Ledger) { last(l).row.Fingerprint = 0 })

	// g writes a state by hand, from the counts on.
	g := func(want string, vs ...uint64) {
		t.Helper()
		w := &wire.Writer{B: []byte{stateVersion, 0, 0, 0, 0}}
		for _, v := range vs {
			w.Uint(v)
		}
		refused(want, w.B)
	}
	g("the dimensions do not add up", 1, 7, 0, 0, 0, 0, 0, 0) // there are none
	g("at byte 9: counts 1000000000000000000000, and 21 are known", 1<<21)
	g("at byte 9: delays of 6 severities, and 5 are known", 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
	g("bucket 384 after 0, and there are 384", 0, 0, 0, 1, 1, 7, 7, delayBuckets, 1)
	g("bucket 0 after 384", 0, 0, 0, 1, 2, 7, 7, delayBuckets-1, 1, 0, 1)
	g("0 delays in bucket 3", 0, 0, 0, 1, 1, 7, 7, 3, 0)
	g("a reference to 1 of 0", 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	g("flags 100 of an episode", 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	g("a row with fields 10000000000", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4)
	refused("head: corrupt data: at byte 1: it is of version 4, and this program reads versions 1 to 3", []byte{4})
}

// fillTrail adds n rows of one alert and one incident.
func fillTrail(t *Trail, n int) {
	for range n {
		t.add(&correlate.Row{Seq: 1, Fingerprint: 1, Incident: 1})
	}
}

func TestATrailIsReadWhereItFits(t *testing.T) {
	f := func(written, rows, read int, want bool) {
		t.Helper()
		l := New(dims, Options{TrailRows: written})
		fillTrail(&l.trail, rows)
		again := New(dims, Options{TrailRows: read})
		if err := load(again, stateOf(l)); (err == nil) != want {
			t.Errorf("%d rows in %d, read into %d: %v", rows, written, read, err)
		}
		if n, _ := again.Trail().Alert(1); want && len(n) != min(rows, max(written, 0)) {
			t.Errorf("%d rows in %d, read into %d: there are %d", rows, written, read, len(n))
		}
	}
	f(10, 10, 10, true)
	f(10, 11, 10, true)
	f(10, 9, 20, true) // none was overwritten, so where each is does not depend on the size
	f(10, 10, 20, true)
	f(10, 11, 20, false)
	f(10, 9, 9, true)
	f(10, 10, 9, false)
	f(-1, 10, -1, true)
	f(-1, 10, 10, true)
	f(10, 1, -1, false)
	f(10, 11, -1, false)

	lost := New(dims, Options{TrailRows: -1})
	lost.trail.next = 5 // rows were overwritten in a trail that has none
	if err := load(New(dims, Options{TrailRows: -1}), stateOf(lost)); !errors.Is(err, wire.ErrCorrupt) {
		t.Errorf("rows were overwritten in no trail: %v", err)
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	state := stateOf(goldenLedger())
	for n := range state {
		if err := New(dims, Options{TrailRows: 60}).LoadState(wire.NewReader(state[:n])); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(state), err)
		}
	}
}

func TestAFlippedBitGivesAnErrorOrALedger(t *testing.T) {
	state := stateOf(goldenLedger())
	rng := rand.New(rand.NewPCG(2, 2))
	loaded := 0
	for at := 0; at < len(state); at += 3 {
		damaged := slices.Clone(state)
		damaged[at] ^= 1 << rng.IntN(8)
		l := New(anyDims, Options{TrailRows: 60})
		if l.LoadState(wire.NewReader(damaged)) == nil {
			loaded++
			use(t, l)
		}
	}
	if loaded == 0 || loaded >= len(state)/3 {
		t.Errorf("%d of %d damaged states were read: is anything flipped?", loaded, len(state))
	}
}

// A length that the bytes do not bear out must not be believed.
func TestDamageDoesNotAllocate(t *testing.T) {
	state := stateOf(goldenLedger())
	l := New(anyDims, Options{TrailRows: 1 << 30})
	var before, after runtime.MemStats
	for at := range state {
		damaged := slices.Concat(state[:at], []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, state[at+1:])
		runtime.ReadMemStats(&before)
		_ = l.LoadState(wire.NewReader(damaged))
		runtime.ReadMemStats(&after)
		// A dimension of no counts is a byte, and takes 168.
		if n := after.TotalAlloc - before.TotalAlloc; n > 128<<10+200*uint64(len(damaged)) {
			t.Errorf("byte %d of %d: %d bytes are allocated", at, len(state), n)
		}
	}
}

// use does with a ledger all that can be done with one.
func use(t *testing.T, l *Ledger) {
	t.Helper()
	restored(t, l)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range stories(l) {
		if err := errors.Join(Explain(io.Discard, s.rows, ExplainOptions{Older: s.older}), ExplainIncident(io.Discard, s.rows, ExplainOptions{})); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(Render(io.Discard, l.Report(3), RenderOptions{}), Markdown(io.Discard, l.Report(3))); err != nil {
		t.Fatal(err)
	}
	for range 100 { // more rows than the trail has
		enterAny(rng)(l)
	}
	for _, fp := range []alert.Fingerprint{0, 100, 900, 950, 954} {
		fold(l, move(0, fp, 0, correlate.Pending, correlate.Storm, 0), end(1, fp, 0, correlate.Storm), onset(2, fp, 0, correlate.Pending))
	}
	restored(t, l)
}

func FuzzLoadState(f *testing.F) {
	short := fold(New(dims, Options{TrailRows: 60}), onset(0, 1, 0, correlate.Pending), end(1, 1, 0, correlate.Pending), onset(2, 1, 0, correlate.Paged))
	some := New(anyDims, Options{TrailRows: 60})
	rng := rand.New(rand.NewPCG(3, 3))
	for range 40 {
		enterAny(rng)(some)
	}
	for _, l := range []*Ledger{New(dims, Options{TrailRows: 60}), short, some, goldenLedger()} {
		state := stateOf(l)
		f.Add(state)
		for range 8 {
			f.Add(state[:rng.IntN(len(state))])
			damaged := slices.Clone(state)
			damaged[rng.IntN(len(state))] ^= 1 << rng.IntN(8)
			f.Add(damaged)
		}
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		l := New(anyDims, Options{TrailRows: 60})
		if l.LoadState(wire.NewReader(state)) == nil {
			use(t, l)
		}
	})
}
