package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/selfalert"
)

// pagePatience is how long a page may wait for its receiver until the fallback
// has it too: two attempts that get no answer within their 10 s.
const pagePatience = 20 * time.Second

// flight is a notification until all that it set off is reported. There are as
// many as the queues of the sinks hold.
type flight struct {
	*engine.Delivery
	since  time.Time // when it was handed to the sinks
	asides int       // on their way to a fallback
	fell   bool      // it has gone to the fallback
	ended  bool      // its own receiver has reported all
}

// remember keeps a notification until its last receipt.
func (v *delivery) remember(d *engine.Delivery) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.inFlight[d.ID()] = &flight{Delivery: d, since: time.Now()}
}

// lookForLate hands pages that their receivers have not taken for long to the
// fallback, each once, and tells people that they wait. What their own receivers
// take in the end stands there as well, and both hear of the end.
func (n *Node) lookForLate() {
	v := n.delivery
	to := n.current.Load().Winnow.FallbackReceiver
	v.handing.Lock() // no resolve of theirs gets to the fallback before them
	defer v.handing.Unlock()
	late, waiting := v.waited(time.Now(), to)
	for _, d := range late {
		v.pass(d, fallback(d.Notification, to), enrich.Context{Notes: []string{fmt.Sprintf("receiver %s has not taken it for %s; sent to the fallback", d.Receiver, pagePatience)}})
	}
	if waiting == v.waiting {
		return
	}
	if v.waiting = waiting; waiting == "" {
		n.alarm.Clear(selfalert.PageWaits)
	} else {
		n.alarm.Raise(selfalert.PageWaits, waiting)
	}
}

// waited returns the pages that fall back now, oldest first, and in words the
// oldest that has waited for too long, if one has.
func (v *delivery) waited(now time.Time, to string) (late []*engine.Delivery, waiting string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	over := map[uint64]bool{}      // their pages are on their way out of the queues
	for _, f := range v.inFlight { // order: a set
		if f.Kind == correlate.Resolve {
			over[f.Incident] = true
		}
	}
	var oldest *flight
	for _, f := range v.inFlight { // order: sorted below, and the smallest of all
		if f.Kind != correlate.Page || f.ended || over[f.Incident] || now.Sub(f.since) < pagePatience {
			continue
		}
		if oldest == nil || f.since.Before(oldest.since) || f.since.Equal(oldest.since) && f.ID() < oldest.ID() {
			oldest = f
		}
		if !f.fell && hasFallback(f.Notification, to) {
			v.falls(f, to)
			late = append(late, f.Delivery)
		}
	}
	slices.SortFunc(late, func(a, b *engine.Delivery) int {
		return cmp.Or(cmp.Compare(a.Incident, b.Incident), cmp.Compare(a.Revision, b.Revision))
	})
	if oldest != nil {
		waiting = fmt.Sprintf("receiver %s does not take the page %s", oldest.Receiver, oldest.ID())
		if !oldest.fell {
			waiting += ", and there is no fallback"
		}
	}
	return late, waiting
}

// falls notes that a notification goes to the fallback as well. The caller holds
// v.mu.
func (v *delivery) falls(f *flight, to string) {
	f.fell = true
	f.asides++
	v.fallen[f.Incident] = to
}

// receipt is told what became of a notification at one integration, and calls
// noted once the log has that.
func (n *Node) receipt(r correlate.Receipt, noted func()) {
	v := n.delivery
	to := n.current.Load().Winnow.FallbackReceiver
	v.mu.Lock()
	sent := v.inFlight[r.ID()]
	falls := sent != nil && sent.fallsBack(&r, to)
	if sent != nil {
		v.settle(sent, &r, falls, to)
	}
	at := r.Receiver + "/" + r.Integration
	mended := false
	switch r.Outcome {
	case correlate.Failed:
		v.refusing[at] = true
	case correlate.Accepted:
		mended = v.refusing[at] && len(v.refusing) == 1
		delete(v.refusing, at)
	}
	v.mu.Unlock()
	if r.Outcome == correlate.Failed {
		detail := at + ": " + r.Error
		if r.Kind == correlate.Resolve {
			detail = byHand(r.Incident, r.Receiver, r.Integration) + ": " + r.Error
		}
		n.alarm.Raise(selfalert.SinkFailed, detail)
	}
	if falls { // not from here: the sinks themselves wait for this call
		go v.pass(sent.Delivery, fallback(sent.Notification, to), enrich.Context{Notes: []string{"receiver " + r.Receiver + " refuses it; sent to the fallback"}})
	}
	if r.Outcome == correlate.Skipped && r.Integration == correlate.Nobody && r.Kind == correlate.Resolve {
		n.alarm.Raise(selfalert.SinkFailed, "receiver "+r.Receiver+" has nobody behind it any more: close "+correlate.IncidentName(r.Incident)+" there by hand")
	}
	if mended {
		n.alarm.Clear(selfalert.SinkFailed)
	}
	n.engine.Report(r, noted)
}

