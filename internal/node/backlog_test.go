package node

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// backlog is how many alerts come while the core does nothing; make backlog has
// more of them.
const backlog = 20_000

// TestBacklog has alerts come in while the core hangs, a few criticals among
// them, of which some are over before it is back. The criticals are told first,
// nothing is paged that was over before anybody was told, and the core is through
// with all of it in time. It ends with a line of figures.
func TestBacklog(t *testing.T) {
	alerts := backlog
	if text := os.Getenv("WINNOW_BACKLOG"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		alerts = n
	}
	synctest.Test(t, func(t *testing.T) {
		const batch, criticals = 500, 10
		s := newSiteWith(t, stream.Options{MaxBytes: 4 << 30})
		send := func(from int) {
			var b bytes.Buffer
			for i := range batch {
				fmt.Fprintf(&b, `%c{"labels":{"alertname":"Flood%d","cluster":"eu","pod":"%d","severity":"warning"}}`, "[,"[min(i, 1)], (from+i)%40, from+i)
			}
			b.WriteByte(']')
			rec := httptest.NewRecorder()
			s.node.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", &b))
			if rec.Code != http.StatusOK {
				t.Fatalf("answered %d: %s", rec.Code, rec.Body)
			}
			s.sent += batch
		}
		critical := func(name string, i int, resolved bool) sample {
			return sample{name: name, pod: fmt.Sprint(i), severity: "critical", resolved: resolved}
		}
		release := s.hang()
		hung := time.Now()
		for i := range alerts / batch {
			send(i * batch)
			if at := alerts / batch / 2; i == at {
				for k := range criticals {
					s.post(critical(fmt.Sprint("Down", k), k, false))
					s.post(critical(fmt.Sprint("Blip", k), k, false))
					s.post(critical(fmt.Sprint("Blip", k), k, true)) // before anybody can have been told
				}
			}
		}
		time.Sleep(30 * time.Second)
		before := s.pager.Events()
		for k := range criticals {
			if !paged(before, fmt.Sprint("Down", k)) {
				t.Errorf("Down%d is not paged %s after the core hung", k, time.Since(hung))
			}
		}
		for k := range criticals / 2 {
			s.post(critical(fmt.Sprint("Down", k), k, true)) // told raw, and over before the core is back
		}
		spent := processorTime(t)
		release()
		time.Sleep(time.Minute)
		took := processorTime(t) - spent
		after := s.pager.Events()
		for k := range criticals {
			if name := fmt.Sprint("Blip", k); paged(after, name) {
				t.Errorf("%s was over before anybody was told, and is paged", name)
			}
		}
		for _, e := range after[:len(before)] {
			if strings.Contains(e.Summary, "Flood") {
				t.Errorf("a warning was paged before the criticals: %s", e.Summary)
			}
		}
		time.Sleep(10 * time.Minute)
		s.report()
		if p := s.pager.Phantoms(); len(p) > 0 {
			t.Errorf("phantom incidents: %v", p)
		}
		for k := range criticals {
			stands := slices.ContainsFunc(s.pager.Open(), func(i sinktest.Incident) bool { return isOf(i.Summary, fmt.Sprint("Down", k)) })
			if stands != (k >= criticals/2) {
				t.Errorf("Down%d stands open: %v", k, stands)
			}
		}
		if alerts != backlog {
			fmt.Printf("backlog: alerts=%d criticals=%d catch-up=%.1fs of CPU\n", alerts, criticals, took.Seconds())
		}
		s.stop()
	})
}

// isOf reports whether a summary names this alert.
func isOf(summary, name string) bool { return slices.Contains(strings.Fields(summary), name) }

// paged reports whether somebody was called for alerts of this name.
func paged(events []sinktest.Event, name string) bool {
	return slices.ContainsFunc(events, func(e sinktest.Event) bool { return e.Action == "trigger" && isOf(e.Summary, name) })
}

// processorTime is what this process has used of the processor, which a bubble's
// clock does not tell.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
