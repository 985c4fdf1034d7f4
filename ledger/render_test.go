package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if it should, run go test ./ledger -update\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

// week is a plausible week: a storm grouped into pages, a flapping disk, a
// silence, and much repetition.
func week() *Ledger { return foldWeek(open()) }

func foldWeek(l *Ledger) *Ledger {
	for i := range 40 {
		t := time.Duration(i) * 4 * time.Hour
		fp := alert.Fingerprint(100 + i)
		first := onset(t, fp, uint32(i%3), correlate.Pending)
		first.Incident = uint64(i/4 + 1)
		if i%4 == 0 {
			fold(l, correlate.Row{At: at(t), Action: correlate.IncidentOpened, Incident: first.Incident})
		}
		now, paged := correlate.Grouped, alert.Critical
		switch {
		case i%4 == 0:
			now, paged = correlate.Paged, alert.Unset
		case i%3 == 1:
			now, paged = correlate.Silenced, alert.Unset
		}
		second := move(t+30*time.Second, fp, uint32(i%3), correlate.Pending, now, paged)
		second.Incident, second.Delay = first.Incident, time.Duration(1+i)*time.Second
		fold(l, first, second)
		l.FoldRepeats(at(t+time.Minute), uint32(i%3), 100)
		if now == correlate.Paged {
			l.FoldReceipt(receipt(first.Incident, 1, correlate.Page, "pagerduty[0]", correlate.Accepted))
			l.FoldReceipt(receipt(first.Incident, 1, correlate.Page, "slack[0]", correlate.Accepted))
		}
		closed := correlate.Row{At: at(t + 4*time.Minute), Action: correlate.Delivered, Verdict: dedupe.Resolved, Now: correlate.Closed, Fingerprint: fp, Dim: uint32(i % 3)}
		fold(l, closed, end(t+4*time.Minute, fp, uint32(i%3), now))
		if i%3 == 1 {
			again := onset(t+10*time.Minute, fp, 1, correlate.Flapping)
			again.Verdict = dedupe.Reopened
			fold(l, again, end(t+time.Hour, fp, 1, correlate.Flapping))
		}
	}
	fold(l, correlate.Row{At: at(159 * time.Hour), Action: correlate.PagedRaw, Fingerprint: 139, Cause: "oncall"})
	return fold(l, onset(160*time.Hour, 900, 0, correlate.Pending), onset(160*time.Hour, 901, 1, correlate.Held))
}

// bad is a report with everything that must not be overlooked, and names that
// mean harm.
func bad() *Ledger {
	l := New(func(n uint32) correlate.Dim {
		return []correlate.Dim{
			{Source: "evil\x1b[2Jsource", Rule: "a|b`c``d\r\n| x | @everyone <script>", Service: "\u202eecivres", Severity: alert.Critical},
			{Source: "quiet", Rule: strings.Repeat("VeryLongRuleName", 20), Severity: alert.Critical},
			{Source: "quiet", Rule: "Ähm…ß日本語", Service: "x\x07y\xff", Severity: alert.Critical},
		}[n]
	}, Options{})
	for i := range uint32(3) {
		first := onset(time.Duration(i)*time.Minute, alert.Fingerprint(i+1), 0, correlate.Flapping)
		first.Dim, first.Severity = i, alert.Critical
		first.Verdict = dedupe.Reopened
		fold(l, first)
	}
	below := onset(time.Hour, 9, 0, correlate.BelowThreshold)
	lost := onset(time.Hour, 10, 0, correlate.NoDisposition)
	below.Dim, below.Severity, lost.Dim, lost.Severity = 1, alert.Critical, 1, alert.Info
	return fold(l, below, lost)
}

func TestGoldenReports(t *testing.T) {
	f := func(name string, write func(io.Writer) error) {
		t.Helper()
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, name, b.Bytes())
	}
	for name, l := range map[string]*Ledger{"empty": open(), "week": week(), "bad": bad()} {
		r := l.Report(5)
		f(name+".txt", func(w io.Writer) error { return Render(w, r, RenderOptions{}) })
		f(name+".md", func(w io.Writer) error { return Markdown(w, r) })
		f(name+".json", func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", " ")
			return enc.Encode(r)
		})
	}
	f("week_color_wide.txt", func(w io.Writer) error {
		return Render(w, week().Report(2), RenderOptions{Color: true, Width: 120, ASCII: true})
	})
	f("bad_color.txt", func(w io.Writer) error { return Render(w, bad().Report(2), RenderOptions{Color: true}) })
}

