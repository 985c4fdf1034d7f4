// Package alert holds what flows through Winnow: one delivery of an alert, its
// labels, its identity, its times and its severity.
//
// It is a leaf and it is pure: no clock, goroutine, lock, log or I/O. It never
// decides anything about an alert; dedupe and correlate do.
package alert

import "slices"

// Status says what a sender claims about an alert.
type Status uint8

const (
	Firing   Status = iota // the condition holds
	Resolved               // the condition has ended
)

func (s Status) String() string {
	if s == Resolved {
		return "resolved"
	}
	return "firing"
}

// Mark notes what had to be done to a delivery before it could be accepted.
// A marked alert pages like any other; the mark tells the reader to look.
type Mark uint8

const (
	MarkTruncated    Mark = 1 << iota // a label or annotation was over its limit and was cut
	MarkDuplicateKey                  // a JSON key came twice; of two severities the higher was kept
	MarkSanitised                     // invalid UTF-8 was replaced, or what was no text left out
	MarkClock                         // a time was impossible and was set from the log's clock
)

var markNames = [...]struct {
	m    Mark
	name string
}{
	{MarkTruncated, "truncated"},
	{MarkDuplicateKey, "duplicate_key"},
	{MarkSanitised, "sanitised"},
	{MarkClock, "clock"},
}

// Names lists the marks in a fixed order, nil where there are none.
func (m Mark) Names() []string {
	var out []string
	for _, n := range markNames {
		if m&n.m != 0 {
			out = append(out, n.name)
		}
	}
	return out
}

// Alert is one delivery: what a sender said about one label set at one time.
//
// Labels are sorted, unique and free of empty values; they are the identity.
// Annotations are sorted too and never part of it.
type Alert struct {
	Labels      Labels
	Annotations Labels

	Fingerprint Fingerprint // of Labels; see Labels.Fingerprint

	// StartsAt is zero where the sender gave none: the log's time stands in.
	StartsAt Time

	// EndsAt is the end of the alert for a resolved delivery. For a firing one
	// it is how long the sender vouches for it, and zero where the sender
	// promises an explicit resolve or says nothing.
	EndsAt Time

	GeneratorURL string
	Status       Status
	Marks        Mark
}

// Repeat is one more delivery of an alert that stands in full in the log: there
// a number has been made up for it, in a dictionary. All but the end is as it
// was then.
type Repeat struct {
	EndsAt Time // as in Alert
	Number uint32
}

// Name is the alertname label, empty where there is none.
func (a *Alert) Name() string { return a.Labels.Get("alertname") }

// Clone copies a with all its strings, so that it outlives the buffer it was
// decoded from. It makes two allocations.
func (a *Alert) Clone() Alert {
	c := *a
	both := slices.Concat(a.Labels, a.Annotations)
	text := both.ownText(a.GeneratorURL)
	n := len(a.Labels)
	c.Labels, c.Annotations = nil, nil
	if n > 0 {
		c.Labels = both[:n:n]
	}
	if len(both) > n {
		c.Annotations = both[n:]
	}
	c.GeneratorURL = text
	return c
}
