package ingest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
)

// Options are what Doors need beside a Log.
type Options struct {
	// Config must be valid and have its defaults.
	Config Config

	// Now is the clock. Required.
	Now func() time.Time

	// Replays remembers signed requests; give the same one after a reload. A new
	// one is made where it is nil.
	Replays *Replays

	// Dictionaries know repeats by their bytes; give the same one after a reload.
	// Where it is nil everything is read, and stands in the log in full.
	Dictionaries *Dictionaries

	// Registerer gets the metrics, named winnow_ingest_*. May be nil.
	Registerer prometheus.Registerer

	// Logger gets one entry at most for a request, and only for one that
	// failed. May be nil.
	Logger *zap.Logger

	// Own, when there is one, gets a door beside those of the senders.
	Own *Own

	// OnQuarantine is called once for a request of which something went into
	// quarantine, when that is durable. May be nil. It must be quick and safe
	// for concurrent use, and not keep r.
	OnQuarantine func(source string, r *Result)
}

// Own is the source of the program itself: a door for alerts in Prometheus's
// form that are signed as Standard Webhooks has it.
type Own struct {
	Name   string // of no other source
	Secret Secret
}

// DoorOf is the path of the door of a source.
func DoorOf(name string) string { return doorPrefix + name }

// Scope is what a caller of a route must be allowed to do.
type Scope string

// ScopeIngest is the scope of all routes of this package, which check the
// credentials of their source themselves.
const ScopeIngest Scope = "ingest"

// Route is one entry of the table of routes.
type Route struct {
	Method  string
	Pattern string // as net/http.ServeMux has it, without the method
	Scope   Scope
	Handler http.Handler
}

// Doors are the HTTP handlers of all sources.
type Doors struct {
	routes []Route
}

// New builds the doors of all sources. It reads the files of secrets.
func New(log Log, opts Options) (*Doors, error) {
	if log == nil || opts.Now == nil {
		return nil, errors.New("ingest: a log and a clock are required")
	}
	if err := opts.Config.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: configuration: %w", err)
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	if opts.Replays == nil {
		opts.Replays = NewReplays()
	}
	all := int64(opts.Config.Limits.InFlightBytes)
	sh := &shell{Options: opts, log: log, room: room{limit: all}, unverified: room{limit: all / unverifiedShare}}
	d := new(Doors)
	anyOpen := len(opts.Config.Open()) > 0
	for _, src := range Sources() {
		keys, err := newKeyring(opts.Config.Sources[src.Name])
		if err != nil {
			return nil, fmt.Errorf("ingest: sources: %s: %w", src.Name, err)
		}
		first := door{shell: sh, source: src, keys: keys, metrics: m.of(src.Name), validity: opts.Config.validity(&src), answer: jsonAnswer}
		d.add(src.door(), &first)
		if src.Path != "" {
			second := first
			second.answer = src.Answer
			d.add(src.Path, &second)
		}
	}
	if own := opts.Own; own != nil {
		keys, err := newKeyring(SourceConfig{HMAC: []HMAC{{Secret: own.Secret}}})
		if err != nil {
			return nil, fmt.Errorf("ingest: source %s: %w", own.Name, err)
		}
		source := Source{Name: own.Name, Decode: decodePrometheus}
		d.add(source.door(), &door{inFull: true, shell: sh, source: source, keys: keys, metrics: m.of(own.Name), answer: jsonAnswer})
	}
	d.add(doorPrefix+"{source}", &noDoor{requests: m.requests, keys: newStranger(), tell: anyOpen})
	return d, nil
}

func (d *Doors) add(pattern string, h http.Handler) {
	d.routes = append(d.routes, Route{http.MethodPost, pattern, ScopeIngest, h})
}

// Routes lists the routes to mount. The last one answers for sources that do
// not exist.
func (d *Doors) Routes() []Route { return d.routes }

// shell is what the doors of all sources share.
type shell struct {
	Options
	log  Log
	room room

	// unverified is the memory for signed bodies before their signature is
	// known to be true: whoever has no key cannot fill room.
	unverified room
}

// unverifiedShare is the part of Limits.InFlightBytes that signed bodies may
// take before they are verified.
const unverifiedShare = 4

// door serves one source at one path.
type door struct {
	*shell
	source   Source
	keys     *keyring
	metrics  *doorMetrics
	validity time.Duration
	answer   func(http.ResponseWriter, *Result) int
	inFull   bool // no two of its alerts are the same
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := d.Now()
	d.metrics.inFlight.Inc()
	defer d.metrics.inFlight.Dec()
	code := d.serve(w, r, start)
	d.metrics.request(code, d.Now().Sub(start))
}

