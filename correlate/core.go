package correlate

import (
	"fmt"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
	"github.com/winnowhq/winnow/internal/paged"
)

// ForgetAfter is how long an alert is remembered after it ended: a delivery
// within that time reopens it, a later one is its first.
const ForgetAfter = time.Hour

// Output is what a step decided. The caller owns it and empties it with Reset.
type Output struct {
	Rows          []Row
	Notifications []Notification
	Aliases       []Alias // of groups that were opened or closed

	// Repeats are deliveries that changed nothing, counted: they have no Row.
	Repeats []Tally

	// Beyond are alerts that fire and that there was no room for: somebody else
	// has to page them. They are the caller's.
	Beyond []alert.Alert
}

// Tally is how many deliveries of a dimension changed nothing.
type Tally struct {
	Dim uint32
	N   uint32
}

// Reset empties o and keeps its memory.
func (o *Output) Reset() {
	o.Rows = o.Rows[:0]
	clear(o.Notifications)
	o.Notifications = o.Notifications[:0]
	o.Repeats = o.Repeats[:0]
	o.Aliases = o.Aliases[:0]
	o.Beyond = nil
}

func (o *Output) repeat(dim uint32) {
	if n := len(o.Repeats); n > 0 && o.Repeats[n-1].Dim == dim {
		o.Repeats[n-1].N++
		return
	}
	o.Repeats = append(o.Repeats, Tally{dim, 1})
}

// Core is the state of one shard. Its methods must be called in log order, from
// one goroutine, with times that never decrease.
type Core struct {
	policy *policy
	table  *dedupe.Table
	live   paged.List[liveAlert] // by Ref; 0 is nobody's
	few    paged.List[fewLinks]  // of those in live that have some

	groups    []*group // by slot; nil where one has ended
	freeSlots []int
	index     map[string]*group // by route and group labels
	inUse     map[uint64]int32  // open groups by what their provider knows them by
	timers    timers
	order     uint64 // of timers

	rushes []*rush // by receiver, in order of their first alert without a group
	storms uint64  // counted

	sources  []source // watched for silence
	silences silences
	now      alert.Time // until which Advance has done what was due

	dims      dims
	forget    []forgotten // in order of time
	seq       uint64      // of the message being applied
	incidents uint64      // opened so far

	// Reused between calls.
	routes   []*route
	lsA, lsB alert.Labels
	lsRoute  alert.Labels
	views    []view
	picked   []int32 // members of the notification being written
	links    []link
	oneCause [1]dedupe.Ref
	refs     []dedupe.Ref
	waited   alert.Time // the onset before of the alert that takes its seats, where that has waited in vain
	paged    bool       // the flush under way has paged
	named    bool       // the alert that Storm is given to stands in a notification by name
	key      []byte
	spelled  alert.Alert
	seen     alert.Alert // by EachAlert
}

// liveAlert is what correlation knows of an alert beside the table.
type liveAlert struct {
	first   seat    // its place in a group; most alerts have one
	beside  *beside // nil for most
	onsetAt alert.Time
	episode uint32 // counts its onsets
	dim     uint32

	silenceVersion uint32 // up to which silences were tested

	severity    alert.Severity
	disposition Disposition // of the current onset
	settled     Disposition // the best among groups it has left
	flags       liveFlags
}

type liveFlags uint8

const (
	ended  liveFlags = 1 << iota // the episode's end is in the accounts
	inVain                       // its group's moment came when it had ended, and nobody was told
)

func (l *liveAlert) ended() bool { return l.flags&ended != 0 }

// beside is what few alerts have.
type beside struct {
	more     []seat   // further places in groups
	links    []link   // where they are more than few
	silences []uint32 // places in the list of those that match, in order
}

// aside makes room for what few alerts have.
func (l *liveAlert) aside() *beside {
	if l.beside == nil {
		l.beside = new(beside)
	}
	return l.beside
}

func (l *liveAlert) others() []seat {
	if l.beside == nil {
		return nil
	}
	return l.beside.more
}

func (l *liveAlert) silencedBy() []uint32 {
	if l.beside == nil {
		return nil
	}
	return l.beside.silences
}

func (l *liveAlert) setSilences(silences []uint32) {
	if silences != nil || l.beside != nil {
		l.aside().silences = silences
	}
}

