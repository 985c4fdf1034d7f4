package enrich

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/winnowhq/winnow/correlate"
)

// fake is an enricher of somebody else's.
type fake struct {
	name string
	f    func(ctx context.Context, c *Context) error
}

func (e fake) Name() string { return e.name }

func (e fake) Enrich(ctx context.Context, _ *correlate.Notification, c *Context) error {
	return e.f(ctx, c)
}

// counts reads winnow_enrich_total of the fakes as "name outcome n" lines.
func counts(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, mf := range families {
		if mf.GetName() != "winnow_enrich_total" {
			continue
		}
		for _, m := range mf.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if strings.HasPrefix(labels["enricher"], "x") {
				out = append(out, fmt.Sprintf("%s %s %v", labels["enricher"], labels["outcome"], m.GetCounter().GetValue()))
			}
		}
	}
	return strings.Join(out, ", ")
}

func TestNoEnricherStopsAPage(t *testing.T) {
	wait := func(d time.Duration) func(context.Context, *Context) error {
		return func(ctx context.Context, c *Context) error {
			select {
			case <-time.After(d):
				c.Owner = "late"
				return nil
			case <-ctx.Done():
				return fmt.Errorf("asking: %w", ctx.Err())
			}
		}
	}
	f := func(name string, enrich func(context.Context, *Context) error, want time.Duration, owner, outcome string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				p, err := New(Defaults(), Options{Registerer: reg, Extra: []Enricher{
					fake{"x", enrich},
					fake{"xy", func(_ context.Context, c *Context) error { c.Tier = "1"; return nil }},
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				begin := time.Now()
				c := p.Run(t.Context(), notification("alertname=A", "runbook=https://wiki.example/a"))
				if took := time.Since(begin); took != want {
					t.Errorf("the page waited for %s, want %s", took, want)
				}
				if c.Tier != "1" || c.Runbook != "https://wiki.example/a" || c.Owner != owner {
					t.Errorf("got %+v: want the answers of the others, and owner %q", c, owner)
				}
				if failed := fmt.Sprint(c.Failed); failed != map[bool]string{true: "[]", false: "[x]"}[outcome == "ok"] {
					t.Errorf("failed are %s", failed)
				}
				if got, want := counts(t, reg), "x "+outcome+" 1, xy ok 1"; got != want {
					t.Errorf("counted %q, want %q", got, want)
				}
				time.Sleep(2 * time.Minute) // who overran returns, to nobody
			})
		})
	}
	f("quick", wait(0), 0, "late", "ok")
	f("in time", wait(249*time.Millisecond), 249*time.Millisecond, "late", "ok")
	f("too slow", wait(time.Hour), 250*time.Millisecond, "", "timeout")
	f("ignores its context", func(_ context.Context, c *Context) error {
		time.Sleep(time.Minute)
		c.Owner = "late"
		return nil
	}, 250*time.Millisecond, "", "timeout")
	f("fails with half an answer", func(_ context.Context, c *Context) error {
		c.Owner = "half"
		return errors.New("no more")
	}, 0, "half", "error")
	f("panics with half an answer", func(_ context.Context, c *Context) error {
		c.Owner = "half"
		panic("bug")
	}, 0, "", "panicked")
	f("panics with nil", func(context.Context, *Context) error { panic(error(nil)) }, 0, "", "panicked")
	f("ends its goroutine", func(context.Context, *Context) error { runtime.Goexit(); return nil }, 0, "", "panicked")
	f("a time-out of its own is an error", func(context.Context, *Context) error { return context.DeadlineExceeded }, 0, "", "error")
}

func TestTheCallersDeadlineIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Defaults(), Options{Extra: []Enricher{fake{"x", func(ctx context.Context, _ *Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin := time.Now()
		c := p.Run(ctx, notification())
		if took := time.Since(begin); took != 10*time.Millisecond || fmt.Sprint(c.Failed) != "[x]" {
			t.Errorf("took %s, failed %v", took, c.Failed)
		}
		synctest.Wait()
	})
}

// A look-up that hangs for good holds its places and no more: later pages skip
// it at once, and it is back as soon as one returns.
func TestAHangingEnricherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		cfg := Defaults()
		cfg.MaxInFlight = 3
		release := make(chan struct{})
		running, most := make(chan int, 1), 0
		running <- 0
		p, err := New(cfg, Options{Registerer: reg, Extra: []Enricher{fake{"x", func(context.Context, *Context) error {
			n := <-running + 1
			most = max(most, n)
			running <- n
			<-release
			running <- <-running - 1
			return nil
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		begin := time.Now()
		for range 10 {
			if c := p.Run(t.Context(), notification()); fmt.Sprint(c.Failed) != "[x]" {
				t.Fatalf("failed are %v", c.Failed)
			}
		}
		if took := time.Since(begin); took != 3*cfg.Timeout {
			t.Errorf("ten pages waited for %s, want %s: only those that found a place wait", took, 3*cfg.Timeout)
		}
		if got, want := counts(t, reg), "x skipped 7, x timeout 3"; got != want {
			t.Errorf("counted %q, want %q", got, want)
		}
		close(release)
		synctest.Wait()
		if most != 3 {
			t.Errorf("%d look-ups were under way at once, want 3", most)
		}
		if c := p.Run(t.Context(), notification()); len(c.Failed) != 0 {
			t.Errorf("after the release failed are %v", c.Failed)
		}
	})
}

// A burst of pages needs more look-ups than may be under way at once: each gets
// its turn within the deadline.
func TestABurstLosesNoLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		cfg := Defaults()
		p, err := New(cfg, Options{Registerer: reg, Extra: []Enricher{fake{"x", func(context.Context, *Context) error {
			time.Sleep(cfg.Timeout / 20)
			return nil
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { p.Run(t.Context(), notification()) })
		}
		wg.Wait()
		if got, want := counts(t, reg), "x ok 200"; got != want {
			t.Errorf("counted %q, want %q", got, want)
		}
	})
}

func TestWhatEnrichersBringIsChecked(t *testing.T) {
	p, err := New(Defaults(), Options{Extra: []Enricher{
		fake{"x", func(_ context.Context, c *Context) error {
			c.Runbook = "javascript:alert(1)"
			c.Failed = []string{"not for it to say"}
			c.Links = []Link{{"", "https://a.example/"}, {"again", "https://a.example/"}, {"bad", "file:///etc/passwd"}, {"board", "https://d.example/"}}
			c.Notes = []string{"one", "one", "", strings.Repeat("é", MaxNoteBytes)}
			return nil
		}},
		fake{"xy", func(_ context.Context, c *Context) error { c.Dashboard = "https://d.example/"; return nil }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := p.Run(t.Context(), notification())
	if got, want := fmt.Sprint(c.Links), "[{https://a.example/ https://a.example/}]"; got != want {
		t.Errorf("links are %s, want %s", got, want)
	}
	if c.Runbook != "" || c.Dashboard != "https://d.example/" || c.Failed != nil {
		t.Errorf("got %+v", c)
	}
	want := []string{
		`the runbook of enricher x is ignored: "javascript:alert(1)" is not an http or https URL`,
		"one",
		strings.Repeat("é", MaxNoteBytes/2) + "…",
		`the link of enricher x is ignored: "file:///etc/passwd" is not an http or https URL`,
	}
	if fmt.Sprintf("%q", c.Notes) != fmt.Sprintf("%q", want) {
		t.Errorf("notes are %q\nwant %q", c.Notes, want)
	}
}

func TestReloadKeepsTheCounters(t *testing.T) {
	reg := prometheus.NewRegistry()
	quick := fake{"x", func(context.Context, *Context) error { return nil }}
	for range 2 {
		p, err := New(Defaults(), Options{Registerer: reg, Extra: []Enricher{quick}})
		if err != nil {
			t.Fatal(err)
		}
		p.Run(t.Context(), notification())
		p.Close()
		p.Run(t.Context(), notification()) // a page that still holds the old pipeline
	}
	if got, want := counts(t, reg), "x ok 4"; got != want {
		t.Errorf("counted %q, want %q", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	f := func(cfg Config, opts Options, want string) {
		t.Helper()
		p, err := New(cfg, opts)
		if p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v: want an error with %q", p, err, want)
		}
	}
	f(Config{}, Options{}, "enrich.timeout")
	cfg := Defaults()
	cfg.Catalog = []string{folder(t) + "/absent.yaml"}
	f(cfg, Options{}, "enrich.catalog[0]")
	twin := fake{"owner", nil}
	f(Defaults(), Options{Extra: []Enricher{twin}}, `two enrichers are called "owner"`)
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "winnow_enrich_total", Help: "Something else."}))
	f(Defaults(), Options{Registerer: reg}, "registering metrics")
}

func BenchmarkRun(b *testing.B) {
	cfg := Defaults()
	cfg.Runbooks = []RunbookRule{{URL: "https://runbooks.example/{{ .Labels.alertname }}"}}
	p, err := New(cfg, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	n := notification("alertname=KubeDown team=web", "summary=x")
	b.ReportAllocs()
	for b.Loop() {
		p.Run(b.Context(), n)
	}
}
