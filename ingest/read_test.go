package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSteadyStateAllocatesNothing(t *testing.T) {
	discard := func(*Batch) error { return nil }
	limits := testLimits()
	f := func(source string, body []byte, alerts int) {
		t.Helper()
		src, _ := Lookup(source)
		e := new(Emitter) // the pool forgets some, with the race detector on
		allocs := testing.AllocsPerRun(20, func() {
			if r, err := e.read(&src, incoming{text: body}, testNow, &limits, discard); err != nil || r.Accepted != alerts {
				t.Fatalf("%+v, %v", r, err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s, %d alerts: %v allocations, want none", source, alerts, allocs)
		}
	}
	f("alertmanager", webhookBody(1), 1)
	f("alertmanager", webhookBody(64), 64)
	f("prometheus", apiBody(256), 256)
	f("prometheus", apiBody(3000), 3000) // several batches
	f("prometheus", bytes.ReplaceAll(apiBody(256), []byte(`"severity":"warning","team":"payments"`), []byte(`"team":"\u0070ayments","severity":"warning","x":""`)), 256)
}

// TestNothingOfABodyIsKept: an Emitter in the pool must not hold on to a body.
func TestNothingOfABodyIsKept(t *testing.T) {
	limits := testLimits()
	f := func(what string, body []byte, err error) {
		t.Helper()
		src, _ := Lookup("prometheus")
		e := new(Emitter)
		_, _ = e.read(&src, incoming{text: body}, testNow, &limits, func(*Batch) error { return err })
		for _, a := range e.batch.Alerts[:cap(e.batch.Alerts)] {
			if a.Labels != nil || a.Annotations != nil || a.GeneratorURL != "" {
				t.Fatalf("%s: holds alert %s", what, a.Labels)
			}
		}
		for _, l := range e.pairs[:cap(e.pairs)] {
			if l.Name != "" || l.Value != "" {
				t.Fatalf("%s: holds %q", what, l)
			}
		}
		for _, q := range e.batch.Quarantined[:cap(e.batch.Quarantined)] {
			if q.Raw != nil {
				t.Fatalf("%s: holds %q", what, q.Raw)
			}
		}
		for _, ts := range [][]twin{e.twins.labels[:cap(e.twins.labels)], e.twins.annotations[:cap(e.twins.annotations)], e.twins.members[:]} {
			for _, tw := range ts {
				if tw != (twin{}) {
					t.Fatalf("%s: holds %+v", what, tw)
				}
			}
		}
		if e.scan.text != nil || e.flush != nil || e.cur.Labels != nil || e.result.Errors != nil {
			t.Fatalf("%s: holds %+v", what, e)
		}
	}
	body := apiBody(1500)
	f("alerts", body, nil)
	f("broken off", body[:len(body)/2], nil)
	f("labels that are dropped", []byte(`[{"labels":{"z":"","b":"2","a":"1"},"annotations":{"z":"","y":""}}]`), nil)
	f("many labels", bodyOf(numbered("l%05d", 5000), numbered("a%05d", 5000)), nil)
	f("bad alerts", []byte(`[{"labels":{"a":"b"},"endsAt":7},7,[]]`), nil)
	f("an error of the log", body, ErrUnavailable)
}

// TestBatches reads a body of many batches and compares it with the alerts read
// one by one: what is carried from one batch to the next must not change.
func TestBatches(t *testing.T) {
	const n = 3000
	src, _ := Lookup("alertmanager")
	var alerts []string
	for i := range n {
		// Every third alert has strings that live in the arena, and labels out of
		// order behind the annotations.
		if alerts = append(alerts, webhookAlert(i)); i%3 == 0 {
			alerts[i] = fmt.Sprintf(`{"annotations":{"summary":"line\n%d %s"},"labels":{"severity":"warning","pod":"p\u002d%d","alertname":"A"}}`, i, strings.Repeat("é\\t", i%200), i)
		}
	}
	body := func(list ...string) []byte { return []byte(`{"alerts":[` + strings.Join(list, ",") + `]}`) }
	all := readAll(t, &src, body(alerts...), testLimits())
	if len(all.alerts) != n || len(all.batches) < n/MaxBatchAlerts+1 {
		t.Fatalf("%d alerts in %d batches", len(all.alerts), len(all.batches))
	}
	for i := range alerts {
		one := readAll(t, &src, body(alerts[i]), testLimits())
		one.result, one.alerts = all.result, one.alerts[:1]
		if got, want := (&reading{alerts: all.alerts[i : i+1]}).alertText(), (&reading{alerts: one.alerts}).alertText(); got != want {
			t.Fatalf("alert %d:\n%s\nalone:\n%s", i, got, want)
		}
	}
}

func TestBatchesStayWithinTheirLimits(t *testing.T) {
	f := func(what string, body []byte, entries, batches int) {
		t.Helper()
		src, _ := Lookup("prometheus")
		r := readAll(t, &src, body, testLimits()) // checks each batch
		if len(r.alerts)+len(r.quarantined) != entries || len(r.batches) != batches {
			t.Errorf("%s: %d entries in batches %v, want %d in %d", what, len(r.alerts)+len(r.quarantined), r.batches, entries, batches)
		}
	}
	list := func(n int, element string) []byte {
		return []byte("[" + strings.Repeat(element+",", n-1) + element + "]")
	}
	big := `{"labels":{"alertname":"A"},"annotations":{"a":"` + strings.Repeat("x", 60<<10) + `"}}`
	full := `{"labels":{"alertname":"A"},"annotations":` + strings.TrimSuffix(strings.Repeat(`"a%d":"`+strings.Repeat("x", 60<<10)+`",`, 5), ",") + `}}`
	full = strings.Replace(fmt.Sprintf(full, 1, 2, 3, 4, 5), `"annotations":`, `"annotations":{`, 1)
	f("none", []byte("[]"), 0, 0)
	f("as many as fit", list(MaxBatchAlerts, `{"labels":{"a":"b"}}`), MaxBatchAlerts, 1)
	f("one more", list(MaxBatchAlerts+1, `{"labels":{"a":"b"}}`), MaxBatchAlerts+1, 2)
	f("big alerts", list(9, big), 9, 3)
	f("alerts as big as can be", list(3, full), 3, 3)
	f("bad and big", list(9, `{"labels":7,"annotations":"`+strings.Repeat("x", 60<<10)+`"}`), 9, 3)
	f("a bad one over all limits", list(2, `"`+strings.Repeat("x", 2*MaxRawBytes)+`"`), 2, 2)
}

func TestARunOfBadAlertsIsKeptTogether(t *testing.T) {
	const n = 1_000_000
	src, _ := Lookup("prometheus")
	body := []byte("[" + strings.Repeat("1,", n-1) + "1]")
	r := readAll(t, &src, body, testLimits())
	if r.result.Quarantined != n || len(r.quarantined) > detailedQuarantines+2*len(body)/MaxRawBytes+2 {
		t.Errorf("%d bad alerts in %d entries", r.result.Quarantined, len(r.quarantined))
	}
	kept := 0
	for _, q := range r.quarantined {
		kept += bytes.Count(q.Raw, []byte("1"))
	}
	if kept != n || len(r.result.Errors) != maxProblems {
		t.Errorf("%d of %d kept, %d named", kept, n, len(r.result.Errors))
	}

	mixed := "[" + strings.Repeat(`1,2,{"labels":{"a":"b"}},`, 300) + "3]"
	r = readAll(t, &src, []byte(mixed), testLimits())
	last := r.quarantined[len(r.quarantined)-1]
	run := r.quarantined[len(r.quarantined)-2]
	if string(last.Raw) != "3" || last.Alerts != 1 || string(run.Raw) != "1,2" || run.Alerts != 2 || run.Pointer != "/897" {
		t.Errorf("a good alert between bad ones must end their run: %q, %q at %s", last.Raw, run.Raw, run.Pointer)
	}
}

// TestAMemberAgainAndAgainTakesNoRoom: each "labels":{} behind the first copied
// all labels before it, so that a megabyte of them took three gigabytes.
func TestAMemberAgainAndAgainTakesNoRoom(t *testing.T) {
	f := func(what, again string) {
		t.Helper()
		src, _ := Lookup("prometheus")
		one := string(bytes.Trim(bodyOf(numbered("l%03d", 250), numbered("a%03d", 250)), "[]"))
		body := `[` + strings.TrimSuffix(one, "}") + `,` + strings.Repeat(again, 10_000) + `"x":1},{"labels":{"a":"b"}}]`
		e := new(Emitter)
		var labels, annotations int
		limits := testLimits()
		r, err := e.read(&src, incoming{text: []byte(body)}, testNow, &limits, func(b *Batch) error {
			labels, annotations = len(b.Alerts[0].Labels), len(b.Alerts[0].Annotations)
			return nil
		})
		if err != nil || r.Accepted != 2 || labels != 250 || annotations != 250 || cap(e.pairs) > 4000 {
			t.Errorf("%s: %+v, %v, %d labels, %d annotations, room for %d", what, r, err, labels, annotations, cap(e.pairs))
		}
	}
	f("labels", `"labels":{},`)
	f("annotations", `"annotations":{},`)
	f("by turns", `"labels":{"l000":"x"},"annotations":{"a000":"y"},`)
	f("null", `"labels":null,"annotations":null,`)
}

func TestAnErrorOfTheLogEndsTheReading(t *testing.T) {
	full := errors.New("full")
	for _, source := range []string{"alertmanager", "prometheus"} {
		src, _ := Lookup(source)
		body := map[string][]byte{"alertmanager": webhookBody(5000), "prometheus": apiBody(5000)}[source]
		calls := 0
		limits := testLimits()
		_, err := Read(&src, body, testNow, &limits, func(*Batch) error {
			if calls++; calls == 3 {
				return full
			}
			return nil
		})
		if !errors.Is(err, full) || calls != 3 {
			t.Errorf("%s: %v after %d batches, want %v after 3", source, err, calls, full)
		}
	}
}

func TestADecoderThatPanicsLosesNothing(t *testing.T) {
	src := Source{Name: "broken", Decode: func(body []byte, e *Emitter) error {
		e.scan.peek()
		e.scan.open()
		e.scan.more(']')
		e.begin("", 0)
		e.prometheusAlert(false)
		e.emit()
		panic("index out of range")
	}}
	body := []byte(`[{"labels":{"alertname":"A"}},{"labels":{"alertname":"B"}}]`)
	r := readAll(t, &src, body, testLimits())
	if len(r.alerts) != 1 || len(r.quarantined) != 1 || string(r.quarantined[0].Raw) != `,{"labels":{"alertname":"B"}}]` || !strings.Contains(r.result.defect, "index out of range") {
		t.Errorf("%s%s", r.alertText(), r.quarantineText())
	}
}

// TestAPanicOfTheLogIsNotTheDecoders lets the log panic once: were that taken
// for a defect of the decoder, the reading would go on and end well.
func TestAPanicOfTheLogIsNotTheDecoders(t *testing.T) {
	defer func() {
		if p := recover(); p != "log" {
			t.Errorf("recovered %v, want the log's own panic", p)
		}
	}()
	src, _ := Lookup("prometheus")
	limits := testLimits()
	calls := 0
	_, _ = Read(&src, apiBody(2000), testNow, &limits, func(*Batch) error {
		if calls++; calls == 1 {
			panic("log")
		}
		return nil
	})
	t.Error("the panic was swallowed")
}

func TestSourcesAreSortedAndDocumented(t *testing.T) {
	var names []string
	for _, s := range Sources() {
		names = append(names, s.Name)
		if s.Doc == "" {
			t.Errorf("%s has no documentation", s.Name)
		}
	}
	if !slices.IsSorted(names) || !slices.Equal(names, []string{"alertmanager", "prometheus"}) {
		t.Errorf("sources %v", names)
	}
	if _, ok := Lookup("nagios"); ok {
		t.Error("found a source that does not exist")
	}
}
