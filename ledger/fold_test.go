package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

// start is 2026-03-02 14:00:00 UTC.
const start = alert.Time(1772460000) * alert.Time(time.Second)

func at(d time.Duration) alert.Time { return start.Add(d) }

// dims: 0 critical checkout, 1 warning checkout, 2 critical cart from another
// source, 3 what could not be read.
func dims(n uint32) correlate.Dim {
	return []correlate.Dim{
		{Source: "prometheus", Rule: "HighLatency", Service: "checkout", Severity: alert.Critical},
		{Source: "prometheus", Rule: "DiskFilling", Service: "checkout", Severity: alert.Warning},
		{Source: "grafana", Rule: "HighLatency", Service: "cart", Severity: alert.Critical},
		{Source: "grafana"},
	}[n]
}

func open() *Ledger { return New(dims, Options{}) }

// onset delivers the first of an episode.
func onset(t time.Duration, fp alert.Fingerprint, dim uint32, now correlate.Disposition) correlate.Row {
	return correlate.Row{At: at(t), Fingerprint: fp, Action: correlate.Delivered, Verdict: dedupe.First, Now: now, Dim: dim, Severity: dims(dim).Severity, Until: at(t + 30*time.Second)}
}

func move(t time.Duration, fp alert.Fingerprint, dim uint32, was, now correlate.Disposition, paged alert.Severity) correlate.Row {
	return correlate.Row{At: at(t), Fingerprint: fp, Action: correlate.Moved, Was: was, Now: now, Dim: dim, Severity: dims(dim).Severity, Paged: paged, Delay: 30 * time.Second}
}

func end(t time.Duration, fp alert.Fingerprint, dim uint32, now correlate.Disposition) correlate.Row {
	return correlate.Row{At: at(t), Fingerprint: fp, Action: correlate.Ended, Now: now, Dim: dim, Severity: dims(dim).Severity}
}

func fold(l *Ledger, rows ...correlate.Row) *Ledger {
	for i := range rows {
		l.Fold(&rows[i])
	}
	return l
}

func TestACriticalIsSwallowedOrAccountedFor(t *testing.T) {
	const (
		none = alert.Unset
		crit = alert.Critical
		warn = alert.Warning
	)
	f := func(now correlate.Disposition, paged alert.Severity, age time.Duration, want string) {
		t.Helper()
		l := fold(open(), onset(0, 1, 0, correlate.Pending), move(time.Second, 1, 0, correlate.Pending, now, paged))
		if now == correlate.Pending {
			l = fold(open(), onset(0, 1, 0, now))
		}
		fold(l, correlate.Row{At: at(age), Action: correlate.Adjusted})
		check := func(how string) {
			t.Helper()
			tot, r := l.Totals(), l.Report(10)
			got := fmt.Sprintf("%d %d", tot.SwallowedCriticals, tot.CriticalBelowThreshold)
			if listed := fmt.Sprintf("%d %d", len(r.Swallowed), len(r.BelowThreshold)); got != want || listed != want {
				t.Errorf("%s, paged at %s, %s after %s: swallowed and below threshold are %s and listed %s, want %s", now, paged, how, age, got, listed, want)
			}
		}
		check("standing")
		fold(l, end(age, 1, 0, now))
		check("ended")
	}
	f(correlate.Paged, none, time.Hour, "0 0")
	f(correlate.Grouped, crit, time.Hour, "0 0")
	f(correlate.Grouped, warn, time.Hour, "1 0")
	f(correlate.Grouped, none, time.Hour, "1 0")
	f(correlate.Silenced, none, time.Hour, "0 0")
	f(correlate.Inhibited, none, time.Hour, "0 0")
	f(correlate.Muted, none, time.Hour, "0 0")
	f(correlate.ResolvedBeforePage, none, time.Hour, "0 0")
	f(correlate.BelowThreshold, none, time.Hour, "0 1")
	f(correlate.Held, none, time.Hour, "1 0")
	f(correlate.Flapping, none, time.Hour, "1 0")
	f(correlate.Storm, none, time.Hour, "1 0") // counted, not named
	f(correlate.Storm, warn, time.Hour, "1 0")
	f(correlate.Storm, crit, time.Hour, "0 0")
	f(correlate.NoDisposition, none, time.Hour, "1 0")
	f(correlate.NumDispositions+7, none, time.Hour, "1 0")
	f(correlate.Pending, none, 0, "0 0")
	f(correlate.Pending, none, 30*time.Second, "0 0")
	f(correlate.Pending, none, 30*time.Second+1, "1 0") // its page is overdue
}