func (c *Core) alert(ref dedupe.Ref) *liveAlert { return c.live.At(uint32(ref)) }

// seat is an alert's place in a group.
type seat struct {
	group  *group
	member int32
}

type forgotten struct {
	at      alert.Time
	ref     dedupe.Ref
	episode uint32
}

// NewCore returns an empty core that decides by p.
func NewCore(p *Policy) (*Core, error) {
	compiled, err := compile(p)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	c := newCore(compiled, dedupe.NewTable())
	c.setSources(&Output{}, 0, p.Sources)
	return c, nil
}

func newCore(p *policy, t *dedupe.Table) *Core {
	c := &Core{policy: p, table: t, index: map[string]*group{}, inUse: map[uint64]int32{}, dims: newDims(), silences: silences{byID: map[string]int32{}}}
	c.live.Grow(1)
	return c
}

// Dim is what a Row's number stands for, for ever.
func (c *Core) Dim(n uint32) Dim { return c.dims.list[n] }

// At names the log message that the calls until the next At belong to.
func (c *Core) At(seq uint64) { c.seq = seq }

// Next is when something is due; false when nothing is.
func (c *Core) Next() (alert.Time, bool) {
	c.timers.drop()
	at, who := c.nextSilence()
	if len(c.timers) > 0 && (who == nil || c.timers[0].at < at) {
		return c.timers[0].at, true
	}
	return at, who != nil
}

// Advance does all that is due at or before now, in order of time, each thing
// at its own time. Calling it more often changes nothing.
func (c *Core) Advance(out *Output, now alert.Time) {
	c.now = max(c.now, now)
	for {
		c.timers.drop()
		due := len(c.timers) > 0 && c.timers[0].at <= now
		old := len(c.forget) > 0 && c.forget[0].at <= now
		silentAt, who := c.nextSilence()
		switch {
		case who != nil && silentAt <= now && (!due || silentAt <= c.timers[0].at) && (!old || silentAt <= c.forget[0].at):
			c.fallSilent(out, silentAt, who) // before anything takes its silence for an end
		case due && (!old || c.timers[0].at <= c.forget[0].at):
			t := c.timers.pop()
			c.flush(out, t.group, t.at)
		case old:
			c.forgetAlert(c.forget[0])
			c.forget = c.forget[1:]
		default:
			return
		}
	}
}

// Observe takes in one delivery. The caller has called Advance with now before.
// Validity overrides the policy's resolve timeout when it is not zero. It
// returns what names the alert in the table, 0 for a stray and for one that there
// was no room for.
func (c *Core) Observe(out *Output, now alert.Time, source string, validity time.Duration, a *alert.Alert) dedupe.Ref {
	if validity == 0 {
		validity = c.policy.resolveTimeout
	}
	if c.full() && c.beyond(out, now, source, a) {
		return 0
	}
	ref, verdict := c.table.Observe(now, a, validity)
	c.delivered(out, now, source, ref, verdict, a)
	return ref
}

// Explain is Observe, and says that from now on a number of a dictionary stands
// for the alert as it is delivered here.
func (c *Core) Explain(out *Output, now alert.Time, source string, validity time.Duration, a *alert.Alert, dictionary uint64, number uint32) {
	ref := c.Observe(out, now, source, validity, a)
	if a.Status == alert.Firing && (ref != 0 || !c.full()) {
		c.table.Explain(dictionary, number, ref, a)
	}
}

// ObserveNumber takes in one delivery of the alert that a number of a dictionary
// stands for, to last until endsAt. It is as Observe with the alert in full. It
// reports false where the number was never explained: what explained it is lost,
// and the delivery is accounted for as quarantined.
func (c *Core) ObserveNumber(out *Output, now alert.Time, source string, validity time.Duration, dictionary uint64, r *alert.Repeat) bool {
	if validity == 0 {
		validity = c.policy.resolveTimeout
	}
	ref, verdict, known := c.table.ObserveNumber(now, dictionary, r.Number, r.EndsAt, validity)
	switch {
	case known && verdict == dedupe.Repeat:
		out.repeat(c.table.Tag(ref))
	case known:
		c.delivered(out, now, source, ref, verdict, nil)
	case c.table.Spell(dictionary, r.Number, &c.spelled):
		c.spelled.EndsAt = r.EndsAt
		ref = c.Observe(out, now, source, validity, &c.spelled)
		c.table.Again(dictionary, r.Number, ref, &c.spelled)
	case c.full(): // it may well be one of those there was no room for
		c.Quarantine(out, now, source, c.fullText())
	default:
		c.Quarantine(out, now, source, lostText)
		return false
	}
	return true
}

