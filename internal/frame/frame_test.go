package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var at = alert.TimeOf(time.Date(2026, 3, 1, 4, 5, 6, 789, time.UTC))

func sample(n int) []alert.Alert {
	var out []alert.Alert
	for i := range n {
		a := alert.Alert{
			Labels: alert.Labels{
				{Name: "alertname", Value: "KubePodCrashLooping"}, {Name: "cluster", Value: "prod-eu-1"},
				{Name: "namespace", Value: "checkout"}, {Name: "pod", Value: fmt.Sprintf("checkout-%d", i)}, {Name: "severity", Value: "warning"},
			},
			Annotations:  alert.Labels{{Name: "summary", Value: fmt.Sprintf("Pod checkout-%d restarts", i)}},
			StartsAt:     at.Add(time.Duration(i) * time.Second),
			GeneratorURL: "http://prometheus.example/graph?g0.expr=up",
		}
		switch i % 4 {
		case 1:
			a.Status, a.EndsAt = alert.Resolved, a.StartsAt.Add(time.Minute)
		case 2:
			a.StartsAt, a.Marks = 0, alert.MarkTruncated|alert.MarkClock
		case 3:
			a.EndsAt, a.GeneratorURL, a.Annotations = a.StartsAt.Add(4*time.Minute), "", nil
		}
		a.Fingerprint = a.Labels.Fingerprint()
		out = append(out, a)
	}
	return out
}

// everyKind is one event of each kind.
func everyKind(t testing.TB) []Event {
	m, err := alert.NewMatcher("team", alert.Regexp, "a|b")
	if err != nil {
		t.Fatal(err)
	}
	return []Event{
		{Kind: Policy, PolicyHash: "0123456789abcdef", Policy: &correlate.Policy{
			Route:     correlate.Route{ID: "{}", Key: "{}", Receiver: "oncall", GroupBy: []string{"alertname"}, GroupWait: 30 * time.Second},
			Inhibit:   []correlate.InhibitRule{{Name: "down", Source: alert.Matchers{m}, Target: alert.Matchers{m}, Equal: []string{"cluster"}}},
			Receivers: []correlate.Receiver{{Name: "oncall", Resolved: true}}, ResolveTimeout: 5 * time.Minute,
		}},
		{Kind: Alerts, Source: "alertmanager", Validity: 48 * time.Hour, Alerts: sample(9)},
		{Kind: Tick},
		{Kind: Silence, Silence: &correlate.Silence{ID: "s1", Matchers: []alert.Matchers{{m}}, StartsAt: at, EndsAt: at.Add(time.Hour), CreatedBy: "ann", Comment: "maintenance"}},
		{Kind: SilenceExpire, SilenceID: "s1"},
		{Kind: Receipt, Receipt: &correlate.Receipt{Incident: 3, Revision: 1, Kind: correlate.Page, Receiver: "oncall", Integration: "pagerduty[0]", Outcome: correlate.Accepted, Last: true, Attempts: 2, At: at}},
		{Kind: Resume, From: at},
		{Kind: Quarantine, Source: "prometheus", Quarantine: &Quarantined{Source: "prometheus", Reason: "no labels", Pointer: "/3", Offset: 77, Alerts: 1, Raw: []byte(`{"x":1}`)}},
		{Kind: Stop},
		{Kind: Bypass, Bypass: &Bypassed{Fingerprint: 7, Receiver: "oncall"}},
		deliveries(),
	}
}

// deliveries is an event with some alerts by number.
func deliveries() Event {
	return Event{
		Kind: Deliveries, Source: "prometheus", Validity: 4 * time.Minute, Dictionary: 0xfedcba9876543210, First: 300, Alerts: sample(3), Runs: []uint32{2, 1, 3, 2},
		Repeats: []alert.Repeat{{EndsAt: at, Number: 70_000}, {EndsAt: at, Number: 70_001}, {Number: 3}, {EndsAt: at.Add(time.Minute), Number: 4}, {EndsAt: at.Add(time.Minute), Number: 1<<32 - 1}},
	}
}

