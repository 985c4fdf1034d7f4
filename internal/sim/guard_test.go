package sim

import (
	"slices"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
)

// rawPage is one that went out past the core, as the file of raw pages has it
// until somebody looks after its end.
type rawPage struct {
	a        *alert.Alert
	receiver string
	key      string
	sent     *correlate.Notification
	logged   bool
	done     bool
}

// pageRaw is the guard: it calls people to an alert of which nobody has decided
// anything in time, under the key that the core would use, and says so in the log.
func (w *world) pageRaw(d *deed) {
	for i := range w.story.universe {
		a := w.story.universe[(i+d.plan)%len(w.story.universe)]
		receiver := w.plan().receiver(a.Labels)
		if levelOf(a) < alert.Error || len(behind[receiver]) == 0 || !w.undecided(a) {
			continue
		}
		p := &rawPage{a: a, receiver: receiver, key: w.rawKey(a)}
		if w.sendRaw(p) {
			w.watch(rawTaken)
			w.raw = append(w.raw, p)
			w.watch(rawKept)
			if w.roll(4) == 0 {
				return // the log takes nothing just then: see closeRaw
			}
			w.noteRaw(len(w.raw) - 1)
		}
		return
	}
}

// noteRaw has the log know of a page.
func (w *world) noteRaw(i int) {
	p := *w.raw[i]
	w.append(frame.Event{Kind: frame.Bypass, Bypass: &frame.Bypassed{Fingerprint: p.a.Fingerprint, Receiver: p.receiver}})
	w.tally.raw++
	w.watch(bypassStored)
	p.logged = true
	w.keepRaw(i, &p)
}

// undecided reports whether an alert fires as far as its sender has said, and is
// pending as far as the guard knows: what the core has not come to is.
func (w *world) undecided(a *alert.Alert) (yes bool) {
	if !w.mayFire(a, w.heard[len(w.heard)-1].at) {
		return false
	}
	if len(w.life.outputs) > 0 || w.life.next <= uint64(len(w.log)) {
		return true
	}
	w.life.owner.Shard().Core.EachPending(alert.Error, func(f alert.Fingerprint, _ alert.Time) { yes = yes || f == a.Fingerprint })
	return yes
}

// rawKey is the key of the alert's group, or the one that the group has told of.
func (w *world) rawKey(a *alert.Alert) string {
	r := w.plan().route(a.Labels)
	labels := a.Labels.AppendOnly(nil, r.GroupBy, r.GroupByAll).String()
	key := r.Key + ":" + labels
	w.life.owner.Shard().Core.EachAlias(func(group, alias string) {
		if group == r.ID+":"+labels {
			key = alias
		}
	})
	return alert.PageKey(key, a.Labels.Severity())
}

// sendRaw reports whether somebody took the page.
func (w *world) sendRaw(p *rawPage) (taken bool) {
	p.sent = &correlate.Notification{
		Kind: correlate.Page, Reason: correlate.FirstNotification, Class: correlate.WantsResolved | correlate.FiringOnly,
		Receiver: p.receiver, GroupKey: p.key, Keys: []string{p.key}, GroupLabels: p.a.Labels, At: w.wall(), Firing: 1,
		Alerts: []correlate.Member{{Fingerprint: p.a.Fingerprint, Labels: p.a.Labels, New: true}},
	}
	for _, to := range behind[p.receiver] {
		f, bad := w.story.faultOf(to, w.now)
		if !bad || f == lost {
			w.events = append(w.events, event{at: w.now, provider: to, key: p.key, kind: correlate.Page, n: p.sent, outcome: correlate.Accepted})
		}
		taken = taken || !bad
	}
	return taken
}

// closeRaw looks after the ends of raw pages, and has the log know of those that
// it does not know of. The core tells those of alerts that
// it knows; the others are told from here, when their senders say so.
func (w *world) closeRaw() {
	l := w.life
	if len(l.outputs) > 0 || l.next <= uint64(len(w.log)) {
		return // a core that is behind may have paged under the key
	}
	for i := range w.raw {
		if !w.raw[i].done && !w.raw[i].logged {
			w.noteRaw(i)
			return // the core has to hear of it first
		}
	}
	for i, p := range w.raw {
		if p.done {
			continue
		}
		stands, member := l.owner.Shard().Core.Stands(p.receiver, p.key, p.a.Fingerprint)
		over := !w.mayFire(p.a, w.heard[len(w.heard)-1].at)
		if !member && !over {
			continue
		}
		done := *p
		if done.done = member || stands || w.sharesKey(p) || w.resolveRaw(p); done.done {
			w.keepRaw(i, &done)
		}
	}
}

// keepRaw replaces a page in the file: others have copies of what was durable.
func (w *world) keepRaw(i int, p *rawPage) {
	w.raw = slices.Clone(w.raw)
	w.raw[i] = p
}

// sharesKey reports whether another raw page, which goes on, stands under the key.
func (w *world) sharesKey(p *rawPage) bool {
	return slices.ContainsFunc(w.raw, func(o *rawPage) bool {
		return !o.done && o.a != p.a && o.receiver == p.receiver && o.key == p.key && w.mayFire(o.a, w.heard[len(w.heard)-1].at)
	})
}

func (w *world) resolveRaw(p *rawPage) (taken bool) {
	taken = true
	n := &correlate.Notification{Kind: correlate.Resolve, Reason: correlate.AllResolved, Receiver: p.receiver, GroupKey: p.key, Keys: []string{p.key}, At: w.wall(), Resolved: 1}
	for _, to := range behind[p.receiver] {
		if providers[to].class != correlate.WantsResolved {
			continue
		}
		if f, bad := w.story.faultOf(to, w.now); bad && f != refused {
			taken = false
			continue
		}
		w.events = append(w.events, event{at: w.now, provider: to, key: p.key, kind: correlate.Resolve, n: n, outcome: correlate.Accepted})
		w.tally.rawEnds++
		w.watch(rawClosed)
	}
	return taken
}
