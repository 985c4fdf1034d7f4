// Package kept has alerts in mind for the guard, packed: an alert of a kilobyte
// takes a quarter of that. It follows the log by itself, and of an alert that
// comes as a number it knows what was explained since it began to follow. It
// shares no code with what packs alerts for the core, so that one that the one
// breaks on is safe with the other. It never decides anything.
package kept

import (
	"encoding/binary"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
)

// Alert is a firing alert as it came, as much of it as a page needs. It does not
// change, and its methods are safe for concurrent use.
type Alert struct {
	Fingerprint alert.Fingerprint
	Severity    alert.Severity

	named uint32 // numbers that stand for it
	words *words
	text  string // packed: labels, annotations, generator URL, start
}

// Alerts are those of a log that somebody cares for. It is for one goroutine.
type Alerts struct {
	limit        int
	dictionaries [2]dictionary // the newest first
	known        map[alert.Fingerprint]*Alert
	words        *words
	packed       []byte // reused
}

type dictionary struct {
	id uint64
	*numbers
}

// New returns an empty one, that knows the numbers of limit alerts in a
// dictionary at most.
func New(limit int) *Alerts {
	return &Alerts{limit: limit, known: map[alert.Fingerprint]*Alert{}, words: newWords()}
}

// Each calls fires and ended for the deliveries of an event, in the order in
// which they came; those without labels are not cared for.
func (k *Alerts) Each(e *frame.Event, fires func(*Firing), ended func(alert.Fingerprint)) {
	d := k.of(e)
	var f Firing
	e.Each(func(r *alert.Repeat) {
		if a := d.get(r.Number); a != nil {
			f = Firing{Fingerprint: a.Fingerprint, Severity: a.Severity, kept: a}
			fires(&f)
		}
	}, func(a *alert.Alert, number uint32) {
		switch {
		case a.Labels == nil:
		case a.Status == alert.Resolved:
			ended(a.Fingerprint)
		default:
			f = k.Firing(a)
			if e.Kind == frame.Deliveries && d.n < k.limit && number < maxNumber {
				f.kept = k.name(d, number, a)
			}
			fires(&f)
		}
	})
}

// Firing is an alert that fires, before anybody has kept it. It is valid for as
// long as the alert that it is of.
type Firing struct {
	Fingerprint alert.Fingerprint
	Severity    alert.Severity

	full *alert.Alert // nil where it came as a number
	kept *Alert       // nil where it has not been packed
	by   *Alerts
}

// Firing is how it sees a.
func (k *Alerts) Firing(a *alert.Alert) Firing {
	return Firing{Fingerprint: a.Fingerprint, Severity: a.Labels.Severity(), full: a, by: k}
}

// Keep packs it, if that has not been done.
func (f *Firing) Keep() *Alert {
	if f.kept == nil {
		f.kept = f.by.Pack(f.full)
	}
	return f.kept
}

// Alert is the alert in full, not to be kept.
func (f *Firing) Alert() *alert.Alert {
	if f.full == nil {
		return f.kept.Unpack()
	}
	return f.full
}

// maxNumber bounds the numbers that are followed, so that a strange one takes no
// more room than a pointer for every 4,096 below it.
const maxNumber = 1 << 25

func (k *Alerts) of(e *frame.Event) *dictionary {
	if e.Kind != frame.Deliveries {
		return nil
	}
	for i := range k.dictionaries {
		if d := &k.dictionaries[i]; d.numbers != nil && d.id == e.Dictionary {
			return d
		}
	}
	if old := k.dictionaries[1].numbers; old != nil {
		old.each(k.unname)
	}
	k.dictionaries[1] = k.dictionaries[0]
	k.dictionaries[0] = dictionary{e.Dictionary, new(numbers)}
	return &k.dictionaries[0]
}

// name has a number stand for an alert, which is packed once for all its numbers.
func (k *Alerts) name(d *dictionary, number uint32, a *alert.Alert) *Alert {
	own := k.known[a.Fingerprint]
	if own == nil || !own.is(a) {
		own = k.Pack(a)
		k.known[a.Fingerprint] = own
	}
	own.named++ // first: it may have had the number
	if old := d.set(number, own); old != nil {
		k.unname(old)
	}
	return own
}

func (k *Alerts) unname(a *Alert) {
	if a.named--; a.named == 0 && k.known[a.Fingerprint] == a {
		delete(k.known, a.Fingerprint)
	}
}

// Pack keeps nothing of a.
func (k *Alerts) Pack(a *alert.Alert) *Alert {
	if k.words.full() { // alerts hold on to those that they are packed by
		k.words = newWords()
	}
	k.words.mu.Lock()
	defer k.words.mu.Unlock()
	b := k.words.appendLabels(k.packed[:0], a.Labels)
	b = k.words.appendTexts(b, a)
	b = binary.AppendVarint(b, int64(a.StartsAt))
	k.packed = b
	return &Alert{Fingerprint: a.Fingerprint, Severity: a.Labels.Severity(), words: k.words, text: string(b)}
}

// Unpack returns it in full.
func (a *Alert) Unpack() *alert.Alert {
	r := a.read()
	defer r.words.mu.Unlock()
	return &alert.Alert{
		Fingerprint: a.Fingerprint, Status: alert.Firing,
		Labels: r.labels(r.string), Annotations: r.labels(r.textOf), GeneratorURL: r.textOf(), StartsAt: r.time(),
	}
}

// Name is the alertname label, empty where there is none.
func (a *Alert) Name() string {
	r := a.read()
	defer r.words.mu.Unlock()
	for range r.uint() {
		if name, value := r.string(), r.string(); name == "alertname" {
			return value
		}
	}
	return ""
}

// is reports whether b says the same.
func (a *Alert) is(b *alert.Alert) bool {
	r := a.read()
	defer r.words.mu.Unlock()
	return r.are(b.Labels, r.string) && r.are(b.Annotations, r.textOf) && r.textOf() == b.GeneratorURL && r.time() == b.StartsAt
}
