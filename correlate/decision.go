package correlate

import (
	"fmt"
	"strconv"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/dedupe"
)

// Disposition says what became of one delivery. The set is closed: each
// delivery has exactly one at any time, and each that is not Paged says why.
type Disposition uint8

const (
	NoDisposition      Disposition = iota
	Pending                        // a page is due at a named time
	Paged                          // this delivery's alert set off a page
	Grouped                        // it went out within a named incident's page or update
	Repeat                         // its alert was firing (or resolved) already
	Held                           // waits to see whether it goes away by itself
	Flapping                       // fires and resolves too often to page each time
	Silenced                       // by a named silence
	Inhibited                      // by a named firing alert
	Muted                          // by a named time interval
	ResolvedBeforePage             // ended before its page was due, or before anybody confirmed it
	BelowThreshold                 // its receiver has nobody behind it
	Storm                          // it stands in a storm's page or update, by name or by number
	Closed                         // a resolve that ended a live alert
	Stray                          // a resolve of an alert that was never seen firing
	Quarantined                    // could not be read; its bytes are kept

	NumDispositions
)

var dispositionNames = [NumDispositions]string{
	"none", "pending", "paged", "grouped", "repeat", "held", "flapping", "silenced", "inhibited", "muted",
	"resolved_before_page", "below_page_threshold", "storm", "resolved", "stray", "quarantined",
}

func (d Disposition) String() string { return dispositionNames[min(d, NumDispositions-1)] }

// Action is what a Row records.
type Action uint8

const (
	Delivered       Action = iota + 1 // a delivery came in and got its first disposition
	Moved                             // an onset's disposition changed from Was to Now
	Ended                             // an episode ended; Now is its onset's last disposition
	IncidentOpened                    // a group came to life
	IncidentClosed                    // its last alert ended and that was said to whom it concerned
	Notified                          // a notification was decided
	ReceiptReceived                   // a sink reported
	Adjusted                          // the log's keeper moved times, as after a stop
	SourceSilent                      // a source has sent nothing for Delay; Cause names it
	SourceHeard                       // it has again
	Stepped                           // Winnow went to level Revision of its ladder at Until, because of Cause
	PagedRaw                          // an alert was paged past the core, at receiver Cause
	ClockSet                          // the clock that At is by was set, by Delay; before that it was so much less
)

var actionNames = [...]string{
	"", "delivered", "moved", "ended", "incident_opened", "incident_closed", "notified", "receipt", "adjusted",
	"source_silent", "source_heard", "stepped", "paged_raw", "clock_set",
}

func (a Action) String() string { return actionNames[min(int(a), len(actionNames)-1)] }

// Dim is what the accounts are broken down by. Core interns each combination;
// a Row carries its number.
type Dim struct {
	Source   string
	Rule     string // alertname
	Service  string
	Severity alert.Severity
}

// Row is one line of the accounts.
type Row struct {
	At          alert.Time
	Seq         uint64 // of the log message that led to it
	Fingerprint alert.Fingerprint
	Action      Action
	Verdict     dedupe.Verdict
	Was, Now    Disposition
	Kind        Kind // of a notification
	Reason      Reason
	Severity    alert.Severity // of the alert, or the highest of the notification
	Paged       alert.Severity // Grouped, Storm: the severity its incident was paged at; unset for one that a storm only counted
	Dim         uint32
	Incident    uint64
	Revision    uint32
	// Cause names what is behind Now: a silence's id, an interval, the
	// fingerprint of an inhibiting alert, a receiver.
	Cause string
	Until alert.Time    // Pending: when the page is due. ResolvedBeforePage after all: when the episode began
	Delay time.Duration // Paged, Grouped, Storm by name: from the onset's arrival to the decision
}

// Kind says what a notification is to the person who gets it.
type Kind uint8

const (
	Page    Kind = iota + 1 // look now
	Update                  // the incident changed, or still stands
	Resolve                 // it is over
)

var kindNames = [...]string{"", "page", "update", "resolve"}

func (k Kind) String() string { return kindNames[min(int(k), len(kindNames)-1)] }

// Reason says why a notification goes out now.
type Reason uint8

const (
	FirstNotification Reason = iota + 1
	Escalation               // a more severe alert joined than was paged
	NewAlerts
	SomeResolved
	AllResolved
	RepeatInterval
)

var reasonNames = [...]string{
	"none", "first notification", "escalation", "new alerts added", "some alerts resolved", "all alerts resolved", "repeat interval elapsed",
}

func (r Reason) String() string { return reasonNames[min(int(r), len(reasonNames)-1)] }

// Class is a set of integrations of a receiver, by whether they want resolves.
type Class uint8

const (
	WantsResolved Class = 1 << iota
	FiringOnly
)

