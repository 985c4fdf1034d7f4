package dedupe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

// speaker is a writer of the log: it says in full what it has not said in its
// dictionary yet, and names by number what it has.
type speaker struct {
	id      uint64
	numbers map[string]uint32
}

func (s *speaker) renew() {
	s.id++
	s.numbers = map[string]uint32{}
}

func textOf(a *alert.Alert) string { return fmt.Sprint(a.Labels, a.Annotations, a.StartsAt) }

// deliver has the table observe a as the speaker writes it.
func (s *speaker) deliver(t *Table, now alert.Time, a *alert.Alert, validity time.Duration) (Ref, Verdict) {
	n, said := s.numbers[textOf(a)]
	if !said || a.Status == alert.Resolved {
		ref, v := t.Observe(now, a, validity)
		if a.Status == alert.Firing {
			n = uint32(len(s.numbers))
			t.Explain(s.id, n, ref, a)
			s.numbers[textOf(a)] = n
		}
		return ref, v
	}
	t.Touch(s.id, []alert.Repeat{{Number: n, EndsAt: a.EndsAt}})
	ref, v, known := t.ObserveNumber(now, s.id, n, a.EndsAt, validity)
	if known {
		return ref, v
	}
	var spelled alert.Alert
	if !t.Spell(s.id, n, &spelled) {
		return 0, 0
	}
	spelled.EndsAt = a.EndsAt
	ref, v = t.Observe(now, &spelled, validity)
	t.Again(s.id, n, ref, &spelled)
	return ref, v
}

func shown(t *Table, r Ref) string {
	if r == 0 {
		return "none"
	}
	annotations, url := t.Annotations(nil, r)
	return fmt.Sprint(t.Labels(nil, r), annotations, url, t.StartsAt(r), t.EndsAt(r), t.SeenAt(r), t.Deliveries(r))
}

// TestNumbersSayWhatTheyStandFor tells the same story to a table in full and to
// another by numbers, through forgetting, flapping, two senders with texts of
// their own, new dictionaries and restarts from state.
func TestNumbersSayWhatTheyStandFor(t *testing.T) {
	named, spelled, moved := 0, 0, 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 9))
		plain, brief := NewTable(), NewTable()
		var s speaker
		s.renew()
		refs := map[string][2]Ref{}
		now := epoch
		for i := range 4000 {
			now = now.Add(time.Duration(rng.IntN(20)) * time.Second)
			a := alert.Alert{
				Labels:      alert.Labels{{Name: "alertname", Value: fmt.Sprint("Rule", rng.IntN(3))}, {Name: "pod", Value: fmt.Sprint(rng.IntN(40))}},
				Annotations: alert.Labels{{Name: "summary", Value: fmt.Sprintf("value is %d, as long as %0*d", rng.IntN(3), 1+rng.IntN(2), 0)}},
				StartsAt:    epoch.Add(time.Duration(rng.IntN(3)) * time.Minute), GeneratorURL: "http://prometheus",
			}
			a.Fingerprint = a.Labels.Fingerprint()
			switch rng.IntN(6) {
			case 0:
				a.Status, a.EndsAt = alert.Resolved, now.Add(-time.Duration(rng.IntN(60))*time.Second)
			case 1, 2:
				a.EndsAt = now.Add(time.Duration(rng.IntN(600)-20) * time.Second) // it may have ended on the way
			}
			_, known := s.numbers[textOf(&a)]
			r1, v1 := plain.Observe(now, &a, 5*time.Minute)
			r2, v2 := s.deliver(brief, now, &a, 5*time.Minute)
			if known && a.Status == alert.Firing {
				named++
				if v1 == First || v1 == Stray {
					spelled++
				}
				if v1 == Changed {
					moved++
				}
			}
			if v1 != v2 || shown(plain, r1) != shown(brief, r2) {
				t.Fatalf("seed %d step %d: in full %s %s\nby number %s %s", seed, i, v1, shown(plain, r1), v2, shown(brief, r2))
			}
			if r1 != 0 {
				refs[a.Labels.String()] = [2]Ref{r1, r2}
			}
			if rng.IntN(4) == 0 {
				for k, r := range refs { // order: some alert or other
					plain.Forget(r[0])
					brief.Forget(r[1])
					delete(refs, k)
					break
				}
			}
			if rng.IntN(400) == 0 {
				s.renew()
			}
			if rng.IntN(300) == 0 {
				brief = again(t, brief)
			}
		}
		if plain.Len() != brief.Len() {
			t.Errorf("seed %d: %d alerts in full, %d by number", seed, plain.Len(), brief.Len())
		}
	}
	if named < 10_000 || spelled < 500 || moved < 500 {
		t.Errorf("only %d by number, of which %d spelled again and %d with another text", named, spelled, moved)
	}
}

