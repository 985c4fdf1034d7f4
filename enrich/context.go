// Package enrich decides what a person who is paged should find beside the
// alerts: the runbook, the owner and the tier of the service, the dashboard.
//
// It stands off the decision path and under a deadline. It never decides
// whether or whom to page, never changes a notification, and never stops one:
// what it cannot look up in time is left out and named.
package enrich

import (
	"context"

	"github.com/winnowhq/winnow/correlate"
)

// Context is what the look-ups found for one notification. Every field may be
// empty. The strings come from payloads and catalogues: who prints them
// escapes them for where they are printed.
type Context struct {
	Runbook   string `json:"runbook,omitempty"`   // an http or https URL
	Owner     string `json:"owner,omitempty"`     // a team or a person, as the catalogue writes it
	Tier      string `json:"tier,omitempty"`      // how much the service matters, in the catalogue's words
	Dashboard string `json:"dashboard,omitempty"` // an http or https URL

	Links []Link   `json:"links,omitempty"` // further links, none twice
	Notes []string `json:"notes,omitempty"` // what the reader should know of how this was found

	// Degraded says why this is less than usual, in our words; it is among the
	// notes, and goes to people whose provider shows no notes as well.
	Degraded string `json:"degraded,omitempty"`

	// Failed names the enrichers that gave no answer, in the order they are
	// configured, so that a gap is not read as "there is none".
	Failed []string `json:"failed,omitempty"`
}

// Link is a place to look. URL is http or https.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// An Enricher looks up one thing. It writes what it found to c, which is its
// own and starts empty: enrichers run side by side, and the pipeline merges
// their answers in order, first answer of a field wins. It must not change n,
// and should return when ctx ends. It may be called from several goroutines.
type Enricher interface {
	Name() string // stable, lower case: it is a metric label
	Enrich(ctx context.Context, n *correlate.Notification, c *Context) error
}
