package node

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// TestAcknowledgedIsSynced asks the kernel, right after an acknowledgement, how
// much of the store's files it has not brought to disk: of the blocks of log and
// outbox, the snapshots and the marker that must be nothing, but for what the core
// is writing at that moment, and that is synced long before the kernel would do
// it by itself, after half a minute. How it comes about is the server's affair:
// it opens blocks without O_SYNC and syncs each write.
func TestAcknowledgedIsSynced(t *testing.T) {
	s := &site{t: t, dir: t.TempDir(), kept: true, text: brief, pager: sinktest.NewPagerDuty()}
	control := filepath.Join(s.dir, "control")
	if err := os.WriteFile(control, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := unsynced(control); err == syscall.ENOSYS || err == syscall.EOPNOTSUPP || err == nil && n == 0 {
		t.Skipf("the kernel does not tell what is not on disk yet in %s: it is too old, or nothing there ever is on a disk (%v)", s.dir, err)
	} else if err != nil {
		t.Fatal(err)
	}
	s.network = sinktest.NewNetwork(s.pager)
	defer s.network.Close()
	s.start()
	looked := map[string]int{}
	tick := time.NewTicker(10 * time.Millisecond) // of real time: the kernel's
	defer tick.Stop()
	look := func() {
		for name := range takeImage(t, s.dir) {
			kind := filepath.Ext(name)
			if name == "provisioned" {
				kind = name
			}
			if kind != ".blk" && kind != ".snapshot" && kind != "provisioned" {
				continue
			}
			if strings.Contains(name, "OUTBOX") {
				kind = "outbox" + kind
			}
			looked[kind]++
			n, err := unsynced(filepath.Join(s.dir, name))
			for range 100 { // a record or a receipt may be between its write and its sync
				if err != nil || n == 0 {
					break
				}
				<-tick.C
				n, err = unsynced(filepath.Join(s.dir, name))
			}
			if err != nil || n > 0 {
				t.Errorf("%d pages of %s are not on disk, %v", n, name, err)
			}
		}
	}
	for range 5 {
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		look()
	}
	s.stop()
	look()
	for _, kind := range []string{".blk", "outbox.blk", ".snapshot", "provisioned"} {
		if looked[kind] == 0 {
			t.Errorf("no %s was looked at", kind)
		}
	}
}

// unsynced counts the pages of a file that are in memory only.
func unsynced(name string) (uint64, error) {
	const cachestat = 451 // the number is the same on every architecture
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var all struct{ from, bytes uint64 } // 0 bytes: to the end
	var told struct{ cached, dirty, writeback, evicted, recently uint64 }
	_, _, errno := syscall.Syscall6(cachestat, f.Fd(), uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&told)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return told.dirty + told.writeback, nil
}
