package node

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// heard lists the pager's events with the first characters of their routing
// keys, as "trigger@0123".
func (s *site) heard() string {
	var out []string
	for _, e := range s.pager.Events() {
		out = append(out, e.Action+"@"+e.Routing[:4])
	}
	return strings.Join(out, " ")
}

func (s *site) reload(old, new string) {
	s.t.Helper()
	if !strings.Contains(s.text, old) {
		s.t.Fatalf("no %q in the configuration", old)
	}
	s.text = strings.ReplaceAll(s.text, old, new)
	if err := s.node.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

const (
	oldKey = "0123456789abcdef0123456789abcdef"
	newKey = "fedcba9876543210fedcba9876543210"
)

// TestEndGoesWhereItBegan changes where a receiver leads while incidents stand
// open there, by a reload and over stops and crashes.
func TestEndGoesWhereItBegan(t *testing.T) {
	removed := strings.ReplaceAll(settings, "oncall", "others")
	for _, c := range []struct {
		name   string
		change func(s *site)
	}{
		{"another key by a reload", func(s *site) { s.reload(oldKey, newKey) }},
		{"another key by a reload, then a crash", func(s *site) { s.reload(oldKey, newKey); s.crash() }},
		{"another key over a stop", func(s *site) { s.stop(); s.text = strings.ReplaceAll(s.text, oldKey, newKey); s.start() }},
		{"another key over a crash", func(s *site) { s.text = strings.ReplaceAll(s.text, oldKey, newKey); s.crash() }},
		{"the receiver is removed, then a stop", func(s *site) {
			s.text = strings.ReplaceAll(s.text, oldKey, newKey)
			s.reload("oncall", "others")
			s.stop()
			s.start()
		}},
		{"the receiver is removed over a crash", func(s *site) { s.text = strings.ReplaceAll(removed, oldKey, newKey); s.crash() }},
		{"the entry moves down the list", func(s *site) {
			s.reload("pagerduty_configs:\n", "pagerduty_configs:\n      - {routing_key: "+newKey+", url: 'http://pagerduty.test/v2/enqueue'}\n")
			s.stop()
			s.start()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.post(sample{name: "A", pod: "1", severity: "warning"})
				time.Sleep(time.Minute)
				c.change(s)
				s.post(sample{name: "A", pod: "1", severity: "warning"})
				time.Sleep(10 * time.Minute)
				s.post(sample{name: "A", pod: "2", severity: "warning"})
				time.Sleep(10 * time.Minute)
				s.post(sample{name: "A", pod: "1", severity: "warning", resolved: true}, sample{name: "A", pod: "2", severity: "warning", resolved: true})
				time.Sleep(10 * time.Minute)
				resolved := 0
				for _, e := range s.pager.Events() {
					if e.Action == "resolve" && e.Routing == oldKey {
						resolved++
					}
				}
				// An entry that moved down is told under two names, by one key.
				if resolved == 0 || resolved > 1 && c.name != "the entry moves down the list" || len(s.pager.Open()) != 0 {
					t.Errorf("%d resolves by the old key, pager heard %q", resolved, s.heard())
				}
				before := len(s.pager.Events())
				s.post(sample{name: "B", pod: "1", severity: "warning"})
				time.Sleep(time.Minute)
				fresh := s.pager.Events()[before:]
				if len(fresh) == 0 || !slices.ContainsFunc(fresh, func(e sinktest.Event) bool { return e.Routing == newKey }) {
					t.Errorf("a new incident did not go by the new key: %q", s.heard())
				}
				if raised := s.node.alarm.Raised(); len(raised) != 0 {
					t.Errorf("self-alerts %v", raised)
				}
				s.report()
				s.stop()
			})
		})
	}
}

// TestSettingsOfBeforeAreForgotten holds that secrets stay on disk only while
// something stands open by them, for nobody else to read, and not in the log.
func TestSettingsOfBeforeAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		file := filepath.Join(s.dir, "receivers.json")
		kept := func() string {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		s.reload(oldKey, newKey)
		time.Sleep(5 * time.Minute)
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file of secrets: %v, %v", info, err)
		}
		if text := kept(); !strings.Contains(text, oldKey) {
			t.Errorf("what is open is not kept: %s", text)
		}
		s.post(sample{name: "A", pod: "1", severity: "critical", resolved: true})
		time.Sleep(10 * time.Minute)
		if text := kept(); strings.Contains(text, oldKey) || strings.Contains(text, newKey) {
			t.Errorf("nothing is open, and its settings are kept: %s", text)
		}
		s.stop()
		err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if strings.Contains(string(b), oldKey) || strings.Contains(string(b), newKey) {
				t.Errorf("a secret stands in %s", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestOldKeyIsRefused holds that people hear of what they must close, and that
// a page does not stay behind.
func TestOldKeyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "A", pod: "1", severity: "warning"}, sample{name: "B", pod: "1", severity: "warning"})
		time.Sleep(time.Minute)
		s.reload(oldKey, newKey)
		s.pager.Script(sinktest.Response{Status: http.StatusForbidden})
		s.post(sample{name: "A", pod: "1", severity: "warning", resolved: true})
		time.Sleep(6 * time.Minute)
		if m := s.node.alarm.Raised(); !slices.Contains(m, selfalert.SinkFailed) {
			t.Errorf("a resolve was refused; self-alerts %v", m)
		}
		s.pager.Script(sinktest.Response{Status: http.StatusForbidden})
		s.post(sample{name: "B", pod: "2", severity: "critical"})
		time.Sleep(6 * time.Minute)
		events := s.pager.Events()
		if last := events[len(events)-1]; last.Action != "trigger" || last.Routing != newKey {
			t.Errorf("an escalation that the old key refuses: pager heard %q", s.heard())
		}
		s.post(sample{name: "B", pod: "1", severity: "warning", resolved: true}, sample{name: "B", pod: "2", severity: "critical", resolved: true})
		time.Sleep(6 * time.Minute)
		for _, e := range s.pager.Events()[len(events):] {
			if e.Action != "resolve" || e.Routing != newKey {
				t.Errorf("the end: %s by %s", e.Action, e.Routing[:4])
			}
		}
		s.stop()
	})
}
