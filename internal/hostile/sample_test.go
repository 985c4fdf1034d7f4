//go:build race

package hostile

// sample is how many cases and strings stand for one that is tried: the race
// detector makes each take ten times as long and sees one goroutine here.
const sample = 16
