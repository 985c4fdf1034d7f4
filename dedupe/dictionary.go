package dedupe

import (
	"cmp"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/paged"
)

// A dictionary gives alerts numbers, so that the log need not spell out again
// what stands in it in full. The writer of the log makes them up and says which
// alert each number stands for when it first uses it; after a while it begins a
// new one.
type dictionary struct {
	id      uint64
	ordinal uint16
	words   paged.List[word] // by number
	aside   map[other]place  // texts that their alert has no longer
	parked  []Ref            // forgotten, but kept while the dictionary is
}

// other names a text of an alert beside the one that it has.
type other struct {
	ref  Ref
	text uint32 // as in word
}

// word is what a number stands for.
type word struct {
	startsAt alert.Time
	text     uint32 // lower half of the hash of annotations, to tell texts of one alert apart
	ref      Ref    // live, or parked; 0 where the number was never explained
}

const (
	// maxDictionaries is how many are known at a time: the writer's present one
	// and that before, of which something may have been under way.
	maxDictionaries = 2

	// MaxNumber bounds the numbers of a dictionary. A larger one is not kept:
	// its alert is as if nobody had explained it.
	MaxNumber = 1 << 25
)

// byOrdinal finds the dictionary that an entry names; nil when it is gone.
func (t *Table) byOrdinal(ordinal uint16) *dictionary {
	for _, d := range t.dictionaries {
		if d != nil && d.ordinal == ordinal {
			return d
		}
	}
	return nil
}

func (t *Table) dictionary(id uint64) *dictionary {
	for _, d := range t.dictionaries {
		if d != nil && d.id == id {
			return d
		}
	}
	return nil
}

// Explain says that a number of a dictionary stands for an alert as it was just
// observed, under the Ref that Observe returned, be it 0. Alerts without an end
// of their own must not be explained as resolved.
func (t *Table) Explain(id uint64, number uint32, ref Ref, a *alert.Alert) {
	if number >= MaxNumber {
		return
	}
	d := t.dictionary(id)
	if d == nil {
		d = t.newDictionary(id)
	}
	if ref == 0 { // an end that nobody had waited for; the next word of it may be another
		ref = t.occupy(a)
		t.at(ref).flags = parked
		d.parked = append(d.parked, ref)
	}
	d.words.Grow(int(number) + 1)
	if d.words.At(number).ref == 0 { // the first one stands
		t.name(d, number, ref, a)
	}
}

// name has a number stand for an alert as it was delivered.
func (t *Table) name(d *dictionary, number uint32, ref Ref, a *alert.Alert) {
	e := t.at(ref)
	if d == t.dictionaries[0] || t.byOrdinal(e.dictionary) == nil {
		e.dictionary = d.ordinal // the newest: it lasts longest
	}
	hash := t.hash // Observe has looked at a before
	if hash == 0 {
		hash = t.annotationHash(a)
	}
	*d.words.At(number) = word{a.StartsAt, uint32(hash), ref}
	if _, kept := t.findAside(other{ref, uint32(hash)}); kept == nil && hash != e.annotations { // it came too late to become the alert's text
		t.packed = t.texts.pack(t.packed[:0], a)
		t.byOrdinal(e.dictionary).aside[other{ref, uint32(hash)}] = t.store.put(owner(ref)|ownedAside, t.packed)
		t.tidy()
	}
}

// findAside finds a text that was set aside, and the dictionary that keeps it.
func (t *Table) findAside(o other) (place, *dictionary) {
	for _, d := range t.dictionaries {
		if d == nil {
			break
		}
		if p, ok := d.aside[o]; ok {
			return p, d
		}
	}
	return 0, nil
}

// newDictionary makes room for one more: the oldest goes, and with it what was
// kept for its sake alone.
func (t *Table) newDictionary(id uint64) *dictionary {
	old := t.dictionaries[maxDictionaries-1]
	copy(t.dictionaries[1:], t.dictionaries[:])
	if t.ordinal++; t.ordinal == 0 {
		t.ordinal = 1
	}
	d := &dictionary{id: id, ordinal: t.ordinal, aside: map[other]place{}}
	t.dictionaries[0] = d
	if old == nil {
		return d
	}
	for _, o := range sortedAside(old) {
		if heir := t.byOrdinal(t.at(o.ref).dictionary); heir != nil {
			heir.aside[o] = old.aside[o]
		} else {
			t.store.drop(old.aside[o])
		}
	}
	for _, ref := range old.parked {
		if e := t.at(ref); e.flags&parked != 0 {
			t.park(ref)
		}
	}
	return d
}

// park keeps what is left of a forgotten alert for the dictionary that names it,
// or lets go of it.
func (t *Table) park(ref Ref) {
	d := t.byOrdinal(t.at(ref).dictionary)
	if d == nil {
		t.vacate(ref)
		return
	}
	t.at(ref).flags = parked
	d.parked = append(d.parked, ref)
}

