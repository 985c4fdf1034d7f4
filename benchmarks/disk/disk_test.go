//go:build disk

package disk

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

const (
	diskBytes     = 64 << 20
	maxRecovery   = 30 * time.Second
	criticals     = 15 // while the disk is full or failing; fewer than the guard's pages a minute
	minInjections = 1
)

// figures are what the two tests have found, for the last line of make disk.
var figures struct {
	lost, ackedAfter, exit int
	recovered              time.Duration
	full, eio              bool
}

func TestMain(m *testing.M) {
	code := m.Run()
	f := &figures
	line := fmt.Sprintf("disk: full lost=%d recovered=%.1fs eio acked_after=%d exit=%d", f.lost, f.recovered.Seconds(), f.ackedAfter, f.exit)
	if code != 0 || !f.full || !f.eio {
		line = "disk: FAILED"
		code = 1
	}
	fmt.Println(line)
	if path := os.Getenv("WINNOW_DISK_FIGURES"); path != "" {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "disk: write the figures:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// noise is text that does not compress away.
func noise(bytes int) string {
	b := make([]byte, bytes/2)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// TestFullDisk fills the disk of a running Winnow. What is accepted meanwhile
// reaches somebody, and once there is room it goes on by itself.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		t.Fatalf("mount a small disk on %s: %v; make disk has to run as root, on a machine or in a container that may mount", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := newSite(t, filepath.Join(dir, "data"))
	var accepted []string
	post := func(name string) int {
		code := s.post(name, "critical", "")
		if code == http.StatusOK {
			accepted = append(accepted, name)
		}
		return code
	}
	for i := range 20 {
		if code := post(fmt.Sprint("Before", i)); code != http.StatusOK {
			t.Fatalf("before anything is wrong an alert is answered %d", code)
		}
	}
	filler := filepath.Join(dir, "filler")
	if err := fillUp(filler); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := 0; i < 200 && refused < 5; i++ {
		if s.post(fmt.Sprint("Filler", i), "warning", noise(64<<10)) == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused < 5 {
		t.Fatalf("%d warnings were refused: the disk never filled up", refused)
	}
	handedOn := 0
	for i := range criticals {
		switch code := post(fmt.Sprint("During", i)); code {
		case http.StatusOK:
			handedOn++
		case http.StatusServiceUnavailable:
		default:
			t.Errorf("a critical on a full disk is answered %d", code)
		}
	}
	if handedOn == 0 {
		t.Error("no critical was handed on while the disk was full")
	}
	if lost := s.unheard(accepted[20:]); len(lost) > 0 {
		t.Errorf("accepted on a full disk, and the pager does not know them: %v", lost)
	}
	programs.Eventually(s.t, patience, "people hear that the disk is full", func() error {
		if !s.told("disk_low") || !s.told("log_unavailable") {
			return errors.New("not told")
		}
		return nil
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	programs.Eventually(s.t, patience, "the log takes alerts again", func() error {
		if code := s.post("After", "warning", ""); code != http.StatusOK {
			return fmt.Errorf("answered %d", code)
		}
		return nil
	})
	figures.recovered = time.Since(begun)
	if figures.recovered > maxRecovery {
		t.Errorf("it took %s until alerts were accepted again, want %s at most", figures.recovered, maxRecovery)
	}
	for i := range criticals { // as senders do
		post(fmt.Sprint("During", i))
	}
	programs.Eventually(s.t, patience, "every accepted critical is paged", func() error {
		if lost := s.unheard(accepted); len(lost) > 0 {
			figures.lost = len(lost)
			return fmt.Errorf("%v are not", lost)
		}
		figures.lost = 0
		return nil
	})
	metrics, err := s.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"winnow_storage_restarts_total 1\n", "winnow_ledger_balanced 1\n", "winnow_engine_log_faults_total 0\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %q", strings.TrimSpace(want))
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.done
	if s.err != nil {
		t.Errorf("asked to stop it ended with %v", s.err)
	}
	figures.full = !t.Failed()
}

// fillUp writes until there is no room.
func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestFailingDisk has each write and sync of the log fail with EIO, in a running
// process. From then on nothing is accepted that is not handed on, and the
// process ends by itself with an error.
func TestFailingDisk(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v: make disk injects I/O errors with strace; install it", err)
	}
	s := newSite(t, filepath.Join(t.TempDir(), "data"))
	var before []string
	for i := range 20 {
		name := fmt.Sprint("Before", i)
		if code := s.post(name, "critical", ""); code != http.StatusOK {
			t.Fatalf("before anything is wrong an alert is answered %d", code)
		}
		before = append(before, name)
	}
	blocks, err := filepath.Glob(filepath.Join(s.store, "jetstream", "*", "streams", "WINNOW_LOG", "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("blocks of the log: %v %v", blocks, err)
	}
	trace := &programs.Output{}
	strace := exec.Command("strace", "-f", "-p", fmt.Sprint(s.cmd.Process.Pid), "-P", blocks[0], "-e", "trace=pwrite64,fsync,fdatasync",
		"-e", "inject=fsync,fdatasync:error=EIO")
	strace.Stdout, strace.Stderr = trace, trace
	if err := strace.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { strace.Process.Kill(); strace.Wait() })
	programs.Eventually(s.t, patience, "strace has attached", func() error {
		if out := trace.String(); strings.Contains(out, "attached") {
			return nil
		} else if strings.Contains(out, "not permitted") {
			t.Fatalf("strace may not trace here: %s", out)
		}
		return errors.New(trace.String())
	})
	failed := false
	var handedOn []string
	for i, ended := 0, false; !ended; i++ {
		select {
		case <-s.done:
			ended = true
			continue
		case <-time.After(patience):
			t.Fatal("the process did not end")
		default:
		}
		if code := s.post(fmt.Sprint("Warning", i), "warning", ""); code == http.StatusServiceUnavailable {
			failed = true
		} else if code == http.StatusOK && failed {
			figures.ackedAfter++
		}
		if name := fmt.Sprint("During", i); failed && len(handedOn) < criticals && s.post(name, "critical", "") == http.StatusOK {
			handedOn = append(handedOn, name)
		}
	}
	if n := strings.Count(trace.String(), "(INJECTED)"); n < minInjections || !failed {
		t.Fatalf("%d faults were injected, and a warning refused: %v; the run proves nothing\n%s", n, failed, trace.String())
	}
	figures.exit = s.cmd.ProcessState.ExitCode()
	if figures.exit == 0 {
		t.Error("the process ended as if all were well")
	}
	if figures.ackedAfter > 0 {
		t.Errorf("%d warnings were accepted after the disk had failed", figures.ackedAfter)
	}
	if lost := s.unheard(handedOn); len(lost) > 0 {
		t.Errorf("accepted after the disk had failed, and the pager does not know them: %v", lost)
	}
	if !s.told("disk_failed") {
		t.Error("nobody was told that the disk failed")
	}
	strace.Process.Kill()
	s.start() // a supervisor would
	programs.Eventually(s.t, patience, "every critical accepted before is paged", func() error {
		if lost := s.unheard(before); len(lost) > 0 {
			return fmt.Errorf("%v are not", lost)
		}
		return nil
	})
	t.Logf("handed on while the disk failed: %d", len(handedOn))
	figures.eio = !t.Failed()
}
