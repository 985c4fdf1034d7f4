package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"net/url"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/logs"
	"github.com/winnowhq/winnow/sinks"
)

// line is what comes behind the doors: the log's encoding, the core, the sinks
// of our own and the log for people.
type line struct {
	config   *config.Config
	pages    string // the file of the jsonl sink
	own      []sinks.Integration
	printed  bytes.Buffer
	loggers  []*zap.Logger
	logged   []*bytes.Buffer
	segment  frame.Segment
	decoder  frame.Decoder
	sequence uint64
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{pages: filepath.Join(t.TempDir(), "pages.jsonl")}
	c, err := config.Parse("line", fmt.Appendf(nil, `
route: {receiver: oncall, group_by: [alertname], group_wait: 0s}
receivers: [{name: oncall}]
winnow: {sinks: [{receiver: oncall, stdout: {}}, {receiver: oncall, jsonl: {path: %q}}]}
`, l.pages))
	if err != nil {
		t.Fatal(err)
	}
	l.config = c
	r, err := sinks.Build(c.Alertmanager, c.Winnow.Sinks, sinks.BuildOptions{ExternalURL: &url.URL{Scheme: "http", Host: "winnow.example"}, Stdout: &l.printed})
	if err != nil {
		t.Fatal(err)
	}
	l.own = r["oncall"]
	for _, format := range []string{logs.JSON, logs.Logfmt} {
		b := new(bytes.Buffer)
		logger, err := logs.New(b, "debug", format)
		if err != nil {
			t.Fatal(err)
		}
		l.loggers, l.logged = append(l.loggers, logger), append(l.logged, b)
	}
	return l
}

// follow takes what came in to its end.
func (l *line) follow(t *testing.T, c *Case, o *outcome) {
	t.Helper()
	for i := range o.batches {
		l.encode(t, c, &o.batches[i])
	}
	notifications := l.decide(t, c, o)
	const most = 20 // of a kind; a storm shows nothing that its first did not
	for i := range min(len(notifications), most) {
		l.print(t, c.String(), &notifications[i], enrich.Context{})
	}
	for i := range min(len(o.alerts), most) {
		l.write(t, c.String(), &o.alerts[i])
	}
}

// encode writes a batch as the log holds it and reads it back.
func (l *line) encode(t *testing.T, c *Case, b *ingest.Batch) {
	t.Helper()
	l.segment.Reset()
	l.segment.AddAlerts(b.Source, b.Validity, b.Alerts)
	for _, q := range b.Quarantined {
		err := l.segment.Add(&frame.Event{Kind: frame.Quarantine, Quarantine: &frame.Quarantined{
			Source: b.Source, Reason: q.Reason, Pointer: q.Pointer, Offset: q.Offset, Alerts: q.Alerts, Raw: q.Raw,
		}})
		if err != nil {
			t.Errorf("%s: encode: %v", c, err)
		}
	}
	l.sequence++
	message := frame.Append(nil, frame.Header{Counter: l.sequence}, l.segment.Append(nil))
	if len(message) > frame.MaxBytes {
		t.Errorf("%s: a frame of %d bytes", c, len(message))
	}
	alerts, quarantined := b.Alerts, b.Quarantined
	h, err := l.decoder.Decode(message, func(e *frame.Event) error {
		switch e.Kind {
		case frame.Alerts:
			for i := range e.Alerts {
				if len(alerts) == 0 || !same(&e.Alerts[i], &alerts[0]) {
					return fmt.Errorf("alert %d differs: %.300q", i, e.Alerts[i].Labels)
				}
				alerts = alerts[1:]
			}
		case frame.Quarantine:
			q := e.Quarantine
			if len(quarantined) == 0 || q.Reason != quarantined[0].Reason || q.Pointer != quarantined[0].Pointer || q.Offset != quarantined[0].Offset ||
				q.Alerts != quarantined[0].Alerts || !bytes.Equal(q.Raw, quarantined[0].Raw) {
				return fmt.Errorf("quarantine differs: %q", q.Reason)
			}
			quarantined = quarantined[1:]
		default:
			return fmt.Errorf("an event of kind %d", e.Kind)
		}
		return nil
	})
	if err != nil || h.Counter != l.sequence || len(alerts)+len(quarantined) > 0 {
		t.Errorf("%s: read back from the log: %v, frame %d, %d alerts and %d pieces missing", c, err, h.Counter, len(alerts), len(quarantined))
	}
}

func same(a, b *alert.Alert) bool {
	return a.Labels.Equal(b.Labels) && a.Annotations.Equal(b.Annotations) && a.Fingerprint == b.Fingerprint && a.StartsAt == b.StartsAt && a.EndsAt == b.EndsAt &&
		a.GeneratorURL == b.GeneratorURL && a.Status == b.Status && a.Marks == b.Marks
}

