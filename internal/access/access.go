// Package access decides who may call what: which role a caller has, and which
// role the scope of a route wants. It reads TLS and users from a file in
// exporter-toolkit's format, once at the start and once at each reload, and
// bounds what connections and passwords may cost.
//
// It never guards the doors of the sources, whose credentials belong to package
// ingest and are compared without bcrypt; it never keeps or prints a secret,
// and it never lets a reload open what was closed.
package access

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/winnowhq/winnow/ingest"
)

// Options of a Gate.
type Options struct {
	// WebConfigFile is a file in exporter-toolkit's format: TLS, users, headers.
	// May be empty.
	WebConfigFile string

	// Exposed is the address to listen on where other machines can reach it and
	// nobody has said that it may be open: everything there must ask who calls.
	Exposed string

	// Registerer gets the metrics, named winnow_access_*. May be nil.
	Registerer prometheus.Registerer
}

// Gate stands before every route. It is safe for concurrent use.
type Gate struct {
	opts      Options
	secure    bool // the listener speaks TLS, from the start to the end
	rules     atomic.Pointer[Rules]
	passwords *passwords
	crossing  *http.CrossOriginProtection
	refused   *prometheus.CounterVec // reason
}

// Rules are what a configuration and the files that it names say of access.
type Rules struct {
	web          *webConfig
	headers      http.Header
	users        map[string]user
	tokens       []token
	certificates []Certificate
}

// Caller is who a request comes from. Its name is empty where nobody has to say
// who they are.
type Caller struct {
	Name string
	Role Role
}

// New returns a gate that refuses everything until Enforce.
func New(o Options) (*Gate, error) {
	web, err := loadWebConfig(o.WebConfigFile)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	g := &Gate{
		opts: o, secure: web.tls != nil, passwords: newPasswords(), crossing: http.NewCrossOriginProtection(),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "winnow_access_refused_total",
			Help: "Requests refused, by reason: credentials (401), role (403), origin (403), busy (503). Those of sources are not among them.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{refusedCredentials, refusedRole, refusedOrigin, refusedBusy} {
		g.refused.WithLabelValues(reason)
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(g.refused); err != nil {
			return nil, fmt.Errorf("access: register metrics: %w", err)
		}
	}
	return g, nil
}

// Prepare reads what c and the web configuration file name, and reports what is
// wrong with it, or with the sources, for where this gate stands. It changes
// nothing.
func (g *Gate) Prepare(c Config, sources ingest.Config) (*Rules, error) {
	web, err := loadWebConfig(g.opts.WebConfigFile)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	r := &Rules{web: web, headers: headersOf(web.headers), certificates: c.Certificates}
	if r.users, err = c.users(web); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	if r.tokens, err = c.tokens(); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	if !web.verifies() {
		if len(c.Certificates) > 0 {
			return nil, fmt.Errorf("access: winnow.access.certificates: %s", noCertificates)
		}
		if names := sources.Certified(); len(names) > 0 {
			return nil, fmt.Errorf("access: winnow.ingest.sources: %s: client_sans: %s", names[0], noCertificates)
		}
	}
	if g.secure != (web.tls != nil) {
		return nil, errors.New("access: tls_server_config appears or goes: that takes a restart, not a reload")
	}
	if g.opts.Exposed != "" {
		if err := r.closed(g.opts.Exposed, &sources); err != nil {
			return nil, err
		}
	}
	return r, nil
}

const noCertificates = "nobody verifies certificates: in --web.config.file, tls_server_config wants client_ca_file and client_auth_type VerifyClientCertIfGiven or RequireAndVerifyClientCert"

