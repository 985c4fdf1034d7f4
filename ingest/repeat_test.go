package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// listener is a log that knows what numbers stand for, as the core does.
type listener struct {
	dict  *Dictionary
	known map[uint32]alert.Alert
	named int // deliveries by number
}

func newListener() *listener {
	return &listener{dict: newDictionary(testNow.Std()), known: map[uint32]alert.Alert{}}
}

// hear reads a body with the dictionary and writes out what numbers stand for.
func (l *listener) hear(t testing.TB, src *Source, body []byte) (alerts []alert.Alert, r Result) {
	t.Helper()
	limits := testLimits()
	r, err := read(src, incoming{text: body}, testNow, &limits, l.dict, func(b *Batch) error {
		repeats, inFull, n := b.Repeats, b.Alerts, b.First
		for i, run := range b.Runs {
			for range run {
				if i%2 == 0 {
					a, ok := l.known[repeats[0].Number]
					if !ok || b.Dictionary != l.dict.id {
						t.Fatalf("number %d stands for nothing", repeats[0].Number)
					}
					a.EndsAt = repeats[0].EndsAt
					alerts, repeats = append(alerts, a), repeats[1:]
					l.named++
					continue
				}
				a := inFull[0].Clone()
				alerts, inFull = append(alerts, a), inFull[1:]
				l.known[n] = a
				n++
			}
		}
		if len(repeats)+len(inFull) > 0 {
			t.Fatal("the runs leave something out")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return alerts, r
}

// check holds what is heard against the same body read in full.
func (l *listener) check(t testing.TB, src *Source, body []byte) {
	t.Helper()
	want := readAll(t, src, body, testLimits())
	got, r := l.hear(t, src, body)
	if len(got) != len(want.alerts) || r.Accepted != want.result.Accepted || r.Quarantined != want.result.Quarantined {
		t.Fatalf("%s\n%d alerts, %+v; in full %d, %+v", body, len(got), r, len(want.alerts), want.result)
	}
	for i := range got {
		if g, w := fmt.Sprintf("%+v", got[i]), fmt.Sprintf("%+v", want.alerts[i]); g != w {
			t.Fatalf("%s\nalert %d:\n got %s\nwant %s", body, i, g, w)
		}
	}
}

// asPrometheus writes an alert in Prometheus's order.
func asPrometheus(labels, starts, ends string) string {
	return `{"annotations":{"summary":"it is \"}} over\\"},"endsAt":"` + ends + `","startsAt":"` + starts + `","generatorURL":"http://p/graph?a=b\u0026c","labels":{` + labels + `}}`
}

func asAlertmanager(status, labels, starts, ends string) string {
	return `{"status":"` + status + `","labels":{` + labels + `},"annotations":{"summary":"it is \"fingerprint\":\"0\""},"startsAt":"` + starts + `","endsAt":"` + ends +
		`","generatorURL":"","fingerprint":"0123456789abcdef"}`
}

// TestRepeatsAreWhatTheyWouldBeInFull sends alerts over and over, with ends that
// move, pass or are odd, and with labels that look like other members.
func TestRepeatsAreWhatTheyWouldBeInFull(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ends := []string{"2025-06-01T12:04:00Z", "2025-06-01T13:00:00.5+01:00", "2025-06-01T12:09:00.123Z", "2020-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "soon", ""}
	starts := []string{"2025-06-01T11:00:00Z", "2025-06-01T11:00:01Z", "2099-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "early"}
	labels := []string{
		`"alertname":"A","severity":"critical"`, `"alertname":"A","endsAt":"x"`, `"alertname":"A","endsAt":"2025-06-01T12:04:00Z"`,
		`"alertname":"A","severity":"info","severity":"critical"`, `"b":"1","alertname":"A"`, `"alertname":"\u0041","x":"\ud800"`, ``, `"alertname":"A","n":7`,
		`"alertname":"A","fingerprint":"0123456789abcdef"`, `"alertname":"` + strings.Repeat("x", 9000) + `"`,
	}
	pick := func(of []string) string { return of[min(rng.IntN(len(of)), rng.IntN(len(of)))] }
	for _, name := range []string{"prometheus", "alertmanager"} {
		src, _ := Lookup(name)
		l := newListener()
		for range 300 {
			var alerts []string
			for range 1 + rng.IntN(700) {
				ls := pick(labels)
				if rng.IntN(2) == 0 && ls != "" {
					ls += fmt.Sprintf(`,"pod":"%d"`, rng.IntN(50))
				}
				if name == "prometheus" {
					alerts = append(alerts, asPrometheus(ls, pick(starts), pick(ends)))
				} else {
					alerts = append(alerts, asAlertmanager(pick([]string{"firing", "resolved", "FIRING"}), ls, pick(starts), pick(ends)))
				}
			}
			body := "[" + strings.Join(alerts, ",") + "]"
			if name == "alertmanager" {
				body = `{"version":"4","alerts":` + body + `}`
			}
			l.check(t, &src, []byte(body))
		}
		if l.named < 1000 {
			t.Errorf("%s: only %d deliveries were known by their bytes", name, l.named)
		}
	}
}

func FuzzRepeat(f *testing.F) {
	sources := Sources()
	for i, src := range sources {
		for _, file := range caseFiles(f, src.Name) {
			body := request(parseCase(f, file))
			f.Add(uint8(i), body, bytes.ReplaceAll(body, []byte("12:0"), []byte("12:1")))
		}
	}
	one := asPrometheus(`"alertname":"A"`, "2025-06-01T11:00:00Z", "2025-06-01T12:04:00Z")
	f.Add(uint8(1), []byte("["+one+","+one+"]"), []byte("["+strings.Replace(one, "12:04", "12:09", 1)+"]"))
	f.Fuzz(func(t *testing.T, pick uint8, first, second []byte) {
		src := sources[int(pick)%len(sources)]
		l := newListener()
		l.check(t, &src, first)
		l.check(t, &src, second)
		l.check(t, &src, first)
	})
}

func TestOnlyWhatIsDurableIsKnown(t *testing.T) {
	src, _ := Lookup("prometheus")
	limits := testLimits()
	body := []byte("[" + asPrometheus(`"alertname":"A"`, "2025-06-01T11:00:00Z", "2025-06-01T12:04:00Z") + "]")
	l := newListener()
	_, err := read(&src, incoming{text: body}, testNow, &limits, l.dict, func(*Batch) error { return ErrUnavailable })
	if err == nil || l.dict.n != 0 {
		t.Errorf("error %v, and %d alerts are known that the log did not take", err, l.dict.n)
	}
	l.check(t, &src, body)
	l.check(t, &src, body)
	if l.named != 1 {
		t.Errorf("%d by number, want 1", l.named)
	}
}

func TestDictionaryIsRenewed(t *testing.T) {
	var ds Dictionaries
	now := testNow.Std()
	d := ds.at(now)
	if ds.at(now.Add(DictionaryAge-1)) != d || ds.at(now.Add(DictionaryAge)) == d {
		t.Error("a dictionary is not in use for just DictionaryAge")
	}
	d = ds.at(now.Add(DictionaryAge))
	ds.Renew()
	if n := ds.at(now.Add(DictionaryAge)); n == d || n.id == d.id {
		t.Error("Renew renews nothing")
	}
}

func TestDictionaryFindsAllItLearned(t *testing.T) {
	d := newDictionary(time.Time{})
	keys := make([]key, 50_000)
	for i := range keys {
		if i%7 != 0 {
			keys[i] = d.key(1, fmt.Append(nil, "before", i), []byte("behind"))
		}
	}
	for i := 0; i < len(keys); i += 500 {
		d.learn(keys[i:i+500], d.take(500))
	}
	for i, k := range keys {
		if n, ok := d.find(k); k.hash != 0 && (!ok || n != uint32(i)) {
			t.Fatalf("key %d: number %d, %v", i, n, ok)
		}
		if _, ok := d.find(d.key(2, fmt.Append(nil, "before", i), []byte("behind"))); ok {
			t.Fatalf("key %d is known to another dialect", i)
		}
	}
}

// TestDictionaryIsBounded: what comes beyond is read, and stands in the log in
// full each time.
func TestDictionaryIsBounded(t *testing.T) {
	d := newDictionary(time.Time{})
	d.most = 3
	keys := make([]key, 5)
	for i := range keys {
		keys[i] = d.key(1, fmt.Append(nil, "before", i), []byte("behind"))
	}
	for range 2 {
		d.learn(keys, d.take(len(keys)))
	}
	for i, k := range keys {
		if n, ok := d.find(k); ok != (i < d.most) || ok && n != uint32(i) {
			t.Errorf("key %d: number %d, %v", i, n, ok)
		}
	}
}

// TestFailedAppendRenewsTheDictionary: after an append that failed nobody knows
// what the log holds, so no number of before may be used again.
func TestFailedAppendRenewsTheDictionary(t *testing.T) {
	var ids []uint64
	var fail error
	doors, err := New(memoryLog(func(_ context.Context, b *Batch) error {
		ids = append(ids, b.Dictionary)
		return fail
	}), Options{Config: configOf(t, `{}`), Now: time.Now, Dictionaries: new(Dictionaries)})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range doors.Routes() {
		mux.Handle(r.Method+" "+r.Pattern, r.Handler)
	}
	post := func() {
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ingest/prometheus", strings.NewReader(oneAlert)))
	}
	post()
	post()
	fail = errors.New("input/output error")
	post()
	fail = nil
	post()
	if len(ids) != 4 || ids[0] == 0 || ids[0] != ids[1] || ids[1] != ids[2] || ids[2] == ids[3] {
		t.Errorf("dictionaries %x: want one for all up to the failure and another after it", ids)
	}
}

func TestIndexByIsIndex(t *testing.T) {
	f := func(text string) {
		t.Helper()
		for _, p := range []struct {
			pattern []byte
			rare    int
		}{{endsAtName, endsAtRare}, {labelsLast, labelsLastRare}} {
			if got, want := indexBy([]byte(text), p.pattern, p.rare), bytes.Index([]byte(text), p.pattern); got != want {
				t.Errorf("%q stands at %d of %q, want %d", p.pattern, got, text, want)
			}
		}
	}
	f("")
	f("A")
	f("}}")
	f(`"}`)
	f(`"}}`)
	f(`{"a":"}}","b":"AAAA"}}`)
	f(`"startsAt":"x","endsAt":"y"`)
	f(`"endsAt":`)
	f(`sAt":"endsAt":"z"}}"}}`)
}

// TestDictionaryIsReadWhileItGrows looks up what others learn: what is found has
// its own number, and the race detector finds nothing.
func TestDictionaryIsReadWhileItGrows(t *testing.T) {
	const writers, each = 3, 4000
	d := newDictionary(time.Time{})
	keys := make([]key, writers*each)
	for i := range keys {
		keys[i] = d.key(1, fmt.Append(nil, "before", i), nil)
	}
	var learned [writers]atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				at := w*each + i
				d.learn(keys[at:at+1], uint32(at))
				learned[w].Store(int64(i + 1))
			}
		})
		wg.Go(func() {
			for n := int64(0); n < each; {
				n = learned[w].Load()
				for i := range keys {
					if got, ok := d.find(keys[i]); ok && got != uint32(i) || !ok && i/each == w && int64(i%each) < n {
						t.Errorf("key %d: number %d, %v, and %d are learned", i, got, ok, n)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
