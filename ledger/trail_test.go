package ledger

import (
	"fmt"
	"testing"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

// trailOf keeps limit rows and adds n: row i has the number i, alert i%3+1, and
// every fifth only an incident.
func trailOf(limit, n int) *Trail {
	tr := newTrail(limit)
	for i := range n {
		r := correlate.Row{Seq: uint64(i), Action: correlate.Moved, Incident: uint64(i%2 + 1)}
		if i%5 != 0 {
			r.Fingerprint = alert.Fingerprint(i%3 + 1)
		}
		tr.add(&r)
	}
	return &tr
}

func TestTrail(t *testing.T) {
	f := func(limit, n int, alerts, incident string) {
		t.Helper()
		tr := trailOf(limit, n)
		show := func(rows []correlate.Row, older bool) string {
			var seqs []uint64
			for _, r := range rows {
				seqs = append(seqs, r.Seq)
			}
			return fmt.Sprint(seqs, older)
		}
		if got := show(tr.Alert(1)); got != alerts {
			t.Errorf("%d rows in %d: alert 1 has %s, want %s", n, limit, got, alerts)
		}
		if got := show(tr.Incident(1)); got != incident {
			t.Errorf("%d rows in %d: incident 1 has %s, want %s", n, limit, got, incident)
		}
		if got := show(tr.Alert(99)); got != fmt.Sprint("[] ", n > limit && limit > 0) {
			t.Errorf("%d rows in %d: an unknown alert has %s", n, limit, got)
		}
	}
	f(100, 0, "[] false", "[] false")
	f(100, 10, "[3 6 9] false", "[0 2 4 6 8] false")
	f(10, 10, "[3 6 9] false", "[0 2 4 6 8] false")
	f(6, 10, "[6 9] true", "[4 6 8] true")
	f(2, 10, "[9] true", "[8] true")
	f(1, 10, "[9] true", "[] true")
	f(1, 9, "[] true", "[8] true")
	f(-1, 10, "[] false", "[] false")
}

func TestTrailKnowsAWholeStory(t *testing.T) {
	f := func(what string, want bool, rows ...correlate.Row) {
		t.Helper()
		tr := newTrail(3)
		for i := range 5 { // of somebody else
			tr.add(&correlate.Row{Seq: uint64(i), Action: correlate.Moved, Fingerprint: 9, Incident: 9})
		}
		for i := range rows {
			tr.add(&rows[i])
		}
		_, a := tr.Alert(1)
		_, b := tr.Incident(7)
		if a != want || b != want {
			t.Errorf("%s: older rows may be gone: %v of the alert, %v of the incident, want %v", what, a, b, want)
		}
	}
	first := correlate.Row{Action: correlate.Delivered, Verdict: dedupe.First, Fingerprint: 1}
	opened := correlate.Row{Action: correlate.IncidentOpened, Incident: 7}
	moved := correlate.Row{Action: correlate.Moved, Fingerprint: 1, Incident: 7}
	f("all there", false, first, opened, moved)
	f("begins in the middle", true, moved)
	f("nothing left", true)
	f("the beginning was pushed out", true, first, opened, moved, moved, moved)
}

// Against the plain way: keep all rows, take the last ones, filter.
func TestTrailOverManyRounds(t *testing.T) {
	for limit := 1; limit < 40; limit++ {
		for n := range 200 {
			tr := trailOf(limit, n)
			want := map[alert.Fingerprint]int{}
			for i := max(0, n-limit); i < n; i++ {
				if i%5 != 0 {
					want[alert.Fingerprint(i%3+1)]++
				}
			}
			for fp := alert.Fingerprint(1); fp <= 3; fp++ {
				if rows, _ := tr.Alert(fp); len(rows) != want[fp] {
					t.Fatalf("%d rows in %d: alert %d has %d, want %d", n, limit, fp, len(rows), want[fp])
				}
			}
			if tr.rows.Len() > limit || tr.byAlert.n > len(want) || tr.byIncident.n > limit {
				t.Fatalf("%d rows in %d: %d rows, %d and %d chains are kept", n, limit, tr.rows.Len(), tr.byAlert.n, tr.byIncident.n)
			}
		}
	}
}
