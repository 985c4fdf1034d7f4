package node

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

const secondKey = "00000000000000000000000000000000"

// withFallback has a second receiver, whose pager is the same one under another
// key.
func withFallback(s *site) {
	s.text = strings.Replace(s.text, "receivers:", "winnow: {fallback_receiver: second}\nreceivers:\n  - {name: second, pagerduty_configs: [{routing_key: "+secondKey+", url: 'http://pagerduty.test/v2/enqueue'}]}", 1)
	if err := s.node.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// TestFallbackHearsOfTheEndAfterARestart refuses a page and an escalation, so
// that the fallback has both, and stops or crashes before the end.
func TestFallbackHearsOfTheEndAfterARestart(t *testing.T) {
	for name, again := range map[string]func(s *site){
		"a stop":  func(s *site) { s.stop(); time.Sleep(time.Minute); s.start() },
		"a crash": (*site).crash,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				withFallback(s)
				s.pager.Script(sinktest.Response{Status: http.StatusForbidden})
				s.post(sample{name: "A", pod: "1", severity: "warning"})
				time.Sleep(time.Minute)
				s.pager.Script(sinktest.Response{Status: http.StatusForbidden})
				s.post(sample{name: "A", pod: "2", severity: "critical"})
				time.Sleep(6 * time.Minute)
				if got := s.heard(); got != "trigger@0000 trigger@0000" || len(s.pager.Open()) != 2 {
					t.Fatalf("an escalation is an incident of its own at the fallback: pager heard %q, open %v", got, s.pager.Open())
				}
				again(s)
				s.post(sample{name: "A", pod: "1", severity: "warning", resolved: true}, sample{name: "A", pod: "2", severity: "critical", resolved: true})
				time.Sleep(6 * time.Minute)
				if open := s.pager.Open(); len(open) != 0 {
					t.Errorf("it is over, and %v stand open", open)
				}
				s.stop()
			})
		})
	}
}

// TestRefusedPageIsToldWithin10Seconds holds how long it takes from a provider's
// no until the fallback has the page and people have the self-alert, also when
// that has to be sent twice.
func TestRefusedPageIsToldWithin10Seconds(t *testing.T) {
	const groupWait, within = 30 * time.Second, 10 * time.Second
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden} {
		synctest.Test(t, func(t *testing.T) {
			s, p := newToldSite(t, stream.Options{}, "")
			s.reload("winnow:", "  - {name: second, pagerduty_configs: [{routing_key: "+secondKey+", url: 'http://pagerduty.test/v2/enqueue'}]}\nwinnow:\n  fallback_receiver: second")
			p.deaf = 1
			s.pager.Script(sinktest.Response{Status: status})
			s.post(sample{name: "Down", pod: "1", severity: "critical"})
			time.Sleep(groupWait - time.Second)
			if got := len(s.pager.Open()); got != 0 || len(p.heard) != 0 {
				t.Fatalf("%d: %d incidents and %v before the page was due", status, got, p.heard)
			}
			time.Sleep(time.Second + within)
			if got := s.heard(); got != "trigger@0000" {
				t.Errorf("%d: %s after it was refused, the pager has heard %q", status, within, got)
			}
			if p.when("sink_failed raised").IsZero() {
				t.Errorf("%d: %s after it was refused, people heard %v", status, within, p.heard)
			}
			s.stop()
		})
	}
}

// TestCrashOnTheWayToTheFallback crashes after the receiver has refused a page
// and before the fallback has it.
func TestCrashOnTheWayToTheFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		withFallback(s)
		s.pager.Script(sinktest.Response{Status: http.StatusForbidden}, sinktest.Response{Status: http.StatusServiceUnavailable},
			sinktest.Response{Status: http.StatusForbidden}) // the fallback has trouble; then the receiver refuses it again
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(30*time.Second + 500*time.Millisecond)
		if got := s.heard(); got != "" {
			t.Fatalf("pager heard %q too early for this test", got)
		}
		s.crash()
		time.Sleep(time.Minute)
		if got := s.heard(); got != "trigger@0000" {
			t.Errorf("after the crash the pager heard %q", got)
		}
		s.stop()
	})
}

