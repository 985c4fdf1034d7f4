//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// TestOnlyItsPortIsOpen holds that the built program takes connections and
// packets at its address and nowhere else: the embedded server has no port, nor
// has the membership protocol of Alertmanager's packages.
func TestOnlyItsPortIsOpen(t *testing.T) {
	binary, err := winnowBinary()
	if err != nil {
		t.Fatal(err)
	}
	pager, err := net.Listen("tcp", "127.0.0.1:0") // connected to, and of another process
	if err != nil {
		t.Fatal(err)
	}
	defer pager.Close()
	s := newServer(t, "winnow", binary, fmt.Sprintf(`
route: {receiver: oncall, group_wait: 0s}
receivers: [{name: oncall, webhook_configs: [{url: "http://%s/"}]}]
`, pager.Addr()))
	s.start()
	programs.Eventually(t, patience, "it has begun to page", func() error {
		_, err := programs.Get(t.Context(), s.url("/api/v1/report"))
		return err
	})
	open := s.listening()
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"tcp 127.0.0.1:" + port}; !slices.Equal(open, want) {
		t.Errorf("open are %q, want %q", open, want)
	}
}

// listening is where the process waits for others, by what the kernel says.
func (s *server) listening() (open []string) {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d", s.cmd.Process.Pid)
	files, err := filepath.Glob(proc + "/fd/*")
	if err != nil || len(files) == 0 {
		s.t.Fatalf("files of the process: %v %v", files, err)
	}
	own := map[string]bool{}
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil {
			own[to] = true
		}
	}
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		text, err := os.ReadFile(proc + "/net/" + kind)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, row := range strings.Split(string(text), "\n")[1:] {
			c := strings.Fields(row)
			switch {
			case kind == "unix" && len(c) > 6 && own["socket:["+c[6]+"]"]:
				open = append(open, strings.Join(append([]string{kind}, c[7:]...), " "))
			case kind != "unix" && len(c) > 9 && own["socket:["+c[9]+"]"]:
				// 0A is a listener; of packets whoever has no other side is one.
				if strings.HasPrefix(kind, "tcp") && c[3] == "0A" || strings.HasPrefix(kind, "udp") && strings.HasSuffix(c[2], ":0000") {
					open = append(open, kind+" "+address(s.t, c[1]))
				}
			}
		}
	}
	slices.Sort(open)
	return open
}

// address reads one as the kernel writes it: bytes in the machine's order.
func address(t testing.TB, text string) string {
	t.Helper()
	var ip, port uint32
	if n, err := fmt.Sscanf(text, "%8x:%4x", &ip, &port); n != 2 || err != nil {
		return text // of IPv6
	}
	return fmt.Sprintf("%d.%d.%d.%d:%d", byte(ip), byte(ip>>8), byte(ip>>16), byte(ip>>24), port)
}
