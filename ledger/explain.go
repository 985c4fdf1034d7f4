package ledger

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

// ExplainOptions say what the rows themselves do not.
type ExplainOptions struct {
	// Labels are those of the alert that is explained.
	Labels alert.Labels

	// Older says that rows before the first were overwritten, as Trail tells.
	Older bool

	// Deliveries counts the alert's deliveries in this episode, repeats
	// included; 0 where it is not known.
	Deliveries uint64

	// Incident is what the alert belongs to, or what is explained.
	Incident *IncidentSummary

	// Degraded are the times in which Winnow did less than all of its work; those
	// that meet the rows are named.
	Degraded []Degradation

	// LabelsOf names other alerts that rows point to; nil, or an empty answer,
	// leaves their fingerprints.
	LabelsOf func(alert.Fingerprint) alert.Labels
}

// IncidentSummary is an incident in one line.
type IncidentSummary struct {
	ID       uint64
	Opened   alert.Time
	Closed   alert.Time // zero while it stands
	Severity alert.Severity
	Firing   int
	Resolved int
	Receiver string
}

// Explain writes what became of one alert and why, a line for each row, in the
// log's time, UTC. rows are those of Trail.Alert.
func Explain(w io.Writer, rows []correlate.Row, opts ExplainOptions) error {
	e := &explainer{opts: opts}
	e.line("%s", e.name(opts.Labels, 0))
	if len(rows) > 0 {
		e.line("%s", rows[0].Fingerprint)
		e.line("")
		e.line("%s", e.outcome(rows))
	}
	if opts.Deliveries > 0 {
		e.line("Delivered %s in this episode, repeats included.", times(opts.Deliveries))
	}
	if opts.Incident != nil {
		e.line("%s", e.incident(opts.Incident))
	}
	return e.write(w, rows, false)
}

// ExplainIncident writes how an incident came about and who was told, a line
// for each row. rows are those of Trail.Incident.
func ExplainIncident(w io.Writer, rows []correlate.Row, opts ExplainOptions) error {
	e := &explainer{opts: opts}
	if opts.Incident != nil {
		e.line("%s", e.incident(opts.Incident))
	} else if len(rows) > 0 {
		e.line("%s", correlate.IncidentName(rows[0].Incident))
	}
	return e.write(w, rows, true)
}

type explainer struct {
	b    strings.Builder
	opts ExplainOptions
	day  string
}

func (e *explainer) line(format string, args ...any) {
	e.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	e.b.WriteByte('\n')
}

func (e *explainer) write(w io.Writer, rows []correlate.Row, named bool) error {
	if e.opts.Older {
		e.line("\nOlder rows were overwritten: the trail begins in the middle.")
	}
	if len(rows) == 0 {
		e.line("\nNo row of it is kept.")
	}
	e.degraded(rows)
	for i := range rows {
		r := &rows[i]
		if day := r.At.Std().Format("2006-01-02"); day != e.day && r.At != 0 {
			e.day = day
			e.line("\n%s UTC", day)
		}
		s := e.sentence(r)
		if named && r.Fingerprint != 0 {
			s = e.alertName(r.Fingerprint) + ": " + s
		}
		e.line("  %s  %s", clock(r.At), s)
	}
	_, err := io.WriteString(w, e.b.String())
	return err
}

