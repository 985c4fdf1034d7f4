package ingest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/winnowhq/winnow/alert"
)

var update = flag.Bool("update", false, "rewrite the golden sections of testdata")

// TestSources runs the recorded cases of every source. In a case the request
// stands under -- request --, its last line break not part of it; what is made
// of it, received at testNow, stands in the other two sections.
func TestSources(t *testing.T) {
	for _, src := range Sources() {
		files := caseFiles(t, src.Name)
		if len(files) < 12 {
			t.Errorf("%s has %d cases in testdata/%s; a source needs 12 at least", src.Name, len(files), src.Name)
		}
		for _, file := range files {
			t.Run(src.Name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				runCase(t, src, file)
			})
		}
	}
}

func runCase(t *testing.T, src Source, file string) {
	ar := parseCase(t, file)
	got := readAll(t, &src, request(ar), testLimits())
	want := map[string]string{"alerts": got.alertText(), "quarantined": got.quarantineText()}
	if *update {
		ar.Files = ar.Files[:1]
		for _, name := range []string{"alerts", "quarantined"} {
			ar.Files = append(ar.Files, txtar.File{Name: name, Data: []byte(want[name])})
		}
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(ar.Files) != 3 {
		t.Fatalf("%s: %d sections, want request, alerts, quarantined; run with -update", file, len(ar.Files))
	}
	for _, f := range ar.Files[1:] {
		text, ok := want[f.Name]
		if !ok {
			t.Errorf("%s: unknown section %q", file, f.Name)
		} else if text != string(f.Data) {
			t.Errorf("%s: %s\ngot:\n%s\nwant:\n%s", file, f.Name, text, f.Data)
		}
	}
}

func caseFiles(t testing.TB, source string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", source, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parseCase(t testing.TB, file string) *txtar.Archive {
	t.Helper()
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(ar.Comment) == 0 || len(ar.Files) == 0 || ar.Files[0].Name != "request" {
		t.Fatalf("%s: a case begins with a line that says what it shows, and -- request --", file)
	}
	return ar
}

func request(ar *txtar.Archive) []byte { return bytes.TrimSuffix(ar.Files[0].Data, []byte("\n")) }

// reading is what became of a body, kept beyond its batches.
type reading struct {
	alerts      []alert.Alert
	quarantined []Quarantine
	batches     []int // entries in each
	result      Result
}

func readAll(t testing.TB, src *Source, body []byte, limits Limits) *reading {
	t.Helper()
	r := new(reading)
	var err error
	r.result, err = Read(src, body, testNow, &limits, func(b *Batch) error {
		r.keep(t, src.Name, b)
		return nil
	})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if r.result.Accepted != len(r.alerts) || r.result.Quarantined != r.quarantinedPieces() {
		t.Fatalf("the result %+v does not count what was handed on: %d alerts, %d pieces", r.result, len(r.alerts), r.quarantinedPieces())
	}
	return r
}

func (r *reading) quarantinedPieces() int {
	n := 0
	for _, q := range r.quarantined {
		n += max(1, q.Alerts)
	}
	return n
}

// keep copies b and checks what holds for every batch.
func (r *reading) keep(t testing.TB, source string, b *Batch) {
	t.Helper()
	bytes := 0
	for i := range b.Alerts {
		bytes += size(&b.Alerts[i])
		r.alerts = append(r.alerts, b.Alerts[i].Clone())
	}
	for _, q := range b.Quarantined {
		bytes += q.size()
		q.Raw = append([]byte(nil), q.Raw...)
		r.quarantined = append(r.quarantined, q)
	}
	n := len(b.Alerts) + len(b.Quarantined)
	r.batches = append(r.batches, n)
	if n == 0 || n > MaxBatchAlerts || bytes > MaxBatchBytes || b.Source != source {
		t.Errorf("batch of %s: %d entries, %d bytes", b.Source, n, bytes)
	}
}

func (r *reading) alertText() string {
	var b strings.Builder
	for i := range r.alerts {
		a := &r.alerts[i]
		fmt.Fprintf(&b, "%s %s\n  fingerprint %s\n  from %s until %s\n", a.Status, a.Labels, a.Fingerprint, a.StartsAt, a.EndsAt)
		for _, l := range a.Annotations {
			fmt.Fprintf(&b, "  %s: %q\n", l.Name, l.Value)
		}
		if a.GeneratorURL != "" {
			fmt.Fprintf(&b, "  generator %q\n", a.GeneratorURL)
		}
		if a.Marks != 0 {
			fmt.Fprintf(&b, "  marks %s\n", strings.Join(a.Marks.Names(), " "))
		}
	}
	if r.result.Withheld > 0 {
		fmt.Fprintf(&b, "withheld by the sender: %d\n", r.result.Withheld)
	}
	return b.String()
}

func (r *reading) quarantineText() string {
	var b strings.Builder
	for _, q := range r.quarantined {
		what := "the rest of the body"
		if q.Alerts > 0 {
			what = fmt.Sprintf("alerts: %d", q.Alerts)
		}
		fmt.Fprintf(&b, "%s\n  at %q, byte %d, %s\n  %q\n", q.Reason, q.Pointer, q.Offset, what, q.Raw)
	}
	return b.String()
}
