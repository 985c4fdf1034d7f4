//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "winnow-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	line := figures.line()
	if code != 0 {
		line = figures.suite() + ": FAILED " + figures.own
	}
	fmt.Println(line)
	if path := os.Getenv("WINNOW_E2E_FIGURES"); path != "" {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: write the figures:", err)
			code = 1
		}
	}
	os.RemoveAll(buildDir)
	os.Exit(code)
}

// figures are what the tests have counted.
var figures tally

type tally struct {
	mu    sync.Mutex
	parts []part
	late  time.Duration
	name  string // of a suite with a line of its own
	own   string // that line
}

// say sets the last line of a suite that has its own.
func (f *tally) say(suite, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.name, f.own = suite, line
}

func (f *tally) suite() string {
	if f.name != "" {
		return f.name
	}
	return "e2e"
}

type part struct {
	name   string
	counts []count
}

type count struct {
	what string
	n    int
}

// add adds to a count of a part; parts and counts keep the order in which they
// were first mentioned.
func (f *tally) add(name, what string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.parts, func(p part) bool { return p.name == name })
	if i < 0 {
		i = len(f.parts)
		f.parts = append(f.parts, part{name: name})
	}
	p := &f.parts[i]
	j := slices.IndexFunc(p.counts, func(c count) bool { return c.what == what })
	if j < 0 {
		j = len(p.counts)
		p.counts = append(p.counts, count{what: what})
	}
	p.counts[j].n += n
}

// page notes how long after it was due a page arrived; the latest counts.
func (f *tally) page(late time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = max(f.late, late)
}

func (f *tally) line() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own != "" {
		return f.suite() + ": " + f.own
	}
	slices.SortFunc(f.parts, func(a, b part) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString("e2e: ")
	for _, p := range f.parts {
		b.WriteString(p.name + ":")
		for i, c := range p.counts {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, " %d %s", c.n, c.what)
		}
		b.WriteString("; ")
	}
	return b.String() + fmt.Sprintf("latest page %s after it was due", f.late.Round(time.Millisecond))
}

// fromEnv is the number that a variable holds.
func fromEnv(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// patience is for what should take well under a second on an idle machine.
const patience = 60 * time.Second