// sentence tells one row in plain words.
func (e *explainer) sentence(r *correlate.Row) string {
	switch r.Action {
	case correlate.Delivered:
		if words := e.became(r); words != "" {
			return verdictWords(r.Verdict) + ", " + words
		}
		return verdictWords(r.Verdict)
	case correlate.Moved:
		if unpaged(r) {
			return "after all " + e.became(r) + " (its episode of " + clock(r.Until) + ")"
		}
		return e.became(r) + after(r)
	case correlate.Ended:
		return "the episode is over; it stayed " + r.Now.String()
	case correlate.IncidentOpened:
		if r.Now == correlate.Storm {
			return correlate.IncidentName(r.Incident) + " opened for a storm: too many groups at once" + forReceiver(r.Cause)
		}
		return correlate.IncidentName(r.Incident) + " opened"
	case correlate.IncidentClosed:
		return correlate.IncidentName(r.Incident) + " closed"
	case correlate.Notified:
		return fmt.Sprintf("%s decided%s at %s, because of: %s", notificationName(r), to(r.Cause), r.Severity, r.Reason)
	case correlate.ReceiptReceived:
		return notificationName(r) + " " + clean(r.Cause)
	case correlate.SourceSilent:
		return "source " + or(clean(r.Cause), "(unnamed)") + " fell silent: what it said last is kept as it stood"
	case correlate.SourceHeard:
		return "source " + or(clean(r.Cause), "(unnamed)") + " was heard again"
	case correlate.Stepped:
		return fmt.Sprintf("Winnow went to L%d of its ladder%s", r.Revision, because(r.Cause))
	case correlate.PagedRaw:
		return "paged as it came, past the core" + to(r.Cause)
	case correlate.Adjusted:
		return fmt.Sprintf("what was to come was put off by %s%s", r.Delay, because(r.Cause))
	case correlate.ClockSet:
		return fmt.Sprintf("the clock was set by %s", r.Delay)
	}
	return r.Action.String()
}

func verdictWords(v dedupe.Verdict) string {
	switch v {
	case dedupe.First:
		return "first seen"
	case dedupe.Repeat:
		return "delivered again"
	case dedupe.Changed:
		return "delivered again with other annotations"
	case dedupe.Reopened:
		return "fired again after it was resolved"
	case dedupe.Resolved:
		return "resolved by its sender"
	case dedupe.Stray:
		return "its end was delivered"
	}
	return "delivered"
}

// became says what a row's disposition means, with what is behind it.
func (e *explainer) became(r *correlate.Row) string {
	const notPaged = "not paged because "
	switch r.Now {
	case correlate.Pending:
		return "pending until " + clock(r.Until) + in(r)
	case correlate.Paged:
		return "paged" + to(r.Cause) + inIncident(r.Incident)
	case correlate.Grouped:
		return "grouped into " + incidentOr(r.Incident, "an incident") + ", paged" + to(r.Cause) + " at " + r.Paged.String()
	case correlate.Repeat:
		return "nothing new in it"
	case correlate.Held:
		return "held until " + clock(r.Until) + " to see whether it goes away by itself"
	case correlate.Flapping:
		return notPaged + "it fires and resolves too often"
	case correlate.Silenced:
		return notPaged + "silenced by " + or(r.Cause, "a silence")
	case correlate.Inhibited:
		return notPaged + "inhibited by " + e.cause(r.Cause)
	case correlate.Muted:
		return notPaged + "muted by time interval " + or(r.Cause, "(unnamed)")
	case correlate.ResolvedBeforePage:
		if tells(r.Was) {
			return notPaged + "it ended before anybody confirmed " + notificationOr(r, "what names it")
		}
		return notPaged + "it ended before its page was due"
	case correlate.BelowThreshold:
		return notPaged + "nobody is behind receiver " + or(r.Cause, "(unnamed)")
	case correlate.Storm:
		if r.Paged == alert.Unset {
			return "counted in the storm " + or(r.Cause, "(unnamed)") + ", not named in it"
		}
		return "named in the storm " + or(r.Cause, "(unnamed)") + ", paged at " + r.Paged.String()
	case correlate.Closed:
		return "which ended the alert"
	case correlate.Stray:
		return "but it was never seen firing"
	case correlate.Quarantined:
		return "could not be read; its bytes are kept" + because(r.Cause)
	}
	return "without a disposition"
}

// outcome is the last word on the alert's latest episode.
func (e *explainer) outcome(rows []correlate.Row) string {
	var last, end *correlate.Row
	var began alert.Time
	for i := range rows {
		switch r := &rows[i]; {
		case r.Action == correlate.Delivered && (r.Verdict == dedupe.First || r.Verdict == dedupe.Reopened):
			last, end, began = r, nil, r.At
		case unpaged(r) && began != 0 && r.Until != began: // of an episode before
		case r.Action == correlate.Moved:
			last = r
		case r.Action == correlate.Ended:
			end = r
		}
	}
	if last == nil {
		return "What became of it is not in the rows that are kept."
	}
	words := e.became(last)
	s := strings.ToUpper(words[:1]) + words[1:] + ", decided at " + clock(last.At) + after(last)
	if end != nil {
		s += "; over since " + clock(end.At)
	}
	return s + "."
}

