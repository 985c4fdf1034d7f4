package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
)

// The oracle knows what senders said, which silences and plans stood in the log,
// and what providers took. It is slow, and reads like the promises it holds.

// violation is a promise that was not kept.
type violation struct{ what string }

func (v violation) Error() string { return v.what }

func oracle(format string, args ...any) violation { return violation{fmt.Sprintf(format, args...)} }

// books are looked at after every message.
func (w *world) books() {
	l := w.life
	want := w.received[l.next-2]
	switch t := l.owner.Shard().Ledger.Totals(); {
	case t.Deliveries != want:
		panic(oracle("after message %d the books know %d deliveries, the log holds %d", l.next-1, t.Deliveries, want))
	case !t.Balanced:
		panic(oracle("after message %d the books do not balance", l.next-1))
	case t.SwallowedCriticals != 0:
		panic(oracle("after message %d the books say that %d criticals were heard by nobody", l.next-1, t.SwallowedCriticals))
	}
}

// examine looks at what people see at a stage of the story's end.
func (w *world) examine(s stage) {
	open, phantoms := incidents(w.events)
	for _, inc := range phantoms {
		panic(oracle("phantom: %q was opened again for INC-%d after its resolve", inc.key, inc.number))
	}
	w.oneEach(open)
	if s == allOver {
		for _, inc := range open {
			if inc.number == 0 && !slices.ContainsFunc(w.raw, func(p *rawPage) bool { return p.sent == inc.last }) {
				// A known limit: the process died between the provider's answer and
				// the file.
				w.tally.orphans++
				continue
			}
			panic(oracle("all is over, and %s still has %q open for INC-%d", providers[inc.provider].name, inc.key, inc.number))
		}
		w.verdict()
		return
	}
	for _, inc := range open {
		if inc.number == 0 {
			continue // it is closed when its sender says so
		}
		if !slices.ContainsFunc(w.story.standing, func(a *alert.Alert) bool { return firesIn(w.lastOf(inc.provider, inc.number), a) }) && !w.refusedAny(inc) {
			panic(oracle("%q of INC-%d stands open, and nothing that it names fires", inc.key, inc.number))
		}
	}
	for _, a := range w.story.standing {
		if why := w.keptBack(a, s); why != "" {
			w.tally.kept[why]++
			continue
		}
		for _, p := range behind[w.plan().receiver(a.Labels)] {
			if why := w.unheardOf(a, p, open); why != "" {
				panic(oracle("%s fires, and %s at %s: %s", a.Labels, providers[p].name, w.plan().receiver(a.Labels), why))
			}
		}
	}
}

// oneEach holds that nobody is called twice at the same time for one thing.
func (w *world) oneEach(open []*incident) {
	seen := map[string]string{}
	for _, inc := range open {
		k := fmt.Sprint(inc.provider, inc.last.RouteID, inc.last.GroupLabels, inc.level())
		if other, ok := seen[k]; ok {
			panic(oracle("%q and %q stand open for one group at one severity", other, inc.key))
		}
		seen[k] = inc.key
	}
}

// unheardOf says why a provider does not know that an alert fires, and nothing
// when it does.
func (w *world) unheardOf(a *alert.Alert, p int, open []*incident) string {
	for i := range w.events {
		if e := &w.events[i]; e.provider == p && e.outcome == correlate.Failed && firesIn(e.n, a) {
			return "" // it has gone to the fallback
		}
	}
	if providers[p].class == correlate.FiringOnly {
		for i := range w.events {
			if e := &w.events[i]; e.provider == p && e.taken() && firesIn(e.n, a) {
				return ""
			}
		}
		return "nothing was said"
	}
	told := false
	for _, inc := range open {
		last := inc.last
		if inc.number != 0 {
			last = w.lastOf(p, inc.number)
		}
		if inc.provider != p || !firesIn(last, a) {
			continue
		}
		told = true
		if inc.level() >= levelOf(a) {
			return ""
		}
	}
	if told {
		return "no page at its severity was sent"
	}
	return "no open incident names it"
}

