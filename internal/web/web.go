// Package web serves what Winnow has to say over HTTP: the doors of the sources,
// health, metrics, the noise report and the explanation of an alert.
//
// Every route declares a scope, and package access decides who may call it. It
// never touches the state of a shard but through the engine's queries.
package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/access"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/preview"
	"github.com/winnowhq/winnow/internal/stream"
)

// Options of a Server.
type Options struct {
	Stream     *stream.Stream
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer

	// Access guards every route. Required.
	Access *access.Gate

	// Reload reads the configuration again. Forced, it also takes one that
	// unpages criticals.
	Reload func(ctx context.Context, force bool) error

	// Preview says what a configuration would tell people. An error that wraps
	// ErrNotValid is about the text.
	Preview func(ctx context.Context, text []byte) (*preview.Diff, error)

	// Ladder says how much of its work Winnow does, and why it puts off what is
	// asked of the shard; an empty answer puts off nothing. Both may be nil.
	Ladder func() Ladder
	Shed   func() (why string)

	Version string
	Logger  *zap.Logger
}

// queryTimeout bounds how long a reader waits for the shard.
const queryTimeout = 10 * time.Second

// Server is an http.Handler. Its routes follow the configuration.
type Server struct {
	opts   Options
	engine atomic.Pointer[engine.Engine] // nil before Attach
	own    []ingest.Route
	mux    atomic.Pointer[http.ServeMux]
	routes atomic.Pointer[[]ingest.Route]
	config atomic.Pointer[config.Config]

	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge
	reloads    *prometheus.CounterVec
	reloaded   atomic.Pointer[Reload] // the last attempt; nil before the first
}

// New returns a server. Configure gives it its doors.
func New(o Options) *Server {
	s := &Server{opts: o}
	s.registerMetrics()
	s.own = []ingest.Route{
		{Method: http.MethodGet, Pattern: "/-/healthy", Scope: access.ScopeOpen, Handler: http.HandlerFunc(s.healthy)},
		{Method: http.MethodGet, Pattern: "/-/ready", Scope: access.ScopeOpen, Handler: http.HandlerFunc(s.ready)},
		{Method: http.MethodPost, Pattern: "/-/reload", Scope: access.ScopeAdmin, Handler: http.HandlerFunc(s.reload)},
		{Method: http.MethodPost, Pattern: "/api/v1/preview", Scope: access.ScopeAdmin, Handler: http.HandlerFunc(s.preview)},
		{Method: http.MethodGet, Pattern: "/metrics", Scope: access.ScopeRead, Handler: promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{})},
		{Method: http.MethodGet, Pattern: "/api/v1/report", Scope: access.ScopeRead, Handler: http.HandlerFunc(s.report)},
		{Method: http.MethodGet, Pattern: "/api/v1/incidents", Scope: access.ScopeRead, Handler: http.HandlerFunc(s.incidents)},
		{Method: http.MethodGet, Pattern: "/api/v1/explain/{id}", Scope: access.ScopeRead, Handler: http.HandlerFunc(s.explain)},
		{Method: http.MethodGet, Pattern: "/api/v1/status", Scope: access.ScopeRead, Handler: http.HandlerFunc(s.status)},
		{Method: http.MethodGet, Pattern: "/{$}", Scope: access.ScopeOpen, Handler: http.HandlerFunc(s.front)},
	}
	return s
}

// Configure puts a configuration and its doors in force.
func (s *Server) Configure(c *config.Config, doors []ingest.Route) {
	routes := slices.Concat(doors, s.own)
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Method+" "+r.Pattern, s.opts.Access.Guard(r.Scope, r.Handler))
	}
	s.config.Store(c)
	s.routes.Store(&routes)
	s.mux.Store(mux)
	s.reloadOK.Set(1)
	s.reloadTime.Set(float64(time.Now().UnixNano()) / 1e9)
}

// Attach has the server ask an engine. Before, it answers as one that replays.
func (s *Server) Attach(e *engine.Engine) { s.engine.Store(e) }

// Routes is the table of routes in force.
func (s *Server) Routes() []ingest.Route { return *s.routes.Load() }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.opts.Access.Harden(w.Header())
	s.mux.Load().ServeHTTP(w, r)
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	if err := s.opts.Stream.Health(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "Winnow is healthy.")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.isReady() {
		http.Error(w, "the log is being replayed, or another process owns it; alerts are accepted meanwhile", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "Winnow is ready.")
}

// isReady reports whether the shard is where the log was when this life began.
func (s *Server) isReady() bool {
	e := s.engine.Load()
	if e == nil {
		return false
	}
	select {
	case <-e.Ready():
		return true
	default:
		return false
	}
}

// shedRetry is when somebody who was put off should ask again, in seconds.
const shedRetry = "30"

func (s *Server) shed() (why string, shed bool) {
	if s.opts.Shed != nil {
		why = s.opts.Shed()
	}
	return why, why != ""
}

func (s *Server) ladder() Ladder {
	if s.opts.Ladder == nil {
		return Ladder{Level: "L0"}
	}
	return s.opts.Ladder()
}

// query runs f on the shard and answers 503 when the shard is too busy, or has
// not yet come to the present: half the books are worse than none.
func (s *Server) query(w http.ResponseWriter, r *http.Request, f func(*engine.Shard)) bool {
	if !s.isReady() {
		http.Error(w, "the log is being replayed, or another process owns it; ask again when /-/ready says so", http.StatusServiceUnavailable)
		return false
	}
	if why, shed := s.shed(); shed {
		w.Header().Set("Retry-After", shedRetry)
		http.Error(w, "put off, so that alerts go first: "+why, http.StatusServiceUnavailable)
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	if err := s.engine.Load().Query(ctx, f); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the reader has gone; there is nobody to tell
}
