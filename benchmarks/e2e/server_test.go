//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// server is a Winnow or an Alertmanager with its storage and configuration,
// which outlive its processes. Both take the same flags and answer the same
// two probes.
type server struct {
	t       testing.TB
	name    string
	binary  string
	extra   []string // flags that only one of them has
	env     []string // beside that of the test
	storage string
	config  string // path
	address string
	lives   []*program // the last ones, the running one among them
	*program
}

// keptLives is how many of its processes a server that has failed shows.
const keptLives = 3

// newServer makes one with an empty storage and does not start it.
func newServer(t testing.TB, name, binary, config string, extra ...string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{
		t: t, name: name, binary: binary, extra: extra,
		storage: filepath.Join(dir, "storage"), config: filepath.Join(dir, "alertmanager.yml"), address: "127.0.0.1:0",
	}
	s.configure(config)
	t.Cleanup(func() {
		for _, p := range s.lives {
			p.end(t)
		}
	})
	return s
}

func (s *server) configure(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// launch starts it and waits for nothing.
func (s *server) launch() {
	s.t.Helper()
	args := append([]string{"--config.file", s.config, "--storage.path", s.storage, "--web.listen-address", s.address}, s.extra...)
	if s.name == "winnow" {
		args = append([]string{"serve"}, args...)
	}
	p, err := runIn(s.env, s.name, s.binary, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.program = p
	s.lives = append(s.lives[max(0, len(s.lives)-keptLives+1):], p)
}

// start starts it, after the first time at the same address, and waits until it
// is ready.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	s.address = s.program.address(s.t)
	s.ready()
}

func (s *server) ready() {
	s.t.Helper()
	programs.Eventually(s.t, patience, s.name+" is ready", func() error { return s.get("/-/ready", nil) })
}

func (s *server) url(path string) string { return "http://" + s.address + path }

// get reads a path, into v as JSON if v is not nil.
func (s *server) get(path string, v any) error {
	body, err := s.read(path)
	if err != nil || v == nil {
		return err
	}
	return json.Unmarshal(body, v)
}

func (s *server) read(path string) ([]byte, error) {
	return programs.Get(context.Background(), s.url(path))
}

// memory is what the kernel says of the running process: its resident size now
// and the largest so far, in MiB.
func (s *server) memory() (now, most int) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	read := func(name string) int {
		_, rest, _ := strings.Cut(string(text), "\n"+name+":")
		kib, err := strconv.Atoi(strings.Fields(rest + " -")[0])
		if err != nil {
			s.t.Fatalf("%s of %s: %v", name, s.name, err)
		}
		return kib >> 10
	}
	return read("VmRSS"), read("VmHWM")
}
