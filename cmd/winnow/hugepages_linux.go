package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
)

// roomInHugePages bounds the addresses that are asked for: the heap of about two
// million live alerts.
const roomInHugePages = 1 << 30

// hugePages asks the kernel to back the heap with huge pages, where it does so
// for those who ask (ADR 27). It is for the start of a process: addresses are
// taken as one large object, whose memory is never touched, the advice is given
// for them, and the object is let go. What the heap grows into then is there.
func hugePages() error {
	if !asksForHugePages() {
		return nil
	}
	size := int(min(roomInHugePages, debug.SetMemoryLimit(-1)/2))
	room := make([]byte, size)
	err := syscall.Madvise(room, syscall.MADV_HUGEPAGE)
	debug.FreeOSMemory() // room is dead from here on
	if err != nil {
		return fmt.Errorf("madvise of %d bytes of the heap: %w", size, err)
	}
	return nil
}

// asksForHugePages reports whether advice changes something, costs nothing, and is
// not forbidden.
func asksForHugePages() bool {
	return adviceIsHeeded() && addressesAreFree() && !strings.Contains(os.Getenv("GODEBUG"), "disablethp=1")
}

// adviceIsHeeded reports whether the kernel backs with huge pages what it is
// asked to, and no more.
func adviceIsHeeded() bool {
	b, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err == nil && strings.Contains(string(b), "[madvise]")
}

// addressesAreFree reports whether addresses that nobody uses count for nothing.
// Where they do, the process could end for asking.
func addressesAreFree() bool {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err != nil || limit.Cur != math.MaxUint64 {
		return false
	}
	b, err := os.ReadFile("/proc/sys/vm/overcommit_memory")
	const strict = "2"
	return err == nil && strings.TrimSpace(string(b)) != strict
}