// lastOf is the newest state of an incident that a provider has taken.
func (w *world) lastOf(p int, number uint64) *correlate.Notification {
	for i := len(w.events) - 1; i >= 0; i-- {
		if e := &w.events[i]; e.provider == p && e.n.Incident == number && e.taken() {
			return e.n
		}
	}
	return nil
}

func (w *world) refusedAny(inc *incident) bool {
	return slices.ContainsFunc(w.events, func(e event) bool {
		return e.provider == inc.provider && e.outcome == correlate.Failed && e.n.Incident == inc.number
	})
}

func levelOf(a *alert.Alert) alert.Severity {
	switch a.Labels.Get("severity") {
	case "critical":
		return alert.Critical
	case "error":
		return alert.Error
	}
	return alert.Warning
}

func firesIn(n *correlate.Notification, a *alert.Alert) bool {
	return n != nil && slices.ContainsFunc(n.Alerts, func(m correlate.Member) bool { return m.Fingerprint == a.Fingerprint && m.EndsAt == 0 })
}

// keptBack names what may keep a standing alert from its receiver now.
func (w *world) keptBack(a *alert.Alert, s stage) string {
	if len(behind[w.plan().receiver(a.Labels)]) == 0 {
		return "below threshold"
	}
	if w.plan().inhibit && slices.Contains([]string{"warning", "info", "error"}, a.Labels.Get("severity")) {
		for _, o := range w.story.standing {
			if inhibits(o, a) {
				return "inhibited"
			}
		}
	}
	if s == nothingKeeps {
		return ""
	}
	// What ended just now may still be felt: its group has not come round.
	for at := w.heard[len(w.heard)-1].at; at > w.heard[len(w.heard)-1].at.Add(-settle); at = at.Add(-10 * time.Second) {
		for id := range 3 {
			if w.silenced(fmt.Sprint("s", id), a, at) {
				return "silenced"
			}
		}
		if w.plan().lunch && a.Labels.Get("team") == "c" && atLunch(at) {
			return "muted"
		}
	}
	return ""
}

func inhibits(o, a *alert.Alert) bool {
	return o.Labels.Get("severity") == "critical" && o.Labels.Get("alertname") == a.Labels.Get("alertname") && o.Labels.Get("cluster") == a.Labels.Get("cluster")
}

func atLunch(t alert.Time) bool {
	at := t.Std()
	minutes := at.Hour()*60 + at.Minute()
	return 12*60+30 <= minutes && minutes < 14*60
}

// silences are what was heard of them.
func (w *world) silences() []*hearing {
	for ; w.quietUntil < len(w.heard); w.quietUntil++ {
		if h := &w.heard[w.quietUntil]; h.ev.Silence != nil || h.ev.SilenceID != "" {
			w.quiet = append(w.quiet, h)
		}
	}
	return w.quiet
}

// silenced reports whether a silence was in force at a time of the log and
// matched. What came at that very time may be counted or not.
func (w *world) silenced(id string, a *alert.Alert, at alert.Time) bool {
	var now *correlate.Silence
	var ends alert.Time
	covers := func() bool {
		return now != nil && now.StartsAt <= at && at < ends && strings.Contains(now.Matchers[0][0].String(), a.Labels.Get("alertname"))
	}
	for _, h := range w.silences() {
		if h.at > at {
			break
		}
		if h.at == at && covers() {
			return true
		}
		switch {
		case h.ev.Silence != nil && h.ev.Silence.ID == id:
			now, ends = h.ev.Silence, h.ev.Silence.EndsAt
		case h.ev.SilenceID == id && now != nil && ends > h.at:
			ends = h.at
		}
	}
	return covers()
}

