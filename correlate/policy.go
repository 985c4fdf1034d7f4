package correlate

import (
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Policy is all that decides how alerts group and page. It stands in the log as
// JSON, so it holds no secret and nothing that only this machine knows.
// NewCore and SetPolicy compile it.
type Policy struct {
	Route     Route         `json:"route"`
	Inhibit   []InhibitRule `json:"inhibit,omitempty"`
	Intervals []Interval    `json:"intervals,omitempty"`
	Receivers []Receiver    `json:"receivers"`
	Sources   []Source      `json:"sources,omitempty"` // those that are watched for silence

	// Storm bounds the groups that open at a receiver. A policy that says
	// nothing of it sets no bound.
	Storm StormLimit `json:"storm,omitzero"`

	// MaxAlerts bounds the alerts that are known at a time; see Core.Observe. A
	// policy that says nothing of it has DefaultMaxAlerts.
	MaxAlerts int `json:"max_alerts,omitzero"`

	// ResolveTimeout ends a firing alert whose sender gave no end and promised
	// no explicit resolve, counted from its last delivery.
	ResolveTimeout time.Duration `json:"resolve_timeout"`
}

// Route is a node of Alertmanager's routing tree, settings inherited from the
// parent already filled in.
type Route struct {
	// ID tells this route from every other of the tree, also across reloads.
	ID string `json:"id"`
	// Key is Alertmanager's route key; siblings may share it.
	Key string `json:"key"`

	Matchers alert.Matchers `json:"matchers,omitempty"`
	Continue bool           `json:"continue,omitempty"`
	Receiver string         `json:"receiver"`

	GroupBy    []string `json:"group_by,omitempty"` // sorted
	GroupByAll bool     `json:"group_by_all,omitempty"`

	GroupWait      time.Duration `json:"group_wait"`
	GroupInterval  time.Duration `json:"group_interval"`
	RepeatInterval time.Duration `json:"repeat_interval"`

	MuteIntervals   []string `json:"mute_intervals,omitempty"`
	ActiveIntervals []string `json:"active_intervals,omitempty"`

	// Labels are handed to the sink, unrendered.
	Labels alert.Labels `json:"labels,omitempty"`

	Routes []Route `json:"routes,omitempty"`
}

// InhibitRule mutes targets while a source fires that has the same values in
// the labels of Equal.
type InhibitRule struct {
	Name   string         `json:"name,omitempty"`
	Source alert.Matchers `json:"source,omitempty"`
	Target alert.Matchers `json:"target,omitempty"`
	Equal  []string       `json:"equal,omitempty"`
}

// Interval is a named time interval, its times as the YAML list that
// Alertmanager's time_intervals have: the one form that its types read back.
type Interval struct {
	Name  string `json:"name"`
	Times string `json:"times"`
}

// Receiver says what kinds of integration stand behind a name. One with
// neither pages nobody.
type Receiver struct {
	Name       string `json:"name"`
	Resolved   bool   `json:"resolved,omitempty"`    // some integrations want resolves
	FiringOnly bool   `json:"firing_only,omitempty"` // some do not
}

// Source is one that sends something at least every SilentAfter, as a
// Prometheus with an always-firing Watchdog does. When it does not, its alerts
// are not taken to have ended because nobody speaks of them any more.
type Source struct {
	Name        string        `json:"name"`
	SilentAfter time.Duration `json:"silent_after"`
}

// A Silence mutes the alerts that any of its matcher sets matches, from
// StartsAt until EndsAt.
type Silence struct {
	ID        string           `json:"id"`
	Matchers  []alert.Matchers `json:"matchers"`
	StartsAt  alert.Time       `json:"starts_at"`
	EndsAt    alert.Time       `json:"ends_at"`
	CreatedBy string           `json:"created_by,omitempty"`
	Comment   string           `json:"comment,omitempty"`
}
