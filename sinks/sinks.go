// Package sinks brings notifications to people: it decides in which order, how
// often and how long to try, and when a newer notification makes an older one
// pointless. It reports to its caller what became of each.
//
// Alertmanager's eighteen integrations are built from its receivers block and
// wrapped (build.go, alertmanager.go), and what a plain webhook sends is written
// here (webhook.go); stdout and jsonl are our own.
//
// It never decides whether or whom to page, never gives up on a page that may
// still be accepted, never lets one integration slow another, and never lets a
// secret of the configuration out in an error.
package sinks

import (
	"context"
	"time"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// Message is one thing to tell one integration.
type Message struct {
	// Notification must not be changed: other integrations read it too.
	Notification *correlate.Notification
	Context      enrich.Context

	// Key is what the provider is to deduplicate on. It is the same for every
	// attempt, and for a keyed integration another one for each page.
	Key string

	// Page says that somebody must look now. It is true for a page, and for an
	// update that took the place of a page nobody has got.
	Page bool

	// Redelivered says that the provider may have the same message already: an
	// attempt of this life may have arrived, or one of a life before.
	Redelivered bool
}

// An Integration tells one provider. Send is called from several goroutines,
// but never for two messages of one group at once.
type Integration interface {
	// Name is the type and the index within the receiver, as "pagerduty[0]".
	Name() string
	// SendResolved reports whether the end of an incident is worth a message.
	SendResolved() bool
	// Keyed reports whether the provider folds messages of one key into one
	// incident of its own, which a resolve with that key closes.
	Keyed() bool
	// Send makes one attempt. It should return soon after ctx ends; the caller
	// does not wait for longer. An error that is not an *Error counts as one
	// that a later attempt may mend and that may have come after the message
	// was taken.
	Send(ctx context.Context, m *Message) error
}

// Receivers holds the integrations of each receiver by its name.
type Receivers map[string][]Integration

// Class says which classes of integration stand behind a receiver's name. It
// is zero where nobody does.
func (r Receivers) Class(receiver string) correlate.Class {
	var c correlate.Class
	for _, in := range r[receiver] {
		c |= classOf(in)
	}
	return c
}

func classOf(in Integration) correlate.Class {
	if in.SendResolved() {
		return correlate.WantsResolved
	}
	return correlate.FiringOnly
}

// Error is a failed attempt. Its text holds no secret.
type Error struct {
	Retry   bool          // a later attempt may succeed
	After   time.Duration // how long the provider asked to be left alone, 0 where it did not
	Status  int           // of the provider's last HTTP answer, 0 where there was none
	Unknown bool          // the provider may have taken the message all the same
	Err     error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }
