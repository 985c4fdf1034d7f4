// Package dedupe decides whether an alert is news.
//
// It is pure: no clock, goroutine, lock, log or I/O. The same calls in the same
// order give the same verdicts, which is what lets a log be replayed. It never
// takes two label sets for one: a fingerprint finds the candidate, the labels
// themselves decide.
package dedupe

import (
	"math"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/paged"
)

// Ref names a live alert of a Table. Zero names none. A Ref is reused after
// Forget.
type Ref uint32

const forever = alert.Time(math.MaxInt64)

// entry is what a delivery of an alert reads and writes: one line of the
// processor's cache, without a pointer.
type entry struct {
	fingerprint alert.Fingerprint
	annotations uint64 // hash of annotations and generator URL
	startsAt    alert.Time
	endsAt      alert.Time // the alert fires until then; never zero
	seenAt      alert.Time // last delivery
	text        place      // labels, annotations and generator URL, packed
	deliveries  uint32     // in this episode, saturating
	tag         uint32     // the caller's
	dictionary  uint16     // the ordinal of the newest that names it; 0 for none
	flags       flags
}

type flags uint8

const (
	live    flags = 1 << iota
	timeout       // endsAt is how long the sender is believed, not what it said
	frozen        // its sender is silent, and silence is not believed
	parked        // forgotten, but a dictionary has its text
)

func (f *flags) set(which flags, on bool) {
	if *f &^= which; on {
		*f |= which
	}
}

// A Table knows each live alert by its labels.
type Table struct {
	slots   Slots             // Refs by fingerprint
	entries paged.List[entry] // by Ref; 0 is nobody's
	free    []Ref
	n       int
	texts   texts
	store   store
	packed  []byte // reused
	hash    uint64 // of the annotations that Observe was given last; 0 where it did not ask

	dictionaries [maxDictionaries]*dictionary // the newest first
	ordinal      uint16                       // of the newest
	touched      uint32                       // keeps Touch and TouchAlerts from being left out
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{slots: make(Slots, 1024)}
	t.entries.Add()
	return t
}

func (t *Table) at(r Ref) *entry { return t.entries.At(uint32(r)) }

// Len is the number of alerts known, those that have ended included until
// they are forgotten.
func (t *Table) Len() int { return t.n }

// Cap bounds the Refs in use: each is smaller.
func (t *Table) Cap() int { return t.entries.Len() }

// Observe records that a was delivered at now and says what that changed. It
// returns 0 and Stray for the resolve of an alert that is not known. Validity is
// how long a firing alert without an end is believed; 0 means for ever.
//
// Calls must have non-decreasing now. It does not keep a. Times merge as
// Alertmanager's do: the earliest start of overlapping deliveries wins, an
// explicit end beats a timeout, the newest annotations stand.
func (t *Table) Observe(now alert.Time, a *alert.Alert, validity time.Duration) (Ref, Verdict) {
	startsAt, endsAt, timeout := bounds(now, a, validity)
	t.hash = 0
	ref := t.find(a)
	if ref == 0 {
		if endsAt <= now {
			return 0, Stray
		}
		return t.insert(now, a, startsAt, endsAt, timeout), First
	}
	if endsAt <= now {
		return ref, t.resolve(t.at(ref), now, startsAt, endsAt)
	}
	moved := t.annotationHash(a) != t.at(ref).annotations
	if moved {
		t.rewrite(ref, a, t.hash)
	}
	return ref, t.fires(ref, now, startsAt, endsAt, timeout, moved)
}

// TouchAlerts reads where Observe will look for alerts, as Touch does.
func (t *Table) TouchAlerts(alerts []alert.Alert) {
	mask, sum := uint32(len(t.slots)-1), uint32(0)
	for i := range alerts {
		sum += t.slots[tag(alerts[i].Fingerprint)&mask].Tag
	}
	t.touched = sum
}

// seen enters a delivery of a known alert whose text is as it was.
func (t *Table) seen(ref Ref, now, startsAt, endsAt alert.Time, timeout bool) Verdict {
	if endsAt <= now {
		return t.resolve(t.at(ref), now, startsAt, endsAt)
	}
	return t.fires(ref, now, startsAt, endsAt, timeout, false)
}

// fires enters a delivery that says that the alert fires until endsAt.
func (t *Table) fires(ref Ref, now, startsAt, endsAt alert.Time, isTimeout, moved bool) Verdict {
	e := t.at(ref)
	e.seenAt = now
	e.flags &^= frozen
	if e.endsAt <= now { // it had ended
		e.startsAt, e.endsAt, e.deliveries = startsAt, endsAt, 1
		e.flags.set(timeout, isTimeout)
		return Reopened
	}
	if e.deliveries < math.MaxUint32 {
		e.deliveries++
	}
	e.startsAt = min(e.startsAt, startsAt)
	if endsAt >= e.endsAt || e.flags&timeout != 0 {
		e.endsAt = endsAt
		e.flags.set(timeout, isTimeout)
	}
	if moved {
		return Changed
	}
	return Repeat
}

