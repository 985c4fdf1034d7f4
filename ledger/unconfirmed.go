package ledger

import (
	"cmp"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// MaxUnconfirmed bounds the names in notifications of which the last receipt is
// still to come, and the episodes that have ended meanwhile. What is beyond it
// counts as told: its disposition stays as it was decided.
const MaxUnconfirmed = 1 << 20

// unconfirmed are the alerts that pages and updates name and that nobody is known
// to have heard of: no integration has accepted any of those. An alert whose
// episode ends so, while each of them gives its place to a newer one, was not
// paged, whatever was decided.
type unconfirmed struct {
	naming map[notice]naming // pages and updates without their last receipt
	serial uint64            // of the latest
	names  int               // in naming
	alerts map[alert.Fingerprint]claim
	over   map[alert.Fingerprint][]overdue
	held   int // in over
}

// notice is a notification.
type notice struct {
	incident uint64
	revision uint32
}

// naming is whom a notification names. Serials tell which were decided before an
// episode ended.
type naming struct {
	serial uint64
	names  []alert.Fingerprint
}

// claim is that somebody was told of an alert as it stands now. There is one for
// all that stand in naming, and for those that fire and stand there no more.
type claim struct {
	waits uint32 // how often the alert stands in naming
	holds bool   // somebody was told, or was to be and is not there: what was decided stays
}

// overdue is an episode that is over, and waits for the receipts of what was
// decided by then.
type overdue struct {
	e     episode
	waits uint32
	last  uint64 // of the serials
}

func newUnconfirmed() unconfirmed {
	return unconfirmed{naming: map[notice]naming{}, alerts: map[alert.Fingerprint]claim{}, over: map[alert.Fingerprint][]overdue{}}
}

// tells reports whether a disposition says that somebody was to hear of the alert.
func tells(d correlate.Disposition) bool {
	return d == correlate.Paged || d == correlate.Grouped || d == correlate.Storm
}

// FoldOutput enters what a step decided at a time: its rows, plain repeats, and
// whom its notifications name.
func (l *Ledger) FoldOutput(now alert.Time, out *correlate.Output) {
	l.touch(out.Rows)
	next := 0
	for i := range out.Rows {
		r := &out.Rows[i]
		l.Fold(r)
		if r.Action != correlate.Notified {
			continue
		}
		for next < len(out.Notifications) { // a canary has no row
			n := &out.Notifications[next]
			if next++; n.Incident == r.Incident && n.Revision == r.Revision {
				l.FoldNotification(n)
				break
			}
		}
	}
	for _, t := range out.Repeats {
		l.FoldRepeats(now, t.Dim, uint64(t.N))
	}
}

// touch reads where Fold will look for the alerts of rows: the processor then
// waits for memory once, not once for each.
func (l *Ledger) touch(rows []correlate.Row) {
	sum := uint32(0)
	for i := range rows {
		tag := tagOf(uint64(rows[i].Fingerprint))
		sum += l.episodes.open.index.touch(tag) + l.episodes.critical.index.touch(tag) + l.trail.byAlert.touch(tag)
	}
	l.touched = sum
}

// FoldNotification enters whom a notification names. It comes right after its
// row, and so before the rows that say what became of its alerts.
func (l *Ledger) FoldNotification(n *correlate.Notification) {
	u, id := &l.unconfirmed, notice{n.Incident, n.Revision}
	if _, twice := u.naming[id]; twice || n.Kind == correlate.Resolve { // which calls nobody
		return
	}
	var names []alert.Fingerprint
	for i := range n.Alerts {
		fp := n.Alerts[i].Fingerprint
		o, e := l.episodes.of(fp)
		if o == nil || e.ended {
			continue
		}
		c, known := u.alerts[fp]
		if (!known || c.holds) && (tells(e.now) || !n.Alerts[i].New) {
			continue // told in this episode, or in one that its receiver believes to last: nothing is in doubt
		}
		full := u.names+len(names) >= MaxUnconfirmed || !known && len(u.alerts) >= MaxUnconfirmed
		if c.holds = full; !full {
			c.waits++
			names = append(names, fp)
		}
		if known || !full {
			u.alerts[fp] = c
		}
	}
	if len(names) > 0 {
		u.serial++
		u.naming[id] = naming{u.serial, names}
		u.names += len(names)
	}
}

// confirm enters what a receipt says of those that its notification names. One
// that was refused for good, or that nobody was there for, is told by nobody, and
// is a failure for all to see: it does not pass for an end that came too soon.
func (l *Ledger) confirm(r *correlate.Receipt, at alert.Time) {
	u, id := &l.unconfirmed, notice{r.Incident, r.Revision}
	of, known := u.naming[id]
	if !known {
		return
	}
	answered := r.Outcome != correlate.Superseded
	for _, fp := range of.names {
		c := u.alerts[fp]
		c.holds = c.holds || answered
		if r.Last {
			c.waits--
		}
		u.alerts[fp] = c
		l.confirmOver(fp, of.serial, r, answered, at)
		l.forgetClaim(fp)
	}
	if r.Last {
		delete(u.naming, id)
		u.names -= len(of.names)
	}
	if len(u.alerts) == 0 {
		*u = newUnconfirmed() // a map keeps the room that it once needed
	}
}

// confirmOver settles the episodes of an alert that waited for a receipt of the
// notification with a serial, and for no other.
func (l *Ledger) confirmOver(fp alert.Fingerprint, serial uint64, r *correlate.Receipt, answered bool, at alert.Time) {
	u := &l.unconfirmed
	over := u.over[fp]
	kept := over[:0]
	for _, o := range over {
		if serial > o.last {
			kept = append(kept, o)
			continue
		}
		if r.Last {
			o.waits--
		}
		switch {
		case answered:
			l.episodes.count(fp, o.e, at)
		case o.waits == 0:
			l.unpage(fp, o.e, notice{r.Incident, r.Revision}, at, 0)
		default:
			kept = append(kept, o)
			continue
		}
		u.held--
	}
	if len(kept) > 0 {
		u.over[fp] = kept
	} else if over != nil {
		delete(u.over, fp)
	}
}

// forgetClaim forgets what nothing can come of any more.
func (l *Ledger) forgetClaim(fp alert.Fingerprint) {
	c := l.unconfirmed.alerts[fp]
	if c.waits > 0 {
		return
	}
	if o, e := l.episodes.of(fp); c.holds || o == nil || e.ended {
		delete(l.unconfirmed.alerts, fp)
	}
}

// hold says that what was decided of an alert as it stands stays.
func (l *Ledger) hold(fp alert.Fingerprint) {
	if c, known := l.unconfirmed.alerts[fp]; known {
		c.holds = true
		l.unconfirmed.alerts[fp] = c
		l.forgetClaim(fp)
	}
}

// ended enters the end of an episode. It is judged when it is known whether
// somebody was told.
func (l *Ledger) ended(r *correlate.Row) {
	e, ok := l.episodes.end(r)
	if !ok {
		return
	}
	u, fp := &l.unconfirmed, r.Fingerprint
	c, known := u.alerts[fp]
	switch {
	case !known || c.holds || !tells(e.now) || c.waits > 0 && u.held >= MaxUnconfirmed:
		l.episodes.count(fp, e, r.At)
	case c.waits > 0:
		u.over[fp] = append(u.over[fp], overdue{e, c.waits, u.serial})
		u.held++
	default:
		l.unpage(fp, e, notice{incident: r.Incident}, r.At, r.Seq)
	}
	if known {
		l.forgetClaim(fp)
	}
}

// unpage says that an episode was not paged after all: it was over before anybody
// is known to have taken a notification that names it, id having been the last.
func (l *Ledger) unpage(fp alert.Fingerprint, e episode, id notice, at alert.Time, seq uint64) {
	l.shift(e.dim, e.now, correlate.ResolvedBeforePage)
	l.trail.add(&correlate.Row{
		At: at, Seq: seq, Fingerprint: fp, Action: correlate.Moved, Was: e.now, Now: correlate.ResolvedBeforePage,
		Severity: e.severity, Dim: e.dim, Incident: id.incident, Revision: id.revision, Until: e.since,
	})
	if e.short() && heard(e.now, e.paged) {
		l.episodes.shortTold--
	}
	e.now = correlate.ResolvedBeforePage
	l.episodes.count(fp, e, at)
}

// unpaged reports whether a row says that an episode, which began at Until, was
// not paged after all.
func unpaged(r *correlate.Row) bool {
	return r.Action == correlate.Moved && r.Now == correlate.ResolvedBeforePage && tells(r.Was)
}

// eachOver visits the episodes that are over and in doubt, in any order.
func (u *unconfirmed) eachOver(f func(alert.Fingerprint, *episode)) {
	for fp, over := range u.over { // order: its callers count, change each alike, or sort what they get
		for i := range over {
			f(fp, &over[i].e)
		}
	}
}

// compare is the order in which a state has notifications.
func (a notice) compare(b notice) int {
	return cmp.Or(cmp.Compare(a.incident, b.incident), cmp.Compare(a.revision, b.revision))
}
