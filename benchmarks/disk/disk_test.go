//go:build disk

package disk

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

	slowSync    = 5 * time.Second
	slowFor     = 40 * time.Second
	slowSenders = 6
	minDelays   = 6
	maxAnswer   = 2 * time.Second
	maxAlarm    = 90 * time.Second
)

// figures are what the tests have found, for the last line of make disk.
var figures struct {
	lost, ackedAfter, exit   int
	recovered, answer, alarm time.Duration
	full, eio, slow          bool
}

func TestMain(m *testing.M) {
	code := m.Run()
	f := &figures
	line := fmt.Sprintf("disk: lost=%d full recovered=%.1fs eio acked_after=%d exit=%d slow answered=%.1fs told=%.1fs",
		f.lost, f.recovered.Seconds(), f.ackedAfter, f.exit, f.answer.Seconds(), f.alarm.Seconds())
	if code != 0 || !f.full || !f.eio || !f.slow {
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
	s.endsWell("winnow_storage_restarts_total 1\n")
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

// TestFailingDisk has each write or sync of the log, or of the outbox, fail with
// EIO, in a running process. From then on nothing is accepted that is not handed
// on, and the process ends by itself with an error.
func TestFailingDisk(t *testing.T) {
	f := func(what, calls, stream string) {
		t.Helper()
		t.Run(what, func(t *testing.T) { failingDisk(t, calls, stream) })
	}
	f("sync of the log", "fsync,fdatasync", "WINNOW_LOG")
	f("write of the log", "write,pwrite64,writev,pwritev", "WINNOW_LOG")
	f("sync of the outbox", "fsync,fdatasync", "WINNOW_OUTBOX")
	f("write of the outbox", "write,pwrite64,writev,pwritev", "WINNOW_OUTBOX")
	figures.eio = !t.Failed()
}

func failingDisk(t *testing.T, calls, stream string) {
	s := newSite(t, filepath.Join(t.TempDir(), "data"))
	var before []string
	for i := range 20 {
		name := fmt.Sprint("Before", i)
		if code := s.post(name, "critical", ""); code != http.StatusOK {
			t.Fatalf("before anything is wrong an alert is answered %d", code)
		}
		before = append(before, name)
	}
	trace := s.inject(calls, calls+":error=EIO", stream)
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
	if figures.exit = s.cmd.ProcessState.ExitCode(); figures.exit == 0 {
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
	s.heal()
	s.start() // a supervisor would
	programs.Eventually(s.t, patience, "every critical accepted before is paged", func() error {
		if lost := s.unheard(before); len(lost) > 0 {
			return fmt.Errorf("%v are not", lost)
		}
		return nil
	})
	t.Logf("handed on while the disk failed: %d", len(handedOn))
}

// TestSlowDisk has each sync of log and outbox take 5 s. Every sender has an
// answer within 2 s all the same, what is accepted is paged, people and the
// service outside hear of it, and when the disk is quick again all is as before.
func TestSlowDisk(t *testing.T) {
	s := newSite(t, filepath.Join(t.TempDir(), "data"))
	for i := range 20 {
		if code := s.post(fmt.Sprint("Before", i), "critical", ""); code != http.StatusOK {
			t.Fatalf("before anything is wrong an alert is answered %d", code)
		}
	}
	programs.Eventually(t, patience, "the heart beats", func() error {
		if beats, _ := s.heart(); beats == 0 {
			return errors.New("no beat")
		}
		return nil
	})
	trace := s.inject("fsync,fdatasync", fmt.Sprintf("fsync,fdatasync:delay_enter=%d", slowSync.Microseconds()), "WINNOW_LOG", "WINNOW_OUTBOX")
	begun := time.Now()
	var mu sync.Mutex
	var accepted []string
	var senders sync.WaitGroup
	for k := range slowSenders {
		senders.Go(func() {
			for i := k; time.Since(begun) < slowFor; i += slowSenders {
				name, severity := fmt.Sprint("Slow", i), "warning"
				if i < 2*slowSenders {
					name, severity = fmt.Sprint("During", i), "critical"
				}
				sent := time.Now()
				code := s.post(name, severity, "")
				took := time.Since(sent)
				mu.Lock()
				figures.answer = max(figures.answer, took)
				if code == http.StatusOK && severity == "critical" {
					accepted = append(accepted, name)
				}
				if code != http.StatusOK && code != http.StatusServiceUnavailable {
					t.Errorf("answered %d", code)
				}
				mu.Unlock()
				<-time.After(100 * time.Millisecond)
			}
		})
	}
	programs.Eventually(t, maxAlarm, "people hear that the log takes nothing, and the service outside that something is wrong", func() error {
		if _, failed := s.heart(); !failed || !s.told("log_unavailable") {
			return errors.New("not told")
		}
		return nil
	})
	figures.alarm = time.Since(begun)
	senders.Wait()
	if figures.answer > maxAnswer {
		t.Errorf("an answer took %s, want %s at most", figures.answer, maxAnswer)
	}
	if n := strings.Count(trace.String(), "(DELAYED)"); n < minDelays {
		t.Fatalf("%d syncs were slow: the run proves nothing\n%s", n, trace.String())
	}
	if len(accepted) == 0 {
		t.Error("no critical was accepted on a slow disk")
	}
	s.heal()
	for i := range criticals { // as senders do
		name := fmt.Sprint("During", i)
		programs.Eventually(t, patience, "the log takes alerts again", func() error {
			if code := s.post(name, "critical", ""); code != http.StatusOK {
				return fmt.Errorf("answered %d", code)
			}
			return nil
		})
		accepted = append(accepted, name)
	}
	programs.Eventually(t, patience, "every accepted critical is paged", func() error {
		if lost := s.unheard(accepted); len(lost) > 0 {
			return fmt.Errorf("%v are not", lost)
		}
		return nil
	})
	if p := s.pager.Phantoms(); len(p) > 0 {
		t.Errorf("phantom incidents: %v", p)
	}
	s.endsWell()
	figures.slow = !t.Failed()
}