// lostText is why a repeat cannot be taken for what it is.
const lostText = "what it repeats stood in a part of the log that is lost"

// Touch prepares for repeats that are about to be observed: their places in
// memory are read side by side.
func (c *Core) Touch(dictionary uint64, repeats []alert.Repeat) { c.table.Touch(dictionary, repeats) }

// TouchAlerts is Touch for alerts in full.
func (c *Core) TouchAlerts(alerts []alert.Alert) { c.table.TouchAlerts(alerts) }

// delivered accounts for a delivery and begins what it begins. A is the alert
// where the verdict is that it was not known.
func (c *Core) delivered(out *Output, now alert.Time, source string, ref dedupe.Ref, verdict dedupe.Verdict, a *alert.Alert) {
	row := Row{At: now, Seq: c.seq, Action: Delivered, Verdict: verdict, Now: Repeat}
	switch verdict {
	case dedupe.Stray:
		row.Fingerprint = a.Fingerprint
		row.Now, row.Dim, row.Severity = Stray, c.dims.of(source, a.Labels), a.Labels.Severity()
		out.Rows = append(out.Rows, row)
		return
	case dedupe.First:
		c.admit(ref, source, a.Labels)
	case dedupe.Reopened:
		c.endEpisode(out, now, ref)
	case dedupe.Resolved:
		row.Now = Closed
	}
	row.Fingerprint = c.table.Fingerprint(ref)
	switch verdict {
	case dedupe.First:
		c.onset(out, now, ref, row, a.Labels)
		return
	case dedupe.Reopened:
		c.lsRoute = c.table.View(c.lsRoute[:0], ref)
		c.onset(out, now, ref, row, c.lsRoute)
		return
	}
	l := c.alert(ref)
	row.Dim, row.Severity, row.Incident = l.dim, l.severity, l.incident()
	out.Rows = append(out.Rows, row)
}

// Quarantine accounts for a delivery of source that could not be read.
func (c *Core) Quarantine(out *Output, now alert.Time, source, reason string) {
	out.Rows = append(out.Rows, Row{
		At: now, Seq: c.seq, Action: Delivered, Now: Quarantined, Cause: reason, Dim: c.dims.intern(Dim{Source: source}),
	})
}

// Resume says that nobody listened from from until to. What senders would have
// said meanwhile is not known, so no alert ends for having been silent then. It
// comes before Advance to the same time; from is none that is past already.
func (c *Core) Resume(out *Output, from, to alert.Time) {
	if from == 0 || to <= from {
		return
	}
	c.table.Extend(from, to.Sub(from))
	for i := range c.sources { // it was us who did not listen
		if s := &c.sources[i]; s.seenAt != 0 {
			s.seenAt = s.seenAt.Add(to.Sub(from))
		}
	}
	out.Rows = append(out.Rows, Row{At: to, Seq: c.seq, Action: Adjusted, Delay: to.Sub(from), Cause: "resumed"})
}

// admit sets up what is known of an alert for good.
func (c *Core) admit(ref dedupe.Ref, source string, ls alert.Labels) {
	c.live.Grow(int(ref) + 1)
	l := c.alert(ref)
	*l = liveAlert{dim: c.dims.of(source, ls)}
	l.severity = c.dims.list[l.dim].Severity
	if l.dim == 0 { // what all others are counted under says nothing of one
		l.severity = ls.Severity()
	}
	c.setLinks(ref, c.inhibitLinks(ls))
	c.table.SetTag(ref, l.dim)
	c.addSource(ref)
}

// onset begins an episode: the alert takes its seats and waits for their pages.
func (c *Core) onset(out *Output, now alert.Time, ref dedupe.Ref, row Row, ls alert.Labels) {
	l := c.alert(ref)
	l.episode++
	if c.waited = 0; l.flags&inVain != 0 {
		c.waited = l.onsetAt
	}
	l.onsetAt, l.disposition, l.settled, l.flags = now, Pending, NoDisposition, 0
	at := len(out.Rows)
	out.Rows = append(out.Rows, row) // its group's opening comes after it
	c.routes = c.policy.match(c.routes[:0], c.policy.root, ls)
	for _, r := range c.routes {
		c.join(out, now, r, ref, ls)
	}
	c.waited = 0
	c.eachSeat(ref, func(s *seat) { s.group.members[s.member].disposition = Pending })

	l = c.alert(ref)
	r := &out.Rows[at]
	r.Now, r.Dim, r.Severity = Pending, l.dim, l.severity
	r.Incident, r.Until = l.incident(), l.due()
}