func TestWhatBecameOfACriticalIsFollowedToItsEnd(t *testing.T) {
	f := func(what string, want uint64, rows ...correlate.Row) {
		t.Helper()
		if got := fold(open(), rows...).Totals().SwallowedCriticals; got != want {
			t.Errorf("%s: %d swallowed, want %d", what, got, want)
		}
	}
	last := correlate.Row{At: at(time.Hour), Action: correlate.Adjusted}
	f("a warning is none", 0, onset(0, 1, 1, correlate.Flapping), end(time.Minute, 1, 1, correlate.Flapping))
	f("each episode counts", 2, onset(0, 1, 0, correlate.Flapping), end(1, 1, 0, correlate.Flapping), onset(2, 1, 0, correlate.Flapping), end(3, 1, 0, correlate.Flapping))
	f("paged after it was grouped unseen", 0, onset(0, 1, 0, correlate.Grouped), move(1, 1, 0, correlate.Grouped, correlate.Paged, 0), last)
	f("decided after it ended", 0, onset(0, 1, 0, correlate.Pending), end(1, 1, 0, correlate.Pending), move(2, 1, 0, correlate.Pending, correlate.ResolvedBeforePage, 0), last)
	f("never decided after it ended", 1, onset(0, 1, 0, correlate.Pending), end(1, 1, 0, correlate.Pending), last)
	f("flapping, and its end never told", 2, onset(0, 1, 0, correlate.Flapping), onset(1, 1, 0, correlate.Flapping), last)
	f("flapping, then paged, its end never told", 1, onset(0, 1, 0, correlate.Flapping), onset(1, 1, 0, correlate.Paged), last)
	f("an end without a beginning", 0, end(1, 1, 0, correlate.Flapping), last)
	f("told to end twice", 1, onset(0, 1, 0, correlate.Held), end(1, 1, 0, correlate.Held), end(2, 1, 0, correlate.Held), last)
}

func TestListsKeepTheLatestAndCountAll(t *testing.T) {
	l := open()
	for i := range alert.Fingerprint(150) {
		d := time.Duration(i) * time.Second
		fold(l, onset(d, i+1, 0, correlate.Storm), end(d, i+1, 0, correlate.Storm))
	}
	for i := range alert.Fingerprint(60) {
		fold(l, onset(time.Hour+time.Duration(i), 1000+i, 2, correlate.Storm))
	}
	r := l.Report(1)
	if r.SwallowedCriticals != 210 || len(r.Swallowed) != MaxListed {
		t.Fatalf("counted %d, listed %d", r.SwallowedCriticals, len(r.Swallowed))
	}
	oldest, newest := r.Swallowed[0], r.Swallowed[MaxListed-1]
	if oldest.At != at(110*time.Second).Std() || oldest.Standing || newest.Fingerprint != alert.Fingerprint(1059).String() || !newest.Standing || newest.Service != "cart" {
		t.Errorf("listed from %+v to %+v", oldest, newest)
	}
}