func encode(t testing.TB, counter uint64, events []Event) []byte {
	t.Helper()
	var s Segment
	for i := range events {
		if err := s.Add(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return Append(nil, Header{Counter: counter}, s.Append(nil))
}

// text prints events as a golden file has them.
func text(t testing.TB, msg []byte) string {
	t.Helper()
	var b strings.Builder
	var d Decoder
	h, err := d.Decode(msg, func(e *Event) error {
		j, err := json.Marshal(e)
		if err != nil {
			return err
		}
		var fields map[string]any
		if err := json.Unmarshal(j, &fields); err != nil {
			return err
		}
		for k, v := range fields { // what another kind uses says nothing here
			if v == nil || v == "" || v == 0.0 {
				delete(fields, k)
			}
		}
		j, err = json.Marshal(fields)
		fmt.Fprintf(&b, "%s\n", j)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s\n%s", headerText(&h), b.String())
}

func headerText(h *Header) string {
	if h.At == 0 {
		return fmt.Sprintf("counter %d", h.Counter)
	}
	return fmt.Sprintf("counter %d, at %d, behind %016x, clock set by %s", h.Counter, h.At, h.Previous, h.Step)
}

func TestRoundTrip(t *testing.T) {
	events := everyKind(t)
	var s Segment
	for i := range events {
		if err := s.Add(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	head := Header{Counter: 42, At: at, Previous: 1<<63 + 7, Step: -time.Hour}
	msg := Append(nil, head, s.Append(nil))
	var d Decoder
	i := 0
	got, err := d.Decode(msg, func(e *Event) error {
		want, _ := json.Marshal(&events[i])
		if got, _ := json.Marshal(e); !bytes.Equal(got, want) {
			t.Errorf("event %d came back as\n%s\nwant\n%s", i, got, want)
		}
		i++
		return nil
	})
	if err != nil || got != head || i != len(events) {
		t.Fatalf("decoded %d of %d events, header %+v, error %v", i, len(events), got, err)
	}
	if got, err := ReadHeader(msg); got != head || err != nil {
		t.Errorf("ReadHeader = %+v, %v", got, err)
	}
}

func TestSegmentsOfSeveralWriters(t *testing.T) {
	var a, b Segment
	a.AddAlerts("one", 0, sample(3))
	b.AddAlerts("two", 0, sample(70)) // grows the decoder's memory
	var got []string
	var d Decoder
	_, err := d.Decode(Append(nil, Header{Counter: 1}, a.Append(nil), b.Append(nil)), func(e *Event) error {
		got = append(got, fmt.Sprint(e.Source, len(e.Alerts), e.Alerts[2].Labels.Get("pod")))
		return nil
	})
	if want := "[one3checkout-2 two70checkout-2]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
}

// TestGolden holds that frames of every released version can be read for ever.
func TestGolden(t *testing.T) {
	const frameFile, commitFile = "testdata/v2.frame", "testdata/v2.commit"
	if *update {
		var s Segment
		for _, e := range everyKind(t) {
			if err := s.Add(&e); err != nil {
				t.Fatal(err)
			}
		}
		write(t, frameFile, Append(nil, Header{Counter: 42, At: at, Previous: 0xfedcba9876543210, Step: -time.Hour}, s.Append(nil)))
		write(t, commitFile, appendCommit(t, sampleCommit()))
		write(t, frameFile+".txt", []byte(text(t, read(t, frameFile))))
		write(t, commitFile+".txt", []byte(commitText(t, read(t, commitFile))))
	}
	for _, file := range []string{"testdata/v1.frame", "testdata/v1-numbers.frame", frameFile} {
		if got, want := text(t, read(t, file)), string(read(t, file+".txt")); got != want {
			t.Errorf("%s reads as\n%s\nwant\n%s", file, got, want)
		}
	}
	for _, file := range []string{"testdata/v1.commit", commitFile} {
		if got, want := commitText(t, read(t, file)), string(read(t, file+".txt")); got != want {
			t.Errorf("%s reads as\n%s\nwant\n%s", file, got, want)
		}
	}
}

func commitText(t testing.TB, msg []byte) string {
	t.Helper()
	counter, c, err := DecodeCommit(msg)
	if err != nil {
		t.Fatal(err)
	}
	j, _ := json.MarshalIndent(c, "", " ")
	return fmt.Sprintf("counter %d\n%s\n", counter, j)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	msg := encode(t, 1, everyKind(t))
	var d Decoder
	for i := range len(msg) * 8 {
		bent := bytes.Clone(msg)
		bent[i/8] ^= 1 << (i % 8)
		if _, err := d.Decode(bent, func(*Event) error { return nil }); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: error %v, want ErrCorrupt", i, err)
		}
	}
	for n := range len(msg) {
		if _, err := d.Decode(msg[:n], func(*Event) error { return nil }); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: error %v, want ErrCorrupt", n, err)
		}
	}
}

func TestNewerVersionSaysSo(t *testing.T) {
	msg := encode(t, 1, everyKind(t))
	msg[2] = version + 1
	msg = reseal(msg)
	var d Decoder
	if _, err := d.Decode(msg, nil); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("error %v", err)
	}
}

func TestHostileLengthsAllocateLittle(t *testing.T) {
	// A segment that claims a vast number of strings, in a sound envelope.
	msg := Append(nil, Header{Counter: 1}, []byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	var d Decoder
	n := testing.AllocsPerRun(10, func() {
		if _, err := d.Decode(msg, nil); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("error %v", err)
		}
	})
	if n > 20 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, 1, everyKind(f)), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, msg []byte, at uint16, with byte) {
		if len(msg) > int(at) {
			msg = bytes.Clone(msg)
			msg[at] ^= with
		}
		var d Decoder
		d.Decode(reseal(msg), func(e *Event) error {
			for i := range e.Alerts {
				if e.Alerts[i].Fingerprint != e.Alerts[i].Labels.Fingerprint() {
					t.Fatal("fingerprint is not that of the labels")
				}
			}
			return nil
		})
	})
}

