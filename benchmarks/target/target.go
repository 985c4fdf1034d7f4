// Package target runs a server as a process and reads what it costs: Winnow as
// it is built, or an Alertmanager to compare it with.
//
// It decides how a figure is read: CPU time and memory from /proc of the server,
// never of whoever sends to it, and that all that was sent is accounted for from
// the server's own metrics. It never sends alerts and judges no figure. It needs
// Linux.
package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// Server is a running process that takes alerts.
type Server struct {
	Name    string
	Address string // host:port
	Dir     string // its storage

	cmd     *exec.Cmd
	out     tail
	done    chan struct{}
	err     error
	started time.Time
	counter *regexp.Regexp // of alerts taken
	hidden  *regexp.Regexp // of alerts that are inhibited
}

const (
	startTimeout = 5 * time.Minute // a large log is replayed at a start
	stopTimeout  = 2 * time.Minute
	drainTimeout = 5 * time.Minute
	poll         = 20 * time.Millisecond
)

// Command is how a server is started.
type Command struct {
	Name string
	Path string
	Args []string
	Env  []string // added to the present one
	Dir  string   // where it keeps what it knows

	// Address is where it listens; said by itself where it is empty.
	Address string
	// Taken matches the metric that counts alerts taken.
	Taken string
	// Inhibited matches the metric that counts alerts which only an inhibition
	// rule keeps from paging.
	Inhibited string
}

// Start runs a command and waits until it says where it listens.
func Start(ctx context.Context, c Command) (*Server, error) {
	s := &Server{Name: c.Name, Address: c.Address, Dir: c.Dir, cmd: exec.Command(c.Path, c.Args...), done: make(chan struct{}),
		counter: metric(c.Taken), hidden: metric(c.Inhibited)}
	s.cmd.Env = append(os.Environ(), c.Env...)
	s.cmd.Stdout, s.cmd.Stderr = nil, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // nothing outlives a run that was broken off
	s.started = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	err := s.eventually(ctx, startTimeout, "listen", func() error {
		if s.Address == "" {
			address, ok := programs.Address(s.out.String())
			if !ok {
				return errors.New("it has not said where")
			}
			s.Address = address
		}
		return nil
	})
	if err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// Ready waits until /-/ready answers 200 and returns how long that took from
// the start of the process.
func (s *Server) Ready(ctx context.Context) (time.Duration, error) {
	err := s.eventually(ctx, startTimeout, "be ready", func() error {
		_, err := programs.Get(ctx, "http://"+s.Address+"/-/ready")
		return err
	})
	return time.Since(s.started), err
}

// eventually polls until f returns nil.
func (s *Server) eventually(ctx context.Context, within time.Duration, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.done:
			return fmt.Errorf("%s ended with %v before it did %s:\n%s", s.Name, s.err, what, s.out.String())
		case <-ctx.Done():
			return fmt.Errorf("%s did not %s within %s: %w\n%s", s.Name, what, within, err, s.out.String())
		}
	}
}