// serve answers r and returns the code.
func (d *door) serve(w http.ResponseWriter, r *http.Request, start time.Time) int {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return plainAnswer(w, http.StatusMethodNotAllowed, "Alerts are sent with POST.")
	}
	deadline := start.Add(d.Config.Deadline)
	ctx := &deadlineContext{Context: r.Context(), until: deadline, now: d.Now}
	defer ctx.end()

	// A connection that has no deadlines, as in a test, is bounded by ctx alone.
	conn := http.NewResponseController(w)
	paced := pacedBody{ReadCloser: r.Body, set: conn.SetReadDeadline, start: start, deadline: deadline}
	paced.begin()
	r.Body = &paced
	a, refusal, err := d.admit(r, start)
	if err != nil {
		return d.sendAgain(w, r, "the signed body could not be received", err)
	}
	if refusal != "" {
		d.metrics.refused[refusal].Inc()
		return unauthorized(w)
	}
	stored := false
	defer func() { a.end(stored) }()
	b, err := receive(r, &d.room, &d.Config.Limits)
	if err != nil {
		return d.sendAgain(w, r, "the body could not be received", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	if a.signed != nil && b.short == "" {
		b.short = a.signed.short
	}
	d.metrics.bytes.Add(float64(len(b.text)))
	defer b.release()
	result, err := d.store(ctx, b)
	if err != nil {
		return d.sendAgain(w, r, "the log did not take the alerts", err)
	}
	stored = true
	if err := a.keep(d.Now()); err != nil {
		d.Logger.Warn("a signed request is remembered by this process only: sent once more after a restart it is admitted", zap.String("source", d.source.Name), zap.Error(err))
	}
	d.account(&result, b.short != "")
	return d.answer(w, &result)
}

// store makes b durable, one batch after the other. What the log does not take
// is read once more, in full: whoever steps in for the log must know what the
// alerts are.
func (d *door) store(ctx context.Context, b *body) (Result, error) {
	var dict *Dictionary
	if d.Dictionaries != nil && !d.inFull {
		dict = d.Dictionaries.at(d.Now())
	}
	r, named, err := d.storeWith(ctx, b, dict)
	if err == nil || dict == nil {
		return r, err
	}
	d.Dictionaries.Renew() // what the log holds is not certain any more
	if named && errors.Is(err, ErrUnavailable) {
		r, _, err = d.storeWith(ctx, b, nil)
	}
	return r, err
}

// storeWith reports as well whether the batch that failed named alerts by number.
func (d *door) storeWith(ctx context.Context, b *body, dict *Dictionary) (r Result, named bool, err error) {
	in := incoming{text: b.text, short: b.short}
	r, err = read(&d.source, in, alert.TimeOf(d.Now()), &d.Config.Limits, dict, func(batch *Batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		named = len(batch.Repeats) > 0
		batch.Validity = d.validity
		return d.log.Append(ctx, batch)
	})
	return r, named, err
}

// account counts what is durable now, and says so where not all was well.
func (d *door) account(r *Result, short bool) {
	d.metrics.stored(r)
	if short {
		d.metrics.cut.Inc()
	}
	if r.problems == 0 {
		return
	}
	fields := []zap.Field{
		zap.String("source", d.source.Name), zap.Int("accepted", r.Accepted), zap.Int("quarantined", r.Quarantined),
		zap.String("reason", r.Errors[0].Reason), zap.Int("offset", r.Errors[0].Offset),
	}
	switch {
	case r.defect != "":
		d.Logger.Error("a decoder panicked; the body is in quarantine", append(fields, zap.String("panic", r.defect))...)
	case r.Quarantined > 0:
		d.Logger.Warn("a part of a request could not be read; it is in quarantine", fields...)
	default:
		d.Logger.Warn("alerts were accepted without a part of them that could not be read", fields...)
	}
	if d.OnQuarantine != nil && r.Quarantined > 0 {
		d.OnQuarantine(d.source.Name, r)
	}
}

// sendAgain answers 503: of what senders know, it is the code after which they
// try again.
func (d *door) sendAgain(w http.ResponseWriter, r *http.Request, what string, err error) int {
	sentence := "Winnow cannot make alerts durable now; nothing is lost if this is sent again."
	write := d.Logger.Error
	switch {
	case errors.Is(err, errNoRoom):
		sentence = "Winnow is reading as many requests as it has memory for; send this again."
		write = d.Logger.Warn
	case errors.Is(err, errSlowBody):
		sentence = fmt.Sprintf("The body came with less than %d bytes a second; nothing is lost if this is sent again.", minBodyRate)
		write = d.Logger.Warn
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		sentence = fmt.Sprintf("Winnow did not finish within %s; nothing is lost if this is sent again.", d.Config.Deadline)
		write = d.Logger.Warn
	case errors.Is(err, ErrUnavailable), r.Context().Err() != nil:
		write = d.Logger.Warn
	}
	write("a request was answered 503: "+what, zap.String("source", d.source.Name), zap.Error(err))
	w.Header().Set("Retry-After", "1")
	return plainAnswer(w, http.StatusServiceUnavailable, sentence)
}

// jsonAnswer is the answer at /ingest/<name>: 200, since what could not be read
// is stored as well and would not be readable the second time.
func jsonAnswer(w http.ResponseWriter, r *Result) int {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(r)
	return http.StatusOK
}

func plainAnswer(w http.ResponseWriter, code int, sentence string) int {
	http.Error(w, sentence, code)
	return code
}

// noDoor answers for sources that do not exist. Where a source can be had
// without credentials it names them all; else it answers as they do, after the
// same work, so that nobody learns which there are.
type noDoor struct {
	requests *prometheus.CounterVec
	keys     *keyring
	tell     bool
}

func (n *noDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code := http.StatusUnauthorized
	if n.tell || n.keys.admits(r) {
		code = plainAnswer(w, http.StatusNotFound, "There is no source of this name; there are "+sourceNames()+".")
	} else {
		unauthorized(w)
	}
	n.requests.WithLabelValues("unknown", strconv.Itoa(code)).Inc()
}

// newStranger returns a keyring that nobody has a key of.
func newStranger() *keyring {
	k := &keyring{bearer: make([][sha256.Size]byte, 1), basic: make([]login, 1)}
	for _, d := range []*[sha256.Size]byte{&k.bearer[0], &k.basic[0].user, &k.basic[0].password} {
		_, _ = rand.Read(d[:]) // it never fails
	}
	return k
}
