package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/preview"
)

// Outcome is how an attempt to load the configuration ended.
type Outcome string

const (
	Taken   Outcome = "taken"
	Forced  Outcome = "forced"  // taken, though it unpages criticals
	Refused Outcome = "refused" // not taken, because it does
	Failed  Outcome = "failed"  // not taken, because it is broken
	Started Outcome = "started" // taken at the start, though it unpages criticals
)

// Reload is an attempt to load the configuration.
type Reload struct {
	At      time.Time `json:"at"`
	Outcome Outcome   `json:"outcome"`
	Error   string    `json:"error,omitempty"`
	Unpaged int       `json:"unpaged,omitempty"` // critical alerts and errors
}

// Reloaded notes how an attempt ended.
func (s *Server) Reloaded(r Reload) {
	s.reloaded.Store(&r)
	if r.Outcome == Started {
		return
	}
	s.reloads.WithLabelValues(string(r.Outcome)).Inc()
	if r.Outcome == Failed || r.Outcome == Refused {
		s.reloadOK.Set(0)
	}
}

// reload answers 409 to a configuration that is refused, 500 to a broken one.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	force, err := strconv.ParseBool(or(r.URL.Query().Get("force"), "false"))
	if err != nil {
		http.Error(w, "force: want true or false", http.StatusBadRequest)
		return
	}
	err = s.opts.Reload(r.Context(), force)
	if refused, ok := errors.AsType[*preview.Refused](err); ok {
		http.Error(w, "reload refused; the configuration in force stays:\n"+refused.Diff.Text()+preview.Force, http.StatusConflict)
		return
	}
	if err != nil {
		http.Error(w, "reload failed; the configuration in force stays:\n"+err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "reloaded")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// ErrNotValid is what errors about a posted configuration wrap.
var ErrNotValid = errors.New("not valid")

// preview answers what the posted configuration would have told people in the
// last day, beside the one in force: as JSON, or as text to those who ask for it.
func (s *Server) preview(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, config.MaxTextBytes))
	if err != nil {
		http.Error(w, "read the posted configuration: "+err.Error(), http.StatusBadRequest)
		return
	}
	d, err := s.opts.Preview(r.Context(), text)
	switch {
	case errors.Is(err, ErrNotValid):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case strings.HasPrefix(r.Header.Get("Accept"), "text/plain"):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, d.Text())
	default:
		writeJSON(w, d)
	}
}
