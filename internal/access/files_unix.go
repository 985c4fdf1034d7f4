//go:build unix

package access

import "syscall"

// openFiles is how many files this process may have open. The Go runtime has
// raised that to what the system allows.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 2 * MaxConnections
	}
	return int(min(uint64(l.Cur), 2*MaxConnections))
}
