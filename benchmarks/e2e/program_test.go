//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// program is a running program under test.
type program struct {
	name string
	cmd  *exec.Cmd
	out  programs.Output
	done chan struct{} // closed once it has ended
	err  error         // of its end, once done is closed
}

// run starts a program. Its end is up to the caller.
func run(name, path string, args ...string) (*program, error) {
	return runIn(nil, name, path, args...)
}

// runIn is run with variables beside those of the test.
func runIn(env []string, name, path string, args ...string) (*program, error) {
	p := &program{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// start runs a program that is killed at the end of the test.
func start(t testing.TB, name, path string, args ...string) *program {
	t.Helper()
	p, err := run(name, path, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t) })
	return p
}

// end kills it if it still runs, and shows what it said if the test has failed.
func (p *program) end(t testing.TB) {
	p.cmd.Process.Kill()
	<-p.done
	if t.Failed() {
		t.Logf("%s (pid %d) ended with %v and said:\n%s", p.name, p.cmd.Process.Pid, p.err, p.out.Tail())
	}
}

// address waits until p says where it listens.
func (p *program) address(t testing.TB) string {
	t.Helper()
	var address string
	programs.Eventually(t, patience, p.name+" listens", func() error {
		said, ok := programs.Address(p.out.String())
		if ok {
			address = said
			return nil
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended at once: %v\n%s", p.name, p.err, p.out.Tail())
		default:
		}
		return errors.New("it has not said where")
	})
	return address
}

// signal sends s and waits for the end.
func (p *program) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v: %v", p.name, s, err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s did not end within %s of %v", p.name, patience, s)
	}
	if s == syscall.SIGTERM && p.err != nil {
		t.Fatalf("%s was asked to stop and ended with %v", p.name, p.err)
	}
}

// buildDir holds what is built for one run. TestMain makes and removes it.
var buildDir string

// winnowBinary builds Winnow as it stands in the working tree, with the race
// detector if WINNOW_E2E_RACE is set.
var winnowBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "winnow")
	args := []string{"build", "-o", path, "./cmd/winnow"}
	if os.Getenv("WINNOW_E2E_RACE") != "" {
		args = []string{"build", "-race", "-o", path, "./cmd/winnow"}
	}
	_, err := programs.Capture(context.Background(), "../..", "go", args...)
	return path, err
})

// alertmanagerDir builds Alertmanager and amtool, and returns their folder.
var alertmanagerDir = sync.OnceValues(func() (string, error) {
	program, err := programs.BuildAlertmanager(context.Background())
	return filepath.Dir(program), err
})

// fixedAddress is a free one that no connection gets by chance while Winnow is
// down: below the ports that the kernel hands out.
func fixedAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port between 20000 and 30000")
	return ""
}