// again is the table after a restart.
func again(t *testing.T, table *Table) *Table {
	t.Helper()
	before := state(table)
	r := wire.NewReader(before)
	loaded := LoadState(r)
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(state(loaded), before) {
		t.Fatal("what was loaded is written otherwise")
	}
	return loaded
}

// TestOldDictionariesLeaveNothingBehind holds that forgotten alerts are gone
// when the dictionaries that had them are.
func TestOldDictionariesLeaveNothingBehind(t *testing.T) {
	table := NewTable()
	var s speaker
	for round := range 50 {
		s.renew()
		for pod := range 500 {
			a := alert.Alert{Labels: alert.Labels{{Name: "pod", Value: fmt.Sprint(pod)}}, Annotations: alert.Labels{{Name: "summary", Value: fmt.Sprint(round)}}}
			a.Fingerprint = a.Labels.Fingerprint()
			r, _ := s.deliver(table, epoch, &a, time.Hour)
			if pod%3 == round%3 {
				table.Forget(r)
			}
			if pod%7 == 0 { // an end that nobody waited for, explained all the same
				a.Labels[0].Value, a.EndsAt = fmt.Sprint("stray", pod), epoch.Add(-time.Minute)
				a.Fingerprint = a.Labels.Fingerprint()
				s.deliver(table, epoch, &a, time.Hour)
			}
		}
	}
	if n := table.Cap(); n > 2500 {
		t.Errorf("%d places are in use for at most 500 alerts", n)
	}
	if used := table.store.used - table.store.dead; used > 200_000 {
		t.Errorf("%d bytes of text are kept", used)
	}
}

// TestFirstExplanationStands: what a number stands for does not change, whatever
// the log says of it later.
func TestFirstExplanationStands(t *testing.T) {
	table := NewTable()
	at, a := step(t, "fire@0s")
	b := a.Clone()
	b.Labels[1].Value = "b"
	b.Fingerprint = b.Labels.Fingerprint()
	ra, _ := table.Observe(at, &a, 0)
	table.Explain(7, 0, ra, &a)
	rb, _ := table.Observe(at, &b, 0)
	table.Explain(7, 0, rb, &b)
	if r, v, known := table.ObserveNumber(at, 7, 0, 0, time.Hour); r != ra || v != Repeat || !known {
		t.Errorf("ref %d, %v, known: %v; want ref %d, which was explained first", r, v, known, ra)
	}
}

func TestLostExplanation(t *testing.T) {
	table := NewTable()
	if _, _, known := table.ObserveNumber(epoch, 7, 3, 0, time.Hour); known {
		t.Error("a number of no dictionary is known")
	}
	at, a := step(t, "fire@0s")
	r, _ := table.Observe(at, &a, 0)
	table.Explain(7, 5, r, &a)
	if _, _, known := table.ObserveNumber(at, 7, 3, 0, time.Hour); known || table.Spell(7, 3, &a) {
		t.Error("a number that was never explained is known")
	}
	table.Explain(7, MaxNumber, r, &a)
	if _, _, known := table.ObserveNumber(at, 7, MaxNumber, 0, time.Hour); known {
		t.Error("a number beyond the limit is kept")
	}
}

func TestRepeatByNumberAllocatesNothing(t *testing.T) {
	table := NewTable()
	at, a := step(t, "fire@0s+4m~high")
	r, _ := table.Observe(at, &a, 0)
	table.Explain(1, 0, r, &a)
	if n := testing.AllocsPerRun(1000, func() {
		if _, v, known := table.ObserveNumber(at, 1, 0, a.EndsAt, 0); !known || v != Repeat {
			t.Fatal(v, known)
		}
	}); n != 0 {
		t.Errorf("a repeat allocates %v times", n)
	}
}
