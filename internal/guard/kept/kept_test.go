package kept

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
)

func sample(pod string) alert.Alert {
	a := alert.Alert{
		Labels:      alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: pod}, {Name: "severity", Value: "critical"}},
		Annotations: alert.Labels{{Name: "summary", Value: "pod " + pod + " is not well"}},
		StartsAt:    1000, GeneratorURL: "https://prometheus.example.org/graph",
	}
	a.Fingerprint = a.Labels.Fingerprint()
	return a
}

// explain is an event that gives alerts numbers from 5 on, and says some again.
func explain(dictionary uint64, full []alert.Alert, again ...uint32) *frame.Event {
	e := &frame.Event{Kind: frame.Deliveries, Dictionary: dictionary, First: 5, Alerts: full, Runs: []uint32{0, uint32(len(full)), uint32(len(again))}}
	for _, n := range again {
		e.Repeats = append(e.Repeats, alert.Repeat{Number: n})
	}
	return e
}

func heard(k *Alerts, e *frame.Event) string {
	var out []string
	k.Each(e, func(f *Firing) { out = append(out, f.Keep().Unpack().Labels.Get("pod")) }, func(alert.Fingerprint) { out = append(out, "ended") })
	return strings.Join(out, " ")
}

func TestKnowsWhatWasExplained(t *testing.T) {
	k := New(2)
	f := func(dictionary uint64, pods string, again []uint32, want string) {
		t.Helper()
		var full []alert.Alert
		for pod := range strings.FieldsSeq(pods) {
			a := sample(pod)
			switch pod {
			case "skipped":
				a.Labels = nil
			case "over":
				a.Status = alert.Resolved
			}
			full = append(full, a)
		}
		if got := heard(k, explain(dictionary, full, again...)); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	f(1, "a skipped c over", []uint32{5, 6, 7, 8}, "a c ended a c")
	f(1, "", []uint32{7, 9}, "c")
	f(2, "b", []uint32{5, 7}, "b b")
	f(1, "", []uint32{5}, "a")
	f(3, "", []uint32{5}, "")                     // now the first is forgotten
	f(1, "d e f", []uint32{5, 6, 7}, "d e f d e") // two at most
}

// TestStrangeNumbersTakeNoRoom gives an alert the first number that is too large.
func TestStrangeNumbersTakeNoRoom(t *testing.T) {
	k := New(10)
	e := explain(1, []alert.Alert{sample("a")}, maxNumber)
	e.First = maxNumber
	if got := heard(k, e); got != "a" {
		t.Errorf("heard %q, want the alert in full and nothing of its number", got)
	}
	if n := len(k.dictionaries[0].pages); n != 0 {
		t.Errorf("the numbers take %d pages", n)
	}
}

// TestNumbersAgainstMap compares with a map, with numbers in order, out of order
// and far away, of which some come again.
func TestNumbersAgainstMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var ns numbers
	model := map[uint32]*Alert{}
	for i := range uint32(20_000) {
		number := i
		switch rnd.IntN(4) {
		case 0:
			number = rnd.Uint32N(i + 1)
		case 1:
			number = maxNumber - 1 - rnd.Uint32N(5000)
		}
		if rnd.IntN(2) == 0 {
			a := new(Alert)
			if old := ns.set(number, a); old != model[number] {
				t.Fatalf("number %d had %p, want %p", number, old, model[number])
			}
			model[number] = a
		}
		for _, n := range []uint32{number, number ^ 1, number + 64, 1<<32 - 1} {
			if got := ns.get(n); got != model[n] {
				t.Fatalf("number %d has %p, want %p", n, got, model[n])
			}
		}
	}
	seen := map[*Alert]bool{}
	ns.each(func(a *Alert) { seen[a] = true })
	if len(seen) != len(model) || ns.n != len(model) {
		t.Errorf("%d alerts are listed and %d counted, want %d", len(seen), ns.n, len(model))
	}
}

// TestPacksOnce holds that an alert which every dictionary explains anew is there
// once, and gone with the last of them, and that news of it is news.
func TestPacksOnce(t *testing.T) {
	k := New(10)
	one := func(dictionary uint64, a alert.Alert) (got *Alert) {
		k.Each(explain(dictionary, []alert.Alert{a}), func(f *Firing) { got = f.Keep() }, nil)
		return got
	}
	a := sample("a")
	first := one(1, a)
	if second := one(2, a); second != first {
		t.Error("it was packed twice")
	}
	for name, change := range map[string]func(){
		"annotations": func() { a.Annotations = alert.Labels{{Name: "summary", Value: "worse"}} },
		"url":         func() { a.GeneratorURL = "" },
		"start":       func() { a.StartsAt++ },
		"labels":      func() { a.Labels = a.Labels[1:] }, // as where fingerprints collide
	} {
		change()
		if got := one(2, a).Unpack(); fmt.Sprint(*got) != fmt.Sprint(a) {
			t.Errorf("%s changed: got %v, want %v", name, got, a)
		}
	}
	one(3, sample("b"))
	one(4, sample("b"))
	if len(k.known) != 1 {
		t.Errorf("%d alerts are known, want the one that two dictionaries name", len(k.known))
	}
}

