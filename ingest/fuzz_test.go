package ingest

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/winnowhq/winnow/alert"
)

// oracles say what a source should make of a body, slowly and by encoding/json:
// the alerts, and how many pieces go into quarantine. The body is valid JSON
// whose objects have no name twice.
var oracles = map[string]func(body []byte) (alerts []alert.Alert, quarantined int){
	"alertmanager": func(body []byte) ([]alert.Alert, int) {
		var top map[string]json.RawMessage
		var list []json.RawMessage
		err := json.Unmarshal(body, &top)
		if alerts := member(top, "alerts"); err != nil || !isArray(alerts) || json.Unmarshal(alerts, &list) != nil {
			return nil, 1
		}
		return oracleAlerts(list, true)
	},
	"prometheus": func(body []byte) ([]alert.Alert, int) {
		var list []json.RawMessage
		if !isArray(body) || json.Unmarshal(body, &list) != nil {
			return nil, 1
		}
		return oracleAlerts(list, false)
	},
}

// member finds a member whatever the case of its name. No name stands twice.
func member(m map[string]json.RawMessage, name string) json.RawMessage {
	for k, v := range m {
		if len(k) == len(name) && strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

func isArray(raw []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("[")) }

func oracleAlerts(list []json.RawMessage, webhook bool) (alerts []alert.Alert, bad int) {
	for _, raw := range list {
		if a, ok := oracleAlert(raw, webhook); ok {
			alerts = append(alerts, a)
		} else {
			bad++
		}
	}
	return alerts, bad
}

func oracleAlert(raw json.RawMessage, webhook bool) (a alert.Alert, ok bool) {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return a, false
	}
	startsAt, endsAt := member(m, "startsAt"), member(m, "endsAt")
	a.Labels = oraclePairs(member(m, "labels"))
	a.Annotations = oraclePairs(member(m, "annotations"))
	a.StartsAt, a.EndsAt = oracleTime(startsAt), oracleTime(endsAt)
	a.GeneratorURL = oracleString(member(m, "generatorURL"))
	status := oracleString(member(m, "status"))
	noStart := a.StartsAt == 0 && !badTime(startsAt) && !badTime(endsAt)
	switch {
	case webhook && strings.EqualFold(status, "resolved"):
		a.Status = alert.Resolved
		if a.EndsAt == 0 {
			a.EndsAt = testNow
		}
	case webhook:
		a.EndsAt = 0
	default:
		if a.EndsAt != 0 && a.EndsAt <= testNow {
			a.Status = alert.Resolved
		}
		if noStart {
			a.StartsAt = a.EndsAt
		}
	}
	if a.EndsAt != 0 && a.EndsAt < a.StartsAt {
		a.StartsAt = 0
	}
	return a, len(a.Labels) > 0
}

