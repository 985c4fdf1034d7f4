package hostile

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// The doors that cases go through.
const (
	Alertmanager = "alertmanager" // /ingest/alertmanager
	Prometheus   = "prometheus"   // /ingest/prometheus, and /api/v2/alerts as well
)

// Now is when every case is received.
const Now = "2025-06-01T12:00:00Z"

// Case is one request and what must become of it. Unless it says otherwise the
// request is a POST with the credentials of its sender.
type Case struct {
	Family string // of cases alike
	Name   string // unique within the family and source
	Source string

	Method string            // "" for POST
	Path   string            // "" for the doors of the source
	Header map[string]string // "" takes a header away

	// Body makes the bytes that are sent, the same each time.
	Body func() []byte
	// Chunked sends them without saying how many there are.
	Chunked bool
	// Breaks lets the connection break behind them.
	Breaks bool
	// Plain is the size of the body decompressed, where that is another one.
	Plain int

	Want Want
}

// String names the case.
func (c *Case) String() string { return c.Family + "/" + c.Source + "/" + c.Name }

// Want is what must hold.
type Want struct {
	// Code is the answer; 0 is 200, or 400 at /api/v2/alerts where there are
	// problems.
	Code int

	// Firing and Resolved count the alerts that must be accepted. Firing is
	// Some where that depends on how far a compressed body can be read.
	Firing, Resolved int

	// Problems counts what is to be reported, Quarantined the pieces in
	// quarantine. Problems is Some for one at least, and Any for none or more.
	Problems, Quarantined int

	Marks    alert.Mark     // that each alert must have, others allowed
	Unmarked bool           // no alert may have a mark
	Severity alert.Severity // of each alert, where it is not Unset
	Distinct bool           // no two alerts may have one fingerprint
}

// Figures that are not counts.
const (
	Some = -1
	Any  = -2
)

// family makes the cases of one kind.
type family struct {
	name  string
	cases func(add func(Case))
}

var families = []family{
	{"types", types}, {"positions", positions}, {"truncated", truncated}, {"syntax", syntax}, {"numbers", numbers},
	{"depth", depth}, {"around", around}, {"formats", formats},
	{"utf8", damage}, {"controls", controls}, {"escapes", escapes}, {"names", names}, {"injection", injection},
	{"duplicates", duplicates}, {"severity", severities}, {"sizes", sizes}, {"counts", counts}, {"cardinality", cardinality},
	{"empty", empty}, {"envelope", envelope}, {"times", times},
	{"content", content}, {"gzip", zipped}, {"bombs", bombs}, {"doors", doors}, {"wire", wire},
}

// Families lists the kinds of cases, in order.
func Families() []string {
	var out []string
	for _, f := range families {
		out = append(out, f.name)
	}
	return out
}

// Cases yields every case.
func Cases() iter.Seq[*Case] {
	return func(yield func(*Case) bool) {
		for _, f := range families {
			var all []Case
			f.cases(func(c Case) {
				c.Family = f.name
				all = append(all, c)
			})
			for i := range all {
				if !yield(&all[i]) {
					return
				}
			}
		}
	}
}

// element is one member of a list of alerts.
type element struct {
	json string
	is   verdict
}

// verdict is what must become of an element.
type verdict uint8

const (
	good    verdict = iota // accepted, firing
	flawed                 // accepted, firing, and something wrong with it reported
	refused                // in quarantine
	over                   // accepted, resolved
)

// plain is a good alert, another one for each n.
func plain(n int) element {
	return element{json: `{"labels":{"alertname":"Plain","severity":"critical","n":"` + strconv.Itoa(n) +
		`"},"annotations":{"summary":"number ` + strconv.Itoa(n) + `"},"startsAt":"2025-06-01T11:59:00Z"}`}
}

// labelled is a good alert with these members beside its labels.
func labelled(members string) element {
	return element{json: `{"labels":{"alertname":"Hostile","severity":"critical"},` + members + `}`}
}

// withLabels is a good alert with these labels beside its name.
func withLabels(labels string) element {
	return element{json: `{"labels":{"alertname":"Hostile","severity":"critical",` + labels + `}}`}
}

// list writes elements as a source does.
func list(source string, elements ...element) []byte {
	var b strings.Builder
	open, end := "[", "]"
	if source == Alertmanager {
		open, end = `{"version":"4","status":"firing","alerts":[`, `],"truncatedAlerts":0}`
	}
	b.WriteString(open)
	for i := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(elements[i].json)
	}
	b.WriteString(end)
	return []byte(b.String())
}

// expect adds up what must become of elements.
func expect(elements ...element) Want {
	var w Want
	for i := range elements {
		switch elements[i].is {
		case good:
			w.Firing++
		case flawed:
			w.Firing++
			w.Problems++
		case refused:
			w.Quarantined++
			w.Problems++
		case over:
			w.Resolved++
		}
	}
	return w
}

// both is a list of elements at each source. Change alters what must hold.
func both(add func(Case), name string, elements []element, change ...func(*Want)) {
	for _, source := range []string{Alertmanager, Prometheus} {
		w := expect(elements...)
		for _, f := range change {
			f(&w)
		}
		add(Case{Name: name, Source: source, Want: w, Body: func() []byte { return list(source, elements...) }})
	}
}

// one is a list of one element at each source.
func one(add func(Case), name string, e element, change ...func(*Want)) {
	both(add, name, []element{e}, change...)
}

func marked(m alert.Mark) func(*Want) { return func(w *Want) { w.Marks = m } }
func unmarked(w *Want)                { w.Unmarked = true }
func severe(s alert.Severity) func(*Want) {
	return func(w *Want) { w.Severity = s }
}

// unreadable is a body of which nothing, or nothing further, can be read.
func unreadable(accepted int) Want { return Want{Firing: accepted, Problems: 1, Quarantined: 1} }

// text is a body that needs no making.
func text(s string) func() []byte { return func() []byte { return []byte(s) } }

// clip makes a name of a string of any kind.
func clip(s string) string {
	const most = 40
	q := strconv.QuoteToASCII(s)
	q = q[1 : len(q)-1]
	if len(q) > most {
		q = fmt.Sprintf("%s…%d", q[:most], len(s))
	}
	return q
}