// fallsBack reports whether what a provider refused goes to the fallback: once,
// however many integrations refuse it, or if it is there already.
func (f *flight) fallsBack(r *correlate.Receipt, to string) bool {
	return r.Outcome == correlate.Failed && r.Receiver == f.Receiver && hasFallback(f.Notification, to) && !f.fell
}

// hasFallback reports whether a notification that fails goes to receiver to.
func hasFallback(n *correlate.Notification, to string) bool {
	return to != "" && to != n.Receiver && n.Kind != correlate.Resolve
}

// elsewhere reports whether somebody else is told of a notification that fails.
func (n *Node) elsewhere(nt *correlate.Notification) bool {
	return hasFallback(nt, n.current.Load().Winnow.FallbackReceiver)
}

// settle says whether a receipt is the last of all: what has gone to a fallback
// is part of its notification, which the next life delivers again until both are
// reported. The caller holds v.mu.
func (v *delivery) settle(f *flight, r *correlate.Receipt, falls bool, to string) {
	switch {
	case r.Receiver == f.Receiver:
		f.ended = f.ended || r.Last
	case r.Last:
		f.asides--
	}
	if falls {
		v.falls(f, to)
	}
	if r.Last = f.ended && f.asides == 0; r.Last {
		delete(v.inFlight, r.ID())
	}
}

// forgetRefusals drops what integrations refused that the configuration has no
// longer: they will never accept anything that would say that it is over.
func (n *Node) forgetRefusals() {
	known := map[string]bool{}
	for receiver, integrations := range *n.receivers.Load() { // order: a set
		for _, in := range integrations {
			known[receiver+"/"+in.Name()] = !slices.Contains(n.retired, receiver)
		}
	}
	v := n.delivery
	v.mu.Lock()
	before := len(v.refusing)
	maps.DeleteFunc(v.refusing, func(at string, _ bool) bool { return !known[at] })
	mended := before > 0 && len(v.refusing) == 0
	v.mu.Unlock()
	if mended {
		n.alarm.Clear(selfalert.SinkFailed)
	}
}

// closeFallback tells the fallback receivers that what they were told of is
// over: those that have it by the log, and those to which it is on its way.
func (v *delivery) closeFallback(d *engine.Delivery, c enrich.Context) {
	n := d.Notification
	others := slices.DeleteFunc(v.sinks.StandsAt(n.Incident), func(receiver string) bool { return receiver == n.Receiver })
	v.mu.Lock()
	if to, ok := v.fallen[n.Incident]; ok && !slices.Contains(others, to) {
		others = append(others, to)
	}
	delete(v.fallen, n.Incident)
	if f := v.inFlight[n.ID()]; f != nil {
		f.asides = len(others)
	}
	v.mu.Unlock()
	for _, to := range others {
		v.pass(d, fallback(n, to), c)
	}
}

// fallback is n as the fallback receiver gets it: under keys of its own, one for
// each that its provider would have seen.
func fallback(n *correlate.Notification, to string) *correlate.Notification {
	f := *n
	f.Class = correlate.WantsResolved | correlate.FiringOnly
	prefix := "fallback/" + n.Receiver + "/"
	f.GroupKey, f.Keys = prefix+n.GroupKey, nil
	for _, key := range n.Keys {
		f.Keys = append(f.Keys, prefix+key)
	}
	f.Receiver = to
	return &f
}
