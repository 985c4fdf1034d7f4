package dedupe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

var epoch = alert.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// step reads one delivery: fire@1m, fire@1m+5m (vouched for until 5m later),
// fire@1m~s (annotation s), resolve@2m, resolve@2m-30s (ended 30s before).
func step(t *testing.T, word string) (at alert.Time, a alert.Alert) {
	t.Helper()
	what, when, _ := strings.Cut(word, "@")
	when, note, _ := strings.Cut(when, "~")
	when, ahead, hasAhead := strings.Cut(when, "+")
	when, ago, hasAgo := strings.Cut(when, "-")
	at = epoch.Add(duration(t, when))
	a.Labels = alert.Labels{{Name: "alertname", Value: "HighLatency"}, {Name: "pod", Value: "a"}}
	if note != "" {
		a.Annotations = alert.Labels{{Name: "summary", Value: note}}
	}
	if what == "resolve" {
		a.Status = alert.Resolved
		a.EndsAt = at
		if hasAgo {
			a.EndsAt = at.Add(-duration(t, ago))
		}
	}
	if hasAhead {
		a.EndsAt = at.Add(duration(t, ahead))
	}
	a.Fingerprint = a.Labels.Fingerprint()
	return at, a
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestVerdicts(t *testing.T) {
	f := func(script, want string) {
		t.Helper()
		table := NewTable()
		var got []string
		for word := range strings.FieldsSeq(script) {
			at, a := step(t, word)
			_, v := table.Observe(at, &a, 5*time.Minute)
			got = append(got, v.String())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s\n got %s\nwant %s", script, s, want)
		}
	}
	f("fire@0s fire@1m fire@2m", "First Repeat Repeat")
	f("fire@0s resolve@1m fire@2m", "First Resolved Reopened")
	f("resolve@0s", "Stray")
	f("resolve@0s fire@1m", "Stray First")
	f("fire@0s resolve@1m resolve@2m", "First Resolved Repeat")
	f("fire@0s~x fire@1m~y fire@2m~y", "First Changed Repeat")
	f("fire@0s fire@6m", "First Reopened")                         // the timeout had passed
	f("fire@0s+4m fire@3m+4m fire@8m+4m", "First Repeat Reopened") // 7m was the end
	f("fire@0s+10m fire@1m+4m fire@9m+4m", "First Repeat Repeat")  // an earlier explicit end does not shorten
	f("fire@0s+10m fire@1m fire@9m", "First Repeat Repeat")        // nor does a timeout
	f("fire@0s resolve@1m fire@5m resolve@6m-4m", "First Resolved Reopened Repeat")
	f("fire@0s resolve@1m resolve@2m-90s fire@3m", "First Resolved Repeat Reopened")
}

// TestEndOfABeginningToComeIsBelieved: a sender whose clock was ahead, and was set
// right, ended its alert before it began; that was taken for an earlier episode.
func TestEndOfABeginningToComeIsBelieved(t *testing.T) {
	table := NewTable()
	at, a := step(t, "fire@0s")
	a.StartsAt = at.Add(time.Hour)
	r, _ := table.Observe(at, &a, 0)
	if got := table.StartsAt(r); got != at {
		t.Errorf("it began at %v, want the log's time, %v", got, at)
	}
	at, a = step(t, "resolve@1m")
	if _, v := table.Observe(at, &a, 0); v != Resolved {
		t.Errorf("its end is a %v", v)
	}
}

func TestForgottenAlertIsFirstAgain(t *testing.T) {
	table := NewTable()
	at, a := step(t, "fire@0s")
	r, _ := table.Observe(at, &a, 0)
	table.Forget(r)
	table.Forget(r) // twice is once
	if table.Len() != 0 {
		t.Fatalf("Len = %d after Forget", table.Len())
	}
	if _, v := table.Observe(at, &a, 0); v != First {
		t.Errorf("verdict %v, want First", v)
	}
}

func TestCollidingFingerprintsStayApart(t *testing.T) {
	table := NewTable()
	_, a := step(t, "fire@0s")
	b := a.Clone()
	b.Labels[1].Value = "b"
	b.Fingerprint = a.Fingerprint // made to collide
	ra, va := table.Observe(epoch, &a, 0)
	rb, vb := table.Observe(epoch, &b, 0)
	if va != First || vb != First || ra == rb {
		t.Fatalf("verdicts %v %v, refs %d %d: two label sets were taken for one", va, vb, ra, rb)
	}
	if got := table.Lookup(nil, a.Fingerprint); len(got) != 2 {
		t.Errorf("Lookup found %d alerts, want 2", len(got))
	}
	table.Forget(ra)
	if r, v := table.Observe(epoch, &b, 0); r != rb || v != Repeat {
		t.Errorf("after forgetting its twin: ref %d verdict %v", r, v)
	}
}

func TestTextRoundTrips(t *testing.T) {
	table := NewTable()
	var want []alert.Alert
	var refs []Ref
	for i := range 500 {
		a := alert.Alert{
			Labels:       alert.Labels{{Name: "alertname", Value: fmt.Sprintf("Rule%d", i%7)}, {Name: "pod", Value: fmt.Sprintf("pod-%d", i)}, {Name: "x", Value: "y"}},
			Annotations:  alert.Labels{{Name: "runbook_url", Value: "https://runbooks.example/a"}, {Name: "summary", Value: strings.Repeat("s", i)}},
			GeneratorURL: fmt.Sprintf("http://prom/graph?g=%d", i%3),
		}
		a.Fingerprint = a.Labels.Fingerprint()
		r, _ := table.Observe(epoch, &a, 0)
		want, refs = append(want, a), append(refs, r)
	}
	for i, r := range refs {
		ls := table.Labels(nil, r)
		ann, url := table.Annotations(nil, r)
		if !ls.Equal(want[i].Labels) || !ann.Equal(want[i].Annotations) || url != want[i].GeneratorURL {
			t.Fatalf("alert %d came back as %v %v %q", i, ls, ann, url)
		}
	}
}

func TestExtendMovesBelievedEnds(t *testing.T) {
	table := NewTable()
	at, a := step(t, "fire@0s+4m")
	r, _ := table.Observe(at, &a, 0)
	if n := table.Extend(epoch.Add(time.Minute), time.Hour); n != 1 {
		t.Fatalf("extended %d alerts, want 1", n)
	}
	if !table.Firing(r, epoch.Add(time.Hour+3*time.Minute)) || table.Firing(r, epoch.Add(time.Hour+4*time.Minute)) {
		t.Errorf("ends at %v, want an hour later than 4m", table.EndsAt(r))
	}
	if n := table.Extend(epoch.Add(2*time.Hour), time.Hour); n != 0 {
		t.Errorf("extended %d alerts that had ended", n)
	}
}

// TestAgainstMap compares the table with the obvious model under random
// deliveries and removals, with few fingerprints so that runs and collisions
// are common.
func TestAgainstMap(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		table, model := NewTable(), map[string]Ref{}
		for i := range 3000 {
			a := alert.Alert{Labels: alert.Labels{{Name: "pod", Value: fmt.Sprint(rng.IntN(800))}}}
			a.Fingerprint = a.Labels.Fingerprint() & 0x3ff
			key := a.Labels[0].Value
			if r, ok := model[key]; ok && rng.IntN(3) == 0 {
				table.Forget(r)
				delete(model, key)
				continue
			}
			r, v := table.Observe(epoch.Add(time.Duration(i)), &a, 0)
			if old, ok := model[key]; ok != (v == Repeat) || ok && old != r {
				t.Fatalf("seed %d step %d: pod %s verdict %v ref %d, model has %d %v", seed, i, key, v, r, old, ok)
			}
			model[key] = r
		}
		if table.Len() != len(model) {
			t.Fatalf("seed %d: %d alerts, model has %d", seed, table.Len(), len(model))
		}
	}
}