// endEpisode settles an onset whose alert has ended.
func (c *Core) endEpisode(out *Output, now alert.Time, ref dedupe.Ref) {
	l := c.alert(ref)
	if l.ended() {
		return
	}
	l.flags |= ended
	if l.disposition == Pending {
		to, cause := ResolvedBeforePage, ""
		c.eachSeat(ref, func(s *seat) {
			if d, why := unheard(&s.group.members[s.member], s.group); rank(d) > rank(to) {
				to, cause = d, why
			}
		})
		c.move(out, now, ref, to, cause)
	}
	out.Rows = append(out.Rows, Row{
		At: now, Seq: c.seq, Fingerprint: c.table.Fingerprint(ref), Action: Ended, Now: l.disposition,
		Severity: l.severity, Dim: l.dim, Incident: l.incident(), Delay: c.table.EndsAt(ref).Sub(l.onsetAt),
	})
}

// move changes the disposition of the current onset.
func (c *Core) move(out *Output, now alert.Time, ref dedupe.Ref, to Disposition, cause string) {
	l := c.alert(ref)
	row := Row{
		At: now, Seq: c.seq, Fingerprint: c.table.Fingerprint(ref), Action: Moved, Was: l.disposition, Now: to,
		Severity: l.severity, Dim: l.dim, Cause: cause, Incident: l.incident(),
	}
	if to == Paged || to == Grouped || to == Storm && c.named {
		row.Delay = now.Sub(l.onsetAt)
		row.Paged = l.pagedAt()
	}
	if to == Storm && c.named {
		row.Paged = row.Paged.Rank() // unset is for one that was only counted
	}
	if to == Pending {
		row.Until = l.due()
	}
	l.disposition = to
	out.Rows = append(out.Rows, row)
}

// forgetAlert drops an alert, unless it has fired again since it was put down to
// be forgotten: then it is put down anew when it ends.
func (c *Core) forgetAlert(f forgotten) {
	l := c.alert(f.ref)
	if l.episode != f.episode {
		return
	}
	c.removeSource(f.ref)
	c.setLinks(f.ref, nil)
	*l = liveAlert{}
	c.table.Forget(f.ref)
}

// Live is the number of alerts known.
func (c *Core) Live() int { return c.table.Len() }

// Opened counts the incidents opened so far.
func (c *Core) Opened() uint64 { return c.incidents }

// Groups is the number of open groups.
func (c *Core) Groups() int { return len(c.groups) - len(c.freeSlots) }

func (l *liveAlert) incident() uint64 {
	if l.first.group == nil {
		return 0
	}
	return l.first.group.incident
}

// due is when the last of its groups that have not come round yet does: until
// then it is pending.
func (l *liveAlert) due() (at alert.Time) {
	if g := l.first.group; g != nil && g.members[l.first.member].disposition == Pending {
		at = g.next
	}
	for _, s := range l.others() {
		if s.group.members[s.member].disposition == Pending {
			at = max(at, s.group.next)
		}
	}
	return at
}

// pagedAt is the highest severity at which a group of the alert has paged, or
// somebody was called for the alert past the core.
func (l *liveAlert) pagedAt() alert.Severity {
	if l.first.group == nil {
		return alert.Unset
	}
	s := l.first.pagedAt(l.severity)
	for i := range l.others() {
		s = max(s, l.beside.more[i].pagedAt(l.severity))
	}
	return s
}

func (s *seat) pagedAt(own alert.Severity) alert.Severity {
	if s.group.members[s.member].raw {
		return max(s.group.pagedSeverity, own)
	}
	return s.group.pagedSeverity
}

func (c *Core) eachSeat(ref dedupe.Ref, f func(*seat)) {
	l := c.alert(ref)
	if l.first.group == nil {
		return
	}
	f(&l.first)
	for i := range l.others() {
		f(&l.beside.more[i])
	}
}