// FuzzSegment goes past the envelope, whose checksum a fuzzer does not guess.
func FuzzSegment(f *testing.F) {
	var s Segment
	for _, e := range everyKind(f) {
		if err := s.Add(&e); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, segment []byte) {
		var d Decoder
		d.Decode(Append(nil, Header{Counter: 1}, segment), func(e *Event) error { return nil })
	})
}

// reseal gives msg a checksum that fits.
func reseal(msg []byte) []byte {
	if len(msg) < checksumBytes {
		return msg
	}
	return sum(msg[:len(msg)-checksumBytes])
}

// TestSegmentIsUsedAgain holds that nothing of the segment before shows, whichever
// has more strings.
func TestSegmentIsUsedAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	var used Segment
	for i := range 200 {
		var alerts []alert.Alert
		for range 1 + rng.IntN(20) {
			a := alert.Alert{StartsAt: 1000}
			for l := range 1 + rng.IntN(40) {
				a.Labels = append(a.Labels, alert.Label{Name: fmt.Sprint("label", l), Value: word(rng) + "."})
			}
			a.Annotations = a.Labels[:rng.IntN(len(a.Labels))]
			alerts = append(alerts, a)
		}
		var fresh Segment
		used.Reset()
		for _, s := range []*Segment{&used, &fresh} {
			s.AddAlerts("prometheus", 0, alerts)
		}
		if got, want := used.Append(nil), fresh.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("segment %d is %x, want %x", i, got, want)
		}
	}
}

// TestSegmentKeepsNothing adds alerts whose strings stand where those of the ones
// before did.
func TestSegmentKeepsNothing(t *testing.T) {
	var s Segment
	memory := make([]byte, 4)
	text := unsafe.String(&memory[0], len(memory))
	var want []string
	for i, v := range []string{"abcd", "efgh", "abcd", "ijkl"} {
		copy(memory, v)
		a := []alert.Alert{
			{Labels: alert.Labels{{Name: "a", Value: text}, {Name: "b", Value: []string{"same", ""}[i%2]}}},
			{Labels: alert.Labels{{Name: "a", Value: text}}},
		}
		s.AddAlerts("prometheus", 0, a)
		s.AddDeliveries(&Event{Kind: Deliveries, Source: "prometheus", Alerts: a, Runs: []uint32{0, 2}})
		for range 2 {
			want = append(want, v, a[0].Labels[1].Value, v, "")
		}
	}
	var got []string
	if _, err := new(Decoder).Decode(Append(nil, Header{Counter: 1}, s.Append(nil)), func(e *Event) error {
		for i := range e.Alerts {
			got = append(got, strings.Clone(e.Alerts[i].Labels.Get("a")), strings.Clone(e.Alerts[i].Labels.Get("b")))
		}
		return nil
	}); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: %v", got, want, err)
	}
}

