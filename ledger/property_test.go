package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

// oracle keeps every delivery, episode and receipt and counts them anew each
// time it is asked. It draws rows that are consistent, as correlate's are.
type oracle struct {
	l       *Ledger
	journal []func(*Ledger) // all that was entered, to be entered anew
	now     alert.Time

	deliveries []oracleDelivery
	episodes   []*oracleEpisode
	latest     map[alert.Fingerprint]*oracleEpisode
	accepted   map[string]bool
	pages      map[string]bool
	incidents  uint64
	notices    []*oracleNotice
}

type oracleDelivery struct {
	dim uint32
	now correlate.Disposition
}

type oracleEpisode struct {
	fp       alert.Fingerprint
	dim      uint32
	delivery int // the one that began it
	paged    alert.Severity
	until    alert.Time
	ended    bool
	judged   alert.Time // superseded by another episode at this time; 0 while it is not

	notices []*oracleNotice // that name it, or named it last when it fired again
	stays   bool            // somebody was told of it, or a failure says that nobody was
}

// oracleNotice is a page or an update, a revision for each.
type oracleNotice struct {
	incident uint64
	revision uint32
	over     bool // its last receipt has come
}

func (e *oracleEpisode) waits() bool {
	return slices.ContainsFunc(e.notices, func(n *oracleNotice) bool { return !n.over })
}

// fate is what became of an episode by all that has come. It was not paged after
// all if it is over, and so is each notification that somebody was to hear of it
// by, and nothing says that anybody did.
func (o *oracle) fate(e *oracleEpisode) correlate.Disposition {
	d := o.deliveries[e.delivery].now
	if e.ended && tells(d) && len(e.notices) > 0 && !e.waits() && !e.stays {
		return correlate.ResolvedBeforePage
	}
	return d
}

// stay says of episodes that what was decided of them stays.
func (o *oracle) stay(concerns func(*oracleEpisode) bool) {
	for _, e := range o.episodes {
		e.stays = e.stays || concerns(e)
	}
}

func newOracle() *oracle {
	return &oracle{l: open(), now: start, latest: map[alert.Fingerprint]*oracleEpisode{}, accepted: map[string]bool{}, pages: map[string]bool{}}
}

func (o *oracle) enter(e func(*Ledger)) {
	o.journal = append(o.journal, e)
	e(o.l)
}

func (o *oracle) fold(r correlate.Row) {
	r.At, r.Seq = o.now, uint64(len(o.journal))
	o.enter(func(l *Ledger) {
		row := r
		l.Fold(&row)
	})
}

// told draws what a row says beyond what the oracle counts.
func told(t *rapid.T, r correlate.Row) correlate.Row {
	r.Incident = rapid.Uint64Range(0, 4).Draw(t, "incident")
	r.Cause = rapid.SampledFrom([]string{"", "group_wait", "oncall", "a\x00é"}).Draw(t, "cause")
	r.Delay = time.Duration(rapid.IntRange(0, 1e11).Draw(t, "delay"))
	return r
}

func (o *oracle) deliver(dim uint32, now correlate.Disposition) {
	o.deliveries = append(o.deliveries, oracleDelivery{dim, now})
}

// fates are what may become of an onset.
var fates = []correlate.Disposition{
	correlate.Pending, correlate.Paged, correlate.Grouped, correlate.Held, correlate.Flapping, correlate.Silenced,
	correlate.Inhibited, correlate.Muted, correlate.ResolvedBeforePage, correlate.BelowThreshold, correlate.Storm,
}