func TestImbalanceShows(t *testing.T) {
	f := func(what string, want bool, rows ...correlate.Row) {
		t.Helper()
		if got := fold(open(), rows...).Totals().Balanced; got != want {
			t.Errorf("%s: balanced is %v", what, got)
		}
	}
	f("empty books", true)
	f("one delivery", true, onset(0, 1, 0, correlate.Pending))
	f("a move", true, onset(0, 1, 0, correlate.Pending), move(1, 1, 0, correlate.Pending, correlate.Paged, 0))
	f("a delivery without a disposition", false, onset(0, 1, 0, correlate.NoDisposition))
	f("it gets one later", true, onset(0, 1, 0, correlate.NoDisposition), move(1, 1, 0, correlate.NoDisposition, correlate.Paged, 0))
	f("a number that is no disposition", false, onset(0, 1, 0, correlate.NumDispositions))
	f("a move of nothing", false, move(0, 1, 0, correlate.Pending, correlate.Paged, 0))
	f("a move from what it was not", false, onset(0, 1, 0, correlate.Pending), move(1, 1, 0, correlate.Held, correlate.Paged, 0))
	f("a move that loses the delivery", false, onset(0, 1, 0, correlate.Pending), move(1, 1, 0, correlate.Pending, correlate.NoDisposition, 0))
	f("a move within another source", false, onset(0, 1, 0, correlate.Pending), move(1, 1, 2, correlate.Pending, correlate.Paged, 0))
	f("a gap of one source and a surplus of another", false, onset(0, 1, 0, correlate.NoDisposition), move(1, 2, 2, correlate.Pending, correlate.Paged, 0))
}

func receipt(incident uint64, revision uint32, kind correlate.Kind, integration string, o correlate.Outcome) correlate.Receipt {
	return correlate.Receipt{Incident: incident, Revision: revision, Kind: kind, Receiver: "oncall", Integration: integration, Outcome: o, At: at(time.Minute)}
}

func TestReceipts(t *testing.T) {
	const pd, slack = "pagerduty[0]", "slack[0]"
	f := func(want string, receipts ...correlate.Receipt) {
		t.Helper()
		l := open()
		for _, r := range receipts {
			l.FoldReceipt(r)
		}
		tot := l.Totals()
		if got := fmt.Sprintf("N=%d P=%d", tot.Notifications, tot.Pages); got != want || !tot.Balanced {
			t.Errorf("%v: got %s, want %s", receipts, got, want)
		}
	}
	page, update := correlate.Page, correlate.Update
	f("N=0 P=0")
	f("N=1 P=1", receipt(7, 1, page, pd, correlate.Accepted))
	f("N=2 P=1", receipt(7, 1, page, pd, correlate.Accepted), receipt(7, 1, page, slack, correlate.Accepted))
	f("N=1 P=1", receipt(7, 1, page, pd, correlate.Accepted), receipt(7, 1, page, pd, correlate.Accepted)) // the same one twice
	f("N=1 P=0", receipt(7, 1, update, pd, correlate.Accepted))
	f("N=1 P=0", receipt(7, 1, correlate.Resolve, pd, correlate.Accepted))
	f("N=2 P=2", receipt(7, 1, page, pd, correlate.Accepted), receipt(7, 2, page, pd, correlate.Accepted)) // escalation
	f("N=2 P=2", receipt(7, 1, page, pd, correlate.Accepted), receipt(8, 1, page, pd, correlate.Accepted))
	f("N=2 P=2", receipt(7, 2, page, pd, correlate.Accepted), receipt(7, 1, page, slack, correlate.Accepted)) // out of order
	f("N=0 P=0", receipt(7, 1, page, pd, correlate.Failed), receipt(7, 1, page, pd, correlate.Skipped), receipt(7, 1, page, pd, correlate.Superseded))
	f("N=1 P=1", receipt(7, 1, page, pd, correlate.Failed), receipt(7, 1, page, slack, correlate.Accepted))
}

// TestAPageCountsOnceHoweverItCame: a page that one receiver had, and an update
// in its place another, counted twice.
func TestAPageCountsOnceHoweverItCame(t *testing.T) {
	l := open()
	instead := receipt(7, 2, correlate.Page, "b", correlate.Accepted)
	instead.Page = 1
	l.FoldReceipt(receipt(7, 1, correlate.Page, "a", correlate.Accepted))
	l.FoldReceipt(instead)
	l.FoldReceipt(receipt(7, 3, correlate.Page, "a", correlate.Accepted)) // an escalation
	if got := l.Totals(); got.Pages != 2 || got.Notifications != 3 {
		t.Errorf("%+v", got)
	}
}

