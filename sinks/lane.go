package sinks

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/notify"
)

// A lane is one instance of one of Alertmanager's notifiers, used by one
// attempt at a time. Notifiers keep state without a lock (Telegram its token,
// WeChat its access token, PagerDuty its severity), and most hide the
// provider's answer, so each concurrent attempt has a lane of its own, and the
// lane stands between the notifier and its HTTP transport: it sees the answers,
// binds every request to the attempt's deadline also where the notifier
// forgets to (Telegram, Opsgenie's updates), caps what is read of an answer,
// closes what is left open (Webex), and sends the payload that was written here
// in the place of the notifier's.
type lane struct {
	integration notify.Integration
	client      *http.Client // nil where the notifier has none within reach
	base        http.RoundTripper
	conf        reflect.Value     // what the notifier was built of, its own
	fixed       map[string]string // templates of it that say something fixed in this attempt

	telling telling // of the attempt under way, and its memory for the next
	buffer  []byte  // empty, for a payload

	mu      sync.Mutex
	ctx     context.Context // of the attempt under way, nil between attempts
	payload *payload        // what its requests send, nil where that is the notifier's
	seen    answers
	bodies  []*body
}

// answers is what an attempt's requests came to.
type answers struct {
	requests int
	status   int           // of the last request, 0 where it got no answer
	after    time.Duration // as the last answer's Retry-After asks
	unknown  bool          // a request that changes something may have been taken
}

// maxAnswerBytes bounds what a notifier reads of one answer. The longest that
// any needs is Slack's, which repeats the message.
const maxAnswerBytes = 1 << 20

// newLane puts a lane around a fresh integration. base is the transport to
// share with the integration's other lanes, nil for the first one.
func newLane(integration notify.Integration, conf reflect.Value, base http.RoundTripper) *lane {
	l := &lane{integration: integration, conf: conf, base: base}
	l.client = httpClientOf(&l.integration)
	if l.client == nil {
		return l
	}
	if l.base == nil {
		l.base = l.client.Transport
	}
	l.client.Transport = l
	follow := l.client.CheckRedirect
	l.client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		// A redirect that turns the POST into a GET drops the page and may well
		// end at a login form that answers 200.
		if req.Method != via[0].Method {
			return http.ErrUseLastResponse
		}
		if follow != nil {
			return follow(req, via)
		}
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}
	return l
}

// httpClientOf finds the client that a notifier sends with, which no option of
// Alertmanager's gives access to. It only reads the pointer; a test holds that
// every integration that speaks HTTP is reached, and one that is not falls back
// to what its error text says.
func httpClientOf(in *notify.Integration) *http.Client {
	v := reflect.ValueOf(in).Elem().FieldByName("notifier")
	for range 8 { // notifier, bot, client, and the interfaces and pointers between
		switch v.Kind() {
		case reflect.Interface:
			v = v.Elem()
		case reflect.Pointer:
			if v.Type() == reflect.TypeFor[*http.Client]() {
				return (*http.Client)(v.UnsafePointer())
			}
			v = v.Elem()
		case reflect.Struct:
			v = v.FieldByName("client")
		default:
			return nil
		}
	}
	return nil
}

// begin begins an attempt. p takes the place of what the notifier would send,
// unless it is nil.
func (l *lane) begin(ctx context.Context, p *payload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx, l.payload, l.seen = ctx, p, answers{}
}

func (l *lane) end() answers {
	l.mu.Lock()
	seen, bodies, p := l.seen, l.bodies, l.payload
	l.ctx, l.bodies, l.payload = nil, nil, nil
	l.mu.Unlock()
	for _, b := range bodies {
		_ = b.Close() // a second time for all that the notifier closed
	}
	if p != nil {
		l.buffer = p.end()
	}
	l.telling.forget()
	return seen
}

// RoundTrip sends one request of the attempt under way.
func (l *lane) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	attempt, p := l.ctx, l.payload
	l.seen.requests++
	l.seen.status, l.seen.after = 0, 0
	l.mu.Unlock()

	ctx, cancel := context.WithCancel(req.Context())
	stop := func() bool { return true }
	if attempt != nil {
		stop = context.AfterFunc(attempt, cancel)
	}
	var mu sync.Mutex
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		mu.Lock()
		connected = true
		mu.Unlock()
	}})
	out := req.WithContext(ctx)
	if p != nil {
		p.replace(out)
	}
	resp, err := l.base.RoundTrip(out)
	mu.Lock()
	sent := connected
	mu.Unlock()
	l.note(req.Method, resp, sent)
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	b := &body{r: io.LimitReader(resp.Body, maxAnswerBytes), c: resp.Body, release: func() { stop(); cancel() }}
	resp.Body = b
	l.mu.Lock()
	l.bodies = append(l.bodies, b)
	l.mu.Unlock()
	return resp, nil
}

func (l *lane) note(method string, resp *http.Response, sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changes := method != http.MethodGet && method != http.MethodHead
	if resp == nil {
		l.seen.unknown = l.seen.unknown || changes && sent
		return
	}
	l.seen.status = resp.StatusCode
	l.seen.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	switch s := resp.StatusCode; {
	case s/100 == 2, s == http.StatusBadGateway, s == http.StatusGatewayTimeout:
		l.seen.unknown = l.seen.unknown || changes
	}
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (l *lane) CloseIdleConnections() {
	if c, ok := l.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type body struct {
	r       io.Reader
	c       io.Closer
	release func()
	once    sync.Once
}

func (b *body) Read(p []byte) (int, error) { return b.r.Read(p) }

func (b *body) Close() (err error) {
	b.once.Do(func() {
		err = b.c.Close()
		b.release()
	})
	return err
}

// maxRetryAfter bounds how long a provider may silence us.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads the header in both of its forms, seconds and an HTTP date
// (RFC 9110, section 10.2.3). It is 0 where there is none to be read.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil { // Discord sends fractions
		if !(s > 0) { // nor a NaN
			return 0
		}
		return time.Duration(min(s, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), maxRetryAfter)
}
