package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/winnowhq/winnow/alert"
)

// leastCases is what the corpus must hold, whatever becomes of its families.
const leastCases = 1500

// gates hold that each family does what it is there for: so many cases at least,
// so many alerts accepted and so many problems reported by them.
var gates = map[string]struct{ cases, accepted, problems int }{
	"types": {300, 150, 150}, "positions": {150, 800, 150}, "truncated": {200, 200, 200}, "syntax": {250, 250, 250}, "numbers": {120, 120, 30},
	"depth": {100, 150, 50}, "around": {100, 150, 70}, "formats": {90, 0, 90}, "utf8": {250, 250, 1}, "controls": {800, 800, 0}, "escapes": {150, 150, 0},
	"names": {250, 250, 0}, "injection": {800, 1600, 0}, "duplicates": {100, 100, 0}, "severity": {80, 80, 0}, "sizes": {200, 200, 0},
	"counts": {40, 500_000, 200_000}, "cardinality": {20, 100_000, 0}, "empty": {40, 10, 20}, "envelope": {30, 30, 1}, "times": {350, 350, 0},
	"content": {100, 150, 20}, "gzip": {150, 500, 100}, "bombs": {25, 60_000, 20}, "doors": {80, 5, 0}, "wire": {60, 4, 2},
}

// figures are summed up over all cases; TestMain prints them.
var figures struct {
	cases, accepted, quarantined, errors int
	worst                                float64
	worstCase                            string
	strings, sinks                       int
}

func TestMain(m *testing.M) {
	code := m.Run()
	if f := figures; code == 0 && f.cases > 0 && f.strings > 0 && sample == 1 {
		fmt.Printf("hostile: cases=%d accepted=%d quarantined=%d errors=%d worst_memory_ratio=%.2f worst_memory_case=%q strings=%d sinks=%d\n",
			f.cases, f.accepted, f.quarantined, f.errors, f.worst, f.worstCase, f.strings, f.sinks)
	}
	os.Exit(code)
}

// TestCorpus sends every case through its doors and what comes through the rest
// of the line.
func TestCorpus(t *testing.T) {
	e, line := newEntrance(t), newLine(t)
	sum := map[string]struct{ cases, accepted, problems int }{}
	names := map[string]bool{}
	for c := range Cases() {
		if names[c.String()] {
			t.Errorf("%s stands twice", c)
		}
		names[c.String()] = true
		if figures.cases++; figures.cases%sample != 0 {
			continue
		}
		body := c.Body()
		large := len(body) >= 1<<20 || c.Plain >= 1<<20
		s := sum[c.Family]
		s.cases++
		for i, path := range paths(c) {
			if i > 0 && large {
				break // it takes long, and the two doors differ in how they answer
			}
			o := e.try(t, c, path, body)
			judge(t, c, path, body, o)
			if i > 0 {
				continue // the same alerts as through the other door
			}
			line.follow(t, c, o)
			s.accepted += len(o.alerts)
			s.problems += o.quarantined + len(o.reasons)
			figures.accepted += len(o.alerts)
			figures.quarantined += o.quarantined
			figures.errors += len(o.reasons)
		}
		if large {
			weigh(t, e, c, body)
		}
		sum[c.Family] = s
	}
	if figures.cases < leastCases {
		t.Errorf("%d cases, want %d", figures.cases, leastCases)
	}
	for _, f := range Families() {
		if got, want := sum[f], gates[f]; sample == 1 && (want.cases == 0 || got.cases < want.cases || got.accepted < want.accepted || got.problems < want.problems) {
			t.Errorf("%s: %+v, want at least %+v", f, got, want)
		}
	}
	metricsAreOurs(t, e)
}

// judge holds what a case states, and what is true of all of them.
func judge(t *testing.T, c *Case, path string, body []byte, o *outcome) {
	t.Helper()
	w := c.Want
	code := w.Code
	if code == 0 {
		code = http.StatusOK
		if path == "/api/v2/alerts" && (w.Problems > 0 || w.Problems == Some || w.Problems == Any && len(o.reasons) > 0) {
			code = http.StatusBadRequest
		}
	}
	if o.code != code {
		t.Errorf("%s at %s: answered %d, want %d: %q", c, path, o.code, code, o.reasons)
	}
	firing, resolved := 0, 0
	for i := range o.alerts {
		if o.alerts[i].Status == alert.Firing {
			firing++
		} else {
			resolved++
		}
	}
	if w.Firing != Some && firing != w.Firing || resolved != w.Resolved {
		t.Errorf("%s at %s: %d firing and %d resolved, want %d and %d: %q", c, path, firing, resolved, w.Firing, w.Resolved, o.reasons)
	}
	if w.Quarantined != Any && o.quarantined != w.Quarantined {
		t.Errorf("%s at %s: %d in quarantine, want %d: %q", c, path, o.quarantined, w.Quarantined, o.reasons)
	}
	if o.code < 300 && path != "/api/v2/alerts" && (o.answer.Accepted != len(o.alerts) || o.answer.Quarantined != o.quarantined) {
		t.Errorf("%s at %s: the answer %+v does not count %d alerts and %d in quarantine", c, path, o.answer, len(o.alerts), o.quarantined)
	}
	judgeReasons(t, c, path, body, o)
	judgeAlerts(t, c, o)
	if lines := strings.Count(o.logged, "\n"); lines > 1 || (lines == 0) != (len(o.reasons) == 0 && o.code != http.StatusServiceUnavailable) {
		t.Errorf("%s at %s: %d lines logged for one request with %d problems:\n%s", c, path, lines, len(o.reasons), o.logged)
	}
}