func TestAPageCountsForTheRuleThatSetItOff(t *testing.T) {
	l := open()
	paged := move(1, 1, 1, correlate.Pending, correlate.Paged, 0)
	paged.Incident = 7
	fold(l, onset(0, 1, 1, correlate.Pending), paged)
	l.FoldReceipt(receipt(7, 1, correlate.Page, "a", correlate.Accepted))
	l.FoldReceipt(receipt(9, 1, correlate.Page, "a", correlate.Accepted)) // of an alert nobody knows
	r := l.Report(5)
	if len(r.TopRules) != 1 || r.TopRules[0].Name != "DiskFilling" || r.TopRules[0].Pages != 1 {
		t.Errorf("rules are %+v", r.TopRules)
	}
	if n := len(r.BySource); n != 2 || r.BySource[1].Source != "(other)" || r.BySource[1].Pages != 1 || r.Pages != 2 || !r.Balanced {
		t.Errorf("sources are %+v", r.BySource)
	}
}

func TestASinksClockDoesNotMoveTheBooks(t *testing.T) {
	f := func(clock time.Duration, wantHour int) {
		t.Helper()
		l := fold(open(), onset(0, 1, 0, correlate.Paged))
		r := receipt(7, 1, correlate.Page, "a", correlate.Accepted)
		r.At = at(clock)
		l.FoldReceipt(r)
		for _, h := range l.Report(0).Hours {
			if h.Pages == 1 && h.Start.Hour() != wantHour {
				t.Errorf("%s off: counted at %s", clock, h.Start)
			}
		}
		if until := l.Report(0).Until; until != start.Std() {
			t.Errorf("%s off: the books reach to %s", clock, until)
		}
	}
	f(0, 14)
	f(time.Minute, 14)
	f(-48*time.Hour, 14)
	f(300*24*time.Hour, 14)
}

func TestHours(t *testing.T) {
	l := open()
	for d := range 40 * 24 { // one onset an hour for forty days
		fold(l, onset(time.Duration(d)*time.Hour, alert.Fingerprint(d+1), 1, correlate.Paged))
	}
	l.FoldRepeats(at(40*24*time.Hour-time.Hour), 1, 5)
	fold(l, onset(0, 5000, 1, correlate.Paged)) // a row of a day long gone counts in the totals only
	r := l.Report(0)
	if len(r.Hours) != HoursKept || r.Deliveries != 40*24+6 || r.Onsets != 40*24+1 {
		t.Fatalf("%d hours, %d deliveries, %d onsets", len(r.Hours), r.Deliveries, r.Onsets)
	}
	first, last := r.Hours[0], r.Hours[HoursKept-1]
	if first.Start != at(9*24*time.Hour).Std() || first.Deliveries != 1 || first.Onsets != 1 {
		t.Errorf("first hour is %+v", first)
	}
	if last.Start != at(40*24*time.Hour-time.Hour).Std() || last.Deliveries != 6 || last.Onsets != 1 {
		t.Errorf("last hour is %+v", last)
	}
	if hourOf(-1) != -1 || hourOf(0) != 0 || hourOf(alert.Time(-time.Hour)) != -1 {
		t.Error("hours before 1970 are off")
	}
}

func TestSelfResolved(t *testing.T) {
	l := open()
	for i, e := range []struct {
		length time.Duration
		now    correlate.Disposition
	}{
		{0, correlate.ResolvedBeforePage},
		{4 * time.Minute, correlate.Paged},
		{5*time.Minute - 1, correlate.Grouped},
		{5 * time.Minute, correlate.Paged},
		{time.Hour, correlate.Silenced},
	} {
		fp := alert.Fingerprint(i + 1)
		fold(l, onset(0, fp, 1, e.now), end(e.length, fp, 1, e.now))
	}
	fold(l, onset(0, 99, 1, correlate.Paged)) // stands
	s := l.Report(0).SelfResolved
	if s.Episodes != 3 || s.Told != 2 || *s.Share != 0.6 {
		t.Errorf("got %d, told %d, share %v: want 3, 2, 0.6", s.Episodes, s.Told, *s.Share)
	}
}

