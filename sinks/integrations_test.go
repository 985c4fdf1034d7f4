package sinks

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	commoncfg "github.com/prometheus/common/config"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// integrations are Alertmanager's, each with a secret in every place that takes
// one. URL stands for the provider, HOST for its address, and every word that
// begins with "hush" is a secret.
var integrations = []struct {
	kind, conf string
	accept     string // a body that the notifier takes for success
}{
	{"discord", `discord_configs: [{webhook_url: "URL/api/webhooks/hush-1/hush-2"}]`, ``},
	{"email", `email_configs: [{to: a@example.org, from: b@example.org, smarthost: "HOST", auth_username: winnow, auth_password: "hush pass/word", require_tls: false, html: x}]`, ``},
	{"incidentio", `incidentio_configs: [{url: "URL/v2/alert", alert_source_token: "hush&token"}]`, ``},
	{"jira", `jira_configs: [{api_url: "URL/rest/api/2", project: OPS, issue_type: Bug, http_config: {basic_auth: {username: winnow, password: 'hush"jira'}}}]`, `{"issues":[],"key":"OPS-1"}`},
	{"mattermost", `mattermost_configs: [{webhook_url: "URL/hooks/hush-mattermost"}]`, ``},
	{"msteams", `msteams_configs: [{webhook_url: "URL/webhookb2/hush-teams/IncomingWebhook/hush-teams-2?sig=hush%2Fsig"}]`, `1`},
	{"msteamsv2", `msteamsv2_configs: [{webhook_url: "URL/workflows/hush-flow?api-version=1&sig=hush-flow-sig"}]`, ``},
	{"opsgenie", `opsgenie_configs: [{api_url: "URL/", api_key: hush-genie, update_alerts: true}]`, ``},
	{"pagerduty", `pagerduty_configs: [{url: "URL/v2/enqueue", routing_key: hush-routing}]`, ``},
	{"pushover", `pushover_configs: [{user_key: hush-user, token: hush-push, http_config: {tls_config: {insecure_skip_verify: true}}}]`, ``},
	{"rocketchat", `rocketchat_configs: [{api_url: "URL/", token: hush-rocket, token_id: hush-rocket-id, channel: ops}]`, `{"success":true}`},
	{"slack", `slack_configs: [{api_url: "URL/services/T000/B000/hush-slack", channel: "#ops", send_resolved: true}]`, `ok`},
	{"sns", `sns_configs: [{api_url: "URL", topic_arn: "arn:aws:sns:us-east-2:1:t", sigv4: {region: us-east-2, access_key: AKIA, secret_key: "hush+aws/key="}}]`, `<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`},
	{"telegram", `telegram_configs: [{api_url: "URL", bot_token: "123:hush-telegram", chat_id: 7}]`, `{"ok":true,"result":{"message_id":1,"chat":{"id":7}}}`},
	{"victorops", `victorops_configs: [{api_url: "URL/integrations/", api_key: "hush victor/ops", routing_key: team}]`, ``},
	{"webex", `webex_configs: [{api_url: "URL/v1/messages", room_id: r, http_config: {authorization: {credentials: hush-webex}}}]`, ``},
	{"webhook", `webhook_configs: [{url: "http://user:hush-userinfo@HOST/hook/hush-path?token=hush-query", http_config: {http_headers: {X-Key: {secrets: [hush-header]}}, proxy_url: ""}}]`, ``},
	{"wechat", `wechat_configs: [{api_url: "URL/", api_secret: "hush=wechat", corp_id: c}]`, `{"access_token":"t","errcode":0}`},
}

// provider is a server that stands in for all providers.
type provider struct {
	answer   atomic.Pointer[http.HandlerFunc]
	requests atomic.Int64
	plain    *httptest.Server
	tls      *httptest.Server // for those whose address cannot be configured
}

func newProvider(t *testing.T) *provider {
	t.Setenv("AWS_MAX_ATTEMPTS", "1") // the SDK would repeat every attempt by itself
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CA_BUNDLE", "") // with it the SDK brings a client of its own
	p := &provider{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		(*p.answer.Load())(w, r)
	})
	p.plain, p.tls = httptest.NewServer(h), httptest.NewTLSServer(h)
	t.Cleanup(p.plain.Close)
	t.Cleanup(p.tls.Close)
	return p
}

func (p *provider) set(h http.HandlerFunc) {
	p.answer.Store(&h)
	p.requests.Store(0)
}

