package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// TestBlocksAreSynced looks at the open files of this process: each block of log
// and outbox is written with O_SYNC, so that what was acknowledged is on disk.
func TestBlocksAreSynced(t *testing.T) {
	s := &site{t: t, dir: t.TempDir(), kept: true, text: brief, pager: sinktest.NewPagerDuty()}
	s.network = sinktest.NewNetwork(s.pager)
	defer s.network.Close()
	s.start()
	defer s.stop()
	for range 5 {
		s.post(sample{name: "A", pod: "1", severity: "critical"})
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	synced := map[string]int{}
	for _, fd := range fds {
		name, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err != nil || !strings.HasPrefix(name, s.dir) || filepath.Ext(name) != ".blk" {
			continue // it may have been closed meanwhile
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		if err != nil {
			t.Fatal(err)
		}
		if flags := openFlags(t, string(info)); flags&syscall.O_SYNC != syscall.O_SYNC {
			t.Errorf("%s is open with flags %o, without O_SYNC", name, flags)
		}
		synced[filepath.Base(filepath.Dir(filepath.Dir(name)))]++
	}
	if synced["WINNOW_LOG"] == 0 {
		t.Errorf("open blocks %v: none of the log was looked at", synced)
	}
}

func openFlags(t *testing.T, fdinfo string) int64 {
	t.Helper()
	for line := range strings.Lines(fdinfo) {
		if v, ok := strings.CutPrefix(line, "flags:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no flags in %q", fdinfo)
	return 0
}