// outage has a provider in trouble for one of its keys.
type outage struct {
	pager   http.Handler
	routing string
	mu      sync.Mutex
	answer  func(w http.ResponseWriter, r *http.Request) // nil: it is well
}

func (o *outage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	o.mu.Lock()
	answer := o.answer
	o.mu.Unlock()
	if answer != nil && bytes.Contains(body, []byte(o.routing)) {
		answer(w, r)
		return
	}
	o.pager.ServeHTTP(w, r)
}

func (o *outage) set(answer func(w http.ResponseWriter, r *http.Request)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// troublesOfAProvider are those in which nobody can know that they do not pass.
var troublesOfAProvider = map[string]func(w http.ResponseWriter, r *http.Request){
	"503":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	"429":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
	"429 for 5 m": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "300"); w.WriteHeader(429) },
	"it hangs":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"no answer":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
}

func newOutage(t *testing.T, routing string) (*site, *outage, *people) {
	s, p := newToldSite(t, stream.Options{}, "")
	o := &outage{pager: s.pager, routing: routing}
	s.stop()
	s.network.Close()
	s.provider = o
	s.network = sinktest.NewNetwork(o)
	s.text = strings.Replace(s.text, "winnow:", "  - {name: second, pagerduty_configs: [{routing_key: "+secondKey+", url: 'http://pagerduty.test/v2/enqueue'}]}\nwinnow:\n  fallback_receiver: second", 1)
	s.start()
	return s, o, p
}

// TestPageThatWaitsGoesToTheFallback: a provider was in trouble for long, and
// nobody else heard of the critical that waited for it.
func TestPageThatWaitsGoesToTheFallback(t *testing.T) {
	const groupWait, within = 30 * time.Second, 30 * time.Second
	for name, trouble := range troublesOfAProvider {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o, p := newOutage(t, "0123456789abcdef0123456789abcdef")
				o.set(trouble)
				s.post(sample{name: "Down", pod: "1", severity: "critical"}, sample{name: "Short", pod: "1", severity: "critical"})
				time.Sleep(groupWait + within)
				if got := s.heard(); got != "trigger@0000 trigger@0000" {
					t.Fatalf("%s after the page was due, the pagers have heard %q", within, got)
				}
				if p.when("page_waits raised").IsZero() {
					t.Errorf("people heard %v", p.heard)
				}
				s.post(sample{name: "Short", pod: "1", severity: "critical", resolved: true}) // while it waits
				time.Sleep(10 * time.Minute)
				if got := s.heard(); got != "trigger@0000 trigger@0000 resolve@0000" {
					t.Fatalf("in the outage the pagers have heard %q", got)
				}
				s.crash()
				time.Sleep(time.Minute)
				o.set(nil)
				time.Sleep(6 * time.Minute)
				// The end of what may have arrived is told all the same.
				if got := strings.Replace(s.heard(), " resolve@0123", "", 1); got != "trigger@0000 trigger@0000 resolve@0000 trigger@0123" {
					t.Errorf("after the outage the pagers have heard %q", got)
				}
				if p.when("page_waits over").IsZero() {
					t.Errorf("people heard %v", p.heard)
				}
				s.post(sample{name: "Down", pod: "1", severity: "critical", resolved: true})
				time.Sleep(6 * time.Minute)
				if open := s.pager.Open(); len(open) != 0 || len(s.pager.Phantoms()) != 0 {
					t.Errorf("it is over, and %v stand open", open)
				}
				if n := s.report().Dispositions[correlate.ResolvedBeforePage.String()]; n != 0 {
					t.Errorf("%d alerts of which the fallback was told are said to have ended before their page", n)
				}
				s.stop()
			})
		})
	}
}