func TestRepeatAllocatesNothing(t *testing.T) {
	table := NewTable()
	at, a := step(t, "fire@0s+4m~high")
	table.Observe(at, &a, 0)
	if n := testing.AllocsPerRun(1000, func() { table.Observe(at, &a, 0) }); n != 0 {
		t.Errorf("a repeat allocates %v times", n)
	}
}

// TestTextsBeyondTheSymbols: strings that come again and again stand in their
// alert, and are what they were.
func TestTextsBeyondTheSymbols(t *testing.T) {
	table := NewTable()
	table.texts.symbols = make([]string, maxSymbols-1)
	for i := range table.texts.symbols { // as if they had been met
		table.texts.symbols[i] = "symbol"
	}
	table.texts.index = make([]symbolSlot, 4*maxSymbols)
	for i := range 4 {
		a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: fmt.Sprint(i)}}}
		a.Fingerprint = a.Labels.Fingerprint()
		ref, _ := table.Observe(alert.Time(i+1), &a, 0)
		if got := table.Labels(nil, ref).String(); got != a.Labels.String() {
			t.Errorf("alert %d reads %s", i, got)
		}
		if !table.Knows(&a) {
			t.Errorf("alert %d is not known again", i)
		}
	}
	if n := len(table.texts.symbols); n != maxSymbols {
		t.Errorf("%d symbols", n)
	}
}

