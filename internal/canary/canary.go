// Package canary proves that alerts come through.
//
// It sends a signed alert of its own to the door that senders use, every 30 s,
// and notes when it comes out where pages go out. It decides only whether that
// was lately; it never looks at what lies between.
package canary

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	// Every is how often a canary is sent.
	Every = 30 * time.Second
	// Alive is how long ago the last one may have come out.
	Alive = 90 * time.Second

	// maxFlying bounds the canaries that are remembered while they are under
	// way. One more takes the place of the oldest.
	maxFlying = 16
)

// IDLabel names a canary among its labels.
const IDLabel = "canary"

// Options of a Canary.
type Options struct {
	// Path of the door; it takes alerts as Prometheus sends them.
	Path       string
	Logger     *zap.Logger
	Registerer prometheus.Registerer
}

// Canary sends and waits. Its methods are safe for concurrent use.
type Canary struct {
	opts Options
	key  []byte

	mu      sync.Mutex
	begun   time.Time
	flying  map[string]time.Time
	order   []string
	number  uint64
	proved  bool
	last    time.Time // when one came out last; begun before that
	latency time.Duration
}

// New makes a key and registers the metrics.
func New(o Options) *Canary {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	now := time.Now()
	c := &Canary{opts: o, key: make([]byte, 32), begun: now, last: now, flying: map[string]time.Time{}}
	rand.Read(c.key) // never fails
	if o.Registerer != nil {
		o.Registerer.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "winnow_canary_last_success_age_seconds", Help: "Time since an alert of Winnow's own last came through, or since the start.",
			}, func() float64 { _, age := c.Age(time.Now()); return age.Seconds() }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "winnow_canary_latency_seconds", Help: "How long the last one took, from the door to the sink.",
			}, func() float64 { c.mu.Lock(); defer c.mu.Unlock(); return c.latency.Seconds() }),
		)
	}
	return c
}

// Secret is what the door verifies signatures with, as Standard Webhooks writes
// it. It is made anew by each process.
func (c *Canary) Secret() string {
	return "whsec_" + base64.StdEncoding.EncodeToString(c.key)
}

// Age is how long ago one came out last, and whether one has since the start;
// without, it counts from there.
func (c *Canary) Age(now time.Time) (proved bool, age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proved, now.Sub(c.last)
}

// Run sends canaries to what door returns until ctx ends.
func (c *Canary) Run(ctx context.Context, door func() http.Handler) {
	t := time.NewTicker(Every)
	defer t.Stop()
	for {
		c.send(ctx, door())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (c *Canary) send(ctx context.Context, door http.Handler) {
	now := time.Now()
	id := c.launch(now)
	req, err := c.request(ctx, id, now)
	if err != nil {
		c.opts.Logger.Error("the canary's request", zap.Error(err))
		return
	}
	w := &answer{header: http.Header{}, code: http.StatusOK}
	door.ServeHTTP(w, req)
	if w.code != http.StatusOK && ctx.Err() == nil {
		c.opts.Logger.Warn("the canary was not accepted", zap.Int("code", w.code))
	}
}

// launch remembers a canary that is about to be sent.
func (c *Canary) launch(now time.Time) (id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	id = strconv.FormatInt(c.begun.UnixNano(), 36) + "-" + strconv.FormatUint(c.number, 10)
	if len(c.order) == maxFlying {
		delete(c.flying, c.order[0])
		c.order = c.order[1:]
	}
	c.flying[id] = now
	c.order = append(c.order, id)
	return id
}

// Out says that a canary came out. One that is not of this process, or came out
// before, proves nothing.
func (c *Canary) Out(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, ok := c.flying[id]
	if !ok {
		return
	}
	delete(c.flying, id)
	c.proved, c.last = true, time.Now()
	c.latency = c.last.Sub(sent)
}

// request is the signed delivery of one canary.
func (c *Canary) request(ctx context.Context, id string, now time.Time) (*http.Request, error) {
	body, err := json.Marshal([]map[string]any{{"labels": map[string]string{"alertname": "WinnowCanary", IDLabel: id}}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opts.Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, c.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}

// answer keeps the code of an answer.
type answer struct {
	header http.Header
	code   int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }
func (a *answer) WriteHeader(code int)        { a.code = code }
