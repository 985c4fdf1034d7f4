package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

func TestPoisonListIsBounded(t *testing.T) {
	dir := t.TempDir()
	p, err := loadPoison(dir)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(maxPoison) {
		p.seqs[seq+1] = true
	}
	if err := p.add(maxPoison + 7); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*poisoned{p, must(loadPoison(dir))} {
		if l := p.list(); len(l) != maxPoison || l[1] || !l[2] || !l[maxPoison+7] {
			t.Errorf("%d are listed: the oldest %v, the one after it %v, the newest %v", len(l), l[1], l[2], l[maxPoison+7])
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestSpansOfWhatIsLost: with too many, what lies between counts as lost too, so
// that no alert is forgotten.
func TestSpansOfWhatIsLost(t *testing.T) {
	var spans []span
	for i := range uint64(2 * maxSpans) {
		spans = addSpan(spans, span{10 * i, 10*i + 1})
	}
	if len(spans) != maxSpans {
		t.Errorf("%d spans", len(spans))
	}
	for i := range uint64(2 * maxSpans) {
		if !contains(spans, 10*i) || !contains(spans, 10*i+1) || i < maxSpans-1 && contains(spans, 10*i+5) {
			t.Fatalf("loss %d is not known for what it is", i)
		}
	}
}

// TestFullWitnessIsNamed: once, and the next file begins with room again.
func TestFullWitnessIsNamed(t *testing.T) {
	w, faults := openWitness(t.TempDir())
	if len(faults) > 0 || w.begin(1) != nil {
		t.Fatal(faults)
	}
	defer w.close()
	remember := func(seq uint64) error {
		w.segment.Reset()
		w.remember("test", 0, &alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: fmt.Sprint("A", seq)}}})
		return w.add(seq, 0)
	}
	if err := remember(2); err != nil {
		t.Fatal(err)
	}
	w.most = w.size
	if remember(3) == nil {
		t.Error("nothing says that it is full")
	}
	if err := remember(4); err != nil {
		t.Errorf("it is named again: %v", err)
	}
	if err := w.begin(5); err != nil {
		t.Fatal(err)
	}
	if err := remember(6); err != nil || w.size == 0 {
		t.Errorf("the next file takes nothing: %v", err)
	}
}

func TestWitnessFilesAreBounded(t *testing.T) {
	w := &witness{dir: t.TempDir()}
	for i := range 2 * maxWitnessFiles { // of lives that came to no snapshot
		if err := os.WriteFile(filepath.Join(w.dir, fmt.Sprintf("%020d%s", 100+i, witnessSuffix)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.prune(0); err != nil {
		t.Fatal(err)
	}
	if names := must(w.list()); len(names) != maxWitnessFiles || beginsAt(names[0]) != 100+maxWitnessFiles {
		t.Errorf("%d files from %s on", len(names), names[0])
	}
}

// TestKeptDecisionsAreBounded: what is not kept is counted, for the day on which
// the outbox has lost it.
func TestKeptDecisionsAreBounded(t *testing.T) {
	e := &Engine{log: zap.NewNop(), owner: &Owner{shard: &Shard{undelivered: map[notificationID]uint64{}}}}
	e.owner.committed.input, e.owner.resumeSeq = 1<<20, 1<<20
	keep := func(incident uint64) {
		e.owner.shard.undelivered[notificationID{incident, 1}] = incident
		e.keepDecided(incident, []correlate.Notification{{Incident: incident, Revision: 1}})
	}
	for i := range uint64(maxDecided + 3) {
		keep(i + 1)
	}
	if len(e.decided) != maxDecided || e.undecided != 3 {
		t.Errorf("%d are kept, %d are not", len(e.decided), e.undecided)
	}
	delete(e.owner.shard.undelivered, notificationID{1, 1}) // it has its last receipt
	if keep(1 << 19); len(e.decided) != maxDecided || e.decided[notificationID{1 << 19, 1}] == nil {
		t.Error("what is delivered makes no room")
	}
}

// TestReceiptsWaitForTheLog: a sink that reports more waits, and nothing is
// forgotten.
func TestReceiptsWaitForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Engine{receipts: make(chan receipt, maxReceipts), done: make(chan struct{})}
		reported := 0
		go func() {
			for i := range maxReceipts + 1 {
				e.Report(correlate.Receipt{Incident: uint64(i)}, nil)
				reported++
			}
		}()
		synctest.Wait()
		if reported != maxReceipts {
			t.Errorf("%d are reported before any is written", reported)
		}
		if got := len(e.waitingReceipts(nil)); got != maxReceipts {
			t.Errorf("%d go into one message", got)
		}
		if synctest.Wait(); reported != maxReceipts+1 || len(e.receipts) != 1 {
			t.Errorf("%d are reported, %d wait", reported, len(e.receipts))
		}
	})
}
