package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/wire"
)

func stateOf(l *Ledger) []byte {
	var w wire.Writer
	l.AppendState(&w)
	return w.B
}

// load puts a state into l and holds that it is read to its end.
func load(l *Ledger, state []byte) error {
	r := wire.NewReader(state)
	return errors.Join(l.LoadState(r), r.End())
}

// restored is a ledger from the state of l, which must be l's equal.
func restored(t rapid.TB, l *Ledger) *Ledger {
	t.Helper()
	again := New(l.dims, Options{TrailRows: trailRows(l)})
	if err := load(again, stateOf(l)); err != nil {
		t.Fatalf("its own state is refused: %v", err)
	}
	same(t, l, again)
	return again
}

func trailRows(l *Ledger) int {
	if l.trail.limit == 0 {
		return -1
	}
	return l.trail.limit
}

// inOrder is o with the episodes in an order that does not depend on how they
// came about.
func inOrder(o *openEpisodes) (out openEpisodes) {
	list := o.all()
	slices.SortFunc(list, func(a, b openEpisode) int { return cmp.Compare(a.fp, b.fp) })
	for i := range list {
		out.put(list[i].fp, list[i].e)
	}
	return out
}

// bySlot is x with its slots in an order that does not depend on how they came
// about.
func bySlot(x index) index {
	if x.n == 0 {
		return index{}
	}
	x.slots = slices.DeleteFunc(slices.Clone(x.slots), func(k dedupe.Slot) bool { return k.Number == 0 })
	slices.SortFunc(x.slots, func(a, b dedupe.Slot) int { return cmp.Compare(a.Number, b.Number) })
	return x
}

// same holds that nothing tells a from b: no report, no row, no byte, no field.
func same(t rapid.TB, a, b *Ledger) {
	t.Helper()
	if got, want := b.Totals(), a.Totals(); got != want {
		t.Fatalf("totals are\n%+v, want\n%+v", got, want)
	}
	if got, want := reportJSON(t, b), reportJSON(t, a); got != want {
		t.Fatalf("the report is\n%s, want\n%s", got, want)
	}
	x, y := stories(a), stories(b)
	for name, want := range x {
		if got := y[name]; got.older != want.older || !slices.Equal(got.rows, want.rows) {
			t.Fatalf("the trail of %s is\n%+v, want\n%+v", name, got, want)
		}
	}
	if !bytes.Equal(stateOf(a), stateOf(b)) {
		t.Fatalf("the states differ")
	}
	f, g := *a, *b
	f.dims, g.dims = nil, nil // functions do not compare
	for _, l := range []*Ledger{&f, &g} {
		l.touched = 0
		l.episodes.open, l.episodes.critical = inOrder(&l.episodes.open), inOrder(&l.episodes.critical)
		l.trail.byAlert, l.trail.byIncident = bySlot(l.trail.byAlert), bySlot(l.trail.byIncident)
	}
	if !reflect.DeepEqual(f, g) || len(x) != len(y) {
		t.Fatalf("a field differs that is in no report")
	}
}

func reportJSON(t rapid.TB, l *Ledger) string {
	t.Helper()
	b, err := json.MarshalIndent(l.Report(10), "", " ")
	if err != nil {
		t.Fatalf("report: %v", err)
	}
	return string(b)
}

type story struct {
	rows  []correlate.Row
	older bool
}

// stories are the trails of all alerts and incidents, and of one of each that
// is not known.
func stories(l *Ledger) map[string]story {
	out := map[string]story{}
	add := func(name string, rows []correlate.Row, older bool) { out[name] = story{rows, older} }
	for pos := l.trail.Overwritten() + 1; pos < l.trail.next; pos++ {
		r := l.trail.at(pos).row
		if fp := r.Fingerprint; fp != 0 {
			rows, older := l.Trail().Alert(fp)
			add(fp.String(), rows, older)
		}
		if id := r.Incident; id != 0 {
			rows, older := l.Trail().Incident(id)
			add(correlate.IncidentName(id), rows, older)
		}
	}
	rows, older := l.Trail().Alert(1 << 50)
	add("unknown alert", rows, older)
	rows, older = l.Trail().Incident(1 << 50)
	add("unknown incident", rows, older)
	return out
}

func TestARestoredLedgerGoesOnAsTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOracle()
		t.Repeat(o.actions())
		l := New(dims, Options{TrailRows: rapid.SampledFrom([]int{0, -1, 1, 2, 7, 20}).Draw(t, "trail")})
		stop := rapid.IntRange(0, len(o.journal)).Draw(t, "stop")
		for _, enter := range o.journal[:stop] {
			enter(l)
		}
		again := restored(t, l)
		for _, enter := range o.journal[stop:] {
			enter(l)
			enter(again)
		}
		same(t, l, again)
	})
}