// verdict judges a whole story: what was decided, and what became of each alert.
func (w *world) verdict() {
	w.inOrder()
	w.onceEach()
	w.endings()
	if !w.whole && w.roll(4) > 0 {
		return // a whole replay costs as much as the story
	}
	w.tally.verdicts++
	s := w.again()
	if b, err := engine.EncodeSnapshot(s); err != nil || xxhash.Sum64(b) != w.sum() {
		panic(oracle("a replay of the whole log does not end where the shard is (%v)", err))
	}
	for _, seq := range w.poison {
		if !slices.Contains(w.given, seq) {
			panic(oracle("message %d is passed over, and nobody was told", seq))
		}
	}
	tellings := w.tellings()
	for _, a := range w.story.universe {
		rows, _ := s.Ledger.Trail().Alert(a.Fingerprint)
		if w.everFired(a) && !slices.ContainsFunc(rows, func(r correlate.Row) bool { return r.Action == correlate.Delivered && r.Now == correlate.Pending }) {
			panic(oracle("%s was accepted and the books know nothing of it", a.Labels))
		}
		for i := range rows {
			w.justify(a, &rows[i])
		}
		w.heardOf(a, rows, tellings)
	}
}

// again replays the whole log and holds the outbox against what comes out.
func (w *world) again() *engine.Shard {
	s := w.fresh()
	o := engine.NewOwner(nil, 0, 0)
	held := w.extent()
	o.Restore(s, w.poisonList(), &held)
	at, part := 0, 0 // in the outbox
	for i := range w.log {
		outputs, broke := o.Try(&w.log[i])
		if broke != nil {
			panic(oracle("a replay breaks on message %d", i+1))
		}
		for j := range outputs {
			if at >= len(w.outbox) {
				panic(oracle("message %d decides %s, which is not in the outbox", i+1, outputs[j].ID()))
			}
			c := w.outbox[at].commit
			if digest(&c.Outputs[part]) != digest(&outputs[j]) {
				panic(oracle("message %d decides %s %s, the outbox has %s %s there", i+1, outputs[j].ID(), outputs[j].Kind, c.Outputs[part].ID(), c.Outputs[part].Kind))
			}
			if part++; part == len(c.Outputs) {
				at, part = at+1, 0
			}
		}
	}
	if at != len(w.outbox) {
		panic(oracle("the outbox holds %d records, a replay decides what stands in %d", len(w.outbox), at))
	}
	return s
}

// digest names all of a notification that matters to people.
func digest(n *correlate.Notification) uint64 {
	b := make([]byte, 0, 512)
	b = fmt.Appendf(b, "%d/%d %d %d %d %s %s %d %d %d %d", n.Incident, n.Revision, n.Kind, n.Reason, n.Class, n.Receiver, n.RouteID, n.At, n.Opened, n.Severity, n.Omitted)
	for _, k := range n.Keys {
		b = append(append(b, k...), ' ')
	}
	for i := range n.Alerts {
		m := &n.Alerts[i]
		b = fmt.Appendf(b, "%x %d %d %d %t,", uint64(m.Fingerprint), m.StartsAt, m.EndsAt, m.Deliveries, m.New)
	}
	return xxhash.Sum64(b)
}

// inOrder holds that no provider hears of an older state after a newer one. A
// page may come again: an update that was heard does not say that it was.
func (w *world) inOrder() {
	type place struct {
		provider int
		incident uint64
	}
	newest := map[place]uint32{}
	for i := range w.events {
		e := &w.events[i]
		at := place{e.provider, e.n.Incident}
		if !e.taken() || e.raw() {
			continue
		}
		if e.n.Revision < newest[at] && e.kind != correlate.Page {
			panic(oracle("%s of %q came to %s after revision %d", e.n.ID(), e.key, providers[e.provider].name, newest[at]))
		}
		newest[at] = max(newest[at], e.n.Revision)
	}
}

// onceEach holds that the outbox has each revision of each incident once, in
// order, and that its records only go forward.
func (w *world) onceEach() {
	revisions := map[uint64]uint32{}
	var input uint64
	for _, r := range w.outbox {
		if r.commit.Input < input {
			panic(oracle("the outbox goes back from message %d to %d", input, r.commit.Input))
		}
		input = r.commit.Input
		for i := range r.commit.Outputs {
			n := &r.commit.Outputs[i]
			if n.Revision != revisions[n.Incident]+1 {
				panic(oracle("%s stands in the outbox behind revision %d", n.ID(), revisions[n.Incident]))
			}
			revisions[n.Incident] = n.Revision
		}
	}
}