func TestDimsBeyondTheLimitAreCountedTogether(t *testing.T) {
	l := New(func(n uint32) correlate.Dim { return correlate.Dim{Source: "s", Rule: fmt.Sprint(n)} }, Options{})
	for _, dim := range []uint32{0, MaxDims - 1, MaxDims, 1<<32 - 1} {
		row := correlate.Row{At: start, Action: correlate.Delivered, Verdict: dedupe.First, Now: correlate.Storm, Dim: dim, Fingerprint: alert.Fingerprint(dim), Severity: alert.Critical}
		l.Fold(&row)
	}
	r := l.Report(5)
	if got := fmt.Sprintln(r.TopRules[0].Name, r.TopRules[0].Deliveries, len(r.TopRules), r.Balanced); got != "(other) 2 3 true\n" {
		t.Errorf("got %s", got)
	}
	if len(l.byDim) > MaxDims || r.Swallowed[3].Rule != "(other)" {
		t.Errorf("%d dimensions, %+v", len(l.byDim), r.Swallowed)
	}
}

func TestARepeatAllocatesNothing(t *testing.T) {
	l := fold(open(), onset(0, 1, 0, correlate.Paged))
	row := correlate.Row{At: at(time.Second), Fingerprint: 1, Action: correlate.Delivered, Verdict: dedupe.Repeat, Now: correlate.Repeat}
	if n := testing.AllocsPerRun(1000, func() {
		l.Fold(&row)
		l.FoldRepeats(row.At, 0, 3)
	}); n != 0 {
		t.Errorf("a repeat allocates %v times", n)
	}
	if rows, _ := l.Trail().Alert(1); len(rows) != 1 {
		t.Errorf("the trail has %d rows of it: repeats are not kept", len(rows))
	}
}

func BenchmarkFoldRepeat(b *testing.B) {
	l := fold(open(), onset(0, 1, 0, correlate.Paged))
	row := correlate.Row{At: at(time.Second), Fingerprint: 1, Action: correlate.Delivered, Verdict: dedupe.Repeat, Now: correlate.Repeat}
	b.ReportAllocs()
	for b.Loop() {
		l.Fold(&row)
	}
}

// TestEpisodesBeyondTheLimit: critical ones are followed all the same, of others
// the length alone is not measured.
func TestEpisodesBeyondTheLimit(t *testing.T) {
	l := open()
	for i := range alert.Fingerprint(MaxEpisodes) {
		l.episodes.open.put(1000+i, episode{severity: alert.Warning})
	}
	fold(l, onset(0, 1, 1, correlate.Pending), onset(0, 2, 0, correlate.Pending))
	if _, ok := l.episodes.open.get(1); ok {
		t.Error("a warning beyond the limit is followed")
	}
	if _, ok := l.episodes.critical.get(2); !ok {
		t.Error("a critical beyond the limit is not")
	}
	fold(l, end(time.Minute, 1, 1, correlate.ResolvedBeforePage), end(time.Minute, 2, 0, correlate.Silenced))
	if r := l.Totals(); r.Onsets != 2 || !r.Balanced || l.episodes.ended != 1 {
		t.Errorf("%d onsets, %d ends measured, balanced %v", r.Onsets, l.episodes.ended, r.Balanced)
	}
}

// TestReceiptsBeyondTheLimit: one that comes twice counts twice, once its
// incident was pushed out.
func TestReceiptsBeyondTheLimit(t *testing.T) {
	l := open()
	accept := func(incident uint64) {
		l.FoldReceipt(receipt(incident, 1, correlate.Page, "pagerduty[0]", correlate.Accepted))
	}
	for i := range uint64(MaxIncidents) {
		accept(i + 1)
	}
	accept(1)
	if n := l.Totals().Pages; n != MaxIncidents {
		t.Errorf("%d pages at the limit", n)
	}
	accept(MaxIncidents + 1)
	accept(1)
	if n := l.Totals().Pages; n != MaxIncidents+2 || len(l.receipts.byIncident) != MaxIncidents {
		t.Errorf("%d pages of %d incidents beyond it", n, len(l.receipts.byIncident))
	}
}
