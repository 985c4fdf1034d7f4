package demo

import (
	"slices"
	"strings"
	"sync"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// Page is a page as the stdout sink writes it.
type Page struct {
	Head     string // PAGE INC-1 [critical] the alert's name
	Incident string
	Why      string // first notification, or escalation
	Summary  string
	Text     string
}

// readPage tells a page from an update or a resolve.
func readPage(text string) (*Page, bool) {
	lines := strings.Split(text, "\n")
	words := strings.Fields(lines[0])
	if len(words) < 2 || words[0] != "PAGE" {
		return nil, false
	}
	p := &Page{Head: lines[0], Incident: words[1], Text: text}
	if len(lines) > 2 {
		p.Why, _, _ = strings.Cut(strings.TrimSpace(lines[1]), ", at ")
		p.Summary = strings.TrimSpace(lines[2])
	}
	return p, true
}

// about reports whether the page's first alert is of the same rule as a.
func (p *Page) about(a *Alert) bool { return strings.HasSuffix(p.Head, " "+a.Rule.Name) }

// field is the value of a labelled line, "" where there is none.
func (p *Page) field(label string) string {
	for line := range strings.Lines(p.Text) {
		if v, ok := strings.CutPrefix(line, "  "+label+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// console is the standard output of the stdout sinks: it keeps the pages. A
// sink writes each notification at once.
type console struct {
	mu    sync.Mutex
	pages []*Page
	show  func(*Page)
}

func (c *console) Write(text []byte) (int, error) {
	p, ok := readPage(string(text))
	if !ok {
		return len(text), nil
	}
	c.mu.Lock()
	c.pages = append(c.pages, p)
	c.mu.Unlock()
	c.show(p)
	return len(text), nil
}

func (c *console) all() []*Page {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pages[:len(c.pages):len(c.pages)]
}

// Called is an incident of the pager: somebody's telephone has rung.
type Called struct {
	sinktest.Incident
	Name string // of Winnow's incident

	// Quiet says that the one alert that matters most was in the trigger that
	// opened it.
	Quiet bool
}

// called lists the pager's incidents with what their first trigger said.
func called(p *sinktest.PagerDuty, quiet *Alert) []Called {
	events := p.Events()
	var out []Called
	for _, in := range p.Incidents() {
		c := Called{Incident: in}
		for i := range events {
			e := &events[i]
			if e.Action != "trigger" || e.Key != in.Key || !e.At.Equal(in.Opened) {
				continue
			}
			c.Name, _ = e.Details["incident"].(string)
			c.Quiet = names(e.Details["firing"], quiet)
			break
		}
		out = append(out, c)
	}
	return out
}

// names reports whether a list of alerts, as Alertmanager writes them, has a in it.
func names(list any, a *Alert) bool {
	alerts, _ := list.([]any)
	return slices.ContainsFunc(alerts, func(x any) bool {
		fields, _ := x.(map[string]any)
		labels, _ := fields["labels"].(map[string]any)
		return len(labels) == len(a.Labels) && !slices.ContainsFunc(a.Labels, func(l alert.Label) bool { return labels[l.Name] != l.Value })
	})
}
