package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// TestTheHeapGrowsIntoHugePages: what is allocated after the advice lies where it
// was given, and the room that was asked for takes no memory. Where the advice
// would say nothing, or the addresses count, nothing is asked for.
func TestTheHeapGrowsIntoHugePages(t *testing.T) {
	asked := asksForHugePages()
	if err := hugePages(); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if kept := m.HeapSys - m.HeapReleased; m.HeapSys >= roomInHugePages != asked || kept > roomInHugePages/4 {
		t.Errorf("room was asked for: %t; of %d bytes of the heap %d are kept", asked, m.HeapSys, kept)
	}
	if !asked {
		return
	}
	grown := make([]byte, roomInHugePages/2) // more than the heap of a test has free by itself
	flags, err := flagsAt(uintptr(unsafe.Pointer(&grown[len(grown)/2])))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(" "+flags+" ", " hg ") {
		t.Errorf("what the heap grew by is at addresses with the flags %q, want hg among them", flags)
	}
	runtime.KeepAlive(grown)
}

// flagsAt are those of the mapping that an address is in, by proc_pid_smaps(5).
func flagsAt(address uintptr) (string, error) {
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return "", err
	}
	within := false
	head := regexp.MustCompile(`^([0-9a-f]+)-([0-9a-f]+) `)
	for line := range strings.Lines(string(b)) {
		if head.MatchString(line) {
			var from, to uintptr
			if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
				return "", err
			}
			within = from <= address && address < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && within {
			return strings.TrimSpace(flags), nil
		}
	}
	return "", fmt.Errorf("no mapping has %x", address)
}
