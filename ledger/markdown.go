package ledger

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the report for a chat, an issue or a pull request. Names out
// of payloads stand in code spans, where they neither format nor notify.
func Markdown(w io.Writer, r *Report) error {
	var b strings.Builder
	f := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }

	f("**%s**\n", r.headline())
	if period := r.period(); period != "" {
		f("%s\n", period)
	}
	f("\n| | |\n|---|---:|\n")
	for _, s := range r.funnel() {
		f("| %s | %s |\n", s.name, count(s.n))
	}
	f("\n| ratio | | definition |\n|---|---:|---|\n")
	for _, q := range r.ratioLines() {
		f("| %s | %s | %s: %s |\n", q.name, percent(q.value), q.definition, q.words)
	}
	f("\n| disposition | deliveries | share | what became of it |\n|---|---:|---:|---|\n")
	for _, d := range ordered(r.Dispositions) {
		f("| %s | %s | %s | %s |\n", codeSpan(d.name), count(d.n), percent(ratio(d.n, r.Deliveries)), d.words)
	}
	if len(r.AddedDelay) > 0 {
		f("\n| added delay | count | p50 | p99 | max |\n|---|---:|---:|---:|---:|\n")
		for _, d := range r.delays() {
			f("| %s | %s | %s | %s | %s |\n", codeSpan(d.severity), count(d.Count), seconds(d.P50Seconds), seconds(d.P99Seconds), seconds(d.MaxSeconds))
		}
	}
	f("\nSwallowed criticals: **%s**\n", count(r.SwallowedCriticals))
	markdownCriticals(&b, r.Swallowed)
	if r.RawPages > 0 {
		f("\n%s: **%s**\n", rawPages, count(r.RawPages))
	}
	if r.CriticalBelowThreshold > 0 {
		f("\nCritical, but the receiver has nobody behind it: **%s**\n", count(r.CriticalBelowThreshold))
		markdownCriticals(&b, r.BelowThreshold)
	}
	markdownNoise(&b, "rule", r.TopRules)
	markdownNoise(&b, "service", r.TopServices)
	if len(r.Flappers) > 0 {
		f("\n| comes back after it was resolved | service | reopened | onsets |\n|---|---|---:|---:|\n")
		for _, p := range r.Flappers {
			f("| %s | %s | %s | %s |\n", codeSpan(p.Rule), codeSpan(p.Service), count(p.Reopened), count(p.Onsets))
		}
	}
	if s := r.SelfResolved; s.Episodes > 0 {
		f("\n%s\n", s.words())
	}
	if r.Balanced {
		f("\nbalanced: %s = %s\n", count(r.Deliveries), count(r.accounted()))
	} else {
		f("\n**NOT BALANCED: %s delivered, %s accounted for**\n", count(r.Deliveries), count(r.accounted()))
		for _, s := range r.BySource {
			if !s.Balanced {
				f("\n- source %s: %s delivered, %s accounted for\n", codeSpan(s.Source), count(s.Deliveries), count(sum(s.Dispositions)))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownCriticals(b *strings.Builder, list []CriticalEpisode) {
	if len(list) == 0 {
		return
	}
	b.WriteString("\n| onset (UTC) | fingerprint | rule | service | became |\n|---|---|---|---|---|\n")
	for _, c := range list {
		state := ""
		if c.Standing {
			state = ", fires still"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s%s |\n", c.At.UTC().Format(secondLayout), codeSpan(c.Fingerprint), codeSpan(c.Rule), codeSpan(c.Service), codeSpan(c.Disposition), state)
	}
}

func markdownNoise(b *strings.Builder, what string, rows []Noise) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| noisiest %ss | deliveries | share | onsets | pages | suppressed |\n|---|---:|---:|---:|---:|---:|\n", what)
	for _, n := range rows {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", codeSpan(n.Name), count(n.Deliveries), percent(&n.Share), count(n.Onsets), count(n.Pages), count(n.Suppressed))
	}
}

// maxSpan bounds a name in a table, in characters.
const maxSpan = 120

// codeSpan quotes a name for a cell of a table: a fence longer than any run of
// backticks in it, and no bar that would end the cell.
func codeSpan(s string) string {
	s = strings.ReplaceAll(cell(s, maxSpan), "|", `\|`)
	longest, run := 0, 0
	for i := range len(s) {
		if run++; s[i] != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	if longest == 0 {
		return "`" + s + "`"
	}
	fence := strings.Repeat("`", longest+1)
	return fence + " " + s + " " + fence
}
