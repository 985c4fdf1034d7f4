package frame

import (
	"encoding/json"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// Kind says what an event is. Numbers are part of the format; they are never
// given to something else.
type Kind uint8

const (
	Alerts        Kind = 1  // deliveries of one source
	Tick          Kind = 2  // time has passed
	Policy        Kind = 3  // another configuration is in force
	Silence       Kind = 4  // a silence was set
	SilenceExpire Kind = 5  // a silence was ended early
	Receipt       Kind = 6  // a sink reported
	Resume        Kind = 7  // nobody listened since a given time
	Quarantine    Kind = 8  // a body, or a part of one, that could not be read
	Stop          Kind = 9  // listening ends here, in order
	Bypass        Kind = 10 // an alert was paged past the core
	Deliveries    Kind = 14 // deliveries of one source, of which some are repeats by number
	Ladder        Kind = 11 // Winnow does more or less of its work from now on
)

// Event is one event of the log. Only the fields of its kind are set.
type Event struct {
	Kind Kind

	Source   string        // Alerts, Deliveries, Quarantine
	Validity time.Duration // Alerts, Deliveries: see correlate.Core.Observe
	Alerts   []alert.Alert // Alerts, Deliveries: in full; valid until the next Decode

	// Deliveries: of the alerts in full, the first gets number First in
	// Dictionary, and so on. Runs says in what order they came: so many
	// repeats, so many in full, so many repeats, and so on.
	Dictionary uint64
	First      uint32
	Repeats    []alert.Repeat // valid until the next Decode
	Runs       []uint32

	Policy     *correlate.Policy
	PolicyHash string // names the policy's text
	Silence    *correlate.Silence
	SilenceID  string // SilenceExpire
	Receipt    *correlate.Receipt
	From       alert.Time // Resume
	Quarantine *Quarantined
	Bypass     *Bypassed
	Ladder     *Stepped
}

// Stepped is a step of the ladder. At is when it was taken, which may be long
// before the log took the event.
type Stepped struct {
	Level uint8      `json:"level"`
	Cause string     `json:"cause"`
	At    alert.Time `json:"at"`
}

// Bypassed is an alert that was paged past the core.
type Bypassed struct {
	Fingerprint alert.Fingerprint `json:"fingerprint"`
	Receiver    string            `json:"receiver"`
}

// Quarantined is what could not be read, with its bytes.
type Quarantined struct {
	Source  string `json:"source"`
	Reason  string `json:"reason"`
	Pointer string `json:"pointer,omitempty"` // JSON pointer
	Offset  int    `json:"offset,omitempty"`  // in the body, bytes
	Alerts  int    `json:"alerts,omitempty"`  // deliveries in Raw; 0 where nobody can say
	Raw     []byte `json:"raw,omitempty"`
}

// The payloads of the kinds that are JSON.
type (
	policyPayload struct {
		Hash   string            `json:"hash"`
		Policy *correlate.Policy `json:"policy"`
	}
	idPayload struct {
		ID string `json:"id"`
	}
	resumePayload struct {
		From alert.Time `json:"from"`
	}
)

func (e *Event) payload() ([]byte, error) {
	switch e.Kind {
	case Policy:
		return json.Marshal(policyPayload{e.PolicyHash, e.Policy})
	case Silence:
		return json.Marshal(e.Silence)
	case SilenceExpire:
		return json.Marshal(idPayload{e.SilenceID})
	case Receipt:
		return json.Marshal(e.Receipt)
	case Resume:
		return json.Marshal(resumePayload{e.From})
	case Quarantine:
		return json.Marshal(e.Quarantine)
	case Bypass:
		return json.Marshal(e.Bypass)
	case Ladder:
		return json.Marshal(e.Ladder)
	}
	return nil, nil // Tick, Stop
}

// Each calls the functions for the deliveries of the event, in the order in
// which they came. Number is that of an alert in full; kind Alerts has none.
func (e *Event) Each(repeat func(*alert.Repeat), full func(a *alert.Alert, number uint32)) {
	if e.Kind == Alerts {
		for i := range e.Alerts {
			full(&e.Alerts[i], 0)
		}
		return
	}
	r, a := 0, 0
	for i, n := range e.Runs {
		if i%2 == 0 {
			for range n {
				repeat(&e.Repeats[r])
				r++
			}
			continue
		}
		for range n {
			full(&e.Alerts[a], e.First+uint32(a))
			a++
		}
	}
}

func (e *Event) setPayload(b []byte) (err error) {
	switch e.Kind {
	case Policy:
		var p policyPayload
		err = json.Unmarshal(b, &p)
		if p.Policy == nil {
			return corrupt("policy event without a policy")
		}
		e.Policy, e.PolicyHash = p.Policy, p.Hash
	case Silence:
		e.Silence = &correlate.Silence{}
		err = json.Unmarshal(b, e.Silence)
	case SilenceExpire:
		var p idPayload
		err = json.Unmarshal(b, &p)
		e.SilenceID = p.ID
	case Receipt:
		e.Receipt = &correlate.Receipt{}
		err = json.Unmarshal(b, e.Receipt)
	case Resume:
		var p resumePayload
		err = json.Unmarshal(b, &p)
		e.From = p.From
	case Quarantine:
		e.Quarantine = &Quarantined{}
		err = json.Unmarshal(b, e.Quarantine)
		e.Source = e.Quarantine.Source
	case Bypass:
		e.Bypass = &Bypassed{}
		err = json.Unmarshal(b, e.Bypass)
	case Ladder:
		e.Ladder = &Stepped{}
		err = json.Unmarshal(b, e.Ladder)
	case Tick, Stop:
	default:
		return corrupt("event of unknown kind %d; was the log written by a newer version?", e.Kind)
	}
	if err != nil {
		return corrupt("event of kind %d: %v", e.Kind, err)
	}
	return nil
}
