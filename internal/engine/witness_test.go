package engine

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
)

// TestWitnessThatWasHardlyBegunIsNone: a kill between the file and its header
// left one that each start from then on named as damaged.
func TestWitnessThatWasHardlyBegunIsNone(t *testing.T) {
	w := &witness{dir: t.TempDir()}
	if err := w.create(); err != nil {
		t.Fatal(err)
	}
	w.close()
	next, faults := openWitness(w.dir)
	if len(faults) > 0 {
		t.Error(errors.Join(faults...))
	}
	for _, seq := range []uint64{7, 9} {
		next.reach.applied = seq
		if err := next.begin(seq); err != nil {
			t.Fatal(err)
		}
	}
	next.close()
	last, faults := openWitness(w.dir)
	names, err := last.list()
	if err != nil || len(faults) > 0 || len(names) != 2 || last.reach.applied != 9 {
		t.Errorf("%v, %v: %v reach to %d", err, faults, names, last.reach.applied)
	}
}

// saw has a witness see a log, and returns it with the errors and criticals that
// stand at its end.
func saw(t *testing.T) (w *witness, open map[alert.Fingerprint]bool) {
	t.Helper()
	e := &Engine{log: zap.NewNop(), owner: &Owner{shard: fed(t, nil)}}
	var faults []error
	if e.witness, faults = openWitness(t.TempDir()); len(faults) > 0 || e.witness.begin(1) != nil {
		t.Fatal(faults)
	}
	var d frame.Decoder
	open = map[alert.Fingerprint]bool{}
	for _, m := range loggedOfAll(t, 5) {
		e.owner.shard.Apply(&m)
		e.bearWitness(&m)
		if _, err := d.Decode(m.Data, func(ev *frame.Event) error {
			for i := range ev.Alerts {
				open[ev.Alerts[i].Fingerprint] = true
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.stats.Faults.Load(); n > 0 {
		t.Fatalf("%d faults", n)
	}
	for f := range open { // order: each by itself
		open[f] = false
		e.owner.shard.Core.EachAlert(f, e.owner.shard.Now(), func(_ string, _ time.Duration, a *alert.Alert) {
			open[f] = a.Status == alert.Firing && a.Labels.Severity() >= alert.Error
		})
	}
	maps.DeleteFunc(open, func(_ alert.Fingerprint, stands bool) bool { return !stands })
	return e.witness, open
}

// TestWitnessKnowsWhatStands: of a log that is lost as a whole it has the errors
// and criticals that stood at its end, and no others.
func TestWitnessKnowsWhatStands(t *testing.T) {
	w, open := saw(t)
	w.close()
	holds(t, w, open)
	kinds := map[byte]int{}
	names := must(w.list())
	for _, name := range names {
		if _, err := readWitness(name, func(r witnessed, _ *frame.Event) { kinds[r.kind]++ }); err != nil {
			t.Error(err)
		}
	}
	if kinds[recordMessage] == 0 || kinds[recordStood] == 0 || len(open) == 0 {
		t.Errorf("%v, %d stand: it proves nothing", kinds, len(open))
	}
	if *update {
		if err := os.WriteFile("testdata/v2.witness", must(os.ReadFile(names[0])), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"v1", "v2"} { // of the same log
		older := &witness{dir: t.TempDir()}
		b := must(os.ReadFile(filepath.Join("testdata", version+witnessSuffix)))
		if err := os.WriteFile(filepath.Join(older.dir, filepath.Base(names[0])), b, 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, older, open)
	}
}

func holds(t *testing.T, w *witness, open map[alert.Fingerprint]bool) {
	t.Helper()
	all, err := w.standing([]span{{1, 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[alert.Fingerprint]bool{}
	for _, r := range all {
		if r.alert.Status != alert.Firing || r.alert.EndsAt != 0 || got[r.alert.Fingerprint] {
			t.Errorf("%+v comes back", r)
		}
		got[r.alert.Fingerprint] = true
	}
	if !maps.Equal(got, open) {
		t.Errorf("%v come back, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(open)))
	}
}

// TestWhatAMessageRemembers: an alert that says when it ends is believed until
// then, counted from when it came.
func TestWhatAMessageRemembers(t *testing.T) {
	const at = alert.Time(1000 * time.Second)
	one := func(severity string, status alert.Status, ends alert.Time) alert.Alert {
		ls := alert.Labels{{Name: "alertname", Value: "A"}, {Name: "severity", Value: severity}}
		return alert.Alert{Labels: ls, Status: status, EndsAt: ends}
	}
	message, stood := witnessed{recordMessage, 1, at}, witnessed{recordStood, 1, at}
	for _, c := range []struct {
		what  string
		rec   witnessed
		a     alert.Alert
		from  string
		want  time.Duration
		there bool
	}{
		{"without an end", message, one("critical", alert.Firing, 0), "prometheus", 5 * time.Minute, true},
		{"with one", message, one("error", alert.Firing, at.Add(time.Minute)), "prometheus", time.Minute, true},
		{"with one that is past", message, one("error", alert.Firing, at), "prometheus", 0, false},
		{"a warning", message, one("warning", alert.Firing, 0), "prometheus", 0, false},
		{"an end", message, one("critical", alert.Resolved, at), "prometheus", 0, false},
		{"a canary", message, one("critical", alert.Firing, 0), correlate.CanarySource, 0, false},
		{"an end of which it was said that it stood so", stood, one("critical", alert.Resolved, at), "prometheus", 5 * time.Minute, true},
	} {
		got, there := c.rec.believed(&frame.Event{Source: c.from, Validity: 5 * time.Minute}, &c.a)
		if there != c.there || there && got != c.want {
			t.Errorf("%s: %v %t, want %v %t", c.what, got, there, c.want, c.there)
		}
	}
}

// TestBentWitnessIsNamed: whichever byte is bent, and wherever it ends too early.
func TestBentWitnessIsNamed(t *testing.T) {
	whole := must(os.ReadFile("testdata/v2.witness"))
	name := filepath.Join(t.TempDir(), "1"+witnessSuffix)
	reads := func(b []byte) error {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readWitness(name, nil)
		return err
	}
	if err := reads(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		bent := slices.Clone(whole)
		bent[i] ^= 1 << (i % 8)
		if reads(bent) == nil {
			t.Errorf("byte %d of %d is bent, and nobody says so", i, len(whole))
		}
		if reads(whole[:i]) == nil {
			t.Errorf("it ends at byte %d of %d, and nobody says so", i, len(whole))
		}
	}
}
