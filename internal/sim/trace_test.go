package sim

import (
	"fmt"
	"strings"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
)

// trace tells what a world went through, for whoever looks into a failure.
func (w *world) trace() string {
	var b strings.Builder
	since := func(at alert.Time) string { return at.Sub(w.story.begins).String() }
	for i := range w.heard {
		h := &w.heard[i]
		fmt.Fprintf(&b, "log %d at %s: %s\n", h.seq, since(h.at), describe(h.ev))
	}
	for i, r := range w.outbox {
		for j := range r.commit.Outputs {
			n := &r.commit.Outputs[j]
			fmt.Fprintf(&b, "outbox %d (log %d, part %d): %s %s, %s, at %s, %d fire\n", i+1, r.commit.Input, r.commit.Partial, n.ID(), n.Kind, n.Reason, since(n.At), n.Firing)
		}
	}
	for i := range w.events {
		e := &w.events[i]
		fmt.Fprintf(&b, "provider %d at %s: %s %s %q, %s\n", e.provider, since(e.at), e.n.ID(), e.kind, e.key, e.outcome)
	}
	if w.life == nil {
		return b.String()
	}
	for _, a := range w.story.universe {
		rows, _ := w.life.owner.Shard().Ledger.Trail().Alert(a.Fingerprint)
		fmt.Fprintf(&b, "%s\n", a.Labels)
		for i := range rows {
			r := &rows[i]
			fmt.Fprintf(&b, "  log %d at %s: %s %s %s > %s (%s) INC-%d paged %s until %s\n", r.Seq, since(r.At), r.Action, r.Verdict, r.Was, r.Now, r.Cause, r.Incident, r.Paged, since(r.Until))
		}
	}
	return b.String()
}

func describe(e *frame.Event) string {
	switch e.Kind {
	case frame.Alerts:
		var b strings.Builder
		b.WriteString(e.Source)
		for i := range e.Alerts {
			a := &e.Alerts[i]
			fmt.Fprintf(&b, " %s%s", a.Labels, a.Status)
		}
		return b.String()
	case frame.Receipt:
		return fmt.Sprintf("receipt of %s from %s: %s, last %t", e.Receipt.ID(), e.Receipt.Integration, e.Receipt.Outcome, e.Receipt.Last)
	case frame.Silence:
		return "silence " + e.Silence.ID
	case frame.SilenceExpire:
		return "no more silence " + e.SilenceID
	case frame.Policy:
		return fmt.Sprintf("policy %s, by %v, team a to %s", e.PolicyHash, e.Policy.Route.GroupBy, e.Policy.Route.Routes[0].Receiver)
	}
	return [...]string{"", "alerts", "tick", "policy", "silence", "", "receipt", "resume", "quarantine", "stop", "bypass", "a step of the ladder"}[e.Kind]
}
