// Package benchmarks measures what an alert costs, stage by stage and on the
// whole line, in CPU time, memory and allocations.
//
// It decides how each figure is taken, so that two of them can be compared. It
// never judges a figure by the wall clock of a shared machine: what a test holds
// is counted, not timed. `make bench` prints the table.
//
// Alerts come from package load. The whole program against its peers, and in
// failure, is the business of benchmarks/e2e.
package benchmarks