func (e *explainer) incident(s *IncidentSummary) string {
	state := "open since " + moment(s.Opened)
	if s.Closed != 0 {
		state = "open from " + moment(s.Opened) + " to " + moment(s.Closed)
	}
	return fmt.Sprintf("%s, %s, %s, %d firing, %d resolved, receiver %s.", correlate.IncidentName(s.ID), s.Severity, state, s.Firing, s.Resolved, or(s.Receiver, "(none)"))
}

// cause names the alert behind a fingerprint, where it is one.
func (e *explainer) cause(s string) string {
	fp, err := alert.ParseFingerprint(s)
	if err != nil {
		return or(s, "another alert")
	}
	return e.alertName(fp)
}

func (e *explainer) alertName(fp alert.Fingerprint) string {
	var ls alert.Labels
	if e.opts.LabelsOf != nil {
		ls = e.opts.LabelsOf(fp)
	}
	return e.name(ls, fp)
}

// maxName bounds a label set in a sentence, in characters.
const maxName = 160

// name writes alertname{other labels}.
func (e *explainer) name(ls alert.Labels, fp alert.Fingerprint) string {
	if len(ls) == 0 {
		if fp == 0 {
			return "(an alert without labels)"
		}
		return fp.String()
	}
	rest := make(alert.Labels, 0, len(ls))
	name := ""
	for _, l := range ls {
		if l.Name == "alertname" {
			name = l.Value
		} else {
			rest = append(rest, l)
		}
	}
	return cell(name+rest.String(), maxName)
}

func notificationOr(r *correlate.Row, otherwise string) string {
	if r.Incident == 0 || r.Revision == 0 {
		return otherwise
	}
	return fmt.Sprintf("%s/%d", correlate.IncidentName(r.Incident), r.Revision)
}

func notificationName(r *correlate.Row) string {
	return fmt.Sprintf("%s/%d %s", correlate.IncidentName(r.Incident), r.Revision, r.Kind)
}

// in is what a page waits for: "(group_wait of INC-7)".
func in(r *correlate.Row) string {
	switch {
	case r.Cause != "" && r.Incident != 0:
		return " (" + clean(r.Cause) + " of " + correlate.IncidentName(r.Incident) + ")"
	case r.Cause != "":
		return " (" + clean(r.Cause) + ")"
	case r.Incident != 0:
		return " (" + correlate.IncidentName(r.Incident) + ")"
	}
	return ""
}

func inIncident(id uint64) string {
	if id == 0 {
		return ""
	}
	return " in " + correlate.IncidentName(id)
}

func incidentOr(id uint64, otherwise string) string {
	if id == 0 {
		return otherwise
	}
	return correlate.IncidentName(id)
}

func to(receiver string) string {
	if receiver == "" {
		return ""
	}
	return " to " + clean(receiver)
}

func forReceiver(name string) string {
	if name == "" {
		return ""
	}
	return " for " + clean(name)
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return ": " + clean(cause)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return clean(s)
}

// after is the delay of a decision to tell somebody.
func after(r *correlate.Row) string {
	if !heard(r.Now, r.Paged) || r.Delay < time.Millisecond {
		return ""
	}
	return ", " + seconds(r.Delay.Seconds()) + " after it came"
}

// clock writes a time of day, with milliseconds where there are any.
func clock(t alert.Time) string {
	switch {
	case t == 0:
		return "(no time)"
	case t%alert.Time(time.Second) == 0:
		return t.Std().Format("15:04:05")
	}
	return t.Std().Format("15:04:05.000")
}

func moment(t alert.Time) string {
	if t == 0 {
		return "(no time)"
	}
	return t.Std().Format("2006-01-02 ") + clock(t)
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return count(n) + " times"
}