func (w *world) everFired(a *alert.Alert) bool {
	for i := range w.heard {
		for j := range w.heard[i].ev.Alerts {
			if o := &w.heard[i].ev.Alerts[j]; o.Fingerprint == a.Fingerprint && o.Status == alert.Firing && o.EndsAt == 0 {
				return true
			}
		}
	}
	return false
}

// justify holds one row of the books against what the oracle knows.
func (w *world) justify(a *alert.Alert, r *correlate.Row) {
	if r.Action != correlate.Moved {
		return
	}
	fail := func(why string) {
		panic(oracle("%s became %s (%q) at %s, but %s", a.Labels, r.Now, r.Cause, r.At.Std().Format(time.TimeOnly), why))
	}
	w.tally.moves[r.Now]++
	switch r.Now {
	case correlate.Silenced:
		if r.Cause != "" && !w.silenced(r.Cause, a, r.At) {
			fail("no such silence was in force")
		}
	case correlate.Inhibited:
		if r.Cause != "" && !w.inhibited(a, r) {
			fail("that alert did not fire, or no rule says so")
		}
	case correlate.Muted:
		if r.Cause != "" && (!atLunch(r.At) || a.Labels.Get("team") != "c") {
			fail("no interval says so")
		}
	case correlate.ResolvedBeforePage:
		if r.Was != correlate.Paged && r.Was != correlate.Grouped && !w.mayHaveEnded(a, r.At) { // of those see heardOf
			fail("it had not ended")
		}
	case correlate.BelowThreshold:
		if a.Labels.Get("team") != "d" {
			fail("there is somebody behind its receiver")
		}
	case correlate.Paged, correlate.Grouped:
		if !slices.ContainsFunc(w.events, func(e event) bool {
			if e.outcome == correlate.Skipped && e.n.Incident == r.Incident && e.n.At >= r.At {
				return true // all that was to be said was over before anybody took it
			}
			// One that fired again, before its receiver heard that it had ended,
			// stands in what was said before.
			before := r.Now == correlate.Grouped && e.n.Incident == r.Incident
			return (before || e.n.At >= r.At || e.raw()) && names(e.n, a)
		}) && !w.overtaken(a, r) {
			fail("no provider was asked to tell anybody")
		}
	}
}

func names(n *correlate.Notification, a *alert.Alert) bool {
	return slices.ContainsFunc(n.Alerts, func(m correlate.Member) bool { return m.Fingerprint == a.Fingerprint })
}

// overtaken reports whether what was to be said of an alert had ended before
// anybody took it: the log says that a newer notification of its incident, which
// was taken, has taken its place.
func (w *world) overtaken(a *alert.Alert, r *correlate.Row) bool {
	for i := range w.heard {
		o := w.heard[i].ev.Receipt
		if o == nil || o.Outcome != correlate.Superseded || o.Incident != r.Incident {
			continue
		}
		n := w.decided(o.Incident, o.Revision)
		if n.At >= r.At && names(n, a) && slices.ContainsFunc(w.events, func(e event) bool {
			return e.taken() && e.n.Incident == n.Incident && e.n.Revision > n.Revision
		}) {
			return true
		}
	}
	return false
}

// decided is a notification as the outbox has it.
func (w *world) decided(incident uint64, revision uint32) *correlate.Notification {
	for _, r := range w.outbox {
		for i := range r.commit.Outputs {
			if n := &r.commit.Outputs[i]; n.Incident == incident && n.Revision == revision {
				return n
			}
		}
	}
	panic(oracle("a receipt tells of %s/%d, which nobody has decided", correlate.IncidentName(incident), revision))
}

func (w *world) inhibited(a *alert.Alert, r *correlate.Row) bool {
	for _, o := range w.story.universe {
		if o.Fingerprint.String() == r.Cause {
			return inhibits(o, a) && w.mayFire(o, r.At)
		}
	}
	return false
}

