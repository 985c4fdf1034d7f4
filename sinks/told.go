package sinks

import (
	"slices"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// told is a member as a payload lists it, its strings made inert, with what the
// look-ups found added where the alert says nothing itself. Whoever writes a
// payload goes by it, Alertmanager's notifiers or we.
type told struct {
	labels, annotations alert.Labels
	starts, ends        time.Time // ends is zero while it fires
	link                string
}

// telling is memory for what a message tells. A lane uses it for one after
// another.
type telling struct {
	list   []told
	labels alert.Labels // annotations to which something was added
	common [2]alert.Labels
}

// of returns the members that m tells of. They are valid until the next call.
func (t *telling) of(w *wrapped, m *Message) []told {
	n := m.Notification
	over := n.Kind == correlate.Resolve
	now := time.Now()
	added := w.added(m)
	t.list, t.labels = t.list[:0], t.labels[:0]
	firing := false
	for i := range n.Alerts {
		member := &n.Alerts[i]
		var ends time.Time
		if over || member.Resolved() {
			if !w.sendResolved {
				continue
			}
			ends = endOf(n, member, now)
		} else {
			firing = true
		}
		t.add(w.inert, member, ends, added)
	}
	if !over && !firing && n.Firing > 0 && len(n.Alerts) > 0 {
		// None that fires is listed. Without one the notifiers would take the
		// incident for resolved and close it.
		t.add(w.inert, &n.Alerts[0], time.Time{}, added)
	}
	return t.list
}

func (t *telling) add(in *inert, member *correlate.Member, ends time.Time, added alert.Labels) {
	annotations := in.annotations(member.Annotations)
	if len(added) > 0 {
		from := len(t.labels)
		t.labels = appendWithMissing(t.labels, annotations, added)
		annotations = t.labels[from:len(t.labels):len(t.labels)]
	}
	t.list = append(t.list, told{
		labels: in.labels(member.Labels), annotations: annotations,
		starts: member.StartsAt.Std(), ends: ends, link: in.link(member.GeneratorURL),
	})
}

// forget lets go of the strings, and of memory that few messages need.
func (t *telling) forget() {
	if cap(t.list) > maxKeptBytes>>10 { // of so many alerts the buffer is too large, too
		*t = telling{}
		return
	}
	clear(t.list)
	clear(t.labels)
	for _, ls := range t.common {
		clear(ls[:cap(ls)])
	}
}

func endOf(n *correlate.Notification, member *correlate.Member, now time.Time) time.Time {
	ends := member.EndsAt.Std()
	if member.EndsAt == 0 {
		ends = n.At.Std()
	}
	// The notifiers compare it with the machine's clock, which may be behind
	// the log's: an end in the future would turn the resolve into a trigger.
	if !ends.Before(now) {
		ends = now.Add(-time.Millisecond)
	}
	return ends
}

// added are the annotations that each alert of m gets unless it has one of that
// name, sorted.
func (w *wrapped) added(m *Message) alert.Labels {
	redelivered := ""
	if m.Redelivered && w.kind == "webhook" { // a program reads it, and has no key to fold by
		redelivered = "true"
	}
	return slices.DeleteFunc(alert.Labels{
		{Name: "owner", Value: w.inert.label(m.Context.Owner)},
		{Name: "redelivered", Value: redelivered},
		{Name: "runbook_url", Value: w.inert.link(m.Context.Runbook)},
		{Name: "winnow_note", Value: w.inert.note(m.Context.Degraded)},
	}, func(l alert.Label) bool { return l.Value == "" })
}

// appendWithMissing appends own and what of added it has no name for: sorted,
// where own is.
func appendWithMissing(dst, own, added alert.Labels) alert.Labels {
	from := len(dst)
	dst = append(dst, own...)
	for _, l := range added {
		if slices.ContainsFunc(own, func(o alert.Label) bool { return o.Name == l.Name }) {
			continue
		}
		at := from
		for at < len(dst) && dst[at].Name < l.Name {
			at++
		}
		dst = slices.Insert(dst, at, l)
	}
	return dst
}

// asAlerts is what Alertmanager's notifiers take.
func asAlerts(list []told, at time.Time) []*amalert.Alert {
	out := make([]*amalert.Alert, len(list))
	for i := range list {
		t := &list[i]
		out[i] = &amalert.Alert{
			Alert: model.Alert{
				Labels: labelSet(t.labels), Annotations: labelSet(t.annotations),
				StartsAt: t.starts, EndsAt: t.ends, GeneratorURL: t.link,
			},
			UpdatedAt: at,
		}
	}
	return out
}
