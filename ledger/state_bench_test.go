package ledger

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/wire"
)

const benchEpisodes = 100_000

// busyLedger has 100,000 open episodes, a full trail, 2,000 dimensions and the
// receipts of 7,500 incidents. Ten alerts come with each message of the log and
// twenty make an incident.
func busyLedger() *Ledger {
	rng := rand.New(rand.NewPCG(1, 1))
	l := New(anyDims, Options{})
	now, seq := start, uint64(1_000_000)
	for i := range 3 * benchEpisodes / 2 {
		if i%10 == 0 {
			now, seq = now.Add(time.Duration(rng.Int64N(int64(20*time.Second)))), seq+1
		}
		base := correlate.Row{
			At: now, Seq: seq, Fingerprint: alert.Fingerprint(rng.Uint64()), Dim: rng.Uint32N(2000), Incident: uint64(i/20 + 1),
			Severity: alert.Severity(i%4 + 1),
		}
		first, moved := base, base
		first.Action, first.Verdict, first.Now, first.Cause, first.Until = correlate.Delivered, dedupe.First, correlate.Pending, "group_wait", now.Add(30*time.Second)
		moved.Action, moved.Was, moved.Now, moved.Cause, moved.Delay, moved.At = correlate.Moved, correlate.Pending, correlate.Grouped, "oncall", 30*time.Second, first.Until
		moved.Paged, moved.Seq = alert.Critical, seq+2
		fold(l, first)
		if i%20 == 0 {
			moved.Now = correlate.Paged
			notified := correlate.Row{At: moved.At, Seq: moved.Seq, Action: correlate.Notified, Incident: base.Incident, Revision: 1, Kind: correlate.Page, Reason: correlate.FirstNotification, Severity: alert.Critical, Cause: "oncall"}
			fold(l, correlate.Row{At: now, Seq: seq, Action: correlate.IncidentOpened, Incident: base.Incident}, moved, notified)
			r := receipt(base.Incident, 1, correlate.Page, "pagerduty[0]", correlate.Accepted)
			r.At = moved.At.Add(time.Duration(rng.Int64N(int64(time.Second))))
			l.FoldReceipt(r)
		} else {
			fold(l, moved)
		}
		if i < benchEpisodes/2 {
			closed, ended := base, base
			closed.Action, closed.Verdict, closed.Now, closed.At = correlate.Delivered, dedupe.Resolved, correlate.Closed, moved.At.Add(time.Minute)
			ended.Action, ended.Now, ended.At, ended.Paged = correlate.Ended, moved.Now, closed.At, moved.Paged
			fold(l, closed, ended)
		}
	}
	return l
}

func BenchmarkAppendState(b *testing.B) {
	l := busyLedger()
	if n := l.episodes.open.len() + l.episodes.critical.len(); n != benchEpisodes || l.trail.Overwritten() == 0 {
		b.Fatalf("%d episodes, %d rows", n, l.trail.rows.Len())
	}
	part := func(appendTo func(*stateWriter)) float64 {
		s := &stateWriter{Writer: &wire.Writer{}, words: map[string]uint64{}}
		appendTo(s)
		return float64(len(s.B))
	}
	var w wire.Writer
	b.ReportAllocs()
	for b.Loop() {
		w = wire.Writer{}
		l.AppendState(&w)
	}
	b.ReportMetric(float64(len(w.B))/1e6, "MB")
	b.ReportMetric(part(l.episodes.append)/benchEpisodes, "B/episode")
	b.ReportMetric(part(l.trail.append)/float64(l.trail.rows.Len()), "B/row")
	b.ReportMetric(part(l.receipts.append)/float64(len(l.receipts.order)), "B/incident")
	b.ReportMetric(part(l.appendCounts)/float64(len(l.byDim)), "B/dim")
}

func BenchmarkLoadState(b *testing.B) {
	state := stateOf(busyLedger())
	b.SetBytes(int64(len(state)))
	b.ReportAllocs()
	for b.Loop() {
		if err := load(New(anyDims, Options{}), state); err != nil {
			b.Fatal(err)
		}
	}
}