func (p *provider) status(code int, body string) {
	p.set(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
}

// dial sends what is not for this machine to the TLS server.
func (p *provider) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	if !strings.HasPrefix(addr, "127.0.0.1:") {
		addr = p.tls.Listener.Addr().String()
	}
	return d.DialContext(ctx, network, addr)
}

func (p *provider) build(t *testing.T, conf string) Integration {
	t.Helper()
	host := p.plain.Listener.Addr().String()
	conf = strings.NewReplacer("URL", "http://"+host, "HOST", host).Replace(conf)
	return buildOne(t, conf, commoncfg.WithDialContextFunc(p.dial))
}

func buildOne(t testing.TB, conf string, http ...commoncfg.HTTPClientOption) Integration {
	t.Helper()
	cfg, err := amconfig.Load("route: {receiver: oncall}\nreceivers:\n- name: oncall\n  " + conf)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Build(cfg, nil, BuildOptions{ExternalURL: &url.URL{Scheme: "http", Host: "winnow.example"}, HTTP: http})
	if err != nil {
		t.Fatal(err)
	}
	if len(r["oncall"]) != 1 {
		t.Fatalf("%d integrations", len(r["oncall"]))
	}
	return r["oncall"][0]
}

func send(t *testing.T, in Integration, change ...func(*correlate.Notification)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n := note(correlate.Page, 42, 1, change...)
	return in.Send(ctx, &Message{Notification: n, Key: n.Key(), Page: true})
}

// TestStatus: each integration, each HTTP status, retry or not, whatever the
// notifier itself would do.
func TestStatus(t *testing.T) {
	p := newProvider(t)
	statuses := map[int]bool{
		302: false, 400: false, 401: false, 402: false, 403: false, 404: false, 405: false, 408: true, 409: false, 410: false,
		413: false, 422: false, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true, 599: true,
	}
	for _, c := range integrations {
		if c.kind == "email" {
			continue // speaks no HTTP: TestEmail
		}
		t.Run(c.kind, func(t *testing.T) {
			in := p.build(t, c.conf)
			if in.Name() != c.kind+"[0]" {
				t.Errorf("name %q", in.Name())
			}
			if in.(*wrapped).first.client == nil {
				t.Error("the lane does not reach its HTTP client")
			}
			p.status(200, c.accept)
			if err := send(t, in); err != nil {
				t.Errorf("200: %v", err)
			}
			for status, retry := range statuses {
				p.set(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", "7")
					w.Header().Set("Location", "/login")
					w.WriteHeader(status)
				})
				e, ok := errors.AsType[*Error](send(t, in))
				switch {
				case !ok:
					t.Errorf("%d: accepted", status)
				case e.Retry != retry || e.Status != status:
					t.Errorf("%d: retry %v status %d, want retry %v: %v", status, e.Retry, e.Status, retry, e)
				case e.After != 7*time.Second:
					t.Errorf("%d: Retry-After %s", status, e.After)
				case e.Unknown != (status == 502 || status == 504) && c.kind != "wechat": // whose first request is a GET
					t.Errorf("%d: unknown %v", status, e.Unknown)
				}
				if n := p.requests.Load(); n != 1 {
					t.Errorf("%d: %d requests in one attempt", status, n)
				}
			}
		})
	}
}

// TestPagerDutyV1: the old API says 403 where the new one says 429.
func TestPagerDutyV1(t *testing.T) {
	p := newProvider(t)
	in := p.build(t, `pagerduty_configs: [{service_key: k, http_config: {tls_config: {insecure_skip_verify: true}}}]`)
	for status, retry := range map[int]bool{400: false, 401: false, 403: true, 500: true} {
		p.status(status, "")
		if e, _ := errors.AsType[*Error](send(t, in)); e == nil || e.Retry != retry {
			t.Errorf("%d: %+v", status, e)
		}
	}
}