// Member is an alert as a notification shows it. EndsAt is zero while it fires.
type Member struct {
	Fingerprint  alert.Fingerprint `json:"fingerprint"`
	Labels       alert.Labels      `json:"labels"`
	Annotations  alert.Labels      `json:"annotations,omitempty"`
	StartsAt     alert.Time        `json:"starts_at"`
	EndsAt       alert.Time        `json:"ends_at,omitempty"`
	GeneratorURL string            `json:"generator_url,omitempty"`
	Deliveries   uint64            `json:"deliveries"` // as sent in this episode, re-sends included
	New          bool              `json:"new,omitempty"`
}

// Resolved reports whether the alert had ended when the notification was decided.
func (m *Member) Resolved() bool { return m.EndsAt != 0 }

// Notification is what a receiver is to be told. It is complete: a sink needs
// nothing else to send it.
type Notification struct {
	Incident uint64 `json:"incident"`
	Revision uint32 `json:"revision"` // counts the notifications of an incident, from 1
	Kind     Kind   `json:"kind"`
	Reason   Reason `json:"reason"`
	Class    Class  `json:"class"`

	Receiver string `json:"receiver"`
	RouteID  string `json:"route_id"`

	// GroupKey is Alertmanager's. It is the same for the whole incident.
	GroupKey string `json:"group_key"`
	// Keys are what providers deduplicate on (see alert.PageKey): those under
	// which the incident has been paged, the one that stands for it now last. A
	// resolve goes out under all of them.
	Keys []string `json:"keys"`

	GroupLabels alert.Labels `json:"group_labels,omitempty"`
	RouteLabels alert.Labels `json:"route_labels,omitempty"`

	At       alert.Time     `json:"at"`       // when it was decided
	Opened   alert.Time     `json:"opened"`   // when the incident's first alert came
	Severity alert.Severity `json:"severity"` // the highest that fires; for a resolve, the highest that was paged

	Alerts   []Member `json:"alerts"`            // the most severe first
	Firing   int      `json:"firing"`            // of all, listed or not
	Resolved int      `json:"resolved"`          //
	Omitted  int      `json:"omitted,omitempty"` // in the counts but not in Alerts

	// Continued says that it names what found no place in the one before it:
	// further criticals and errors that are new.
	Continued bool          `json:"continued,omitempty"`
	Storm     *StormSummary `json:"storm,omitempty"` // nil unless the incident stands for one

	// Raw says that somebody was called past the core for an alert that it counts,
	// under one of its keys: what it says of the end concerns them, whether a page
	// of the core's was taken or not.
	Raw bool `json:"raw,omitempty"`
}

// ID is the same for every attempt at the same revision.
func (n *Notification) ID() string { return notificationID(n.Incident, n.Revision) }

func notificationID(incident uint64, revision uint32) string {
	return IncidentName(incident) + "/" + strconv.FormatUint(uint64(revision), 10)
}

// Key is the one that stands for the incident now.
func (n *Notification) Key() string {
	if len(n.Keys) == 0 {
		return n.GroupKey
	}
	return n.Keys[len(n.Keys)-1]
}

// IncidentName writes an incident's number as people read it; 0 is that of a
// page which went out past the core.
func IncidentName(incident uint64) string {
	if incident == 0 {
		return "raw"
	}
	return "INC-" + strconv.FormatUint(incident, 10)
}

// ParseIncident reads what IncidentName wrote.
func ParseIncident(s string) (uint64, error) {
	if len(s) > 4 && s[:4] == "INC-" {
		if n, err := strconv.ParseUint(s[4:], 10, 64); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("incident %q: want INC- and a number", s)
}

// Outcome is how an attempt to notify ended.
type Outcome uint8

const (
	Accepted   Outcome = iota + 1 // the provider took it
	Failed                        // the provider refused it for good
	Superseded                    // a newer notification of the same key took its place
	Skipped                       // the integration does not want this kind
)

var outcomeNames = [...]string{"", "accepted", "failed", "superseded", "skipped"}

func (o Outcome) String() string { return outcomeNames[min(int(o), len(outcomeNames)-1)] }

// Nobody is what a receipt names where its receiver has no integration to ask.
const Nobody = "-"

// Receipt is what a sink reports for one integration. It enters the log.
type Receipt struct {
	Incident    uint64
	Revision    uint32
	Kind        Kind // Page for an update that went out in the place of one
	Receiver    string
	Integration string // type[index], as "pagerduty[0]", or Nobody
	Outcome     Outcome
	Last        bool // no receipt of this notification comes after this one
	Attempts    uint32
	At          alert.Time // when the provider answered
	Error       string     // redacted; empty unless Outcome is Failed
	// Generation names the settings that it went out by, where they are kept
	// until the incident is over.
	Generation string `json:",omitempty"`
	// Page is the revision of the page whose place the notification took, 0 for
	// one that is a page itself.
	Page uint32 `json:",omitempty"`
}

// ID is that of the notification.
func (r *Receipt) ID() string { return notificationID(r.Incident, r.Revision) }