// TestUnpacksWhatWasPacked makes alerts of few words and of many, of which some
// begin new words while older alerts are packed by the old.
func TestUnpacksWhatWasPacked(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	k := New(0)
	text := func() string {
		if n := rnd.IntN(5 * maxWords); n < 2*maxWords {
			return fmt.Sprint(n) + strings.Repeat("é", n%130)
		}
		return strings.Repeat("x", rnd.IntN(9))
	}
	set := func(n int) (ls alert.Labels) {
		for i := range n {
			ls = append(ls, alert.Label{Name: "n" + fmt.Sprint(i), Value: text()})
		}
		return ls
	}
	var kept []*Alert
	var want []alert.Alert
	generations := map[*words]bool{}
	for range 30_000 {
		a := alert.Alert{
			Fingerprint: alert.Fingerprint(rnd.Uint64()), Labels: set(rnd.IntN(12)), Annotations: set(rnd.IntN(4)),
			GeneratorURL: text(), StartsAt: alert.Time(rnd.Uint64() >> rnd.IntN(64)),
		}
		a.Labels = append(a.Labels, alert.Label{Name: "alertname", Value: text()})
		k.Pack(&a) // what comes twice is a word the third time
		k.Pack(&a)
		p := k.Pack(&a)
		kept, want = append(kept, p), append(want, a)
		generations[p.words] = true
	}
	for i, p := range kept {
		if got := p.Unpack(); fmt.Sprint(*got) != fmt.Sprint(want[i]) || p.Name() != want[i].Name() || !p.is(&want[i]) {
			t.Fatalf("alert %d comes back as\n%v\nwant\n%v", i, got, want[i])
		}
	}
	if len(generations) < 2 {
		t.Error("no words were full")
	}
	for w := range generations {
		list := slices.Sorted(slices.Values(w.list))
		if n := len(slices.Compact(list)); n < len(w.list) {
			t.Errorf("%d of %d words are there twice", len(w.list)-n, len(w.list))
		}
	}
}

// TestTextsThatAreAlike: they come back, also where what is alike at the start
// reaches into what is alike at the end, and only what differs is kept of them.
func TestTextsThatAreAlike(t *testing.T) {
	k := New(0)
	for i := range 200 {
		a := sample("a")
		a.Annotations[0].Value = strings.Repeat("up", minBase+i*37%50)
		a.GeneratorURL = fmt.Sprint("https://prometheus.example.org/graph?g0.expr=", i*7919, "&g0.tab=1")
		p := k.Pack(&a)
		if got := p.Unpack(); fmt.Sprint(*got) != fmt.Sprint(a) || !p.is(&a) {
			t.Errorf("got %v, want %v", got, a)
		}
		if i > 0 && strings.Contains(p.text, "example") {
			t.Errorf("%q stands in full in what is kept", a.GeneratorURL)
		}
	}
}

// TestTextsThatAreLikeNoOther: they come back, and few of them are words for it.
func TestTextsThatAreLikeNoOther(t *testing.T) {
	k := New(0)
	for i := range 100 {
		a := sample("a")
		a.Annotations[0].Value = strings.Repeat(string(rune('a'+i)), minBase+i)
		if got := k.Pack(&a).Unpack(); fmt.Sprint(*got) != fmt.Sprint(a) {
			t.Errorf("got %v, want %v", got, a)
		}
	}
	texts := slices.DeleteFunc(slices.Clone(k.words.list), func(s string) bool { return len(s) < minBase || strings.HasPrefix(s, "https:") })
	if len(texts) != maxTries {
		t.Errorf("%d of the texts are words, want %d", len(texts), maxTries)
	}
}

// TestTakesFewBytes holds what an alert takes whose strings others have as well,
// and one whose texts are long and like those of others.
func TestTakesFewBytes(t *testing.T) {
	takes(t, 170, func(*alert.Alert, string) {})
	takes(t, 190, func(a *alert.Alert, pod string) {
		a.Annotations = append(a.Annotations, alert.Label{Name: "description", Value: "The container of pod " + pod + " in namespace checkout was terminated more than five times within the last hour."})
		a.GeneratorURL = "https://prometheus.example.org/graph?g0.expr=" + strings.Repeat("increase", 8) + pod + "&g0.tab=1"
	})
}

func takes(t *testing.T, most float64, change func(a *alert.Alert, pod string)) {
	t.Helper()
	const n = 10_000
	k := New(0)
	kept := make([]*Alert, 0, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		pod := fmt.Sprint("checkout-", i)
		a := sample(pod)
		change(&a, pod)
		for l := range 8 {
			a.Labels = append(a.Labels, alert.Label{Name: "label_" + fmt.Sprint(l), Value: "what all of them have"})
		}
		kept = append(kept, k.Pack(&a))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := float64(after.HeapAlloc-before.HeapAlloc) / n; got > most {
		t.Errorf("%.0f bytes an alert, at most %.0f", got, most)
	}
	runtime.KeepAlive(kept)
}