// ObserveNumber records that the alert with a number was delivered at now, to
// last until endsAt (zero: as long as validity says), and what that changed.
//
// Known is false where the alert has to be observed in full: it was forgotten
// meanwhile, and Spell returns it. Ref is 0 then, and so it is where the number
// was never explained, as after a loss: Spell does not know it either.
func (t *Table) ObserveNumber(now alert.Time, id uint64, number uint32, endsAt alert.Time, validity time.Duration) (ref Ref, v Verdict, known bool) {
	d := t.dictionary(id)
	if d == nil || int64(number) >= int64(d.words.Len()) {
		return 0, 0, false
	}
	w := d.words.At(number)
	e := t.at(w.ref)
	if w.ref == 0 || e.flags&live == 0 {
		return 0, 0, false
	}
	a := alert.Alert{StartsAt: w.startsAt, EndsAt: endsAt}
	startsAt, endsAt, isTimeout := bounds(now, &a, validity)
	if endsAt > now && w.text != uint32(e.annotations) && t.restore(w) {
		return w.ref, t.fires(w.ref, now, startsAt, endsAt, isTimeout, true), true
	}
	return w.ref, t.seen(w.ref, now, startsAt, endsAt, isTimeout), true
}

// Touch reads what ObserveNumber will, for many at a time: the processor then
// waits for memory once, not once for each.
func (t *Table) Touch(id uint64, repeats []alert.Repeat) {
	d := t.dictionary(id)
	if d == nil {
		return
	}
	var sum uint32
	for i := range repeats {
		if n := repeats[i].Number; int64(n) < int64(d.words.Len()) {
			sum += t.at(d.words.At(n).ref).deliveries
		}
	}
	t.touched = sum
}

// Spell writes out what a number stands for into a, whose slices are reused. It
// reports whether that is known.
func (t *Table) Spell(id uint64, number uint32, a *alert.Alert) bool {
	d := t.dictionary(id)
	if d == nil || int64(number) >= int64(d.words.Len()) || d.words.At(number).ref == 0 {
		return false
	}
	w := d.words.At(number)
	e := t.at(w.ref)
	p := e.text
	if w.text != uint32(e.annotations) {
		if other, kept := t.findAside(other{w.ref, w.text}); kept != nil {
			p = other
		}
	}
	text := t.store.get(p)
	var rest []byte
	a.Labels, rest = t.texts.labels(a.Labels[:0], text, true)
	a.Annotations, a.GeneratorURL = t.texts.annotations(a.Annotations[:0], rest, true)
	a.Fingerprint, a.StartsAt, a.EndsAt, a.Status, a.Marks = e.fingerprint, w.startsAt, 0, alert.Firing, 0
	return true
}

// Again says that a number now stands for an alert that was forgotten and has
// been observed anew, as a.
func (t *Table) Again(id uint64, number uint32, ref Ref, a *alert.Alert) {
	if d := t.dictionary(id); d != nil && ref != 0 {
		t.name(d, number, ref, a)
	}
}

// setAside takes the text of r from it. It is kept where a dictionary names r.
func (t *Table) setAside(r Ref) {
	e := t.at(r)
	o := other{r, uint32(e.annotations)}
	d := t.byOrdinal(e.dictionary)
	if _, kept := t.findAside(o); d == nil || kept != nil {
		t.store.drop(e.text)
		return
	}
	d.aside[o] = e.text
	t.store.setOwner(e.text, owner(r)|ownedAside)
}

// restore gives the alert of a word the text that it had by that. It reports
// false where the text was not kept: what is newest then stands.
func (t *Table) restore(w *word) bool {
	o := other{w.ref, w.text}
	p, d := t.findAside(o)
	if d == nil {
		return false
	}
	delete(d.aside, o)
	t.setAside(w.ref)
	e := t.at(w.ref)
	e.text = p
	t.store.setOwner(p, owner(w.ref))
	e.annotations = t.texts.hashAnnotations(t.store.get(p))
	return true
}

// sortedAside lists what a dictionary has set aside, in order.
func sortedAside(d *dictionary) []other {
	out := make([]other, 0, len(d.aside))
	for o := range d.aside { // order: sorted below
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b other) int { return cmp.Or(cmp.Compare(a.ref, b.ref), cmp.Compare(a.text, b.text)) })
	return out
}

// owner says in the store whose a text is: the alert's that has it, or, where it
// was set aside, that had it.
type owner uint32

const ownedAside owner = 1 << 31

// moved notes that a text is elsewhere now.
func (t *Table) moved(o owner, to place) {
	ref := Ref(o &^ ownedAside)
	if o&ownedAside == 0 {
		t.at(ref).text = to
		return
	}
	k := other{ref, uint32(t.texts.hashAnnotations(t.store.get(to)))}
	if _, d := t.findAside(k); d != nil {
		d.aside[k] = to
	}
}
