//go:build !unix

package access

// openFiles is how many files this process may have open: here the memory is
// the only bound.
func openFiles() int { return 2 * MaxConnections }
