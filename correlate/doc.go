// Package correlate decides which incident an alert belongs to and whether
// somebody must hear of it.
//
// It is a step function over the log: state and event in, state and decisions
// out. It is pure: no clock, goroutine, lock, log or I/O, and no map order in
// what it returns, so the same log gives the same decisions for ever. It never
// drops an alert: each delivery gets a disposition, and what does not page has
// a reason that names its cause.
package correlate
