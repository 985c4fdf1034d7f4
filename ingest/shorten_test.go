package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/winnowhq/winnow/alert"
)

// TestOneTextThatIsTooLargeHidesNoAlert sends bodies that are too large by what
// one label says: it is cut and marked, as one that is too long in a small body,
// and all alerts are taken.
func TestOneTextThatIsTooLargeHidesNoAlert(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.WriteString(`x\"`); b.Len() < 3<<20; {
		fmt.Fprintf(&b, `\u00e4é%x`, rng.Uint64())
	}
	huge := b.String()
	one := func(name, huge string) string {
		return fmt.Sprintf(`{"labels":{"alertname":%q,"huge":"%s","severity":"critical"},"annotations":{"a":"b\"c"}}`, name, huge)
	}
	body := []byte("[" + strings.Join([]string{one("before", "small"), one("huge", huge), one("huge", huge+"y"), one("huge", huge), one("after", "small")}, ",") + "]")
	f := func(what, source string, body []byte, header ...string) {
		t.Helper()
		b := newBench(t, `limits: {body_bytes: 1048576}`)
		w := b.do("POST", "/ingest/"+source, iotest.HalfReader(bytes.NewReader(body)), header...)
		r := b.got[source]
		if w.Code != 200 || r == nil || len(r.alerts) != 5 || len(r.quarantined) != 0 {
			t.Fatalf("%s: %d %s, %.300v", what, w.Code, w.Body, r)
		}
		for i := range r.alerts {
			a := &r.alerts[i]
			cut := i > 0 && i < 4
			if a.Labels.Severity() != alert.Critical || a.Annotations.Get("a") != `b"c` || (a.Marks&alert.MarkTruncated != 0) != cut || cut != strings.HasPrefix(a.Labels.Get("huge"), `x"äé`) {
				t.Errorf("%s: alert %d is %.200s, marks %b", what, i, a.Labels, a.Marks)
			}
		}
		if a := r.alerts; a[1].Fingerprint == a[2].Fingerprint || a[1].Fingerprint != a[3].Fingerprint {
			t.Errorf("%s: what differs behind the cut is one, or what does not is two: %s %s %s", what, a[1].Fingerprint, a[2].Fingerprint, a[3].Fingerprint)
		}
	}
	f("plain", "prometheus", body)
	f("compressed", "prometheus", zipped(body), "Content-Encoding", "gzip")
	f("a webhook", "alertmanager", []byte(`{"version":"4","status":"firing","alerts":`+string(body)+`}`))
}

// TestShortenerChangesNothingElse shortens JSON that comes in pieces of any size,
// in place: it stays JSON, what is short is as it was, and what is long keeps its
// beginning and is told apart.
func TestShortenerChangesNothingElse(t *testing.T) {
	limits := Limits{LabelValueBytes: 20}
	pieces := []string{"a", "é", "\u00e9", `\"`, `\\`, `\n`, "{", "[", ",", ":", "€", `\ud83d\ude00`}
	shortened := 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var text []byte
		text = append(text, '[')
		for i := range 1 + rng.IntN(5) {
			if i > 0 {
				text = append(text, ',')
			}
			s := ""
			for n := rng.IntN(150); len(s) < n; {
				s += pieces[rng.IntN(len(pieces))]
			}
			text = append(append(append(text, '"'), s...), '"')
		}
		text = append(text, ']')
		s := newShortener(&limits)
		whole := s.append(nil, text)

		s = newShortener(&limits)
		first := rng.IntN(len(text) + 1)
		rest := bytes.Clone(text[first:])
		got := bytes.Clone(text)
		got = s.append(got[:0], got[:first])
		for len(rest) > 0 {
			n := 1 + rng.IntN(len(rest))
			got = s.append(got, rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(got, whole) {
			t.Fatalf("seed %d: in pieces\n%s\nat once\n%s\nof\n%s", seed, got, whole, text)
		}
		var was, is []string
		if err := json.Unmarshal(text, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(whole, &is); err != nil || len(is) != len(was) {
			t.Fatalf("seed %d: %v: %s", seed, err, whole)
		}
		for i := range is {
			switch {
			case is[i] == was[i]:
			case len(was[i]) <= limits.LabelValueBytes:
				t.Fatalf("seed %d: %q became %q", seed, was[i], is[i])
			case len(is[i]) <= limits.LabelValueBytes || is[i][:limits.LabelValueBytes] != was[i][:limits.LabelValueBytes]:
				t.Fatalf("seed %d: %q became %q, which is not too long any more, or another", seed, was[i], is[i])
			default:
				shortened++
			}
		}
	}
	if shortened < 500 {
		t.Errorf("%d texts were too long", shortened)
	}
}
