package node

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// explain is what people read of an alert.
func (s *site) explain(a sample) string {
	s.t.Helper()
	ls := alert.Labels{{Name: "alertname", Value: a.name}, {Name: "cluster", Value: "eu"}, {Name: "pod", Value: a.pod}, {Name: "severity", Value: a.severity}}
	return s.get("/api/v1/explain/" + ls.Fingerprint().String())
}

// TestWhatEndedBeforeAnybodyHeardWasNotPaged: the page of an alert that ended
// while its provider was down was never sent, and the books said that it was
// paged.
func TestWhatEndedBeforeAnybodyHeardWasNotPaged(t *testing.T) {
	first := sample{name: "Down", pod: "1", severity: "critical"}
	second := sample{name: "Down", pod: "2", severity: "critical"}
	ends := func(s *site, as ...sample) {
		for i := range as {
			as[i].resolved = true
		}
		s.post(as...)
		time.Sleep(6 * time.Minute)
	}
	f := func(what string, story func(s *site), wantEvents, wantBooks, wantFirst string) {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.pager.Always(sinktest.Response{Status: http.StatusServiceUnavailable})
				s.post(first)
				time.Sleep(time.Minute) // the page is due, and refused for the time being
				story(s)
				s.pager.Always(sinktest.Response{})
				time.Sleep(10 * time.Minute)
				if got := s.events(); got != wantEvents {
					t.Errorf("the pager heard %q, want %q", got, wantEvents)
				}
				r := s.report()
				d := r.Dispositions
				if got := fmt.Sprintf("P=%d paged=%d grouped=%d unheard=%d", r.Pages, d["paged"], d["grouped"], d["resolved_before_page"]); got != wantBooks {
					t.Errorf("the books say %s, want %s", got, wantBooks)
				}
				if got := s.explain(first); !strings.Contains(got, "\n"+wantFirst) {
					t.Errorf("%s\nwant %q", got, wantFirst)
				}
				unheard := strings.HasPrefix(wantFirst, "Not paged")
				if got := s.get("/api/v1/explain/INC-1"); strings.Contains(got, ": after all not paged because it ended before anybody confirmed INC-1/") != unheard || !strings.Contains(got, "INC-1/1 page ") {
					t.Errorf("of its incident:\n%s", got)
				}
				s.stop()
			})
		})
	}
	const (
		unheard = "Not paged because it ended before anybody confirmed INC-1/1, decided at "
		paged   = "Paged to oncall in INC-1, decided at "
	)
	f("down until it has ended", func(s *site) { ends(s, first) },
		"", "P=0 paged=0 grouped=0 unheard=1", unheard)
	f("well again before it ends", func(s *site) { s.pager.Always(sinktest.Response{}); time.Sleep(2 * time.Minute); ends(s, first) },
		"trigger resolve", "P=1 paged=1 grouped=0 unheard=0", paged)
	f("another joins and has the page", func(s *site) {
		s.post(second)
		time.Sleep(5 * time.Minute)
		s.pager.Always(sinktest.Response{})
		time.Sleep(5 * time.Minute)
		ends(s, first, second)
	}, "trigger resolve", "P=1 paged=1 grouped=1 unheard=0", paged)
	f("another joins, and both end", func(s *site) {
		s.post(second)
		time.Sleep(5 * time.Minute)
		ends(s, first, second)
	}, "", "P=0 paged=0 grouped=0 unheard=2", "Not paged because it ended before anybody confirmed INC-1/2, decided at ")
	f("it fires again, and ends again", func(s *site) {
		ended := first
		ended.resolved = true
		s.post(ended)
		time.Sleep(time.Minute)
		s.post(first)
		time.Sleep(5 * time.Minute)
		ends(s, first)
	}, "", "P=0 paged=0 grouped=0 unheard=2", unheard)
	// Whether the life before has paged nobody knows: it has no receipt, and the
	// end is told in case it has.
	f("a crash while it is down", func(s *site) { s.crash(); ends(s, first) },
		"resolve", "P=0 paged=0 grouped=0 unheard=1", unheard)
	f("a crash between its end and its receipt", func(s *site) {
		ended := first
		ended.resolved = true
		s.post(ended)
		time.Sleep(4*time.Minute + 29*time.Second)
		s.crash()
		time.Sleep(time.Minute)
	}, "resolve", "P=0 paged=0 grouped=0 unheard=1", unheard)
	f("a crash, and well again before it ends", func(s *site) {
		s.crash()
		s.pager.Always(sinktest.Response{})
		time.Sleep(2 * time.Minute)
		ends(s, first)
	},
		"trigger resolve", "P=1 paged=1 grouped=0 unheard=0", paged)
}

// TestRefusalIsNoEndThatCameTooSoon: what a provider refuses for good, and nobody
// else has, stays a page that failed.
func TestRefusalIsNoEndThatCameTooSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pager.Always(sinktest.Response{Status: http.StatusForbidden})
		a := sample{name: "Down", pod: "1", severity: "critical"}
		s.post(a)
		time.Sleep(time.Minute)
		a.resolved = true
		s.post(a)
		time.Sleep(6 * time.Minute)
		if d := s.report().Dispositions; d["paged"] != 1 || d["resolved_before_page"] != 0 {
			t.Errorf("the books say %v", d)
		}
		if got := s.get("/api/v1/explain/INC-1"); !strings.Contains(got, "INC-1/1 page refused for good by oncall/pagerduty[0]") {
			t.Errorf("%s", got)
		}
		s.stop()
	})
}
