package ledger

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of the width of a rendering, in characters.
const (
	DefaultWidth = 80
	minWidth     = 80 // of the widest line that is not cut
	maxWidth     = 160
)

// RenderOptions of Render. The zero value is plain text of 80 columns.
type RenderOptions struct {
	Color bool // ANSI colours; the caller knows whether w is a terminal
	ASCII bool // bars of # instead of blocks
	Width int  // in characters; 0 means DefaultWidth, and it is kept within reason
}

// Render writes the report as text for a terminal. Nothing a payload contains
// can act on the terminal.
func Render(w io.Writer, r *Report, opts RenderOptions) error {
	if opts.Width == 0 {
		opts.Width = DefaultWidth
	}
	opts.Width = min(max(opts.Width, minWidth), maxWidth)
	p := &printer{opts: opts}

	p.line("%s", p.bold(r.headline()))
	if period := r.period(); period != "" {
		p.line("%s", period)
	}
	p.funnel(r)
	p.title("Ratios")
	for _, q := range r.ratioLines() {
		p.line("  %s %s  %s  %s", left(q.name, 15), right(percent(q.value), 8), left(q.definition, 21), q.words)
	}
	p.dispositions(r)
	p.delays(r)
	p.title("Criticals")
	p.criticals(r)
	p.noise("Noisiest rules", "rule", r.TopRules)
	p.noise("Noisiest services", "service", r.TopServices)
	p.flappers(r)
	p.degraded(r)
	p.balance(r)
	_, err := io.WriteString(w, p.b.String())
	return err
}

// printer collects the text, so that a failing writer is met once.
type printer struct {
	b    strings.Builder
	opts RenderOptions
}

func (p *printer) line(format string, args ...any) {
	s := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	p.b.WriteString(s)
	p.b.WriteByte('\n')
}

func (p *printer) title(s string) { p.line("\n%s", p.bold(s)) }

func (p *printer) color(code, s string) string {
	if !p.opts.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) bold(s string) string  { return p.color("1", s) }
func (p *printer) green(s string) string { return p.color("32", s) }
func (p *printer) red(s string) string   { return p.color("1;31", s) }

func (p *printer) funnel(r *Report) {
	p.title("Funnel")
	stages := r.funnel()
	most, digits := uint64(0), 0
	for _, s := range stages {
		most, digits = max(most, s.n), max(digits, len(count(s.n)))
	}
	for _, s := range stages {
		p.line("  %s  %s  %s", left(s.name, 13), right(count(s.n), digits), p.bar(s.n, most, p.opts.Width-19-digits))
	}
}

// bar is as long as n is of most, at least a sliver unless n is 0.
func (p *printer) bar(n, most uint64, width int) string {
	if n == 0 || most == 0 {
		return ""
	}
	eighths := max(int(float64(n)/float64(most)*float64(width)*8+0.5), 1)
	if p.opts.ASCII {
		return strings.Repeat("#", (eighths+7)/8)
	}
	bar := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	return bar
}

func (p *printer) dispositions(r *Report) {
	p.title("What became of them")
	for _, d := range ordered(r.Dispositions) {
		p.line("  %s %s  %s  %s", left(cell(d.name, 20), 20), right(count(d.n), 11), right(percent(ratio(d.n, r.Deliveries)), 7), d.words)
	}
}

func (p *printer) delays(r *Report) {
	p.title("Added delay, from an alert's arrival to the decision to tell somebody")
	if len(r.AddedDelay) == 0 {
		p.line("  n/a: nobody was told of anything")
		return
	}
	p.line("  %s %s %s %s %s", left("severity", 10), right("count", 11), right("p50", 13), right("p99", 13), right("max", 13))
	for _, d := range r.delays() {
		p.line("  %s %s %s %s %s", left(cell(d.severity, 10), 10), right(count(d.Count), 11),
			right(seconds(d.P50Seconds), 13), right(seconds(d.P99Seconds), 13), right(seconds(d.MaxSeconds), 13))
	}
}

func (p *printer) criticals(r *Report) {
	if r.SwallowedCriticals == 0 {
		p.line("  swallowed criticals: %s", p.green("0"))
	} else {
		p.line("  swallowed criticals: %s", p.red(count(r.SwallowedCriticals)))
		p.listed(r.Swallowed, r.SwallowedCriticals)
	}
	if r.RawPages > 0 {
		p.line("  %s: %s", strings.ToLower(rawPages), p.red(count(r.RawPages)))
	}
	if r.CriticalBelowThreshold > 0 {
		p.line("  critical, but the receiver has nobody behind it: %s", p.red(count(r.CriticalBelowThreshold)))
		p.listed(r.BelowThreshold, r.CriticalBelowThreshold)
	}
}

const secondLayout = "2006-01-02 15:04:05"

func (p *printer) listed(list []CriticalEpisode, total uint64) {
	for _, c := range list {
		state := ""
		if c.Standing {
			state = ", fires still"
		}
		p.line("    %s  %s  %s%s", c.At.UTC().Format(secondLayout), cell(c.Fingerprint, 19), cell(c.Disposition, 20), state)
		room := p.opts.Width - 10
		p.line("      %s on %s", cell(c.Rule, room*3/5), cell(c.Service, room*2/5))
	}
	if n := total - min(total, uint64(len(list))); n > 0 {
		p.line("    and %s earlier", count(n))
	}
}

func (p *printer) noise(title, what string, rows []Noise) {
	if len(rows) == 0 {
		return
	}
	p.title(title)
	widest := utf8.RuneCountInString(what)
	for _, n := range rows {
		widest = max(widest, utf8.RuneCountInString(cell(n.Name, maxWidth)))
	}
	name := min(widest, p.opts.Width-2-51)
	p.line("  %s %s %s %s %s %s", left(what, name), right("deliveries", 11), right("share", 7), right("onsets", 9), right("pages", 8), right("suppressed", 11))
	for _, n := range rows {
		p.line("  %s %s %s %s %s %s", left(cell(n.Name, name), name), right(count(n.Deliveries), 11), right(percent(&n.Share), 7),
			right(count(n.Onsets), 9), right(count(n.Pages), 8), right(count(n.Suppressed), 11))
	}
}

func (p *printer) flappers(r *Report) {
	if len(r.Flappers) > 0 {
		p.title("Come back after they were resolved")
		for _, f := range r.Flappers {
			p.line("  %s reopened of %s  %s on %s", right(count(f.Reopened), 9), left(things(f.Onsets, "onset"), 12), cell(f.Rule, 30), cell(f.Service, 24))
		}
	}
	if s := r.SelfResolved; s.Episodes > 0 {
		p.line("\n%s", s.words())
	}
}

func (p *printer) balance(r *Report) {
	p.line("")
	if r.Balanced {
		p.line("%s: %s = %s", p.green("balanced"), count(r.Deliveries), count(r.accounted()))
		return
	}
	p.line("%s: %s delivered, %s accounted for", p.red("NOT BALANCED"), count(r.Deliveries), count(r.accounted()))
	for _, s := range r.BySource {
		if !s.Balanced {
			p.line("  source %s: %s delivered, %s accounted for", cell(s.Source, 40), count(s.Deliveries), count(sum(s.Dispositions)))
		}
	}
}
