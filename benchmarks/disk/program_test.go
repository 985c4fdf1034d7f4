//go:build disk

package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// patience is for what should take seconds on an idle machine.
const patience = 60 * time.Second

// site is a Winnow on a disk, with a pager and somebody who hears its
// self-alerts.
type site struct {
	t     *testing.T
	store string
	conf  string
	bin   string
	pager *sinktest.PagerDuty

	cmd  *exec.Cmd
	out  *programs.Output
	done chan struct{}
	err  error
	url  string

	strace *exec.Cmd // of inject

	mu     sync.Mutex
	causes map[string]bool // of self-alerts that were told
	beats  int             // that the service outside has heard
	failed bool            // and whether it has heard that something is wrong
}

func newSite(t *testing.T, store string) *site {
	t.Helper()
	s := &site{t: t, store: store, pager: sinktest.NewPagerDuty(), causes: map[string]bool{}}
	dir := t.TempDir()
	s.bin = filepath.Join(dir, "winnow")
	if out, err := exec.Command("go", "build", "-o", s.bin, "../../cmd/winnow").CombinedOutput(); err != nil {
		t.Fatalf("build winnow: %v\n%s", err, out)
	}
	pager, self := httptest.NewServer(s.pager), httptest.NewServer(http.HandlerFunc(s.hear))
	t.Cleanup(pager.Close)
	t.Cleanup(self.Close)
	outside := httptest.NewServer(http.HandlerFunc(s.beat))
	t.Cleanup(outside.Close)
	s.write(filepath.Join(dir, "self.url"), self.URL)
	s.write(filepath.Join(dir, "heartbeat.url"), outside.URL+"/beat")
	s.conf = filepath.Join(dir, "winnow.yml")
	s.write(s.conf, fmt.Sprintf(`
route: {receiver: oncall, group_by: [alertname], group_wait: 1s, group_interval: 1s}
receivers:
  - name: oncall
    pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef, url: '%s/v2/enqueue'}]
winnow: {self_alert: {webhook: {url_file: self.url}}, heartbeat: {urls: [{url_file: heartbeat.url}]}}
`, pager.URL))
	s.start()
	return s
}

func (s *site) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) hear(_ http.ResponseWriter, r *http.Request) {
	var told struct {
		Cause  string
		Raised bool
	}
	if json.NewDecoder(r.Body).Decode(&told) == nil && told.Raised {
		s.mu.Lock()
		s.causes[told.Cause] = true
		s.mu.Unlock()
	}
}

func (s *site) told(cause string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.causes[cause]
}

func (s *site) beat(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/beat" {
		s.beats++
	} else {
		s.failed = true
	}
}

// heart says how many beats the service outside has heard, and whether it was
// told that something is wrong.
func (s *site) heart() (beats int, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beats, s.failed
}

// inject has strace change what the system calls of the process do with the
// blocks of streams, until heal. It returns what strace says.
func (s *site) inject(calls, what string, streams ...string) *programs.Output {
	s.t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		s.t.Fatalf("%v: make disk injects faults with strace; install it", err)
	}
	args := []string{"-f", "-p", fmt.Sprint(s.cmd.Process.Pid), "-e", "trace=" + calls, "-e", "inject=" + what}
	for _, stream := range streams {
		blocks, err := filepath.Glob(filepath.Join(s.store, "jetstream", "*", "streams", stream, "msgs", "*.blk"))
		if err != nil || len(blocks) != 1 {
			s.t.Fatalf("blocks of %s: %v %v", stream, blocks, err)
		}
		args = append(args, "-P", blocks[0])
	}
	trace := &programs.Output{}
	s.strace = exec.Command("strace", args...)
	s.strace.Stdout, s.strace.Stderr = trace, trace
	if err := s.strace.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.heal)
	programs.Eventually(s.t, patience, "strace has attached", func() error {
		if out := trace.String(); strings.Contains(out, "attached") {
			return nil
		} else if strings.Contains(out, "not permitted") {
			s.t.Fatalf("strace may not trace here: %s", out)
		}
		return errors.New(trace.String())
	})
	return trace
}

// heal ends what inject began. A call that strace delays is under way until its
// time has come.
func (s *site) heal() {
	if s.strace != nil {
		_ = s.strace.Process.Signal(os.Interrupt) // it lets go of the process in order
		_ = s.strace.Wait()
		s.strace = nil
	}
}

func (s *site) start() {
	s.t.Helper()
	s.out, s.done = &programs.Output{}, make(chan struct{})
	out, done := s.out, s.done
	s.cmd = exec.Command(s.bin, "serve", "--config.file", s.conf, "--storage.path", s.store, "--storage.max-bytes", fmt.Sprint(1<<30), "--web.listen-address", "127.0.0.1:0")
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	go func() { s.err = cmd.Wait(); close(done) }()
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		if s.t.Failed() {
			s.t.Logf("winnow said:\n%s", out.Tail())
		}
	})
	programs.Eventually(s.t, patience, "winnow is ready", func() error {
		address, ok := programs.Address(out.String())
		if !ok {
			return errors.New("it does not say where it listens")
		}
		s.url = "http://" + address
		_, err := s.get("/-/ready")
		return err
	})
}

// endsWell holds that the books balance and the log is sound, with what else the
// metrics must say, and stops the program in order.
func (s *site) endsWell(metrics ...string) {
	s.t.Helper()
	said, err := s.get("/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, want := range append(metrics, "winnow_ledger_balanced 1\n", "winnow_engine_log_faults_total 0\n") {
		if !strings.Contains(said, want) {
			s.t.Errorf("the metrics lack %q", strings.TrimSpace(want))
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	<-s.done
	if s.err != nil {
		s.t.Errorf("asked to stop it ended with %v", s.err)
	}
}

func (s *site) get(path string) (string, error) {
	b, err := programs.Get(context.Background(), s.url+path)
	return string(b), err
}

// post sends one alert as Prometheus does and returns the answer's code; 0 when
// there was none.
func (s *site) post(name, severity, note string) int {
	body, err := json.Marshal([]map[string]any{{
		"labels": map[string]string{"alertname": name, "severity": severity}, "annotations": map[string]string{"note": note},
	}})
	if err != nil {
		s.t.Error(err)
		return 0
	}
	client := http.Client{Timeout: 15 * time.Second}
	resp, err := client.Post(s.url+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // the code is all that is asked for
	return resp.StatusCode
}

var names = regexp.MustCompile(`\b(Before|During)\d+\b`)

// paged is the set of alert names that the pager was told of.
func (s *site) paged() map[string]bool {
	out := map[string]bool{}
	for _, e := range s.pager.Events() {
		for _, name := range names.FindAllString(e.Summary, -1) {
			out[name] = out[name] || e.Action == "trigger"
		}
	}
	return out
}

// unheard lists which of the accepted alerts no page has told of.
func (s *site) unheard(accepted []string) (out []string) {
	paged := s.paged()
	for _, name := range accepted {
		if !paged[name] {
			out = append(out, name)
		}
	}
	return out
}
