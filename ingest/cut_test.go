package ingest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
)

// bodyOf is a request with one alert, its labels and annotations in the order
// given: name, value, name, value.
func bodyOf(labels, annotations []string) []byte {
	return []byte(`[{"labels":` + objectOf(labels) + `,"annotations":` + objectOf(annotations) + `}]`)
}

func objectOf(pairs []string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		name, _ := json.Marshal(pairs[i])
		value, _ := json.Marshal(pairs[i+1])
		parts = append(parts, string(name)+":"+string(value))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func numbered(format string, n int) (pairs []string) {
	for i := range n {
		pairs = append(pairs, fmt.Sprintf(format, i), "v")
	}
	return pairs
}

// readOne reads a request with one alert, which must be accepted.
func readOne(t *testing.T, body []byte, l Limits) *alert.Alert {
	t.Helper()
	src, _ := Lookup("prometheus")
	r := readAll(t, &src, body, l)
	if len(r.alerts) != 1 {
		t.Fatalf("%d alerts, want 1; %s", len(r.alerts), r.quarantineText())
	}
	checkAlerts(t, r, l)
	return &r.alerts[0]
}

func marked(a *alert.Alert) bool { return a.Marks&alert.MarkTruncated != 0 }

func TestAtTheLimitsNothingIsCut(t *testing.T) {
	l := testLimits()
	labels := append(numbered("l%03d", DefaultLabels-2), "alertname", strings.Repeat("v", DefaultLabelValueBytes), strings.Repeat("n", DefaultLabelNameBytes), "v")
	a := readOne(t, bodyOf(labels, numbered("a%03d", DefaultAnnotations)), l)
	if marked(a) || len(a.Labels) != DefaultLabels || len(a.Annotations) != DefaultAnnotations {
		t.Errorf("%d labels, %d annotations, marks %v", len(a.Labels), len(a.Annotations), a.Marks.Names())
	}
}

func TestOneOverALimitIsCutAndMarked(t *testing.T) {
	f := func(what string, labels, annotations []string) *alert.Alert {
		t.Helper()
		a := readOne(t, bodyOf(append([]string{"alertname", "DiskFull", "severity", "critical"}, labels...), annotations), testLimits())
		if !marked(a) || a.Name() != "DiskFull" || a.Labels.Severity() != alert.Critical {
			t.Errorf("%s: marks %v, labels %s", what, a.Marks.Names(), a.Labels)
		}
		return a
	}
	f("label name", []string{strings.Repeat("n", DefaultLabelNameBytes+1), "v"}, nil)
	f("label value", []string{"l", strings.Repeat("v", DefaultLabelValueBytes+1)}, nil)
	f("labels", numbered("l%03d", DefaultLabels-1), nil)
	f("annotation name", nil, []string{strings.Repeat("n", DefaultLabelNameBytes+1), "v"})
	f("annotation value", nil, []string{"a", strings.Repeat("v", DefaultLabelValueBytes+1)})
	f("annotations", nil, numbered("a%03d", DefaultAnnotations+1))

	var big []string
	for i := range 5 {
		big = append(big, fmt.Sprintf("b%d", i), strings.Repeat("v", 60<<10))
	}
	f("alert, by its labels", big, []string{"summary", "s"})
	if a := f("alert, by its annotations", nil, big); len(a.Annotations) != 5 {
		t.Errorf("%d annotations, want all 5, each shorter", len(a.Annotations))
	}
}

func TestAnOverlongLinkIsDropped(t *testing.T) {
	a := readOne(t, []byte(`[{"labels":{"alertname":"A"},"generatorURL":"http://`+strings.Repeat("x", DefaultLabelValueBytes)+`"}]`), testLimits())
	if a.GeneratorURL != "" || !marked(a) {
		t.Errorf("link of %d bytes, marks %v", len(a.GeneratorURL), a.Marks.Names())
	}
}

// TestCuttingMergesNothing: alerts that differ only in what is cut off stay
// different alerts, and those that are alike stay alike.
func TestCuttingMergesNothing(t *testing.T) {
	long := strings.Repeat("x", DefaultLabelValueBytes)
	longName := strings.Repeat("n", DefaultLabelNameBytes)
	many := numbered("l%04d", 3000)
	manyElse := append(append([]string(nil), many[:len(many)-1]...), "other")
	var reversed []string
	for i := len(many) - 2; i >= 0; i -= 2 {
		reversed = append(reversed, many[i], many[i+1])
	}
	f := func(what string, a, b []string, same bool) {
		t.Helper()
		x, y := readOne(t, bodyOf(a, nil), testLimits()), readOne(t, bodyOf(b, nil), testLimits())
		if !marked(x) || !marked(y) || (x.Fingerprint == y.Fingerprint) != same || x.Labels.Equal(y.Labels) != same {
			t.Errorf("%s: same %v, want %v", what, x.Fingerprint == y.Fingerprint, same)
		}
	}
	f("end of a value", []string{"a", long + "1"}, []string{"a", long + "2"}, false)
	f("end of a name", []string{longName + "1", "v"}, []string{longName + "2", "v"}, false)
	f("last of many labels", many, manyElse, false)
	f("one label more", many, numbered("l%04d", 3001), false)
	f("one value", []string{"a", long + "1"}, []string{"a", long + "1"}, true)
	f("order of many labels", many, reversed, true)
}

func TestManyLabelsKeepNameAndSeverity(t *testing.T) {
	pairs := append(numbered("a%05d", 20000), "zone", "z", "severity", "critical", "priority", "P1", "alertname", "DiskFull")
	a := readOne(t, bodyOf(pairs, pairs), testLimits())
	if a.Name() != "DiskFull" || a.Labels.Get("severity") != "critical" || a.Labels.Get("priority") != "P1" || a.Labels.Get("a00000") != "v" {
		t.Errorf("labels %s", a.Labels)
	}
	if a.Labels.Get("zone") != "" || a.Labels.Get(truncatedLabel) == "" || len(a.Labels) != DefaultLabels {
		t.Errorf("%d labels, %s=%q", len(a.Labels), truncatedLabel, a.Labels.Get(truncatedLabel))
	}
	if len(a.Annotations) != DefaultAnnotations || a.Annotations[0].Name != "a00000" || a.Annotations.Get("zone") != "" {
		t.Errorf("%d annotations", len(a.Annotations))
	}
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	f := func(s string, limit int, want string) {
		t.Helper()
		if got := cutText(s, limit); got != want || len(got) > max(limit, len(ellipsis)) {
			t.Errorf("cutText(%q, %d) = %q, want %q", s, limit, got, want)
		}
	}
	f("abcdef", 6, "abcdef")
	f("abcdefg", 6, "abc…")
	f("東京都庁", 10, "東京…")
	f("東京都庁", 8, "東…")
	if got := cutIdentity("東京都庁"+strings.Repeat("x", 20), 24); got != "東…"+got[6:] || len(got) != 22 {
		t.Errorf("cutIdentity: %q", got)
	}
}

func TestHighestSeverityWins(t *testing.T) {
	f := func(pairs, want string) {
		t.Helper()
		a := readOne(t, []byte(`[{"labels":{"alertname":"A",`+pairs+`}}]`), testLimits())
		if got := a.Labels.Get("severity"); got != want || a.Marks&alert.MarkDuplicateKey == 0 {
			t.Errorf("%s: %q, want %q; marks %v", pairs, got, want, a.Marks.Names())
		}
	}
	f(`"severity":"critical","severity":"info"`, "critical")
	f(`"severity":"info","severity":"critical"`, "critical")
	f(`"severity":"page","severity":"critical"`, "critical") // of equals the last
	f(`"severity":"critical","severity":""`, "critical")
	f(`"severity":"","severity":"info"`, "info")
	f(`"severity":"info","severity":""`, "info")
	f(`"severity":"critical","severity":null`, "critical")
	f(`"severity":"info","severity":"unheard of"`, "unheard of") // ranks as a warning
	f(`"severity":"warning","x":"y","severity":"error","severity":"info"`, "error")
}
