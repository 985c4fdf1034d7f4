package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/winnowhq/winnow/ledger"
)

func (d *demo) intro() {
	s, pods := d.screen, 0
	for i := range services {
		pods += services[i].Pods
	}
	s.line("%s", s.bold(fmt.Sprintf("A night at an online shop of %d services and %d pods, told in %s", len(services), pods, d.opts.Duration)))
	s.line("A deploy makes a database slow, half of the shop calls for help, and in the")
	s.line("middle of it one quiet alert must get through.")
	s.line("")
	end := "removed at the end"
	if d.opts.Keep {
		end = "kept"
	}
	width := max(len(d.pagerURL), len(d.dir))
	s.line("  %-*s   Winnow: /api/v1/incidents, /api/v1/report, /metrics", width, d.base)
	s.line("  %-*s   the pager; it speaks PagerDuty's Events API", width, d.pagerURL)
	s.line("  %-*s   the log, %s", width, d.dir, end)
	s.line("")
}

func (d *demo) showScene(at Scene) {
	if !d.opts.Headless {
		d.screen.line("%4ds  %s", int(at.At.Seconds()), d.screen.dim(at.Text))
	}
}

// showPage shows a page in brief, and the one that matters in full.
func (d *demo) showPage(p *Page) {
	switch {
	case d.opts.Headless:
	case p.about(d.story.Quiet):
		d.screen.line("%s", strings.TrimSuffix(d.screen.full(p), "\n"))
	default:
		d.screen.line("%s", d.screen.brief(p))
	}
}

// conclude prints what the night came to, and how to go on.
func (d *demo) conclude(r *Outcome) error {
	s := d.screen
	if r.Cut {
		s.line("Stopped early; this is what there is.")
	}
	if !d.opts.Headless {
		s.line("")
	}
	if err := d.report(r.Report); err != nil {
		return err
	}
	d.explanations(r)
	d.next()
	if !d.opts.Assert {
		return nil
	}
	v := Check(r)
	s.line("")
	for _, f := range v.Failed {
		s.line("assert: %s", s.red(f))
	}
	if len(v.Failed) > 0 {
		return ErrAssert
	}
	s.line("assert: all %d checks hold", v.Checks)
	return nil
}

// report prints the noise report, less what says nothing of a night of half a
// minute.
func (d *demo) report(r ledger.Report) error {
	r.Since, r.Until = time.Time{}, time.Time{}
	r.SelfResolved, r.TopServices = ledger.SelfResolvedCount{}, nil
	var b strings.Builder
	if err := ledger.Render(&b, &r, ledger.RenderOptions{Color: d.opts.Color}); err != nil {
		return fmt.Errorf("demo: write the report: %w", err)
	}
	d.screen.line("%s", b.String())
	return nil
}

func (d *demo) explanations(r *Outcome) {
	s := d.screen
	if r.Unpaged != nil {
		s.line("%s", s.bold("Why one of them did not page   ")+s.dim("winnow explain "+r.Unpaged.Fingerprint.String()))
		s.line("%s", condense(r.Explained.Unpaged))
	}
	if r.Quiet == nil {
		return
	}
	s.line("%s", s.bold("And the quiet one   ")+s.dim("winnow explain "+d.story.Quiet.Fingerprint.String()))
	s.line("%s%s", condense(r.Explained.Quiet), quietCall(r))
	if d.opts.Headless {
		s.line("%s", s.bold("What the person on call read"))
		s.line("%s", condense(r.Quiet.Text))
	}
}

// quietCall is what the pager knows of the quiet alert.
func quietCall(r *Outcome) string {
	for i := range r.Called {
		if c := &r.Called[i]; c.Quiet {
			return fmt.Sprintf("  By the pager's clock it rang %.2f s after the alert was first sent.\n", c.Opened.Sub(r.QuietSent).Seconds())
		}
	}
	return ""
}

// condense indents an answer and leaves its empty lines out, and the line that
// only repeats what was asked for.
func condense(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "v1:") {
			b.WriteString("  " + line)
		}
	}
	return b.String()
}

func (d *demo) next() {
	s := d.screen
	s.line("%s", s.bold("What next"))
	s.line(`  winnow demo --print-config                    the configuration of this night
  winnow check alertmanager.yml                 is your file understood, as it is?
  winnow serve --config.file=alertmanager.yml   page by it
  winnow serve                                  only print pages, beside the Alertmanager
                                                that you have; add to each of its receivers:
    webhook_configs: [{url: "http://127.0.0.1:9099/ingest/alertmanager"}]`)
}