// resolve applies a delivery that says the alert ended at endsAt.
func (t *Table) resolve(e *entry, now, startsAt, endsAt alert.Time) Verdict {
	e.seenAt = now
	if endsAt < e.startsAt && startsAt < e.startsAt {
		return Repeat // it speaks of an earlier episode
	}
	if e.endsAt <= now {
		e.endsAt = max(e.endsAt, endsAt)
		return Repeat
	}
	if e.deliveries < math.MaxUint32 {
		e.deliveries++
	}
	e.startsAt = min(e.startsAt, startsAt)
	e.endsAt = endsAt
	e.flags &^= timeout | frozen
	return Resolved
}

// bounds fills in the times that the sender left out. An end that has passed
// is a resolve, whatever the status says; a resolve never ends in the future, and
// nothing begins there: an end that the sender's clock, set right meanwhile, puts
// before such a beginning would be that of an earlier episode.
func bounds(now alert.Time, a *alert.Alert, validity time.Duration) (startsAt, endsAt alert.Time, timeout bool) {
	startsAt, endsAt = min(a.StartsAt, now), a.EndsAt
	if a.Status == alert.Resolved && (endsAt == 0 || endsAt > now) {
		endsAt = now
	}
	if startsAt == 0 {
		startsAt = now
		if endsAt != 0 && endsAt < now {
			startsAt = endsAt
		}
	}
	if endsAt == 0 {
		timeout = true
		endsAt = forever
		if validity > 0 {
			endsAt = now.Add(validity)
		}
	}
	return startsAt, endsAt, timeout
}

// Known reports whether r names an alert.
func (t *Table) Known(r Ref) bool { return int(r) < t.entries.Len() && t.at(r).flags&live != 0 }

// Knows reports whether there is an alert of the same labels.
func (t *Table) Knows(a *alert.Alert) bool { return t.find(a) != 0 }

// Firing reports whether the alert still fires at the given time.
func (t *Table) Firing(r Ref, at alert.Time) bool { return t.at(r).endsAt > at }

// Fingerprint of the alert's labels.
func (t *Table) Fingerprint(r Ref) alert.Fingerprint { return t.at(r).fingerprint }

// StartsAt is the start of the current episode, EndsAt its end: in the future
// while it fires.
func (t *Table) StartsAt(r Ref) alert.Time { return t.at(r).startsAt }

// EndsAt is when the alert ended, or until when it is believed to fire.
func (t *Table) EndsAt(r Ref) alert.Time { return t.at(r).endsAt }

// SeenAt is the time of the last delivery.
func (t *Table) SeenAt(r Ref) alert.Time { return t.at(r).seenAt }

// Deliveries counts the deliveries of the current episode.
func (t *Table) Deliveries(r Ref) uint64 { return uint64(t.at(r).deliveries) }

// Labels appends the alert's labels to dst. Its strings are shared with the
// table and stay valid after Forget.
func (t *Table) Labels(dst alert.Labels, r Ref) alert.Labels {
	dst, _ = t.texts.labels(dst, t.store.get(t.at(r).text), true)
	return dst
}

// View is Labels without a copy of any text: what it appends is valid until the
// table changes.
func (t *Table) View(dst alert.Labels, r Ref) alert.Labels {
	dst, _ = t.texts.labels(dst, t.store.get(t.at(r).text), false)
	return dst
}

// ViewAnnotations is Annotations in the same way; what it appends is valid until
// the next call of either, or until the table changes.
func (t *Table) ViewAnnotations(dst alert.Labels, r Ref) (alert.Labels, string) {
	rest := t.texts.skip(t.store.get(t.at(r).text))
	return t.texts.annotations(dst, rest, false)
}

// Annotations appends the newest annotations to dst and returns the newest
// generator URL with them.
func (t *Table) Annotations(dst alert.Labels, r Ref) (alert.Labels, string) {
	rest := t.texts.skip(t.store.get(t.at(r).text))
	return t.texts.annotations(dst, rest, true)
}

// Lookup returns the alerts with this fingerprint: more than one only where
// label sets collide.
func (t *Table) Lookup(dst []Ref, f alert.Fingerprint) []Ref {
	mask, want := uint32(len(t.slots)-1), tag(f)
	for i := want & mask; t.slots[i].Number != 0; i = (i + 1) & mask {
		if r := Ref(t.slots[i].Number); t.slots[i].Tag == want && t.at(r).fingerprint == f {
			dst = append(dst, r)
		}
	}
	return dst
}

