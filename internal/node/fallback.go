package node

import (
	"maps"
	"slices"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/selfalert"
)

// flight is a notification until all that it set off is reported. There are as
// many as the queues of the sinks hold.
type flight struct {
	*engine.Delivery
	asides int  // on their way to a fallback
	fell   bool // it has gone to the fallback
	ended  bool // its own receiver has reported all
}

// remember keeps a notification until its last receipt.
func (v *delivery) remember(d *engine.Delivery) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.inFlight[d.ID()] = &flight{Delivery: d}
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
	if r.Outcome == correlate.Skipped && r.Integration == "-" && r.Kind == correlate.Resolve {
		n.alarm.Raise(selfalert.SinkFailed, "receiver "+r.Receiver+" has nobody behind it any more: close "+correlate.IncidentName(r.Incident)+" there by hand")
	}
	if mended {
		n.alarm.Clear(selfalert.SinkFailed)
	}
	n.engine.Report(r, noted)
}

// fallsBack reports whether what a provider refused goes to the fallback: once,
// however many integrations refuse it.
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
		f.fell = true
		f.asides++
		v.fallen[f.Incident] = to
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
