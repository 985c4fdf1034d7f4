// Package selfalert tells people that Winnow itself is in trouble.
//
// Its path is its own: plain HTTP to one place, static words, no log, core,
// templates or receivers, so that it works when they do not. It decides only how
// often the same trouble is told: at most once a minute. It never waits for the
// network where trouble is raised.
package selfalert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Cause is a kind of trouble. The set is closed; each has words of its own.
type Cause uint8

const (
	LogDamaged       Cause = iota // messages of log or outbox are missing or unreadable
	SnapshotFailed                // no snapshot could be written, or one was damaged
	LogUnavailable                // the log takes nothing
	BooksUnbalanced               // deliveries and dispositions do not add up
	CriticalUnheard               // the guard had to page
	CoreFailed                    // the core broke on a message
	SinkFailed                    // a provider refused a notification for good
	ReloadFailed                  // a configuration was not taken
	SourceSilent                  // a source has stopped sending
	SourceUnreadable              // a source sends what cannot be read
	PolicyUnpages                 // a configuration took effect at a start that leaves out criticals paged before
	DiskLow                       // little room is left for the log
	DiskFailed                    // a write or a sync of the log failed; the process ends
	Degraded                      // Winnow has stepped down its ladder
	LimitReached                  // there was too much of something
	PageWaits                     // a provider does not take a page
	NumCauses
)

var causes = [NumCauses]struct{ name, summary, severity string }{
	{"log_damaged", "Winnow: part of the log is missing or damaged", "critical"},
	{"snapshot_failed", "Winnow: snapshots cannot be written or read; restarts will be slow", "warning"},
	{"log_unavailable", "Winnow: the log takes no alerts", "critical"},
	{"books_unbalanced", "Winnow: an alert is unaccounted for", "critical"},
	{"critical_unheard", "Winnow: the guard had to page a critical alert by itself", "critical"},
	{"core_failed", "Winnow: the core broke on a message; its alerts were paged as they came", "critical"},
	{"sink_failed", "Winnow: a provider refuses notifications", "critical"},
	{"reload_failed", "Winnow: the configuration was not reloaded", "warning"},
	{"source_silent", "Winnow: a source of alerts has gone silent", "critical"},
	{"source_unreadable", "Winnow: a source sends alerts that cannot be read", "warning"},
	{"policy_unpages", "Winnow: the configuration that was started with tells nobody of alerts that were paged before", "critical"},
	{"disk_low", "Winnow: little room is left on the disk of the log", "warning"},
	{"disk_failed", "Winnow: the disk failed to write; the process ends and has to be started again", "critical"},
	{"degraded", "Winnow: it does less than usual", "warning"},
	{"limit_reached", "Winnow: there is more of something than it has room for", "warning"},
	{"page_waits", "Winnow: a page waits for its provider", "critical"},
}

func (c Cause) String() string { return causes[c].name }

// Config says where self-alerts go. With none of them they are only logged and
// counted.
type Config struct {
	// PagerDuty is an Events API v2 integration that nothing else uses.
	PagerDuty *PagerDuty `yaml:"pagerduty,omitempty"`
	// Webhook is sent one JSON object for each self-alert.
	Webhook *Webhook `yaml:"webhook,omitempty"`
}

// PagerDuty is where the Events API is, and as whom.
type PagerDuty struct {
	URL            string `yaml:"url,omitempty"` // PagerDuty's own when empty
	RoutingKeyFile string `yaml:"routing_key_file"`
}

// Webhook is any HTTP endpoint. Its URL may hold a token and so stands in a file.
type Webhook struct {
	URLFile string `yaml:"url_file"`
}

const pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

// Validate says what is missing.
func (c *Config) Validate() error {
	if c.PagerDuty != nil && c.PagerDuty.RoutingKeyFile == "" {
		return fmt.Errorf("self_alert: pagerduty: routing_key_file is missing")
	}
	if c.Webhook != nil && c.Webhook.URLFile == "" {
		return fmt.Errorf("self_alert: webhook: url_file is missing")
	}
	return nil
}

const (
	repeatAfter = time.Minute // the same cause is told again at the earliest
	tryAfter    = 5 * time.Second
	sendTimeout = 5 * time.Second
	maxDetail   = 512
	maxSecret   = 64 << 10
)

// Options of a Raiser.
type Options struct {
	Config     Config
	Client     *http.Client // one with a timeout of its own when nil
	Logger     *zap.Logger
	Registerer prometheus.Registerer
	Source     string // names this machine
}

// Raiser raises and clears. The zero of each cause is clear.
type Raiser struct {
	opts  Options
	total *prometheus.CounterVec
	state *prometheus.GaugeVec

	mu     sync.Mutex
	config Config
	causes [NumCauses]trouble
	wake   chan struct{}
	quit   chan struct{}
	done   sync.WaitGroup
}

// trouble is the state of one cause. Only the newest is kept: a queue of them
// could not grow.
type trouble struct {
	raised   bool
	severity string
	detail   string
	told     bool // what is told is what is so
	toldAt   time.Time
}

// New returns a Raiser; Close ends it.
func New(o Options) *Raiser {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: sendTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	r := &Raiser{
		opts: o, config: o.Config, wake: make(chan struct{}, 1), quit: make(chan struct{}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "winnow_self_alerts_total", Help: "Troubles of Winnow itself that were raised, by cause."}, []string{"cause"}),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "winnow_self_alert_raised", Help: "1 while a trouble of Winnow itself stands."}, []string{"cause"}),
	}
	for c := range NumCauses {
		r.causes[c].told = true
		r.total.WithLabelValues(c.String())
		r.state.WithLabelValues(c.String())
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(r.total, r.state)
	}
	r.done.Go(r.run)
	return r
}