func (o *oracle) actions() map[string]func(*rapid.T) {
	fps := rapid.Custom(func(t *rapid.T) alert.Fingerprint { return alert.Fingerprint(rapid.IntRange(1, 6).Draw(t, "alert")) })
	dimOf := func(fp alert.Fingerprint) uint32 { return uint32(fp) % 3 }
	fate := rapid.SampledFrom(fates)
	paged := rapid.SampledFrom([]alert.Severity{alert.Unset, alert.Warning, alert.Critical})
	return map[string]func(*rapid.T){
		"time": func(t *rapid.T) {
			o.now = o.now.Add(time.Duration(rapid.IntRange(0, 7200).Draw(t, "seconds")) * time.Second)
			o.fold(correlate.Row{Action: correlate.Adjusted})
		},
		"clock": func(t *rapid.T) {
			by := time.Duration(rapid.IntRange(-1e8, 1e8).Draw(t, "seconds")) * time.Second
			o.now = o.now.Add(by)
			for _, e := range o.episodes {
				e.until = e.until.Add(by)
				e.judged.Shift(by)
			}
			o.fold(correlate.Row{Action: correlate.ClockSet, Delay: by})
		},
		"onset": func(t *rapid.T) {
			fp := fps.Draw(t, "fp")
			old := o.latest[fp]
			if old != nil && !old.ended {
				t.Skip("fires already")
			}
			verdict := dedupe.First
			if old != nil {
				verdict = dedupe.Reopened
				old.judged = o.now
			}
			e := &oracleEpisode{fp: fp, dim: dimOf(fp), delivery: len(o.deliveries), paged: paged.Draw(t, "paged"), until: o.now.Add(30 * time.Second)}
			if old != nil && old.waits() { // its receiver is yet to hear that it fires
				e.notices, e.stays = slices.DeleteFunc(slices.Clone(old.notices), func(n *oracleNotice) bool { return n.over }), old.stays
			}
			d := fate.Draw(t, "fate")
			o.episodes, o.latest[fp] = append(o.episodes, e), e
			o.deliver(e.dim, d)
			o.fold(told(t, correlate.Row{Action: correlate.Delivered, Verdict: verdict, Fingerprint: fp, Dim: e.dim, Severity: dims(e.dim).Severity, Now: d, Paged: e.paged, Until: e.until}))
		},
		"repeats": func(t *rapid.T) {
			dim, n := dimOf(fps.Draw(t, "fp")), rapid.IntRange(0, 5).Draw(t, "n")
			for range n {
				o.deliver(dim, correlate.Repeat)
			}
			if rapid.Bool().Draw(t, "in bulk") {
				now := o.now
				o.enter(func(l *Ledger) { l.FoldRepeats(now, dim, uint64(n)) })
				return
			}
			for range n {
				o.fold(correlate.Row{Action: correlate.Delivered, Verdict: dedupe.Repeat, Dim: dim, Now: correlate.Repeat})
			}
		},
		"move": func(t *rapid.T) {
			e := o.latest[fps.Draw(t, "fp")]
			if e == nil || e.ended && !waits(o.deliveries[e.delivery].now) {
				t.Skip("nothing to move")
			}
			was, now := o.deliveries[e.delivery].now, fate.Draw(t, "fate")
			if tells(was) && !tells(now) {
				t.Skip("what was told was told")
			}
			o.deliveries[e.delivery].now = now
			e.paged, e.until = paged.Draw(t, "paged"), o.now.Add(time.Minute)
			o.fold(told(t, correlate.Row{Action: correlate.Moved, Fingerprint: e.fp, Dim: e.dim, Severity: dims(e.dim).Severity, Was: was, Now: now, Paged: e.paged, Until: e.until}))
		},
		"end": func(t *rapid.T) {
			e := o.latest[fps.Draw(t, "fp")]
			if e == nil || e.ended {
				t.Skip("nothing to end")
			}
			e.ended = true
			if rapid.Bool().Draw(t, "by its sender") {
				o.deliver(e.dim, correlate.Closed)
				o.fold(correlate.Row{Action: correlate.Delivered, Verdict: dedupe.Resolved, Fingerprint: e.fp, Dim: e.dim, Now: correlate.Closed})
			}
			o.fold(correlate.Row{Action: correlate.Ended, Fingerprint: e.fp, Dim: e.dim, Severity: dims(e.dim).Severity, Now: o.deliveries[e.delivery].now, Paged: e.paged})
		},
		"unreadable": func(*rapid.T) {
			o.deliver(3, correlate.Quarantined)
			o.fold(correlate.Row{Action: correlate.Delivered, Dim: 3, Now: correlate.Quarantined})
		},
		"incident": func(*rapid.T) {
			o.incidents++
			o.fold(correlate.Row{Action: correlate.IncidentOpened, Incident: o.incidents})
		},
		"notification": func(t *rapid.T) {
			n := &oracleNotice{incident: rapid.Uint64Range(1, 4).Draw(t, "incident"), revision: uint32(len(o.notices) + 5)}
			o.notices = append(o.notices, n)
			note := correlate.Notification{Incident: n.incident, Revision: n.revision, Kind: correlate.Update, At: o.now}
			var first []*oracleEpisode
			for _, fp := range rapid.SliceOfNDistinct(fps, 0, 4, rapid.ID).Draw(t, "names") {
				isNew := rapid.Bool().Draw(t, "new")
				note.Alerts = append(note.Alerts, correlate.Member{Fingerprint: fp, New: isNew})
				e := o.latest[fp]
				if e == nil || e.ended {
					continue // of one that is over it can only say so
				}
				told, unheard := tells(o.deliveries[e.delivery].now), len(e.notices) > 0 && !e.stays
				if unheard || !told && isNew {
					e.notices, e.stays = append(e.notices, n), false
				}
				if !told {
					first = append(first, e)
				}
			}
			o.enter(func(l *Ledger) { l.FoldNotification(&note) })
			for _, e := range first {
				was := o.deliveries[e.delivery].now
				o.deliveries[e.delivery].now, e.paged = correlate.Grouped, alert.Critical
				o.fold(told(t, correlate.Row{Action: correlate.Moved, Fingerprint: e.fp, Dim: e.dim, Severity: dims(e.dim).Severity, Was: was, Now: correlate.Grouped, Paged: e.paged}))
			}
		},
		"raw": func(t *rapid.T) {
			fp := fps.Draw(t, "fp")
			o.stay(func(e *oracleEpisode) bool { return e.fp == fp && !e.ended && len(e.notices) > 0 })
			o.fold(correlate.Row{Action: correlate.PagedRaw, Fingerprint: fp})
		},
		"receipt": func(t *rapid.T) {
			r := receipt(rapid.Uint64Range(1, 4).Draw(t, "incident"), rapid.Uint32Range(1, 4).Draw(t, "revision"), 0,
				rapid.SampledFrom([]string{"a", "b"}).Draw(t, "integration"), rapid.SampledFrom([]correlate.Outcome{correlate.Accepted, correlate.Failed}).Draw(t, "outcome"))
			o.receive(r)
		},
		"receipt of a notification": func(t *rapid.T) {
			waiting := slices.DeleteFunc(slices.Clone(o.notices), func(n *oracleNotice) bool { return n.over })
			if len(waiting) == 0 {
				t.Skip("nobody waits for any")
			}
			n := rapid.SampledFrom(waiting).Draw(t, "notification")
			r := receipt(n.incident, n.revision, 0, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "integration"),
				rapid.SampledFrom([]correlate.Outcome{correlate.Superseded, correlate.Superseded, correlate.Superseded, correlate.Accepted, correlate.Failed, correlate.Skipped}).Draw(t, "outcome"))
			r.Last = rapid.Bool().Draw(t, "last")
			o.receive(r)
			if r.Outcome != correlate.Superseded {
				o.stay(func(e *oracleEpisode) bool { return slices.Contains(e.notices, n) })
			}
			n.over = r.Last
		},
		"": o.check,
	}
}

