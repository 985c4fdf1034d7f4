package shape

import (
	"fmt"
	"os"
	"syscall"
)

// warmed is how much free memory is touched before CPU is measured: more than
// what any load whose CPU is measured takes of it. Where less is free it is half
// of that.
const warmed = 3 << 29

// warm has the machine own the memory that a run is about to take. A virtual
// machine gives free memory back to its host, and the next program to touch it
// waits for the host, in CPU time of its own: here ten times what the kernel
// takes to clear a page. That is the host's cost, and falls on whoever comes
// first.
func warm() error {
	free, err := available()
	if err != nil {
		return err
	}
	b, err := syscall.Mmap(-1, 0, int(min(warmed, free/2)), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("shape: memory to warm: %w", err)
	}
	_ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) // without, it takes longer
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return syscall.Munmap(b)
}

// available is how much memory programs can have, in bytes.
func available() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var name, unit string
	var kib int64
	for {
		if _, err := fmt.Fscanln(f, &name, &kib, &unit); err != nil {
			return 0, fmt.Errorf("shape: no MemAvailable in /proc/meminfo: %w", err)
		}
		if name == "MemAvailable:" {
			return kib << 10, nil
		}
	}
}