// Get fetches a path of the server.
func (s *Server) Get(ctx context.Context, path string) ([]byte, error) {
	body, err := programs.Get(ctx, "http://"+s.Address+path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return body, nil
}

// metric matches the lines of a metric, whose value is the last group.
func metric(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^` + pattern + ` (\S+)$`)
}

// metric is the sum of the series that match.
func (s *Server) metric(ctx context.Context, re *regexp.Regexp) (float64, error) {
	body, err := s.Get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	found := re.FindAllSubmatch(body, -1)
	if found == nil {
		return 0, fmt.Errorf("%s has no metric %s", s.Name, re)
	}
	sum := 0.0
	for _, m := range found {
		v, err := strconv.ParseFloat(string(m[len(m)-1]), 64)
		if err != nil {
			return 0, fmt.Errorf("%s: metric %s: %w", s.Name, m[0], err)
		}
		sum += v
	}
	return sum, nil
}

// Taken is how many alerts the server says it has taken and dealt with.
func (s *Server) Taken(ctx context.Context) (int, error) {
	v, err := s.metric(ctx, s.counter)
	return int(v), err
}

// Inhibited is how many alerts the server says an inhibition rule hides.
func (s *Server) Inhibited(ctx context.Context) (int, error) {
	v, err := s.metric(ctx, s.hidden)
	return int(v), err
}

// Drained waits until the server has dealt with so many alerts. More than that
// is an error too.
func (s *Server) Drained(ctx context.Context, alerts int) error {
	var over error
	err := s.eventually(ctx, drainTimeout, "deal with all that it has taken", func() error {
		got, err := s.Taken(ctx)
		if err == nil && got < alerts {
			err = fmt.Errorf("%d of %d", got, alerts)
		}
		if err == nil && got > alerts {
			over = fmt.Errorf("%s has taken %d alerts, %d were sent", s.Name, got, alerts)
		}
		return err
	})
	return errors.Join(err, over)
}

// Settled waits until the server has dealt with so many alerts at least, and with
// no more for a while, and returns how many they are.
func (s *Server) Settled(ctx context.Context, alerts int) (taken int, err error) {
	const quiet = time.Second
	var since time.Time
	err = s.eventually(ctx, drainTimeout, "settle", func() error {
		got, err := s.Taken(ctx)
		if err == nil && (got < alerts || got != taken) {
			taken, since = got, time.Now()
		}
		if err == nil && time.Since(since) < quiet {
			err = fmt.Errorf("%d, at least %d", got, alerts)
		}
		return err
	})
	return taken, err
}

// Stop asks the server to end, and waits.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: stop: %w", s.Name, err)
	}
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		s.Kill()
		return fmt.Errorf("%s did not stop within %s", s.Name, stopTimeout)
	}
	if s.err != nil {
		return fmt.Errorf("%s: %w\n%s", s.Name, s.err, s.out.String())
	}
	return nil
}

// Kill ends the server at once. It may have ended already.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone
	<-s.done
}

// clockTicks is USER_HZ, which Linux has fixed for user space.
const clockTicks = 100

// CPU is what the process has used, all threads, in user and kernel.
func (s *Server) CPU() (time.Duration, error) {
	b, err := os.ReadFile(s.proc("stat"))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.Name, err)
	}
	return parseStat(b)
}

// parseStat reads utime and stime; what stands before them may hold anything.
func parseStat(b []byte) (time.Duration, error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const utime, stime = 11, 12 // from state, which is field 3
	if len(fields) <= stime {
		return 0, fmt.Errorf("target: /proc/stat of %d fields", len(fields))
	}
	user, err := strconv.ParseUint(string(fields[utime]), 10, 64)
	system, err2 := strconv.ParseUint(string(fields[stime]), 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks, errors.Join(err, err2)
}

// Memory is what the process holds in memory, and the most that it ever held,
// in bytes.
func (s *Server) Memory() (now, peak int64, err error) {
	b, err := os.ReadFile(s.proc("status"))
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", s.Name, err)
	}
	return parseStatus(b)
}

func parseStatus(b []byte) (now, peak int64, err error) {
	for line := range strings.Lines(string(b)) {
		key, rest, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &now, "VmHWM": &peak}[key]
		if to == nil {
			continue
		}
		kb, parseErr := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if parseErr != nil {
			return 0, 0, fmt.Errorf("target: /proc/status: %w", parseErr)
		}
		*to = kb << 10
	}
	if now == 0 || peak == 0 {
		return 0, 0, errors.New("target: /proc/status says nothing of memory")
	}
	return now, peak, nil
}

func (s *Server) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), file)
}

// Disk is the size of all files below a folder of the server's storage.
func (s *Server) Disk(folder string) (int64, error) {
	var size int64
	err := filepath.WalkDir(filepath.Join(s.Dir, folder), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return ignoreGone(err)
	})
	return size, err
}

// ignoreGone: a store renames and deletes files while they are counted.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

const tailBytes = 16 << 10

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 2*tailBytes {
		t.b = append(t.b[:0], t.b[len(t.b)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