// TestTextsOfTemplates gives alerts of a rule annotations that differ in their
// middle, their start, their end or throughout, and says some of them again.
func TestTextsOfTemplates(t *testing.T) {
	table := NewTable()
	rng := rand.New(rand.NewPCG(3, 4))
	var refs []Ref
	var want []alert.Alert
	for i := range 3000 {
		own, rule := fmt.Sprint(rng.IntN(900)), rng.IntN(5)
		text := strings.Repeat("the text of rule "+fmt.Sprint(rule)+" ", 3)
		a := alert.Alert{
			Labels: alert.Labels{{Name: "alertname", Value: fmt.Sprint("Rule", rule)}, {Name: "pod", Value: fmt.Sprint(i)}},
			Annotations: alert.Labels{
				{Name: "end", Value: text + own}, {Name: "middle", Value: text + own + text}, {Name: "none", Value: strings.Repeat(own, rng.IntN(30))},
				{Name: "same", Value: text}, {Name: "short", Value: text[:rng.IntN(len(text))]}, {Name: "start", Value: own + text},
			},
			GeneratorURL: "https://prometheus.example.org/graph?g0.expr=" + own,
		}
		a.Fingerprint = a.Labels.Fingerprint()
		ref, _ := table.Observe(epoch, &a, time.Hour)
		refs, want = append(refs, ref), append(want, a)
		if rng.IntN(3) == 0 {
			k := rng.IntN(len(want))
			want[k].Annotations = a.Annotations
			table.Observe(epoch, &want[k], time.Hour)
		}
	}
	r := wire.NewReader(state(table))
	for name, tt := range map[string]*Table{"as it grew": table, "as it was loaded": LoadState(r)} {
		for i, ref := range refs {
			ann, url := tt.Annotations(nil, ref)
			seen, seenURL := tt.ViewAnnotations(nil, ref)
			if !ann.Equal(want[i].Annotations) || url != want[i].GeneratorURL || !seen.Equal(ann) || seenURL != url {
				t.Fatalf("%s: alert %d has %v %s, seen as %v %s, want %v %s", name, i, ann, url, seen, seenURL, want[i].Annotations, want[i].GeneratorURL)
			}
			if got := tt.texts.hashAnnotations(tt.store.get(tt.at(ref).text)); got != new(Table).annotationHash(&want[i]) {
				t.Fatalf("%s: alert %d has hash %x", name, i, got)
			}
		}
	}
}

func TestViewAllocatesNothing(t *testing.T) {
	table := NewTable()
	var refs []Ref
	for i := range 20 {
		text := fmt.Sprint("Pod shop/checkout-", 1000+i, " has been crash looping for longer than fifteen minutes.")
		a := alert.Alert{
			Labels:       alert.Labels{{Name: "alertname", Value: "PodCrashLooping"}, {Name: "pod", Value: fmt.Sprint(i)}},
			Annotations:  alert.Labels{{Name: "description", Value: text}, {Name: "summary", Value: text + text}},
			GeneratorURL: "https://prometheus.example.org/graph?g0.expr=" + text,
		}
		a.Fingerprint = a.Labels.Fingerprint()
		ref, _ := table.Observe(epoch, &a, time.Hour)
		refs = append(refs, ref)
	}
	var ls alert.Labels
	look := func() {
		for _, ref := range refs {
			ls = table.View(ls[:0], ref)
			ls, _ = table.ViewAnnotations(ls, ref)
		}
	}
	if n := testing.AllocsPerRun(10, look); n != 0 {
		t.Errorf("a look at %d alerts allocates %v times", len(refs), n)
	}
	if n := len(table.texts.joined); n == 0 || n > 1000 {
		t.Errorf("%d bytes are joined for one alert", n)
	}
}