// anyDims knows every number.
func anyDims(n uint32) correlate.Dim {
	return correlate.Dim{Source: fmt.Sprint("s", n%2), Rule: fmt.Sprint("r", n%5), Service: fmt.Sprint("v", n%3)}
}

// enterAny enters something that correlate would not: every field of a row
// holds anything.
func enterAny(rng *rand.Rand) func(*Ledger) {
	small := func(n int) uint8 {
		if rng.IntN(200) == 0 {
			return uint8(rng.Uint32())
		}
		return uint8(rng.IntN(n))
	}
	when := at(time.Duration(rng.Int64N(int64(40 * 24 * time.Hour))))
	if rng.IntN(300) == 0 {
		when = []alert.Time{0, math.MinInt64, math.MaxInt64, -1}[rng.IntN(4)]
	}
	dim := []uint32{0, 1, 2, 3, 17, MaxDims, math.MaxUint32}[rng.IntN(7)]
	incident := uint64(rng.IntN(6))
	if rng.IntN(100) == 0 {
		incident = rng.Uint64()
	}
	text := strings.Repeat("x", rng.IntN(4))
	switch rng.IntN(10) {
	case 0:
		return func(l *Ledger) { l.FoldRepeats(when, dim, uint64(dim%3)) }
	case 1, 2:
		r := correlate.Receipt{
			Incident: incident, Revision: uint32(rng.IntN(100)), Kind: correlate.Kind(small(4)), Receiver: text, Integration: text,
			Outcome: correlate.Outcome(small(6)), At: when, Error: text, Last: rng.IntN(2) == 0,
		}
		return func(l *Ledger) { l.FoldReceipt(r) }
	case 3:
		n := correlate.Notification{Incident: incident, Revision: uint32(rng.IntN(100)), Kind: correlate.Kind(small(4)), At: when}
		for range rng.IntN(5) {
			n.Alerts = append(n.Alerts, correlate.Member{Fingerprint: alert.Fingerprint(rng.IntN(12))})
		}
		return func(l *Ledger) { l.FoldNotification(&n) }
	}
	r := correlate.Row{
		At: when, Seq: uint64(rng.IntN(3)) * rng.Uint64N(1<<40), Fingerprint: alert.Fingerprint(rng.IntN(12)),
		Action: correlate.Action(small(10)), Verdict: dedupe.Verdict(small(8)),
		Was: correlate.Disposition(small(17)), Now: correlate.Disposition(small(17)),
		Kind: correlate.Kind(small(4)), Reason: correlate.Reason(small(8)), Severity: alert.Severity(small(6)), Paged: alert.Severity(small(6)),
		Dim: dim, Incident: incident, Revision: uint32(small(3)), Cause: text,
		Until: when * alert.Time(rng.IntN(2)), Delay: time.Duration(rng.Int64() >> rng.IntN(64)),
	}
	return func(l *Ledger) {
		row := r
		l.Fold(&row)
	}
}

func TestWhateverWasFoldedIsRestored(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		l := New(anyDims, Options{TrailRows: []int{-1, 1, 10, 500, 5000}[seed%5]})
		again := restored(t, l)
		for range 3 {
			for range rng.IntN(1500) {
				enter := enterAny(rng)
				enter(l)
				enter(again)
			}
			same(t, l, again)
			again = restored(t, again)
		}
	}
}

// The books at their limits: what is full must go on making room.
func TestFullBooksAreRestored(t *testing.T) {
	l := New(dims, Options{TrailRows: 10})
	for i := range MaxIncidents + 10 {
		l.FoldReceipt(receipt(uint64(i+1), 1, correlate.Page, "a", correlate.Accepted))
	}
	for i := range uint32(maxAcceptances + 10) {
		l.FoldReceipt(receipt(MaxIncidents, i, correlate.Page, "a", correlate.Accepted))
	}
	for i := range alert.Fingerprint(MaxListed + 10) {
		fold(l, onset(0, i, 0, correlate.Storm), end(1, i, 0, correlate.Storm), onset(2, i, 0, correlate.BelowThreshold), end(3, i, 0, correlate.BelowThreshold))
	}
	again := restored(t, l)
	for _, l := range []*Ledger{l, again} {
		l.FoldReceipt(receipt(1, 1, correlate.Page, "a", correlate.Accepted)) // was pushed out: counts again
		l.FoldReceipt(receipt(MaxIncidents+1, 1, correlate.Page, "a", correlate.Accepted))
		fold(l, onset(4, 1, 0, correlate.Storm), end(5, 1, 0, correlate.Storm))
		if len(l.receipts.order) != MaxIncidents || len(l.episodes.swallowed.latest) != MaxListed {
			t.Errorf("%d incidents and %d criticals are kept", len(l.receipts.order), len(l.episodes.swallowed.latest))
		}
	}
	same(t, l, again)
}