// Configure sends self-alerts somewhere else from now on.
func (r *Raiser) Configure(c Config) {
	r.mu.Lock()
	r.config = c
	r.mu.Unlock()
}

// Raise tells people of a trouble. The detail is ours, not a sender's: it must
// hold neither payload nor secret.
func (r *Raiser) Raise(c Cause, detail string) { r.RaiseAs(c, causes[c].severity, detail) }

// RaiseAs is Raise at another severity than the cause's own. One that changes is
// told at once.
func (r *Raiser) RaiseAs(c Cause, severity, detail string) {
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	r.mu.Lock()
	t := &r.causes[c]
	first := !t.raised || t.severity != severity
	t.raised, t.severity, t.detail = true, severity, detail
	if first || time.Since(t.toldAt) >= repeatAfter {
		t.told = false
	}
	r.mu.Unlock()
	r.total.WithLabelValues(c.String()).Inc()
	r.state.WithLabelValues(c.String()).Set(1)
	if first {
		r.opts.Logger.Error("self-alert", zap.String("cause", c.String()), zap.String("detail", detail))
	}
	r.poke()
}

// Clear says that a trouble is over.
func (r *Raiser) Clear(c Cause) {
	r.mu.Lock()
	t := &r.causes[c]
	was := t.raised
	if was {
		*t = trouble{toldAt: t.toldAt}
	}
	r.mu.Unlock()
	if was {
		r.state.WithLabelValues(c.String()).Set(0)
		r.opts.Logger.Info("self-alert over", zap.String("cause", c.String()))
		r.poke()
	}
}

// Raised lists the causes that stand.
func (r *Raiser) Raised() (out []Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range NumCauses {
		if r.causes[c].raised {
			out = append(out, c)
		}
	}
	return out
}

// Told waits until people have been told what they are to be told, or ctx ends:
// for a process that is about to.
func (r *Raiser) Told(ctx context.Context) {
	const look = 50 * time.Millisecond
	for {
		r.mu.Lock()
		told := true
		for c := range NumCauses {
			told = told && r.causes[c].told
		}
		r.mu.Unlock()
		if told {
			return
		}
		t := time.NewTimer(look)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// Close ends telling. What is not told by then was logged.
func (r *Raiser) Close() {
	close(r.quit)
	r.done.Wait()
}

func (r *Raiser) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Raiser) run() {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-r.wake:
		case <-retry.C:
		}
		if r.tellAll() {
			retry.Stop()
		} else {
			retry.Reset(tryAfter)
		}
	}
}

// tellAll brings up to date what people were told; false when something could
// not be told.
func (r *Raiser) tellAll() bool {
	all := true
	for c := range NumCauses {
		r.mu.Lock()
		t, cfg := r.causes[c], r.config
		r.mu.Unlock()
		if t.told {
			continue
		}
		if err := r.tell(&cfg, c, &t); err != nil {
			r.opts.Logger.Error("a self-alert could not be sent", zap.String("cause", c.String()), zap.Error(err))
			all = false
			continue
		}
		r.mu.Lock()
		if now := &r.causes[c]; now.raised == t.raised && now.severity == t.severity {
			now.told, now.toldAt = true, time.Now()
		}
		r.mu.Unlock()
	}
	return all
}

func (r *Raiser) tell(cfg *Config, c Cause, t *trouble) error {
	var errs []error // one that fails does not keep the other from being told
	if cfg.PagerDuty != nil {
		errs = append(errs, r.tellPagerDuty(cfg.PagerDuty, c, t))
	}
	if cfg.Webhook != nil {
		errs = append(errs, r.tellWebhook(cfg.Webhook, c, t))
	}
	return errors.Join(errs...)
}

func (r *Raiser) tellPagerDuty(p *PagerDuty, c Cause, t *trouble) error {
	key, err := secret(p.RoutingKeyFile)
	if err != nil {
		return err
	}
	action, about := "trigger", causes[c]
	if !t.raised {
		action = "resolve"
	}
	return r.post(cmp.Or(p.URL, pagerDutyURL), "pagerduty", map[string]any{
		"routing_key": key, "event_action": action, "dedup_key": "winnow/self/" + r.opts.Source + "/" + about.name,
		"payload": map[string]any{
			"summary": about.summary, "source": r.opts.Source, "severity": cmp.Or(t.severity, about.severity), "component": "winnow",
			"custom_details": map[string]string{"cause": about.name, "detail": t.detail},
		},
	})
}

func (r *Raiser) tellWebhook(w *Webhook, c Cause, t *trouble) error {
	url, err := secret(w.URLFile)
	if err != nil {
		return err
	}
	about := causes[c]
	return r.post(url, "webhook", map[string]any{
		"cause": about.name, "summary": about.summary, "severity": cmp.Or(t.severity, about.severity), "raised": t.raised, "detail": t.detail, "source": r.opts.Source,
	})
}

func secret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("self-alert: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("self-alert: read %s: %w", file, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// post sends one JSON object. Errors name the kind of the place, never its
// address, which may hold a token.
func (r *Raiser) post(url, kind string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("self-alert: %s: its URL is not one", kind)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.opts.Client.Do(req)
	if err != nil {
		return fmt.Errorf("self-alert: %s does not answer", kind)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxSecret) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("self-alert: %s answers %s", kind, resp.Status)
	}
	return nil
}