// TestNetworkFaults: a broken connection is worth another attempt for every
// integration, and it is known whether the message can have gone out.
func TestNetworkFaults(t *testing.T) {
	p := newProvider(t)
	for _, c := range integrations {
		in := p.build(t, c.conf)
		check := func(fault string, e *Error, unknown bool) {
			t.Helper()
			if e == nil || !e.Retry || e.Unknown != unknown {
				t.Errorf("%s, %s: %+v", c.kind, fault, e)
			}
		}
		if c.kind != "email" {
			p.set(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			e, _ := errors.AsType[*Error](send(t, in))
			check("no answer", e, c.kind != "wechat")

			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			var begun time.Time
			p.set(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client has gone
				begun = time.Now()
				cancel() // once the request is there, however busy the machine is
				<-r.Context().Done()
			})
			e, _ = errors.AsType[*Error](in.Send(ctx, &Message{Notification: note(correlate.Page, 1, 1), Key: "g"}))
			cancel()
			check("deadline", e, c.kind != "wechat")
			if d := time.Since(begun); d > 2*time.Second {
				t.Errorf("%s: returned %s after its context had ended", c.kind, d)
			}
		}
		dead := deadAddress(t)
		conf := strings.NewReplacer("URL", "http://"+dead, "HOST", dead).Replace(c.conf)
		refused := buildOne(t, conf, commoncfg.WithDialContextFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, dead)
		}))
		e, _ := errors.AsType[*Error](send(t, refused))
		check("refused", e, false)
	}
}

// deadAddress is one that nobody listens on.
func deadAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestNoSecretInErrors: the provider repeats all it was sent, in every way it
// can, or cannot be reached; no secret comes out.
func TestNoSecretInErrors(t *testing.T) {
	p := newProvider(t)
	files := t.TempDir()
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			said := fmt.Sprintf("%s %v %q %s", r.URL, r.Header, r.Header, body)
			if strings.Contains(r.URL.Path, "enqueue") && status == 400 { // the fields PagerDuty's notifier prints
				said = fmt.Sprintf(`{"status":"x","message":%q,"errors":["no"]}`, "bad "+string(body))
			}
			if user, password, ok := r.BasicAuth(); ok {
				said += user + " " + password
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, said)
		}
	}
	for _, c := range integrations {
		if c.kind == "email" {
			continue // TestEmail
		}
		for name, conf := range map[string]string{"inline": c.conf, "files": inFiles(t, files, c.conf)} {
			t.Run(c.kind+"/"+name, func(t *testing.T) {
				in := p.build(t, conf)
				for _, status := range []int{200, 400, 401, 429, 500} {
					p.set(echo(status))
					noSecret(t, fmt.Sprint(status), send(t, in))
				}
				p.set(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
				noSecret(t, "aborted", send(t, in))
				dead := deadAddress(t)
				noSecret(t, "refused", send(t, buildOne(t, strings.NewReplacer("URL", "http://"+dead, "HOST", dead).Replace(conf),
					commoncfg.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }))))
			})
		}
	}
}

var base64Words = regexp.MustCompile(`[A-Za-z0-9+/]{8,}=*`)

func noSecret(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	plain, _ := url.QueryUnescape(text)
	seen := []string{text, plain}
	for _, word := range base64Words.FindAllString(text, -1) {
		b, _ := base64.StdEncoding.DecodeString(word) // as much of it as is base64
		seen = append(seen, string(b))
	}
	for _, s := range seen {
		if found := strings.Contains(s, "hush"); found {
			t.Errorf("%s: a secret in %q", what, s)
			return
		}
	}
	if strings.ContainsAny(text, "\n\x1b") || len(text) > maxErrorBytes+64 {
		t.Errorf("%s: not fit to print: %d bytes %q", what, len(text), text)
	}
}

