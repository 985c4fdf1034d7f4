package node

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/sinks"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// withFile has a file beside the pager.
func withFile(s *site) (path string) {
	path = filepath.Join(s.t.TempDir(), "pages.jsonl")
	s.text += "winnow:\n  sinks: [{receiver: oncall, jsonl: {path: '" + path + "'}}]\n"
	if err := s.node.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// linesOf lists the notifications in a file, and which are marked.
func linesOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for text := range strings.Lines(string(b)) {
		var l sinks.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Redelivered {
			l.ID += " again"
		}
		out = append(out, l.ID)
	}
	return strings.Join(out, ", ")
}

// TestCrashWritesNothingTwiceWhileThePagerHangs: a file that had got its line, by
// the log, got it again after each crash until the pager had answered.
func TestCrashWritesNothingTwiceWhileThePagerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		path := withFile(s)
		var down []sinktest.Response
		for range 200 {
			down = append(down, sinktest.Response{Status: http.StatusServiceUnavailable})
		}
		s.pager.Script(down...)
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		for range 3 {
			s.crash()
			time.Sleep(time.Minute)
		}
		if got, want := linesOf(t, path), "INC-1/1"; got != want {
			t.Errorf("the file holds %s, want %s", got, want)
		}
		s.stop()
	})
}

// TestWhatMayBeARepeatIsMarked crashes when the file has its line and the log does
// not know that.
func TestWhatMayBeARepeatIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		path := withFile(s)
		wait, crashed := make(chan struct{}), false
		s.point = func(p engine.Point, _ *stream.Message) {
			if p == engine.ReceiptsWait {
				crashed = true
				<-wait
			}
		}
		s.crash()
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		s.point = nil
		time.AfterFunc(time.Second, func() { close(wait) }) // when what the next life reads is copied
		s.crash()
		time.Sleep(time.Minute)
		if got, want := linesOf(t, path), "INC-1/1, INC-1/1 again"; !crashed || got != want {
			t.Errorf("the file holds %s, want %s", got, want)
		}
		s.stop()
	})
}
