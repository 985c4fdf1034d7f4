package node

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
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
		s.stop()
	})
}
