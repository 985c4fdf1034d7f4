package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/winnowhq/winnow/ledger"
)

// screen writes what people watch: lines, and on a terminal one more below
// them that is rewritten as it changes.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	color    bool
	status   string // stands at the bottom of a terminal
	err      error  // the first that writing gave
}

func (s *screen) write(text string) {
	if _, err := io.WriteString(s.out, text); err != nil && s.err == nil {
		s.err = fmt.Errorf("demo: write: %w", err)
	}
}

// line prints above the status.
func (s *screen) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.write(fmt.Sprintf(format, args...) + "\n")
	s.write(s.status)
}

// progress shows the status: in place on a terminal, else as a line more.
func (s *screen) progress(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal {
		s.write(text + "\n")
		return
	}
	s.wipe()
	s.status = text
	s.write(text)
}

// settle leaves the status where it stands; what follows comes below it.
func (s *screen) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != "" {
		s.write("\n")
		s.status = ""
	}
}

func (s *screen) wipe() {
	if s.status != "" {
		s.write("\r\x1b[K")
	}
}

func (s *screen) bold(text string) string { return s.sgr("1", text) }
func (s *screen) dim(text string) string  { return s.sgr("2", text) }
func (s *screen) red(text string) string  { return s.sgr("1;31", text) }

func (s *screen) sgr(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// statusLine is the demo at a glance.
func statusLine(elapsed time.Duration, t *ledger.Totals, rate float64) string {
	quiet := "  n/a"
	if t.Deliveries > 0 {
		quiet = fmt.Sprintf("%.1f %%", 100*(1-float64(t.Pages)/float64(t.Deliveries)))
	}
	return fmt.Sprintf("%4ds  %7s alerts  %5.0f/s  %4s onsets  %3d incidents  %3d pages  noise reduction %s",
		int(elapsed.Seconds()+0.5), thousands(t.Deliveries), rate, thousands(t.Onsets), t.Incidents, t.Pages, quiet)
}

func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// brief is a page in two lines: the head, then what is wrong, for how many
// alerts it stands and whose it is.
func (s *screen) brief(p *Page) string {
	head := s.bold(p.Head)
	if strings.Contains(p.Head, "[critical]") {
		head = s.red(p.Head)
	}
	var rest []string
	for _, part := range []string{p.Summary, p.field("counts"), p.field("owner")} {
		if part != "" {
			rest = append(rest, part)
		}
	}
	return "       " + head + "\n         " + s.dim(strings.Join(rest, " · "))
}