// inFiles moves secrets to files where the integration takes them from one.
func inFiles(t *testing.T, dir, conf string) string {
	t.Helper()
	for _, key := range []string{"webhook_url", "api_key", "routing_key", "user_key", "token", "token_id", "bot_token", "api_secret", "alert_source_token", "credentials"} {
		for _, before := range []string{"{", " "} {
			start := before + key + ": "
			i := strings.Index(conf, start)
			if i < 0 || !strings.Contains(conf[i:], "hush") {
				continue
			}
			rest := conf[i+len(start):]
			end := strings.IndexAny(rest, ",}")
			value := strings.Trim(rest[:end], `"' `)
			if !strings.Contains(value, "hush") || strings.Contains(value, "URL") {
				continue
			}
			name := filepath.Join(dir, key)
			if err := os.WriteFile(name, []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			conf = conf[:i] + before + key + "_file: " + name + rest[end:]
		}
	}
	return conf
}

// TestEmail: an SMTP server that refuses says whether to come back.
func TestEmail(t *testing.T) {
	f := func(greeting, data string, retry, accepted bool) {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go serveSMTP(l, greeting, data)
		conf := strings.ReplaceAll(integrations[1].conf, "HOST", l.Addr().String())
		err = send(t, buildOne(t, conf))
		noSecret(t, greeting+data, err)
		e, _ := errors.AsType[*Error](err)
		if (e == nil) != accepted || e != nil && e.Retry != retry {
			t.Errorf("%s, %s: %v", greeting, data, err)
		}
	}
	f("220 hello", "250 queued", false, true)
	f("421 too busy", "", true, false)
	f("554 go away", "", false, false)
	f("220 hello", "451 try later", true, false)
	f("220 hello", "550 no such mailbox, hush pass/word", false, false)
}

func serveSMTP(l net.Listener, greeting, data string) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	r, say := textproto.NewReader(bufio.NewReader(c)), func(s string) { fmt.Fprintf(c, "%s\r\n", s) }
	say(greeting)
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			say("250-hello\r\n250 AUTH PLAIN")
		case "AUTH":
			say("235 welcome")
		case "DATA":
			say("354 go on")
			_, _ = r.ReadDotLines()
			say(data)
		default:
			say("250 ok")
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := func(header string, want time.Duration) {
		t.Helper()
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	f("", 0)
	f("30", 30*time.Second)
	f(" 30 ", 30*time.Second)
	f("1.5", 1500*time.Millisecond)
	f("0", 0)
	f("-5", 0)
	f("86400", 5*time.Minute)
	f("1e300", 5*time.Minute)
	f("NaN", 0)
	f("soon", 0)
	f("Sun, 01 Mar 2026 12:00:20 GMT", 20*time.Second)
	f("Sun, 01 Mar 2026 11:00:00 GMT", 0)
	f("Sun, 01 Mar 2026 18:00:00 GMT", 5*time.Minute)
}

// TestTelegramFlood: Telegram asks to wait in the body, not in a header.
func TestTelegramFlood(t *testing.T) {
	p := newProvider(t)
	in := p.build(t, `telegram_configs: [{api_url: "URL", bot_token: t, chat_id: 7}]`)
	p.status(429, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}`)
	if e, _ := errors.AsType[*Error](send(t, in)); e == nil || !e.Retry || e.After != 35*time.Second {
		t.Errorf("%+v", e)
	}
}

// TestAnswerIsBounded: a provider that answers with a gigabyte is not read to
// the end.
func TestAnswerIsBounded(t *testing.T) {
	p := newProvider(t)
	in := p.build(t, `webhook_configs: [{url: "URL/"}]`)
	var written atomic.Int64
	p.set(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		chunk := make([]byte, 1<<16)
		for range 1 << 14 {
			n, err := w.Write(chunk)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	e, _ := errors.AsType[*Error](send(t, in))
	if e == nil || !e.Retry || len(e.Error()) > maxErrorBytes+64 {
		t.Errorf("%+v", e)
	}
	if n := written.Load(); n > 64<<20 {
		t.Errorf("%d bytes were read", n)
	}
}

// TestConcurrentSends: a lane for each attempt; the race detector watches.
func TestConcurrentSends(t *testing.T) {
	p := newProvider(t)
	for _, c := range integrations {
		if c.kind == "email" {
			continue
		}
		in := p.build(t, c.conf)
		p.status(200, c.accept)
		errs := make(chan error, 16)
		for i := range cap(errs) {
			go func() {
				n := note(correlate.Page, uint64(i+1), 1, group(fmt.Sprint("g", i)))
				errs <- in.Send(t.Context(), &Message{Notification: n, Context: enrich.Context{Owner: "payments"}, Key: n.Key()})
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Errorf("%s: %v", c.kind, err)
			}
		}
	}
}

// TestOutOfReach: where the SDK brings a client of its own, the error's text
// has to do.
func TestOutOfReach(t *testing.T) {
	p := newProvider(t)
	in := p.build(t, `sns_configs: [{api_url: "URL", use_aws_http_client: true, topic_arn: "arn:aws:sns:us-east-2:1:t", sigv4: {region: us-east-2, access_key: AKIA, secret_key: s}}]`)
	if in.(*wrapped).first.client != nil {
		t.Fatal("the lane reaches its client: this test needs another integration")
	}
	for status, retry := range map[int]bool{400: false, 401: false, 429: true, 503: true} {
		p.status(status, "")
		if e, _ := errors.AsType[*Error](send(t, in)); e == nil || e.Status != status || e.Retry != retry || e.Unknown {
			t.Errorf("%d: %+v", status, e)
		}
	}
}
