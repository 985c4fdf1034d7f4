package stream

import (
	"fmt"
	"syscall"
)

// space asks the system how much room is left for us where dir is.
func space(dir string) (free, size uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("stream: ask for free space on %s: %w", dir, err)
	}
	block := uint64(st.Bsize)
	return uint64(st.Bavail) * block, st.Blocks * block, nil
}