// TestNearChangesNothing packs the same alerts with what was met last and without.
func TestNearChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var near, far texts
	used := 0
	for i := range 5000 {
		a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: fmt.Sprint("Rule", i/100)}}}
		for l := range rng.IntN(nearPlaces) { // more strings than there are places, at times
			a.Labels = append(a.Labels, alert.Label{Name: fmt.Sprint("label", l), Value: fmt.Sprint("value", rng.IntN(1+l*l))})
		}
		for l := range rng.IntN(5) {
			a.Annotations = append(a.Annotations, alert.Label{Name: fmt.Sprint("label", l), Value: strings.Repeat(fmt.Sprint("text", rng.IntN(10)), l*l)})
		}
		if a.GeneratorURL = ""; rng.IntN(3) > 0 {
			a.GeneratorURL = fmt.Sprint("https://prometheus.example.org/graph?g0.expr=", rng.IntN(10))
		}
		if n := near.near[1]; n != 0 && near.symbols[n-1] == a.Labels[0].Value {
			used++
		}
		far.near = [nearPlaces]uint32{}
		got, want := near.pack(nil, &a), far.pack(nil, &a)
		if !slices.Equal(got, want) || len(near.symbols) != len(far.symbols) {
			t.Fatalf("alert %d is packed as %x with %d symbols, and %x with %d where nothing is near", i, got, len(near.symbols), want, len(far.symbols))
		}
	}
	if !slices.Equal(near.symbols, far.symbols) || near.seen != far.seen || near.bases != far.bases {
		t.Error("they know other strings then")
	}
	if used < 4000 {
		t.Errorf("what was met last was of use for %d of 5000 alerts", used)
	}
}

// TestCommon compares what two strings share with what a byte at a time finds.
func TestCommon(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 20_000 {
		text := func(n int) string { return strings.Repeat("a", rng.IntN(n)) + strings.Repeat("b", rng.IntN(3)) }
		a, b := text(30)+text(30), text(30)+text(30)
		head, tail := 0, 0
		for head < min(len(a), len(b)) && a[head] == b[head] {
			head++
		}
		for head+tail < min(len(a), len(b)) && a[len(a)-1-tail] == b[len(b)-1-tail] {
			tail++
		}
		if h, l := common(a, b); h != head || l != tail {
			t.Fatalf("%s and %s share %d and %d bytes, want %d and %d", a, b, h, l, head, tail)
		}
	}
}

// TestAlikeTakesWhatDiffers holds what a text takes beside the likes of it, and
// that those which are like no other make few symbols.
func TestAlikeTakesWhatDiffers(t *testing.T) {
	var s texts
	size := func(i int) int {
		pod := fmt.Sprint("checkout-", 1000+i)
		return len(s.pack(nil, &alert.Alert{
			Labels:      alert.Labels{{Name: "alertname", Value: "PodCrashLooping"}},
			Annotations: alert.Labels{{Name: "description", Value: "Pod shop/" + pod + " has been crash looping for longer than fifteen minutes."}},
		}))
	}
	for i := range 3 {
		size(i)
	}
	if got := size(3); got > 20 {
		t.Errorf("%d bytes for four digits of a description", got)
	}
	before := len(s.symbols)
	for i := range 100 {
		s.pack(nil, &alert.Alert{
			Labels:      alert.Labels{{Name: "alertname", Value: "Unlike"}},
			Annotations: alert.Labels{{Name: "description", Value: strings.Repeat(fmt.Sprint(i), 40)}},
		})
	}
	if got := len(s.symbols) - before; got > maxTries+2 { // and two names
		t.Errorf("texts that are unlike each other made %d symbols, at most %d", got, maxTries+2)
	}
}

// TestTextsOfVersionTwo packs as that version did.
func TestTextsOfVersionTwo(t *testing.T) {
	var s texts
	a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: "a pod"}}, GeneratorURL: "https://prometheus.example.org/graph"}
	for i := range 70 {
		a.Annotations = append(a.Annotations, alert.Label{Name: fmt.Sprint("note ", i), Value: strings.Repeat("long ", i)})
	}
	for pass := range 3 { // strings in full, then symbols
		old := s.appendLabels(s.appendLabels(nil, a.Labels), a.Annotations)
		old = s.appendString(old, a.GeneratorURL, 0)
		if !s.sound(old, 2) || s.sound(old, stateVersion) {
			t.Errorf("pass %d: it is not taken for version 2", pass)
		}
		text := s.renew(nil, old)
		if !s.sound(text, stateVersion) {
			t.Fatalf("pass %d: it is not sound", pass)
		}
		labels, rest := s.labels(nil, text, true)
		if notes, url := s.annotations(nil, rest, true); !labels.Equal(a.Labels) || !notes.Equal(a.Annotations) || url != a.GeneratorURL {
			t.Errorf("pass %d: it reads %v %v %s", pass, labels, notes, url)
		}
	}
}
