//go:build !race

package hostile

// sample is how many cases and strings stand for one that is tried: here each for
// itself.
const sample = 1
