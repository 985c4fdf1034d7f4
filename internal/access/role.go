package access

import (
	"github.com/winnowhq/winnow/ingest"
)

// The scopes of routes beside ingest.ScopeIngest.
const (
	ScopeOpen  ingest.Scope = "open"  // health: says nothing about anybody's alerts
	ScopeRead  ingest.Scope = "read"  // alerts, incidents, reports, metrics
	ScopeAct   ingest.Scope = "act"   // what people on call do: silence, acknowledge
	ScopeAdmin ingest.Scope = "admin" // changes what is in force for everybody
)

// Role is what a caller may do. A higher one may do all that a lower one may.
type Role string

// The roles, from low to high.
const (
	Nobody    Role = ""
	Viewer    Role = "viewer"
	Responder Role = "responder"
	Admin     Role = "admin"
)

// Least is the lowest role that a scope wants, and whether there is a rule for
// the scope at all. That of ingest.ScopeIngest is Nobody: its routes ask
// themselves.
func Least(scope ingest.Scope) (Role, bool) {
	switch scope {
	case ScopeOpen, ingest.ScopeIngest:
		return Nobody, true
	case ScopeRead:
		return Viewer, true
	case ScopeAct:
		return Responder, true
	case ScopeAdmin:
		return Admin, true
	}
	return Nobody, false
}

// rank orders roles; -1 is none of them.
func (r Role) rank() int {
	switch r {
	case Nobody:
		return 0
	case Viewer:
		return 1
	case Responder:
		return 2
	case Admin:
		return 3
	}
	return -1
}

func (r Role) covers(least Role) bool { return r.rank() >= least.rank() }
