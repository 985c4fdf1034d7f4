package sinks

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
)

// send brings an item to where its incident stands, and one of a new incident to
// where the configuration says now. current is nil for an integration that is in
// the configuration no longer.
func (t *target) send(current Integration, it *item) *Error {
	if current != nil {
		current = fixed(current)
	}
	stands := t.d.held.of(it.n.Incident, t.id)
	if it.again && current != nil && len(stands.told) == 0 {
		// The earlier life may have sent it by what was in force then.
		for _, generation := range t.d.opts.Keep.usedAt(t.id) {
			if generation != generationOf(current) {
				t.d.held.doubt(it.n.Incident, t.id, generation)
			}
		}
		stands = t.d.held.of(it.n.Incident, t.id)
	}
	if it.n.Kind == correlate.Resolve {
		return t.end(current, it, &stands)
	}
	return t.tell(current, it, &stands)
}

// goesBy is the generation by which a notification of an incident would go out
// now.
func (t *target) goesBy(incident uint64) string {
	if told := t.d.held.of(incident, t.id).told; len(told) > 0 {
		return told[len(told)-1]
	}
	t.mu.Lock()
	in := t.in
	t.mu.Unlock()
	if in == nil {
		return ""
	}
	return generationOf(fixed(in))
}

// tell sends a page or an update. Where the incident stands but is refused for
// good, the integration in force takes it over, and somebody has to close it by
// hand where it stood.
func (t *target) tell(current Integration, it *item, stands *standing) *Error {
	if len(stands.told) == 0 {
		if current == nil {
			return &Error{Err: errRemoved}
		}
		return t.one(current, it)
	}
	latest := stands.told[len(stands.told)-1]
	in := t.at(current, latest)
	if in == nil {
		return t.unknownPlace()
	}
	e := t.one(in, it)
	if e == nil || e.Retry || current == nil || generationOf(in) == generationOf(current) {
		return e
	}
	t.d.held.lost(it.n.Incident, t.id, latest)
	if t.d.opts.Stranded != nil {
		t.d.opts.Stranded(it.n, t.id.integration, e)
	}
	it.page = it.page || fires(it.n)
	return t.one(current, it)
}

// one makes the call for a page or an update, and notes that it stands there.
func (t *target) one(in Integration, it *item) *Error {
	generation := generationOf(in)
	if err := t.d.opts.Keep.use(t.id, in); err != nil { // it goes out all the same
		t.d.opts.Logger.Error("the settings of an integration could not be kept; after a restart with others, incidents that it has opened may have to be closed by hand",
			zap.String("receiver", t.id.receiver), zap.String("integration", t.id.integration), zap.Error(err))
	}
	m := &Message{Notification: it.n, Context: it.c, Page: it.page, Key: it.n.GroupKey, Redelivered: it.redelivered}
	if in.Keyed() {
		m.Key = it.n.Key()
	}
	e := t.call(in, it.n.GroupKey, m)
	switch {
	case e == nil:
		it.generation = generation
		t.d.held.told(it.n.Incident, t.id, generation)
	case e.Unknown:
		t.d.held.doubt(it.n.Incident, t.id, generation)
	}
	return e
}

// end sends a resolve to each place where the incident stands or may stand, the
// latest last, under each of its keys.
func (t *target) end(current Integration, it *item, stands *standing) *Error {
	var refused *Error
	places := append(stands.doubtful, stands.told...)
	if len(stands.told) == 0 && current != nil && !slices.Contains(places, generationOf(current)) {
		places = append(places, "")
	}
	if len(places) == 0 {
		return &Error{Err: errRemoved}
	}
	for it.closed < len(places) {
		generation := places[it.closed]
		in := t.at(current, generation)
		e := t.unknownPlace()
		if in != nil {
			e = t.closeAt(in, it)
		}
		if e != nil && !e.Retry && in != nil && !in.Keyed() && current != nil && generationOf(in) != generationOf(current) {
			in = current // who reads there hears that it is over
			e = t.closeAt(in, it)
		}
		switch {
		case e != nil && e.Retry:
			return e
		case e != nil && it.closed >= len(stands.doubtful): // where it may stand, nothing is known to stand
			refused = e
		case e == nil:
			it.generation = generationOf(in)
		}
		it.closed, it.resolved = it.closed+1, 0
	}
	return refused
}

// closeAt makes the calls that a resolve needs at one place: one, or for a keyed
// integration one for each key of the incident.
func (t *target) closeAt(in Integration, it *item) *Error {
	m := &Message{Notification: it.n, Context: it.c, Key: it.n.GroupKey, Redelivered: it.redelivered}
	if !in.Keyed() {
		return t.call(in, it.n.GroupKey, m)
	}
	if len(it.n.Keys) == 0 {
		m.Key = it.n.Key()
		return t.call(in, it.n.GroupKey, m)
	}
	for it.resolved < uint32(len(it.n.Keys)) {
		each := *m // the call before may have been abandoned and read its message still
		each.Key = it.n.Keys[it.resolved]
		if e := t.call(in, it.n.GroupKey, &each); e != nil {
			return e
		}
		it.resolved++
	}
	return nil
}

// at returns what goes to a generation's place: current for what has none or is
// current, and also for one that nobody knows any more; nil if there is neither.
func (t *target) at(current Integration, generation string) Integration {
	if current != nil && (generation == "" || generation == generationOf(current)) {
		return current
	}
	in, err := t.d.opts.Keep.integration(generation)
	if err != nil {
		t.d.opts.Logger.Error("the settings by which an incident was opened cannot be used any more",
			zap.String("receiver", t.id.receiver), zap.String("integration", t.id.integration), zap.Error(err))
	}
	if in == nil {
		return current
	}
	return in
}

func (t *target) unknownPlace() *Error {
	return &Error{Err: fmt.Errorf("%s/%s: not sent: it is gone from the configuration, and its settings were not kept", t.id.receiver, t.id.integration)}
}