// decide feeds a core and holds that every alert that fires is paged.
func (l *line) decide(t *testing.T, c *Case, o *outcome) []correlate.Notification {
	t.Helper()
	core, err := correlate.NewCore(&l.config.Policy)
	if err != nil {
		t.Fatal(err)
	}
	at := alert.TimeOf(now)
	var out correlate.Output
	core.At(1)
	core.Advance(&out, at)
	for i := range o.batches {
		b := &o.batches[i]
		for k := range b.Alerts {
			core.Observe(&out, at, b.Source, b.Validity, &b.Alerts[k])
		}
		for _, q := range b.Quarantined {
			for range max(q.Alerts, 1) {
				core.Quarantine(&out, at, b.Source, q.Reason)
			}
		}
	}
	core.Advance(&out, at)

	delivered := 0
	became := map[alert.Fingerprint]correlate.Disposition{}
	for i := range out.Rows {
		r := &out.Rows[i]
		switch {
		case r.Action == correlate.Delivered:
			delivered++
			if r.Now == correlate.NoDisposition {
				t.Errorf("%s: a delivery without a disposition", c)
			}
			if r.Now == correlate.Pending {
				became[r.Fingerprint] = r.Now
			}
		case r.Action == correlate.Moved:
			became[r.Fingerprint] = r.Now
		}
	}
	if want := len(o.alerts) + o.quarantined; delivered != want {
		t.Errorf("%s: %d deliveries in the accounts, want %d", c, delivered, want)
	}
	for i := range o.alerts {
		a := &o.alerts[i]
		if d := became[a.Fingerprint]; a.Status == alert.Firing && d != correlate.Paged && d != correlate.Grouped && d != correlate.Storm {
			t.Errorf("%s: %.200s fires and is %s", c, a.Labels, d)
		}
	}
	// Whatever is still to come must come without a panic.
	later := correlate.Output{}
	for range 5 {
		next, ok := core.Next()
		if !ok {
			break
		}
		core.Advance(&later, next)
	}
	return out.Notifications
}

// print holds that nothing but text reaches a terminal or a file of lines.
func (l *line) print(t *testing.T, name string, n *correlate.Notification, c enrich.Context) {
	t.Helper()
	textIsText(t, name, sinks.Format(n, c))
	l.printed.Reset()
	if err := os.Truncate(l.pages, 0); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, in := range l.own {
		if err := in.Send(t.Context(), &sinks.Message{Notification: n, Context: c, Key: n.GroupKey, Page: n.Kind == correlate.Page}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	textIsText(t, name, l.printed.String())
	b, err := os.ReadFile(l.pages)
	if err != nil {
		t.Fatal(err)
	}
	oneLine(t, name+" in a file of lines", b)
	var read sinks.Line
	if err := json.Unmarshal(b, &read); err != nil {
		t.Errorf("%s: a line that is no JSON: %v", name, err)
	} else if len(read.Notification.Alerts) != len(n.Alerts) || len(n.Alerts) > 0 && !read.Notification.Alerts[0].Labels.Equal(n.Alerts[0].Labels) {
		t.Errorf("%s: a line tells another story", name)
	}
}

// textIsText holds the form of what people read.
func textIsText(t *testing.T, name, s string) {
	t.Helper()
	for i, row := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		// An update is what names the criticals for which the page has no room.
		if heading := strings.HasPrefix(row, "PAGE INC-") || strings.HasPrefix(row, "UPDATE INC-"); heading != (i == 0) || !heading && !strings.HasPrefix(row, "  ") || len(row) > 4000 {
			t.Errorf("%s: line %d is not ours: %.200q", name, i, row)
		}
		if k := strings.IndexFunc(row, hidden); k >= 0 || !utf8.ValidString(row) {
			t.Errorf("%s: line %d has what a terminal obeys: %.200q", name, i, row)
		}
	}
	if lines := strings.Count(s, "\n"); lines > 60 {
		t.Errorf("%s: %d lines", name, lines)
	}
}

// hidden are characters that a terminal obeys, or that turn text.
func hidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// write logs an alert in both formats: one entry, one line.
func (l *line) write(t *testing.T, name string, a *alert.Alert) {
	t.Helper()
	for i, logger := range l.loggers {
		l.logged[i].Reset()
		logger.Named(clip(a.Name())).Warn("alert "+a.Name(), zap.Stringer("labels", a.Labels), zap.String("url", a.GeneratorURL), zap.Strings("marks", a.Marks.Names()),
			zap.Any("annotations", a.Annotations), zap.Error(fmt.Errorf("no page for %s", a.Labels)), zap.String(a.Labels[0].Name, a.Labels[0].Value), zap.ByteString("raw", []byte(a.Name())))
		oneLine(t, name+" in the log", l.logged[i].Bytes())
	}
}

func oneLine(t *testing.T, name string, b []byte) {
	t.Helper()
	row, ok := bytes.CutSuffix(b, []byte("\n"))
	if k := bytes.IndexFunc(row, hidden); !ok || k >= 0 || !utf8.Valid(row) {
		t.Errorf("%s: not one line of text, at %d: %.300q", name, k, b)
	}
}