// judgeReasons holds that there is one clear error for each problem: a sentence,
// an offset within the body and, where the body is JSON, a pointer that leads
// somewhere.
func judgeReasons(t *testing.T, c *Case, path string, body []byte, o *outcome) {
	t.Helper()
	const named = 10 // and the others counted
	want := min(c.Want.Problems, named)
	got := len(o.reasons)
	if path == "/api/v2/alerts" && c.Want.Problems > named {
		want++ // "and 7 more"
	}
	if c.Want.Problems >= 0 && got != want || c.Want.Problems == Some && got == 0 {
		t.Errorf("%s at %s: %d problems reported, want %d: %q", c, path, got, want, o.reasons)
	}
	for _, r := range o.reasons {
		if r == "" || len(r) > 400 || strings.ContainsAny(r, "\n\r\x1b") || !utf8.ValidString(r) || !strings.Contains(r, "byte ") && !strings.HasPrefix(r, "and ") {
			t.Errorf("%s at %s: not one clear error: %q", c, path, r)
		}
	}
	decoded := body
	if strings.EqualFold(c.Header["Content-Encoding"], "gzip") && len(o.answer.Errors) > 0 {
		decoded = inflate(body)
	}
	var document any
	valid := len(decoded) < 1<<20 && json.Unmarshal(decoded, &document) == nil
	for _, p := range o.answer.Errors {
		if p.Offset < 0 || p.Offset > max(len(decoded), len(body)) {
			t.Errorf("%s: byte %d of %d", c, p.Offset, len(decoded))
		}
		// A body that holds no list names the list that it should hold, and an
		// alert without labels the labels.
		if valid && p.Pointer != "/alerts" && !strings.HasSuffix(p.Pointer, "/labels") && !leads(document, p.Pointer) {
			t.Errorf("%s: %q leads nowhere", c, p.Pointer)
		}
	}
}

// leads follows a JSON pointer (RFC 6901).
func leads(v any, pointer string) bool {
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch at := v.(type) {
		case map[string]any:
			if v = at[step]; v == nil {
				if _, ok := at[step]; !ok {
					return false
				}
			}
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				return false
			}
			v = at[i]
		default:
			return false
		}
	}
	return true
}

// inflate is as much of a compressed body as can be had, up to a bound.
func inflate(body []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	out, _ := io.ReadAll(io.LimitReader(z, 64<<20)) // it may well be broken
	return out
}

// judgeAlerts holds the form that the rest of the line relies on.
func judgeAlerts(t *testing.T, c *Case, o *outcome) {
	t.Helper()
	seen := make(map[alert.Fingerprint]bool, len(o.alerts))
	for i := range o.alerts {
		a := &o.alerts[i]
		w := &c.Want
		if a.Marks&w.Marks != w.Marks || w.Unmarked && a.Marks != 0 {
			t.Errorf("%s: marks %q, want %q", c, a.Marks.Names(), w.Marks.Names())
		}
		if w.Severity != alert.Unset && a.Labels.Severity() != w.Severity {
			t.Errorf("%s: severity %s, want %s", c, a.Labels.Severity(), w.Severity)
		}
		if len(a.Labels) == 0 || a.Fingerprint != a.Labels.Fingerprint() {
			t.Errorf("%s: %d labels, fingerprint %s", c, len(a.Labels), a.Fingerprint)
		}
		for _, set := range []alert.Labels{a.Labels, a.Annotations} {
			for j, l := range set {
				if l.Value == "" || j > 0 && set[j-1].Name >= l.Name || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) ||
					len(l.Name) > mostNameBytes || len(l.Value) > mostValueBytes || len(set) > mostLabels {
					t.Errorf("%s: not in form: %.200q", c, l)
				}
			}
		}
		if w.Distinct && seen[a.Fingerprint] {
			t.Errorf("%s: two alerts are one: %.200s", c, a.Labels)
		}
		seen[a.Fingerprint] = true
	}
}

// mostMemory is how many times its body a request may allocate, with the pools
// empty and everything counted that was ever allocated, not what was in use.
const mostMemory = 3.0

// weigh measures what a large body takes.
func weigh(t *testing.T, e *entrance, c *Case, body []byte) {
	t.Helper()
	e.log = kept{count: true}
	// Twice, for what a sync.Pool has let go of is still there after one.
	runtime.GC()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e.send(c, paths(c)[0], body)
	runtime.ReadMemStats(&after)
	ratio := float64(after.TotalAlloc-before.TotalAlloc) / float64(max(len(body), c.Plain))
	if ratio > mostMemory {
		t.Errorf("%s: allocates %.2f times its body, at most %.1f", c, ratio, mostMemory)
	}
	if ratio > figures.worst {
		figures.worst, figures.worstCase = ratio, c.String()
	}
}

// metricsAreOurs holds that no payload has become the label of a metric.
func metricsAreOurs(t *testing.T, e *entrance) {
	t.Helper()
	gathered, err := e.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range gathered {
		for _, m := range f.GetMetric() {
			n++
			for _, l := range m.GetLabel() {
				if !word.MatchString(l.GetValue()) {
					t.Errorf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	if n == 0 || n > 100 {
		t.Errorf("%d metrics", n)
	}
}

// word is how we name sources, codes and reasons. No case has such a name.
var word = regexp.MustCompile(`^[a-z0-9_]{2,20}$`)

// TestCasesAreTheSameEachTime: a case that fails must fail again.
func TestCasesAreTheSameEachTime(t *testing.T) {
	var first []string
	for c := range Cases() {
		first = append(first, c.String())
	}
	i := 0
	for c := range Cases() {
		if c.String() != first[i] {
			t.Fatalf("case %d is %s, was %s", i, c, first[i])
		}
		if i++; i%50 == 0 && c.Family != "bombs" && !bytes.Equal(c.Body(), c.Body()) {
			t.Errorf("%s: the body differs", c)
		}
	}
}
