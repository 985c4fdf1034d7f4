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

// statusWidth is what fits a narrow terminal: a status that wraps cannot be
// wiped.
const statusWidth = 79

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
	if r := []rune(text); len(r) > statusWidth {
		text = string(r[:statusWidth])
	}
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
	less := "0 %"
	if t.Deliveries > 0 {
		less = fmt.Sprintf("%.1f %%", 100*(1-float64(t.Pages)/float64(t.Deliveries)))
	}
	return fmt.Sprintf("%4ds %6s alerts %4.0f/s %4s onsets %3d incidents %3d pages  noise -%s",
		int(elapsed.Seconds()+0.5), thousands(t.Deliveries), rate, thousands(t.Onsets), t.Incidents, t.Pages, less)
}

func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// brief is a page in two lines: the head and whose it is; what is wrong and how
// many alerts that is.
func (s *screen) brief(p *Page) string {
	head := s.bold(p.Head)
	if strings.Contains(p.Head, "[critical]") {
		head = s.red(p.Head)
	}
	text := p.Summary
	if p.Why != "first notification" {
		text = p.Why + ": " + text
	}
	alerts, _, _ := strings.Cut(p.field("counts"), " firing")
	return "       " + head + "  " + p.field("owner") + "\n            " + s.dim(text+" · "+alerts)
}

// full is a page as the person on call reads it.
func (s *screen) full(p *Page) string {
	var b strings.Builder
	for line := range strings.Lines(p.Text) {
		b.WriteString("       " + strings.Replace(line, p.Head, s.red(p.Head), 1))
	}
	return b.String()
}
