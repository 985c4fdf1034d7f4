//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a running program under test.
type program struct {
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed once it has ended
	err  error         // of its end, once done is closed
}

// run starts a program. Its end is up to the caller.
func run(name, path string, args ...string) (*program, error) {
	p := &program{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
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
		t.Logf("%s (pid %d) ended with %v and said:\n%s", p.name, p.cmd.Process.Pid, p.err, p.out.tail())
	}
}

var listening = regexp.MustCompile(`msg="Listening on".* address=(127\.0\.0\.1:\d+)`)

// address waits until p says where it listens.
func (p *program) address(t testing.TB) string {
	t.Helper()
	var address string
	eventually(t, patience, p.name+" listens", func() error {
		if m := listening.FindStringSubmatch(p.out.String()); m != nil {
			address = m[1]
			return nil
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended at once: %v\n%s", p.name, p.err, p.out.tail())
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

// output keeps what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

const tailBytes = 32 << 10

func (o *output) tail() string {
	s := o.String()
	if len(s) > tailBytes {
		s = "...\n" + s[len(s)-tailBytes:]
	}
	return s
}

// capture runs a program in dir to its end and returns its standard output.
func capture(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
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
	_, err := capture("../..", "go", args...)
	return path, err
})

// alertmanagerDir builds Alertmanager and amtool, and returns their folder. It
// is in the user's cache and serves the next run too.
var alertmanagerDir = sync.OnceValues(buildAlertmanager)

const alertmanagerVersion = "v0.34.2"

// buildAlertmanager builds a copy of the module: the module itself lacks the
// built user interface, which the program embeds. It appears in the cache as a
// whole or not at all.
func buildAlertmanager() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "winnow-e2e")
	dir := filepath.Join(cache, "alertmanager-"+alertmanagerVersion+"-bin")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	src, bin := filepath.Join(scratch, "src"), filepath.Join(scratch, "bin")
	if err := unpackAlertmanager(src); err != nil {
		return "", err
	}
	version := "-X github.com/prometheus/common/version.Version=" + strings.TrimPrefix(alertmanagerVersion, "v")
	if _, err := capture(src, "go", "build", "-buildvcs=false", "-ldflags", version, "-o", bin+"/", "./cmd/alertmanager", "./cmd/amtool"); err != nil {
		return "", err
	}
	if err := os.Rename(bin, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another run was faster
		return "", err
	}
	return dir, nil
}

// unpackAlertmanager copies the module, with a page for a user interface.
func unpackAlertmanager(src string) error {
	out, err := capture("", "go", "mod", "download", "-json", "github.com/prometheus/alertmanager@"+alertmanagerVersion)
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &module); err != nil {
		return fmt.Errorf("go mod download: %w", err)
	}
	if err := copyTree(src, module.Dir); err != nil {
		return err
	}
	page := filepath.Join(src, "ui", "app", "dist", "index.html")
	if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
		return err
	}
	return os.WriteFile(page, []byte("<!doctype html><title>Alertmanager</title>\n"), 0o644)
}

// copyTree copies files and makes them writable, which a module's are not.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
}