func oraclePairs(raw json.RawMessage) alert.Labels {
	var m map[string]json.RawMessage
	if raw != nil && json.Unmarshal(raw, &m) != nil {
		return nil
	}
	var out alert.Labels
	for name, v := range m {
		text := string(v)
		switch v[0] {
		case '"':
			text = oracleString(v)
		case 'n':
			text = ""
		case '{', '[':
			text = string(spelled(v))
		}
		if text != "" {
			out = append(out, alert.Label{Name: name, Value: text})
		}
	}
	slices.SortFunc(out, func(a, b alert.Label) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// oracleString is empty for what is no string.
func oracleString(raw json.RawMessage) string {
	var s string
	if raw != nil && json.Unmarshal(strict(raw), &s) != nil {
		return ""
	}
	return s
}

// spelled is body with runes for its bytes that are not UTF-8, of which
// encoding/json would make U+FFFD.
func spelled(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); {
		r, n := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && n == 1 {
			r = 0xf700 + rune(body[i])
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return out
}

func oracleTime(raw json.RawMessage) alert.Time {
	if t, ok := slowTime(oracleString(raw)); ok {
		return t
	}
	return 0
}

// badTime reports a value that is neither a time nor null.
func badTime(raw json.RawMessage) bool {
	_, ok := slowTime(oracleString(raw))
	return !ok || raw != nil && json.Unmarshal(raw, new(string)) != nil
}

// hasTwins reports whether an object in valid JSON has a name twice, or two that
// differ in case alone, or one with half of a pair in it, which encoding/json does
// not tell from another.
func hasTwins(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	var names []map[string]bool // of each open bracket; nil for an array
	isName := false
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return false
		}
		top := len(names) - 1
		switch tok := tok.(type) {
		case json.Delim:
			switch tok {
			case '{':
				names, isName = append(names, map[string]bool{}), true
				continue
			case '[':
				names, isName = append(names, nil), false
				continue
			}
			names = names[:top]
			top--
		case string:
			if isName {
				if tok = strings.ToLower(tok); names[top][tok] || strings.Contains(tok, "\ufffd") {
					return true
				}
				names[top][tok] = true
				isName = false
				continue
			}
		}
		isName = top >= 0 && names[top] != nil
	}
}

// FuzzDecode holds every source against what is true of all of them, and
// against its oracle.
func FuzzDecode(f *testing.F) {
	sources := Sources()
	for i, src := range sources {
		for _, file := range caseFiles(f, src.Name) {
			f.Add(uint8(i), request(parseCase(f, file)))
		}
	}
	f.Fuzz(func(t *testing.T, pick uint8, body []byte) {
		src := sources[int(pick)%len(sources)]
		got := readAll(t, &src, body, testLimits())
		checkAlerts(t, got, testLimits())
		if again := readAll(t, &src, body, testLimits()); !reflect.DeepEqual(got, again) {
			t.Fatalf("read twice, %s differs:\n%s\n%s", body, got.alertText(), again.alertText())
		}
		tight := Limits{LabelNameBytes: minLabelNameBytes, LabelValueBytes: minLabelValueBytes, Labels: minLabels, Annotations: 1, AlertBytes: minAlertBytes}
		cut := readAll(t, &src, body, tight)
		checkAlerts(t, cut, tight)
		if len(cut.alerts) != len(got.alerts) {
			t.Fatalf("%d alerts, under tight limits %d", len(got.alerts), len(cut.alerts))
		}
		switch {
		case !json.Valid(strict(body)):
			if got.result.Quarantined == 0 && deepest(body) < maxDepth {
				t.Fatalf("%q is not JSON, but nothing is in quarantine", body)
			}
		case json.Valid(body) && len(body) < minAlertBytes && deepest(body) < maxDepth && oracles[src.Name] != nil && !hasTwins(spelled(body)):
			checkOracle(t, got, spelled(body), oracles[src.Name])
		}
	})
}

func checkAlerts(t *testing.T, r *reading, l Limits) {
	t.Helper()
	for i := range r.alerts {
		a := &r.alerts[i]
		if len(a.Labels) == 0 || len(a.Labels) > l.Labels || len(a.Annotations) > l.Annotations || size(a) > l.AlertBytes {
			t.Fatalf("%d labels, %d annotations, %d bytes", len(a.Labels), len(a.Annotations), size(a))
		}
		if a.Fingerprint != a.Labels.Fingerprint() {
			t.Fatalf("%s has the fingerprint %s", a.Labels, a.Fingerprint)
		}
		for _, set := range []alert.Labels{a.Labels, a.Annotations} {
			for j, p := range set {
				if p.Value == "" || j > 0 && set[j-1].Name >= p.Name || len(p.Name) > l.LabelNameBytes || len(p.Value) > l.LabelValueBytes {
					t.Fatalf("not in form: %s", set)
				}
				if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value) {
					t.Fatalf("not UTF-8: %q", p)
				}
			}
		}
	}
}

func checkOracle(t *testing.T, got *reading, body []byte, oracle func([]byte) ([]alert.Alert, int)) {
	t.Helper()
	want, quarantined := oracle(body)
	if got.result.Quarantined != quarantined || len(got.alerts) != len(want) {
		t.Fatalf("%s\n%d alerts and %d in quarantine, want %d and %d", body, len(got.alerts), got.result.Quarantined, len(want), quarantined)
	}
	for i := range want {
		g, w := got.alerts[i], &want[i]
		if long(w) {
			continue
		}
		if !g.Labels.Equal(w.Labels) || !g.Annotations.Equal(w.Annotations) || g.StartsAt != w.StartsAt || g.EndsAt != w.EndsAt ||
			g.GeneratorURL != w.GeneratorURL || g.Status != w.Status {
			t.Fatalf("%s\nalert %d:\n got %+v\nwant %+v", body, i, g, *w)
		}
	}
}

// long reports whether a has a name over the limit, which is cut.
func long(a *alert.Alert) bool {
	isLong := func(l alert.Label) bool { return len(l.Name) > DefaultLabelNameBytes }
	return slices.ContainsFunc(a.Labels, isLong) || slices.ContainsFunc(a.Annotations, isLong)
}