func TestARestoredLedgersRepeatAllocatesNothing(t *testing.T) {
	l := restored(t, fold(open(), onset(0, 1, 0, correlate.Paged)))
	row := correlate.Row{At: at(time.Second), Fingerprint: 1, Action: correlate.Delivered, Verdict: dedupe.Repeat, Now: correlate.Repeat}
	if n := testing.AllocsPerRun(1000, func() { l.Fold(&row) }); n != 0 {
		t.Errorf("a repeat allocates %v times", n)
	}
}

func TestAStateIsOnePartOfMore(t *testing.T) {
	w := wire.Writer{B: []byte("before")}
	week().AppendState(&w)
	w.String("after")
	r, l := wire.NewReader(w.B[len("before"):]), open()
	if err := l.LoadState(r); err != nil || r.String() != "after" || r.End() != nil {
		t.Errorf("what follows the state is lost: %v, %v", err, r.Err())
	}
	same(t, week(), l)
	if err := l.LoadState(r); !errors.Is(err, wire.ErrCorrupt) {
		t.Errorf("nothing is a state: %v", err)
	}
}

// goldenLedger has something in each part of a state, the unusual included.
func goldenLedger() *Ledger {
	l := foldWeek(New(dims, Options{TrailRows: 60}))
	odd := onset(161*time.Hour, 950, 2, correlate.Grouped)
	odd.Seq, odd.Paged, odd.Incident, odd.Delay, odd.Cause = 4711, alert.Warning, 10, 90*time.Second, "oncall"
	uncounted := onset(161*time.Hour, 951, 1, correlate.Muted)
	uncounted.Dim, uncounted.Cause = MaxDims+1, "night"
	fold(l, odd, uncounted,
		onset(162*time.Hour, 952, 0, correlate.BelowThreshold),
		onset(162*time.Hour, 953, 2, correlate.Storm), end(163*time.Hour, 953, 2, correlate.Storm),
		onset(162*time.Hour, 954, 0, correlate.Pending), end(162*time.Hour+time.Second, 954, 0, correlate.Pending),
		correlate.Row{At: at(163 * time.Hour), Action: correlate.Delivered, Dim: 3, Now: correlate.Quarantined, Cause: "no labels"},
		correlate.Row{At: at(163 * time.Hour), Action: correlate.Notified, Incident: 10, Revision: 2, Kind: correlate.Update, Reason: correlate.NewAlerts, Severity: alert.Critical, Cause: "oncall"},
		correlate.Row{At: at(163 * time.Hour), Action: correlate.PagedRaw, Fingerprint: 953, Cause: "oncall"},
		correlate.Row{At: at(163 * time.Hour), Action: correlate.Adjusted, Cause: "stopped for 2 h"},
	)
	failed := receipt(10, 2, correlate.Update, "slack[0]", correlate.Failed)
	failed.Error = "slack: 404"
	l.FoldReceipt(failed)
	l.FoldReceipt(receipt(99, 1, correlate.Page, "pagerduty[0]", correlate.Accepted))
	return play(l, "+11 +12 +13 +14 +15 page1:11,12,13,14,15 11=paged 12=grouped 13=grouped update2:13,14 -13 +13 raw14 superseded1:a! page3:11,12 12=grouped -12")
}

// describe writes what is in a ledger: the report and the rows.
func describe(t *testing.T, l *Ledger) []byte {
	t.Helper()
	b := bytes.NewBufferString(reportJSON(t, l) + "\n\n")
	fmt.Fprintf(b, "%d rows were overwritten\n", l.trail.Overwritten())
	for pos := l.trail.Overwritten() + 1; pos < l.trail.next; pos++ {
		fmt.Fprintf(b, "%d: %+v\n", pos, l.trail.at(pos).row)
	}
	return b.Bytes()
}

func TestGoldenStates(t *testing.T) {
	l := goldenLedger()
	current := filepath.Join("testdata", fmt.Sprintf("state-v%d.bin", stateVersion))
	want, err := os.ReadFile(current)
	if *update && errors.Is(err, os.ErrNotExist) { // a version that was released stays as it was
		want, err = stateOf(l), os.WriteFile(current, stateOf(l), 0o644)
	}
	if err != nil || !bytes.Equal(stateOf(l), want) {
		t.Errorf("the state is not written as %s has it (%v): raise stateVersion, go on reading both, and run go test ./ledger -update", current, err)
	}
	files, err := filepath.Glob("testdata/state-v*.bin")
	if err != nil || len(files) < stateVersion {
		t.Fatalf("%d states: %v", len(files), err)
	}
	for _, file := range files {
		state, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		l := New(dims, Options{TrailRows: 60})
		if err := load(l, state); err != nil {
			t.Errorf("%s cannot be read any more: %v", file, err)
			continue
		}
		golden(t, strings.TrimSuffix(filepath.Base(file), ".bin")+".txt", describe(t, l))
		restored(t, l)
	}
}