// A report that came as JSON, as from a server, reads the same.
func TestReportSurvivesJSON(t *testing.T) {
	for _, l := range []*Ledger{open(), week(), bad()} {
		r := l.Report(5)
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Report
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		if err := errors.Join(Render(&a, r, RenderOptions{}), Render(&b, &back, RenderOptions{})); err != nil {
			t.Fatal(err)
		}
		if a.String() != b.String() {
			t.Errorf("got\n%s\nwant\n%s", b.String(), a.String())
		}
	}
}

func TestReportKeys(t *testing.T) {
	raw, err := json.Marshal(week().Report(1))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"deliveries", "onsets", "incidents", "notifications", "pages", "swallowed_criticals", "dispositions", "pending", "balanced",
		"ratios", "added_delay", "by_source", "top_rules", "top_services", "flappers", "self_resolved_under_5m", "hours", "since", "until",
	} {
		if _, ok := keys[key]; !ok {
			t.Errorf("no key %q", key)
		}
	}
	if strings.Contains(string(raw), "null") {
		t.Errorf("a list is null: %s", raw)
	}
}

func TestRenderingFitsAndIsHarmless(t *testing.T) {
	for _, width := range []int{0, 1, 80, 100, 160, 1000} {
		for _, l := range []*Ledger{open(), week(), bad()} {
			var b bytes.Buffer
			if err := Render(&b, l.Report(50), RenderOptions{Width: width}); err != nil {
				t.Fatal(err)
			}
			if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && (r < ' ' || r == 0x7f || r == '\u202e') }); i >= 0 {
				t.Errorf("width %d: %q is in the text", width, b.String()[i:i+1])
			}
			want := map[int]int{0: 80, 1: 80, 1000: 160}[width]
			if want == 0 {
				want = width
			}
			for line := range strings.Lines(b.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > want {
					t.Errorf("width %d: a line of %d characters: %s", width, n, line)
				}
			}
		}
	}
}

func TestFailingWriter(t *testing.T) {
	w := failing{}
	rows, _ := week().Trail().Alert(100)
	for name, err := range map[string]error{
		"Render":          Render(w, week().Report(1), RenderOptions{}),
		"Markdown":        Markdown(w, week().Report(1)),
		"Explain":         Explain(w, rows, ExplainOptions{}),
		"ExplainIncident": ExplainIncident(w, rows, ExplainOptions{}),
	} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s returned %v", name, err)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOrderIsStable(t *testing.T) {
	l := New(func(n uint32) correlate.Dim {
		return correlate.Dim{Source: "s", Rule: fmt.Sprintf("rule%d", 9-n), Service: fmt.Sprintf("svc%d", n)}
	}, Options{})
	for i := range uint32(9) {
		row := onset(0, alert.Fingerprint(i+1), 0, correlate.Paged)
		row.Dim, row.Verdict = i, dedupe.Reopened
		l.Fold(&row)
	}
	r := l.Report(4)
	var rules, services, flappers []string
	for i := range 4 {
		rules, services, flappers = append(rules, r.TopRules[i].Name), append(services, r.TopServices[i].Name), append(flappers, r.Flappers[i].Rule)
	}
	if !slices.IsSorted(rules) || !slices.IsSorted(services) || !slices.IsSorted(flappers) || len(r.TopRules) != 4 {
		t.Errorf("ties are not in the order of names: %v %v %v", rules, services, flappers)
	}
}

func TestNumbersInWords(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	p := func(v float64) string { return percent(&v) }
	f(count(0), "0")
	f(count(999), "999")
	f(count(1000), "1,000")
	f(count(1<<64-1), "18,446,744,073,709,551,615")
	f(percent(nil), "n/a")
	f(p(0), "0.0 %")
	f(p(1), "100.0 %")
	f(p(0.99999), ">99.9 %")
	f(p(0.00001), "<0.1 %")
	f(p(-0.5), "-50.0 %")
	f(p(0.12345), "12.3 %")
	f(seconds(0), "0 ms")
	f(seconds(0.0005), "0.5 ms")
	f(seconds(0.0123456), "12.3 ms")
	f(seconds(0.9999), "1 s")
	f(seconds(1.234), "1.23 s")
	f(seconds(30), "30 s")
	f(seconds(59.7), "1 min 0 s")
	f(seconds(90), "1 min 30 s")
	f(seconds(3661), "1 h 1 min")
	f(cell("", 9), "(none)")
	f(cell("abcdef", 4), "abc…")
	f(clean("a\x1b[31m\n\u200bb"), "a\ufffd[31m \ufffdb")
	f(codeSpan("a|b"), "`a\\|b`")
	f(codeSpan("`a``"), "``` `a`` ```")
	f(left("é", 3)+right("é", 3), "é    é")
}
