package enrich

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/winnowhq/winnow/correlate"
)

// maxOtherOwners bounds the list in a note.
const maxOtherOwners = 5

// ownerEnricher takes the owner that the alert names itself, or that of the
// catalogue's entry for its service; from the entry also tier and links. The
// most severe alert with an answer decides; other owners are noted.
type ownerEnricher struct {
	catalog       *catalog
	ownerLabels   []string
	serviceLabels []string
}

func (*ownerEnricher) Name() string { return "owner" }

func (e *ownerEnricher) Enrich(ctx context.Context, n *correlate.Notification, c *Context) error {
	var others []string
	var described *entry
	for i := range n.Alerts[:min(len(n.Alerts), maxMembers)] {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := &n.Alerts[i]
		found := e.catalog.lookup(m, e.serviceLabels)
		owner := e.named(m)
		if owner == "" && found != nil {
			owner = found.owner
		}
		if described == nil && found != nil {
			described = found
			found.describe(c)
		}
		switch {
		case owner == "" || owner == c.Owner:
		case c.Owner == "":
			c.Owner = owner
		case !slices.Contains(others, owner):
			others = append(others, owner)
		}
	}
	if len(others) > 0 {
		more := ""
		if n := len(others) - maxOtherOwners; n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		c.Notes = append(c.Notes, "alerts of other owners belong to it: "+strings.Join(others[:min(len(others), maxOtherOwners)], ", ")+more)
	}
	return nil
}

// named is the owner that the alert's own labels give.
func (e *ownerEnricher) named(m *correlate.Member) string {
	for _, label := range e.ownerLabels {
		if v := m.Labels.Get(label); v != "" {
			return v
		}
	}
	return ""
}

// lookup finds the entry for m by the first of the labels that names one.
func (c *catalog) lookup(m *correlate.Member, labels []string) *entry {
	for _, label := range labels {
		if found := c.find(m.Labels.Get(label)); found != nil {
			return found
		}
	}
	return nil
}

// describe writes what the entry says, except for its owner.
func (e *entry) describe(c *Context) {
	c.Tier, c.Runbook, c.Dashboard = e.tier, e.runbook, e.dashboard
	c.Links = append(c.Links, e.links...)
	switch strings.ToLower(e.lifecycle) {
	case "", "production":
	default:
		c.Notes = append(c.Notes, fmt.Sprintf("the catalogue lists %s as %s", e.name, e.lifecycle))
	}
}

// dashboardAnnotations may carry a dashboard, best first.
var dashboardAnnotations = [...]string{"dashboard_url", "dashboard"}

// dashboardEnricher takes the dashboard that the most severe alert with one
// names in its annotations. The catalogue's stands in through ownerEnricher.
type dashboardEnricher struct{}

func (dashboardEnricher) Name() string { return "dashboard" }

func (dashboardEnricher) Enrich(ctx context.Context, n *correlate.Notification, c *Context) error {
	for i := range n.Alerts[:min(len(n.Alerts), maxMembers)] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if link := new(readLink).of(&n.Alerts[i], dashboardAnnotations[:], c); link != "" {
			c.Dashboard = link
			return nil
		}
	}
	return nil
}