// Extend moves the believed end of every alert that fired at from by d. It is
// for the time in which nobody could be heard: silence then proves nothing.
func (t *Table) Extend(from alert.Time, d time.Duration) (extended int) {
	for i := range t.entries.Len() {
		e := t.at(Ref(i))
		if e.flags&live != 0 && e.endsAt > from && e.endsAt != forever {
			e.endsAt = e.endsAt.Add(d)
			extended++
		}
	}
	return extended
}

// Freeze has an alert that fires go on firing until its sender is heard again.
func (t *Table) Freeze(r Ref) {
	e := t.at(r)
	e.endsAt = forever
	e.flags |= timeout | frozen
}

// Thaw gives an alert that was frozen, and that its sender has not spoken of
// since, until a given time.
func (t *Table) Thaw(r Ref, until alert.Time) {
	if e := t.at(r); e.flags&frozen != 0 {
		e.endsAt = until
		e.flags &^= frozen
	}
}

// Tag is a number that the caller has given the alert; 0 before.
func (t *Table) Tag(r Ref) uint32 { return t.at(r).tag }

// SetTag gives the alert a number.
func (t *Table) SetTag(r Ref, tag uint32) { t.at(r).tag = tag }

// Forget drops an alert; its next delivery is First.
func (t *Table) Forget(r Ref) {
	e := t.at(r)
	if e.flags&live == 0 {
		return
	}
	t.remove(r)
	t.n--
	t.park(r)
}

// vacate makes a Ref free to be given out again.
func (t *Table) vacate(r Ref) {
	t.store.drop(t.at(r).text)
	*t.at(r) = entry{}
	t.free = append(t.free, r)
}

func (t *Table) find(a *alert.Alert) Ref {
	mask, want := uint32(len(t.slots)-1), tag(a.Fingerprint)
	for i := want & mask; t.slots[i].Number != 0; i = (i + 1) & mask {
		if t.slots[i].Tag != want {
			continue
		}
		r := Ref(t.slots[i].Number)
		if e := t.at(r); e.fingerprint == a.Fingerprint && t.texts.equal(t.store.get(e.text), a.Labels) {
			return r
		}
	}
	return 0
}

func (t *Table) insert(now alert.Time, a *alert.Alert, startsAt, endsAt alert.Time, isTimeout bool) Ref {
	if 2*(t.n+1) > len(t.slots) {
		t.slots = t.slots.Grown(0)
	}
	r := t.occupy(a)
	e := t.at(r)
	e.startsAt, e.endsAt, e.seenAt, e.deliveries = startsAt, endsAt, now, 1
	e.flags = live
	e.flags.set(timeout, isTimeout)
	t.n++
	t.place(r, a.Fingerprint)
	return r
}

// occupy takes a Ref for an alert and keeps its text.
func (t *Table) occupy(a *alert.Alert) (r Ref) {
	if n := len(t.free); n > 0 {
		r, t.free = t.free[n-1], t.free[:n-1]
	} else {
		r = Ref(t.entries.Add())
	}
	t.packed = t.texts.pack(t.packed[:0], a)
	text := t.store.put(owner(r), t.packed)
	*t.at(r) = entry{fingerprint: a.Fingerprint, annotations: t.annotationHash(a), text: text}
	t.tidy()
	return r
}

// rewrite keeps another text of an alert. What a dictionary calls by a number is
// kept as well: its sender may say it again.
func (t *Table) rewrite(r Ref, a *alert.Alert, hash uint64) {
	e := t.at(r)
	t.setAside(r)
	t.packed = t.texts.pack(t.packed[:0], a)
	e.annotations, e.text = hash, t.store.put(owner(r), t.packed)
	t.tidy()
}

// tidy empties a chunk of the store where many texts have been given up.
func (t *Table) tidy() {
	c, ok := t.store.gaps()
	if !ok {
		return
	}
	t.store.each(c, func(o owner, text []byte) { t.moved(o, t.store.put(o, text)) })
	t.store.release(c)
}

func (t *Table) place(r Ref, f alert.Fingerprint) {
	t.slots.Place(Slot{Tag: tag(f), Number: uint32(r)})
}

// remove empties r's slot.
func (t *Table) remove(r Ref) {
	mask := uint32(len(t.slots) - 1)
	i := tag(t.at(r).fingerprint) & mask
	for t.slots[i].Number != uint32(r) {
		i = (i + 1) & mask
	}
	t.slots.Vacate(i)
}

// tag is the upper half of a fingerprint.
func tag(f alert.Fingerprint) uint32 { return uint32(f >> 32) }

// annotationHash is that of the annotations and generator URL of a, and stays in
// t.hash.
func (t *Table) annotationHash(a *alert.Alert) uint64 {
	b := t.packed[:0]
	for i := range a.Annotations {
		b = append(b, a.Annotations[i].Name...)
		b = append(b, 0xff)
		b = append(b, a.Annotations[i].Value...)
		b = append(b, 0xff)
	}
	b = append(b, a.GeneratorURL...)
	t.packed, t.hash = b, xxhash.Sum64(b)
	return t.hash
}