// mayFire and mayHaveEnded leave a doubt where only the core's own rules could
// decide: a resolve with a time of its own may speak of an earlier episode.
func (w *world) mayFire(a *alert.Alert, at alert.Time) bool {
	fires := false
	w.eachDelivery(a, at, func(h *hearing, o *alert.Alert) bool {
		if h.at == at && fires {
			return false
		}
		if o.Status == alert.Firing && (o.EndsAt == 0 || o.EndsAt > h.at) {
			fires = true
		} else if o.EndsAt == 0 {
			fires = false
		}
		return true
	})
	return fires
}

func (w *world) mayHaveEnded(a *alert.Alert, at alert.Time) bool {
	ended, may, ends, since := false, false, alert.Time(0), uint64(0)
	look := func() { may = may || ended || since > 0 && w.believedUntil(ends, since, at) <= at }
	w.eachDelivery(a, at, func(h *hearing, o *alert.Alert) bool {
		if h.at == at {
			look() // what came at that very time may be counted or not
		}
		validity := h.ev.Validity
		if validity == 0 {
			validity = 5 * time.Minute
		}
		ended, since = o.Status == alert.Resolved, h.seq
		if ends = o.EndsAt; ends == 0 {
			ends = h.at.Add(validity)
		}
		return true
	})
	look()
	return may
}

// believedUntil moves an end that message since has given: our own absence ends
// nothing.
func (w *world) believedUntil(ends alert.Time, since uint64, at alert.Time) alert.Time {
	for i := range w.heard {
		h := &w.heard[i]
		if h.seq <= since || h.at > at || h.ev.Kind != frame.Resume {
			continue
		}
		from := h.ev.From
		if i > 0 {
			from = max(from, w.heard[i-1].at) // the clock may have been set back
		}
		if ends > from {
			ends = ends.Add(h.at.Sub(from))
		}
	}
	return ends
}

// endings hold that nobody was told of an end that nobody has spoken of.
func (w *world) endings() {
	for _, r := range w.outbox {
		for i := range r.commit.Outputs {
			n := &r.commit.Outputs[i]
			for j := range n.Alerts {
				m := &n.Alerts[j]
				if a := (alert.Alert{Labels: m.Labels, Fingerprint: m.Fingerprint}); m.EndsAt != 0 && !w.mayHaveEnded(&a, n.At) {
					panic(oracle("%s says that %s has ended, which its sender has not said nor left to be believed", n.ID(), m.Labels))
				}
			}
		}
	}
}

// unconfirmed holds that what the log knows to be delivered is not sent again.
func (w *world) unconfirmed(n *correlate.Notification) {
	for i := range w.heard {
		if r := w.heard[i].ev.Receipt; r != nil && r.Last && r.Incident == n.Incident && r.Revision == n.Revision {
			panic(oracle("%s is delivered again, message %d of the log confirms it", n.ID(), w.heard[i].seq))
		}
	}
}

// unanswered holds the same of what the log knows a provider to have taken.
func (w *world) unanswered(n *correlate.Notification, provider int) {
	for i := range w.heard {
		r := w.heard[i].ev.Receipt
		if r != nil && r.Outcome == correlate.Accepted && r.Incident == n.Incident && r.Revision == n.Revision && r.Receiver == n.Receiver && r.Integration == providers[provider].name {
			panic(oracle("%s is sent to %s again, message %d of the log says that it has taken it", n.ID(), r.Integration, w.heard[i].seq))
		}
	}
}

func (w *world) eachDelivery(a *alert.Alert, until alert.Time, f func(*hearing, *alert.Alert) bool) {
	for i := range w.heard {
		h := &w.heard[i]
		if h.at > until {
			return
		}
		for j := range h.ev.Alerts {
			if o := &h.ev.Alerts[j]; o.Fingerprint == a.Fingerprint && !f(h, o) {
				return
			}
		}
	}
}
