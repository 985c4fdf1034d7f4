package node

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/sinks"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// withFile has a file that gets what the pager gets.
func withFile(s *site) (path string) {
	path = filepath.Join(s.t.TempDir(), "pages.jsonl")
	s.text += "winnow: {sinks: [{receiver: oncall, jsonl: {path: '" + path + "'}}]}\n"
	if err := s.node.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// written lists a file's lines, those that may be there a second time with a
// question mark.
func written(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range bytes.Lines(text) {
		var l sinks.Line
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Redelivered {
			l.ID += "?"
		}
		out = append(out, l.ID)
	}
	return strings.Join(out, " ")
}

// TestCrashRepeatsNothingThatIsConfirmed: what a file had got, and the log knew
// of, was written to it once more by each start until the pager had taken it.
func TestCrashRepeatsNothingThatIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		path := withFile(s)
		s.pager.Script(sinktest.Response{Status: http.StatusServiceUnavailable}, sinktest.Response{Status: http.StatusServiceUnavailable})
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(30*time.Second + 500*time.Millisecond)
		s.crash()
		time.Sleep(500 * time.Millisecond)
		s.crash()
		time.Sleep(time.Minute)
		if got := s.heard(); got != "trigger@0123" {
			t.Errorf("the pager heard %q", got)
		}
		if got := written(t, path); got != "INC-1/1" {
			t.Errorf("the file holds %s", got)
		}
		s.stop()
	})
}
