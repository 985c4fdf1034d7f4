package preview

import (
	"fmt"
	"strings"
	"time"
)

// Force is how a reload that was refused is asked for again.
const Force = "POST /-/reload?force=true takes it all the same"

// Refused says why a configuration was not put in force.
type Refused struct{ Diff *Diff }

// Error is one line. It names how many alerts, the first of them and why.
func (r *Refused) Error() string {
	d := r.Diff
	var b strings.Builder
	fmt.Fprintf(&b, "refused: %s; %s", d.Finding(), Force)
	for i := range d.Alerts {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(d.Alerts[i].String())
	}
	if more := d.Unpaged - len(d.Alerts); len(d.Alerts) > 0 && more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// Finding says in a few words what is dangerous, and names no alert.
func (d *Diff) Finding() string {
	switch {
	case d.Same:
		return "nothing that decides has changed"
	case d.Breaks != "":
		return "it breaks the core on " + d.Breaks
	case d.Unpaged == 0:
		return "it unpages no alert of severity critical or error " + d.place()
	}
	return fmt.Sprintf("it unpages %s of severity critical or error (%s) %s", count(d.Unpaged, "alert"), count(d.UnpagedOnsets, "onset"), d.place())
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// place says on which part of the log something was found.
func (d *Diff) place() string {
	if d.Messages == 0 {
		return "(the log holds nothing of the last " + d.Window.length().String() + ")"
	}
	return fmt.Sprintf("in the last %s (%s to %s)", d.Covered.length(), clock(d.Covered.From), clock(d.Covered.To))
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// String is one line about an alert.
func (a *Alert) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", a.Severity, a.Rule)
	if a.Service != "" {
		fmt.Fprintf(&b, " (%s)", a.Service)
	}
	fmt.Fprintf(&b, " %s", a.Fingerprint)
	if a.Onsets > 1 {
		fmt.Fprintf(&b, " %d times", a.Onsets)
	}
	fmt.Fprintf(&b, ", told to %s: %s", strings.Join(a.Told, ", "), a.Why)
	return b.String()
}

// Text is the whole Diff for people to read.
func (d *Diff) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", d.Finding())
	if d.Limit != "" {
		fmt.Fprintf(&b, "only a part of the last %s was replayed: %s\n", d.Window.length(), d.Limit)
	}
	if d.Messages == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\n                        before   after\n")
	row := func(what string, before, after int) { fmt.Fprintf(&b, "  %-18s %9d %7d\n", what, before, after) }
	row("pages", d.Before.Pages, d.After.Pages)
	row("notifications", d.Before.Notifications, d.After.Notifications)
	row("criticals, errors", d.Before.Told, d.After.Told)
	for i := range d.Receivers {
		r := &d.Receivers[i]
		row("  "+r.Name, r.Before, r.After)
	}
	if len(d.Alerts) > 0 {
		b.WriteString("\nNobody would be told of\n")
	}
	for i := range d.Alerts {
		fmt.Fprintf(&b, "  %s\n", d.Alerts[i].String())
	}
	if more := d.Unpaged - len(d.Alerts); len(d.Alerts) > 0 && more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	if d.Gained > 0 {
		fmt.Fprintf(&b, "\n%s of severity critical or error would be told that nobody is told of now\n", count(d.Gained, "onset"))
	}
	if d.Waiting > 0 {
		fmt.Fprintf(&b, "still waiting for the page at the end: %s\n", count(d.Waiting, "onset"))
	}
	if d.Uncompared > 0 {
		fmt.Fprintf(&b, "not compared: %s, since there are more than %d on one side\n", count(d.Uncompared, "onset"), maxOnsets)
	}
	return b.String()
}
