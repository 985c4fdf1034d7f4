// Package heartbeat tells a service outside that Winnow works, so that somebody
// hears of it when it does not.
//
// It decides when that is said: at each interval while the proof holds, at once
// when it breaks, and never without it. It never looks for the proof itself.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Config says where heartbeats go. Without URLs there are none.
type Config struct {
	// URLs of up to two services. Whichever does not hear for its time pages.
	URLs []URL `yaml:"urls,omitempty"`
	// Interval between two beats; DefaultInterval when it is 0.
	Interval time.Duration `yaml:"interval,omitempty"`
}

// URL may hold a token and so stands in a file.
type URL struct {
	URLFile string `yaml:"url_file"`
}

// DefaultInterval is how often a service hears that Winnow works.
const DefaultInterval = 60 * time.Second

const (
	minInterval = 15 * time.Second // services limit pings to a few a minute
	maxInterval = 10 * time.Minute
	maxURLs     = 2

	look        = time.Second
	tryAfter    = 5 * time.Second // a failure that could not be told is told again
	sendTimeout = 10 * time.Second
	maxSecret   = 64 << 10
)

// Validate says what is wrong.
func (c *Config) Validate() error {
	if len(c.URLs) > maxURLs {
		return fmt.Errorf("heartbeat: urls: %d are given, at most %d are used", len(c.URLs), maxURLs)
	}
	for i := range c.URLs {
		if c.URLs[i].URLFile == "" {
			return fmt.Errorf("heartbeat: urls[%d]: url_file is missing", i)
		}
	}
	if c.Interval != 0 && (c.Interval < minInterval || c.Interval > maxInterval) {
		return fmt.Errorf("heartbeat: interval: %s is not from %s to %s", c.Interval, minInterval, maxInterval)
	}
	return nil
}

func (c *Config) interval() time.Duration {
	if c.Interval == 0 {
		return DefaultInterval
	}
	return c.Interval
}

// Proof is whether Winnow works. With neither OK nor Why it is not known yet.
type Proof struct {
	OK  bool
	Why string // what is broken, in our words
}

// Options of a Heart.
type Options struct {
	// Config is asked each time: a reload may change it.
	Config func() Config
	// Prove is asked once a second and must return at once.
	Prove  func(now time.Time) Proof
	Client *http.Client // must not follow redirects
	Logger *zap.Logger
}

// Heart beats.
type Heart struct {
	opts  Options
	lines [maxURLs]line
}

// line is what one service has been told.
type line struct {
	beat   time.Time // last tried
	failed bool      // it knows that the proof is broken
	tried  time.Time // to tell it that
}

// New returns a Heart.
func New(o Options) *Heart {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Heart{opts: o}
}

// Run beats until ctx ends. A service that hangs holds up no other.
func (h *Heart) Run(ctx context.Context) {
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			h.look(ctx, now)
		}
	}
}

func (h *Heart) look(ctx context.Context, now time.Time) {
	c := h.opts.Config()
	if len(c.URLs) == 0 {
		return
	}
	p := h.opts.Prove(now)
	done := make(chan struct{}, len(c.URLs))
	for i := range c.URLs {
		go func() { h.lines[i].tell(ctx, h, &c, i, p, now); done <- struct{}{} }()
	}
	for range c.URLs {
		<-done
	}
}

// tell says what one service has to hear now.
func (l *line) tell(ctx context.Context, h *Heart, c *Config, i int, p Proof, now time.Time) {
	switch {
	case p.OK:
		if !l.failed && now.Sub(l.beat) < c.interval() {
			return
		}
		l.beat = now
		if err := h.send(ctx, c.URLs[i].URLFile, http.MethodGet, "", ""); err != nil {
			h.opts.Logger.Warn("a heartbeat could not be sent", zap.Int("url", i), zap.Error(err))
		} else {
			l.failed = false
		}
	case p.Why == "" || l.failed || now.Sub(l.tried) < tryAfter:
	default:
		l.tried = now
		if err := h.send(ctx, c.URLs[i].URLFile, http.MethodPost, "/fail", p.Why); err != nil {
			h.opts.Logger.Warn("that Winnow is in trouble could not be told outside", zap.Int("url", i), zap.String("why", p.Why), zap.Error(err))
			return
		}
		h.opts.Logger.Error("no more heartbeats", zap.Int("url", i), zap.String("why", p.Why))
		l.failed = true
	}
}

// send makes one request. Errors never hold the URL, which may be a secret.
func (h *Heart) send(ctx context.Context, file, method, suffix, reason string) error {
	base, err := readURL(file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+suffix, strings.NewReader(reason))
	if err != nil {
		return fmt.Errorf("heartbeat: what stands in %s is no URL", file)
	}
	resp, err := h.opts.Client.Do(req)
	if err != nil {
		return errors.New("heartbeat: the service does not answer")
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxSecret) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("heartbeat: the service answers %s", resp.Status)
	}
	return nil
}

func readURL(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("heartbeat: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("heartbeat: read %s: %w", file, err)
	}
	return strings.TrimSpace(string(b)), nil
}