// receive enters a receipt, of a page or of an update by its revision.
func (o *oracle) receive(r correlate.Receipt) {
	r.Kind = correlate.Kind(r.Revision%2 + 1)
	if name := fmt.Sprintf("%d/%d", r.Incident, r.Revision); r.Outcome == correlate.Accepted {
		o.accepted[name+r.Integration] = true
		if r.Kind == correlate.Page {
			o.pages[name] = true
		}
	}
	o.enter(func(l *Ledger) { l.FoldReceipt(r) })
}

// swallowed judges all episodes ever, by the words of the definition.
func (o *oracle) swallowed() (swallowedOnes, below uint64) {
	for _, e := range o.episodes {
		if dims(e.dim).Severity != alert.Critical {
			continue
		}
		now := o.now
		if e.judged != 0 {
			now = e.judged
		}
		switch d := o.fate(e); {
		case d == correlate.BelowThreshold:
			below++
		case d == correlate.Held, d == correlate.Flapping,
			(d == correlate.Grouped || d == correlate.Storm) && e.paged != alert.Critical,
			d == correlate.Pending && now > e.until:
			swallowedOnes++
		}
	}
	return swallowedOnes, below
}

func (o *oracle) check(t *rapid.T) {
	want := Totals{
		Deliveries: uint64(len(o.deliveries)), Onsets: uint64(len(o.episodes)), Incidents: o.incidents,
		Notifications: uint64(len(o.accepted)), Pages: uint64(len(o.pages)), Balanced: true,
	}
	for _, d := range o.deliveries {
		want.Dispositions[d.now]++
	}
	for _, e := range o.episodes {
		want.Dispositions[o.deliveries[e.delivery].now]--
		want.Dispositions[o.fate(e)]++
	}
	want.Pending = want.Dispositions[correlate.Pending] + want.Dispositions[correlate.Held]
	want.SwallowedCriticals, want.CriticalBelowThreshold = o.swallowed()
	if got := o.l.Totals(); got != want {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	o.kept(t)
	r := o.l.Report(2)
	for _, s := range r.BySource {
		var n uint64
		for _, d := range o.deliveries {
			if dims(d.dim).Source == s.Source {
				n++
			}
		}
		if s.Deliveries != n || !s.Balanced {
			if s.Source != "(other)" { // where pages without a known alert stand
				t.Fatalf("source %+v: want %d deliveries, balanced", s, n)
			}
		}
	}
	if r.accounted() != r.Deliveries {
		t.Fatalf("%d delivered, %d accounted for", r.Deliveries, r.accounted())
	}
}

// kept holds that what is kept for receipts to come is what they need.
func (o *oracle) kept(t *rapid.T) {
	u := &o.l.unconfirmed
	waits, names, held := map[alert.Fingerprint]uint32{}, 0, 0
	for _, of := range u.naming {
		for _, fp := range of.names {
			waits[fp]++
			names++
		}
	}
	for fp, c := range u.alerts {
		if c.waits != waits[fp] || c.waits == 0 && (c.holds || o.latest[fp].ended) {
			t.Fatalf("%s is kept as %+v, and stands in %d", fp, c, waits[fp])
		}
		delete(waits, fp)
	}
	for fp, over := range u.over {
		held += len(over)
		for _, of := range over {
			n := uint32(0)
			for _, by := range u.naming {
				if by.serial <= of.last && slices.Contains(by.names, fp) {
					n++
				}
			}
			if n == 0 || n != of.waits {
				t.Fatalf("an episode of %s waits for %d, and %d name it", fp, of.waits, n)
			}
		}
	}
	if len(waits) > 0 || names != u.names || held != u.held {
		t.Fatalf("%d are named and not kept, %d names, counted %d, %d held, counted %d", len(waits), names, u.names, held, u.held)
	}
}

func TestTheBooksAlwaysBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOracle()
		t.Repeat(o.actions())
	})
}

func TestTheSameRowsGiveTheSameReport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOracle()
		t.Repeat(o.actions())
		again := open()
		for _, enter := range o.journal {
			enter(again)
		}
		a, errA := json.Marshal(o.l.Report(10))
		b, errB := json.Marshal(again.Report(10))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Fatalf("%v %v\n%s\n%s", errA, errB, a, b)
		}
	})
}