// closed wants everything at address to ask who calls.
func (r *Rules) closed(address string, sources *ingest.Config) error {
	var missing []string
	if open := sources.Open(); len(open) > 0 {
		missing = append(missing, "whoever reaches it may send alerts as "+strings.Join(open, ", ")+
			": give these sources credentials under winnow.ingest.sources, or closed: true")
	}
	if r.open() {
		missing = append(missing, "whoever reaches it may read and reload: name users in basic_auth_users of --web.config.file, or tokens under winnow.access")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("access: %s can be reached from other machines, and %s; or listen on 127.0.0.1, or say --web.allow-unauthenticated",
		address, strings.Join(missing, "; "))
}

// Enforce puts rules of Prepare in force.
func (g *Gate) Enforce(r *Rules) { g.rules.Store(r) }

// TLS is the configuration of the listener, nil where it speaks plain HTTP. It
// follows Enforce, which must have been called before anybody connects;
// connections that are there keep theirs.
func (g *Gate) TLS() *tls.Config {
	if !g.secure {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return g.rules.Load().web.tls, nil },
	}
}

// open reports whether nobody has to say who they are.
func (r *Rules) open() bool { return len(r.users)+len(r.tokens)+len(r.certificates) == 0 }

// Why a request was refused.
const (
	refusedCredentials = "credentials"
	refusedRole        = "role"
	refusedOrigin      = "origin"
	refusedBusy        = "busy"
)

// Guard returns h behind the rule of its scope. A scope without a rule is a
// defect of the program, and panics.
func (g *Gate) Guard(scope ingest.Scope, h http.Handler) http.Handler {
	least, ok := Least(scope)
	if !ok {
		panic("access: no rule for the scope " + string(scope))
	}
	if scope == ingest.ScopeIngest {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.crossing.Check(r); err != nil {
			g.refuse(w, refusedOrigin, http.StatusForbidden, "A page of another site may not ask for this.")
			return
		}
		if least != Nobody && !g.passes(w, r, least) {
			return
		}
		h.ServeHTTP(w, r)
	})
}

// passes reports whether the caller has the role, and answers where not.
func (g *Gate) passes(w http.ResponseWriter, r *http.Request, least Role) bool {
	caller, err := g.Caller(r)
	switch {
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		g.refuse(w, refusedBusy, http.StatusServiceUnavailable, "Too many passwords are being checked; try again.")
	case caller.Role.covers(least):
		return true
	case caller.Role != Nobody:
		g.refuse(w, refusedRole, http.StatusForbidden, fmt.Sprintf("This needs the role %s; yours is %s.", least, caller.Role))
	default:
		w.Header().Add("WWW-Authenticate", `Basic realm="winnow"`)
		w.Header().Add("WWW-Authenticate", `Bearer realm="winnow"`)
		g.refuse(w, refusedCredentials, http.StatusUnauthorized, "Say who you are: send a user and a password, or a token.")
	}
	return false
}

func (g *Gate) refuse(w http.ResponseWriter, reason string, code int, sentence string) {
	g.refused.WithLabelValues(reason).Inc()
	http.Error(w, sentence, code)
}

// Caller says who r comes from. Nobody is no error; one means that it cannot be
// found out now. What it costs for a password is paid once: the next call of
// the same caller is cheap.
func (g *Gate) Caller(r *http.Request) (Caller, error) {
	rules := g.rules.Load()
	switch {
	case rules == nil:
		return Caller{}, errBusy
	case rules.open():
		return Caller{Role: Admin}, nil
	}
	certified := rules.certified(r)
	if user, password, ok := r.BasicAuth(); ok {
		ctx, cancel := context.WithTimeout(r.Context(), passwordTimeout)
		defer cancel()
		u, err := rules.login(ctx, g.passwords, user, password)
		if err != nil && certified.Role == Nobody {
			return Caller{}, err
		}
		return better(certified, u), nil
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return certified, nil
	}
	return better(certified, rules.bearer(strings.TrimSpace(secret))), nil
}

// better is the one of two with the higher role.
func better(a, b Caller) Caller {
	if b.Role.covers(a.Role) {
		return b
	}
	return a
}
