package ledger

import (
	"bytes"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

func TestGoldenExplanations(t *testing.T) {
	labels := alert.Labels{{Name: "alertname", Value: "HighLatency"}, {Name: "pod", Value: "a\x1b[2J"}, {Name: "service", Value: "checkout"}}
	inhibitor := alert.Labels{{Name: "alertname", Value: "NodeDown"}, {Name: "node", Value: "n1"}}
	incident := &IncidentSummary{ID: 7, Opened: at(5 * time.Second), Severity: alert.Critical, Firing: 3, Resolved: 1, Receiver: "oncall"}
	opts := ExplainOptions{Labels: labels, Incident: incident, Deliveries: 1204, LabelsOf: func(fp alert.Fingerprint) alert.Labels {
		switch fp {
		case 1:
			return labels
		case 2:
			return inhibitor
		}
		return nil
	}}

	l := open()
	first := onset(5*time.Second, 1, 0, correlate.Pending)
	first.Incident, first.Cause, first.Until = 7, "group_wait", at(35*time.Second)
	grouped := move(35*time.Second, 1, 0, correlate.Pending, correlate.Grouped, alert.Critical)
	grouped.Incident, grouped.Cause = 7, "oncall"
	fold(l, first,
		correlate.Row{At: at(5 * time.Second), Action: correlate.IncidentOpened, Incident: 7},
		grouped,
		correlate.Row{At: at(35 * time.Second), Action: correlate.Notified, Incident: 7, Revision: 1, Kind: correlate.Page, Reason: correlate.FirstNotification, Severity: alert.Critical, Cause: "oncall"},
	)
	accepted := receipt(7, 1, correlate.Page, "pagerduty[0]", correlate.Accepted)
	failed := receipt(7, 1, correlate.Page, "slack[0]", correlate.Failed)
	failed.Error = "slack: send INC-7/1: 404"
	l.FoldReceipt(accepted)
	l.FoldReceipt(failed)
	fold(l,
		correlate.Row{At: at(30 * time.Hour), Fingerprint: 1, Action: correlate.Delivered, Verdict: dedupe.Resolved, Now: correlate.Closed, Dim: 0},
		end(30*time.Hour, 1, 0, correlate.Grouped),
		correlate.Row{At: at(30*time.Hour + 1500*time.Millisecond), Action: correlate.IncidentClosed, Incident: 7},
	)
	rows, older := l.Trail().Alert(1)
	f := func(name string, explain func(*bytes.Buffer) error) {
		t.Helper()
		var b bytes.Buffer
		if err := explain(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	if older {
		t.Error("nothing was overwritten")
	}
	f("explain_alert.txt", func(b *bytes.Buffer) error { return Explain(b, rows, opts) })
	ofIncident, _ := l.Trail().Incident(7)
	f("explain_incident.txt", func(b *bytes.Buffer) error { return ExplainIncident(b, ofIncident, opts) })
	f("explain_nothing.txt", func(b *bytes.Buffer) error { return Explain(b, nil, ExplainOptions{Older: true}) })

	// One alert that went through everything.
	var all []correlate.Row
	for d := range correlate.NumDispositions {
		r := move(time.Duration(d)*time.Minute, 1, 0, correlate.Pending, d, alert.Warning)
		r.Until, r.Cause, r.Incident = at(time.Hour), "the-cause\n", 7
		all = append(all, r)
		r.Until, r.Cause, r.Incident, r.Delay = 0, "", 0, 0
		all = append(all, r)
	}
	inhibited := move(time.Hour, 1, 0, correlate.Pending, correlate.Inhibited, 0)
	inhibited.Cause = alert.Fingerprint(2).String()
	for v := dedupe.First; v <= dedupe.Stray; v++ {
		all = append(all, correlate.Row{At: at(time.Hour), Action: correlate.Delivered, Verdict: v, Now: correlate.Muted, Cause: "night", Fingerprint: 1})
	}
	all = append(all, correlate.Row{At: at(time.Hour), Action: correlate.Adjusted, Delay: 2 * time.Hour, Cause: "resumed"}, correlate.Row{At: at(time.Hour), Action: correlate.ClockSet, Delay: -time.Hour}, correlate.Row{Action: 99}, inhibited)
	f("explain_everything.txt", func(b *bytes.Buffer) error {
		return Explain(b, all, ExplainOptions{Older: true, LabelsOf: opts.LabelsOf})
	})
}