func TestRandomAlertsRoundTrip(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var alerts []alert.Alert
		for range rng.IntN(40) {
			var a alert.Alert
			for range rng.IntN(6) {
				a.Labels = append(a.Labels, alert.Label{Name: word(rng), Value: word(rng)})
				a.Annotations = append(a.Annotations, alert.Label{Name: word(rng), Value: word(rng)})
			}
			a.Labels.Sort()
			a.StartsAt, a.EndsAt = alert.Time(rng.Int64()-1<<62), alert.Time(rng.Int64()-1<<62)
			a.Fingerprint = a.Labels.Fingerprint()
			alerts = append(alerts, a)
		}
		var s Segment
		s.AddAlerts("s", time.Duration(seed), alerts)
		var d Decoder
		var got []alert.Alert
		if _, err := d.Decode(Append(nil, Header{Counter: seed}, s.Append(nil)), func(e *Event) error { got = e.Alerts; return nil }); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if fmt.Sprint(got) != fmt.Sprint(alerts) {
			t.Fatalf("seed %d: came back as\n%v\nwant\n%v", seed, got, alerts)
		}
	}
}

func word(rng *rand.Rand) string {
	b := make([]byte, 1+rng.IntN(12))
	for i := range b {
		b[i] = byte(rng.IntN(256))
	}
	return string(b)
}

func BenchmarkAppend(b *testing.B) {
	alerts := sample(64)
	var s Segment
	var buf, seg []byte
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		s.AddAlerts("alertmanager", 0, alerts)
		seg = s.Append(seg[:0])
		buf = Append(buf[:0], Header{Counter: 1}, seg)
	}
	b.ReportMetric(float64(len(buf))/64, "B/alert")
}

func BenchmarkDecode(b *testing.B) {
	var s Segment
	s.AddAlerts("alertmanager", 0, sample(64))
	msg := Append(nil, Header{Counter: 1}, s.Append(nil))
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(msg, func(*Event) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func sum(b []byte) []byte {
	b = bytes.Clone(b)
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// TestEachKeepsTheOrder holds that deliveries come out in the order in which
// they came in.
func TestEachKeepsTheOrder(t *testing.T) {
	e := deliveries()
	var got []string
	e.Each(func(r *alert.Repeat) { got = append(got, fmt.Sprint(r.Number)) }, func(a *alert.Alert, n uint32) {
		got = append(got, fmt.Sprint(n, a.Labels.Get("pod")))
	})
	if want := "[70000 70001 300checkout-0 3 4 4294967295 301checkout-1 302checkout-2]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestOnlyWhatIsAskedFor holds that a Decoder with Only reads the alerts that it
// is to read as one without does, and says of the others the same severity.
func TestOnlyWhatIsAskedFor(t *testing.T) {
	severities := []string{"critical", "warning", "P2", "nonsense", ""}
	var alerts []alert.Alert
	for i, a := range sample(125) {
		own := alert.Labels{}
		for k, name := range alert.SeverityLabels {
			if v := severities[i/[...]int{1, 5, 25}[k]%5]; v != "" {
				own = append(own, alert.Label{Name: name, Value: v})
			}
		}
		for _, l := range a.Labels {
			if !slices.Contains(alert.SeverityLabels[:], l.Name) {
				own = append(own, l)
			}
		}
		own.Sort()
		a.Labels, a.Fingerprint = own, own.Fingerprint()
		if i%3 == 0 {
			a.Status, a.EndsAt = alert.Resolved, at+1
		}
		alerts = append(alerts, a)
	}
	var s Segment
	s.AddAlerts("prometheus", 0, alerts)
	msg := Append(nil, Header{Counter: 1}, s.Append(nil))
	asked := 0
	d := Decoder{Only: func(v alert.Severity, status alert.Status) bool {
		want := &alerts[asked]
		if v != want.Labels.Severity() || status != want.Status {
			t.Errorf("alert %d %v is taken for %v, %v", asked, want.Labels, v, status)
		}
		asked++
		return v >= alert.Error
	}}
	_, err := d.Decode(msg, func(e *Event) error {
		for i := range e.Alerts {
			want := alert.Alert{}
			if alerts[i].Labels.Severity() >= alert.Error {
				want = alerts[i]
			}
			got := e.Alerts[i]
			if got.Labels == nil {
				got = alert.Alert{}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("alert %d came back as\n%v\nwant\n%v", i, got, want)
			}
		}
		return nil
	})
	if err != nil || asked != len(alerts) {
		t.Errorf("%d of %d asked for, %v", asked, len(alerts), err)
	}
}
