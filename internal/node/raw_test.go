package node

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/internal/selfalert"
)

// TestRawPageIsClosedWithoutTheCore pages alerts that the core never gets to
// know, crashes, and ends one of them.
func TestRawPageIsClosedWithoutTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		for _, name := range []string{"A", "B"} {
			a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: name}, {Name: "cluster", Value: "eu"}, {Name: "pod", Value: "1"}, {Name: "severity", Value: "critical"}}}
			a.Fingerprint = a.Labels.Fingerprint()
			s.node.guard.Force(&a, 1)
		}
		time.Sleep(3 * time.Second)
		if open := s.pager.Open(); len(open) != 2 {
			t.Fatalf("open: %v", open)
		}
		s.crash()
		time.Sleep(time.Minute)
		s.post(sample{name: "A", pod: "1", severity: "critical", resolved: true})
		time.Sleep(time.Minute)
		if open := s.pager.Open(); len(open) != 1 || s.events() != "trigger trigger resolve" {
			t.Errorf("one is over: open %v, pager heard %q", open, s.events())
		}
		s.post(sample{name: "B", pod: "1", severity: "critical", resolved: true})
		time.Sleep(rawSettles / 2) // read, and not told yet
		s.stop()
		time.Sleep(time.Hour) // the guard does not look back as far as that
		s.start()
		time.Sleep(time.Minute)
		if open := s.pager.Open(); len(open) != 0 {
			t.Errorf("the other ended before the stop: open %v, pager heard %q", open, s.events())
		}
		s.stop()
	})
}

// TestDamagedRawPagesAreNoticed changes each byte of the file in turn.
func TestDamagedRawPagesAreNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw.json")
	r := &rawPages{path: path}
	a := alert.Alert{Fingerprint: 7, Labels: alert.Labels{{Name: "alertname", Value: "A"}}}
	r.add(zap.NewNop(), pager.Page{Alert: &a, Receiver: "oncall", Key: "k"})
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again := &rawPages{path: path}
	if err := again.read(); err != nil || len(again.pages) != 1 || !again.pages[0].same(7, "oncall", "k") {
		t.Fatalf("read again: %v, %+v", err, again.pages)
	}
	for i := range sound {
		damaged := bytes.Clone(sound)
		damaged[i] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		again := &rawPages{path: path}
		if err := again.read(); err == nil || !strings.Contains(err.Error(), "raw.json") || len(again.pages) != 0 {
			t.Errorf("byte %d changed: %v, %d pages", i, err, len(again.pages))
		}
	}
}

// wantOpen holds that the incidents open at the pager tell of alerts of these
// names, in the order in which they were opened.
func wantOpen(s *site, names string) {
	s.t.Helper()
	var got []string
	for _, in := range s.pager.Open() {
		got = append(got, strings.Fields(in.Summary)[1])
	}
	if strings.Join(got, " ") != names {
		s.t.Errorf("open are %v, want %s", got, names)
	}
}

// TestPoisonIsPagedRaw sends a message that breaks the core, with two criticals,
// between others.
func TestPoisonIsPagedRaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.probe = func(e *frame.Event) {
			for i := range e.Alerts {
				if e.Alerts[i].Status == alert.Firing && e.Alerts[i].Labels.Get("alertname") == "Poison" {
					panic("poison")
				}
			}
		}
		s.stop()
		s.start()
		s.post(sample{name: "Before", pod: "1", severity: "critical"})
		// Not at the full minute, when the books are looked at, which ends the
		// self-alert, and the canary is sent, maybe in the same message.
		time.Sleep(time.Minute + time.Second)
		s.post(sample{name: "Poison", pod: "1", severity: "critical"}, sample{name: "Poison", pod: "2", severity: "critical"})
		s.post(sample{name: "After", pod: "1", severity: "critical"})
		time.Sleep(10 * time.Second)
		wantOpen(s, "Before Poison")
		if raised := s.node.alarm.Raised(); !slices.Contains(raised, selfalert.CoreFailed) || !slices.Contains(raised, selfalert.CriticalUnheard) {
			t.Errorf("self-alerts %v", raised)
		}
		time.Sleep(time.Minute)
		wantOpen(s, "Before Poison After")
		s.post(sample{name: "Poison", pod: "1", severity: "critical", resolved: true})
		time.Sleep(time.Minute)
		wantOpen(s, "Before Poison After") // one of two
		s.post(sample{name: "Poison", pod: "2", severity: "critical", resolved: true})
		time.Sleep(time.Minute)
		wantOpen(s, "Before After")
		s.sent -= 1 // the message counts as one delivery
		if r := s.report(); r.RawPages != 2 {
			t.Errorf("the report has %d raw pages, want 2", r.RawPages)
		}
		s.stop()
	})
}

// TestOwedRawPagesAreSentByTheNextLife crashes after the core has given a
// message up and before its alerts could be paged.
func TestOwedRawPagesAreSentByTheNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.kept = true // and with it the list of what was given up
		s.probe = func(e *frame.Event) {
			for i := range e.Alerts {
				if e.Alerts[i].Status == alert.Firing && e.Alerts[i].Labels.Get("alertname") == "Poison" {
					panic("poison")
				}
			}
		}
		s.stop()
		s.start()
		time.Sleep(time.Second) // the canary's first alert must not share a message with what follows
		s.network.Close()       // the pager cannot be reached in this life
		s.post(sample{name: "Poison", pod: "1", severity: "critical"}, sample{name: "Poison", pod: "2", severity: "critical"})
		time.Sleep(10 * time.Second)
		wantOpen(s, "")
		s.post(sample{name: "Poison", pod: "2", severity: "critical", resolved: true}) // nobody need hear of it
		time.Sleep(time.Second)
		s.crash()
		time.Sleep(30 * time.Second)
		wantOpen(s, "Poison")
		s.post(sample{name: "Poison", pod: "1", severity: "critical", resolved: true})
		time.Sleep(time.Minute)
		wantOpen(s, "")
		s.crash()
		time.Sleep(time.Minute)
		if wantOpen(s, ""); s.events() != "trigger resolve" {
			t.Errorf("pager heard %q %s", s.events(), s.history())
		}
		s.stop()
	})
}

// TestRawPageIsNotedByTheNextLife has a life end between the page and its note in
// the log.
func TestRawPageIsNotedByTheNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		s.stop()
		a := alert.Alert{Labels: alert.Labels{{Name: "alertname", Value: "A"}, {Name: "cluster", Value: "eu"}, {Name: "pod", Value: "1"}, {Name: "severity", Value: "critical"}}}
		a.Fingerprint = a.Labels.Fingerprint()
		left := &rawPages{path: filepath.Join(s.dir, "raw.json")}
		left.add(zap.NewNop(), pager.Page{Alert: &a, Receiver: "oncall", Key: `{}:{alertname="A", cluster="eu"}#critical`, Logged: true})
		for range 2 {
			s.start()
			time.Sleep(2 * rawLook)
			if r := s.report(); r.RawPages != 1 {
				t.Errorf("the report has %d raw pages, want the one", r.RawPages)
			}
			s.stop()
		}
	})
}
