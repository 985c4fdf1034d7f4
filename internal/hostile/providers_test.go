package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"

	commoncfg "github.com/prometheus/common/config"

	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/sinks"
)

// providers are Alertmanager's integrations, each with the default templates
// and, where a template can put a payload into further fields, with all of them
// filled. URL stands for the provider, HOST for its address, SMTP for that of a
// mail server, and TEXT for a template that puts strings side by side.
var providers = []struct{ kind, conf, accept string }{
	{"discord", `discord_configs: [{webhook_url: "URL/d"}]`, ``},
	{"discord", `discord_configs: [{webhook_url: "URL/d", content: 'TEXT', title: 'TEXT', message: 'TEXT'}]`, ``},
	{"email", `email_configs: [{to: a@example.org, from: b@example.org, smarthost: "SMTP", auth_username: winnow, auth_password: p, require_tls: false}]`, ``},
	{"email", `email_configs: [{to: a@example.org, from: b@example.org, smarthost: "SMTP", auth_username: winnow, auth_password: p, require_tls: false, headers: {X-Alert: 'TEXT', Subject: 'TEXT'}, text: 'TEXT', html: '<p title="TEXT">TEXT</p>'}]`, ``},
	{"incidentio", `incidentio_configs: [{url: "URL/i", alert_source_token: t}]`, ``},
	{"jira", `jira_configs: [{api_url: "URL/rest/api/2", project: OPS, issue_type: Bug}]`, `{"issues":[],"key":"OPS-1"}`},
	{"jira", `jira_configs: [{api_url: "URL/rest/api/2", project: OPS, issue_type: Bug, summary: 'TEXT', description: 'TEXT'}]`, `{"issues":[],"key":"OPS-1"}`},
	{"mattermost", `mattermost_configs: [{webhook_url: "URL/m"}]`, ``},
	{"mattermost", `mattermost_configs: [{webhook_url: "URL/m", text: 'TEXT', title: 'TEXT', pretext: 'TEXT', fallback: 'TEXT', footer: 'TEXT', fields: [{title: 'TEXT', value: 'TEXT'}]}]`, ``},
	{"msteams", `msteams_configs: [{webhook_url: "URL/t"}]`, `1`},
	{"msteams", `msteams_configs: [{webhook_url: "URL/t", title: 'TEXT', summary: 'TEXT', text: 'TEXT'}]`, `1`},
	{"msteamsv2", `msteamsv2_configs: [{webhook_url: "URL/t"}]`, ``},
	{"msteamsv2", `msteamsv2_configs: [{webhook_url: "URL/t", title: 'TEXT', text: 'TEXT'}]`, ``},
	{"opsgenie", `opsgenie_configs: [{api_url: "URL/", api_key: k}]`, ``},
	{"opsgenie", `opsgenie_configs: [{api_url: "URL/", api_key: k, message: 'TEXT', description: 'TEXT', note: 'TEXT', entity: 'TEXT'}]`, ``},
	{"pagerduty", `pagerduty_configs: [{url: "URL/v2/enqueue", routing_key: k}]`, ``},
	{"pagerduty", `pagerduty_configs: [{url: "URL/v2/enqueue", routing_key: k, description: 'TEXT', class: 'TEXT', component: 'TEXT', group: 'TEXT', details: {x: '{{ .CommonAnnotations.summary }}', y: '{{ .GroupLabels.alertname }}', z: 'TEXT'}}]`, ``},
	{"pushover", `pushover_configs: [{user_key: u, token: t, http_config: {tls_config: {insecure_skip_verify: true}}}]`, ``},
	{"pushover", `pushover_configs: [{user_key: u, token: t, html: true, title: 'TEXT', message: '<b title="{{ .GroupLabels.alertname }}">{{ .CommonAnnotations.summary }}</b>', url_title: 'TEXT', http_config: {tls_config: {insecure_skip_verify: true}}}]`, ``},
	{"rocketchat", `rocketchat_configs: [{api_url: "URL/", token: t, token_id: i, channel: ops}]`, `{"success":true}`},
	{"rocketchat", `rocketchat_configs: [{api_url: "URL/", token: t, token_id: i, channel: ops, title: 'TEXT', text: 'TEXT', fields: [{title: 'TEXT', value: 'TEXT'}]}]`, `{"success":true}`},
	{"slack", `slack_configs: [{api_url: "URL/s", channel: "#ops"}]`, `ok`},
	{"slack", `slack_configs: [{api_url: "URL/s", channel: "#ops", link_names: true, title: 'TEXT', text: 'TEXT', pretext: 'TEXT', fallback: 'TEXT', footer: 'TEXT', fields: [{title: 'TEXT', value: 'TEXT'}]}]`, `ok`},
	{"sns", `sns_configs: [{api_url: "URL", topic_arn: "arn:aws:sns:us-east-2:1:t", sigv4: {region: us-east-2, access_key: AKIA, secret_key: s}}]`, `<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`},
	{"telegram", `telegram_configs: [{api_url: "URL", bot_token: "1:t", chat_id: 7}]`, `{"ok":true,"result":{"message_id":1,"chat":{"id":7}}}`},
	{"telegram", `telegram_configs: [{api_url: "URL", bot_token: "1:t", chat_id: 7, message: '<b>TEXT</b>'}]`, `{"ok":true,"result":{"message_id":1,"chat":{"id":7}}}`},
	{"telegram", `telegram_configs: [{api_url: "URL", bot_token: "1:t", chat_id: 7, parse_mode: Markdown, message: 'TEXT'}]`, `{"ok":true,"result":{"message_id":1,"chat":{"id":7}}}`},
	{"victorops", `victorops_configs: [{api_url: "URL/", api_key: k, routing_key: team}]`, ``},
	{"webex", `webex_configs: [{api_url: "URL/v1/messages", room_id: r, http_config: {authorization: {credentials: c}}}]`, ``},
	{"webex", `webex_configs: [{api_url: "URL/v1/messages", room_id: r, message: 'TEXT', http_config: {authorization: {credentials: c}}}]`, ``},
	{"webhook", `webhook_configs: [{url: "URL/w"}]`, ``},
	{"wechat", `wechat_configs: [{api_url: "URL/", api_secret: s, corp_id: c}]`, `{"access_token":"t","errcode":0}`},
	{"wechat", `wechat_configs: [{api_url: "URL/", api_secret: s, corp_id: c, message_type: markdown, message: 'TEXT'}]`, `{"access_token":"t","errcode":0}`},
}

// sideBySide leaves nothing between two strings of the payload.
const sideBySide = `{{ range .Alerts }}{{ range .Labels.SortedPairs }}{{ .Name }}{{ .Value }}{{ end }}{{ range .Annotations.SortedPairs }}{{ .Value }}{{ .Name }} {{ end }}{{ .GeneratorURL }}{{ end }}{{ .GroupLabels.alertname }}`

// request is what one provider was sent.
type request struct {
	method, path string
	query        url.Values
	body         string
	mail         []string // the commands of a mail server, and then the lines of the message
}

// recorder stands in for all providers.
type recorder struct {
	plain, tls *httptest.Server
	smtp       net.Listener
	accept     string // what is answered now

	mu  sync.Mutex
	got []request
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	// The SDK must bring no client of its own and ask nobody who it is.
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CA_BUNDLE", "")
	r := &recorder{}
	r.plain, r.tls = httptest.NewServer(r), httptest.NewTLSServer(r)
	t.Cleanup(r.plain.Close)
	t.Cleanup(r.tls.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.smtp = l
	t.Cleanup(func() { _ = l.Close() })
	go r.serveMail()
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b, err := io.ReadAll(q.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.add(request{method: q.Method, path: q.URL.Path, query: q.URL.Query(), body: string(b)})
	_, _ = io.WriteString(w, r.accept)
}

func (r *recorder) add(q request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, q)
}

// take returns what has come since the last call.
func (r *recorder) take() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

func (r *recorder) serveMail() {
	for {
		c, err := r.smtp.Accept()
		if err != nil {
			return
		}
		r.add(request{mail: takeMail(c)})
		_ = c.Close()
	}
}

// takeMail speaks as much SMTP as it takes to get a message.
func takeMail(c net.Conn) (said []string) {
	in := textproto.NewReader(bufio.NewReader(c))
	say := func(s string) { fmt.Fprintf(c, "%s\r\n", s) }
	say("220 hello")
	for {
		row, err := in.ReadLine()
		if err != nil {
			return said
		}
		verb, _, _ := strings.Cut(strings.ToUpper(row), " ")
		said = append(said, verb)
		switch verb {
		case "EHLO":
			say("250-hello\r\n250 AUTH PLAIN")
		case "AUTH":
			say("235 welcome")
		case "DATA":
			say("354 go on")
			rows, err := in.ReadDotLines()
			if err != nil {
				return said
			}
			said = append(said, rows...)
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return said
		default:
			say("250 ok")
		}
	}
}

// dial sends what is not for this machine to the TLS server.
func (r *recorder) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if !strings.HasPrefix(addr, "127.0.0.1:") {
		addr = r.tls.Listener.Addr().String()
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// integrations builds all providers, each a receiver of its own.
func (r *recorder) integrations(t *testing.T) []sinks.Integration {
	t.Helper()
	var b strings.Builder
	b.WriteString("route: {receiver: r0}\nreceivers:\n")
	host := r.plain.Listener.Addr().String()
	fill := strings.NewReplacer("URL", "http://"+host, "HOST", host, "SMTP", r.smtp.Addr().String(), "TEXT", sideBySide)
	for i, p := range providers {
		fmt.Fprintf(&b, "- name: r%d\n  %s\n", i, fill.Replace(p.conf))
	}
	c, err := config.Parse("providers", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	receivers, err := sinks.Build(c.Alertmanager, nil, sinks.BuildOptions{
		ExternalURL: &url.URL{Scheme: "http", Host: "winnow.example"}, HTTP: []commoncfg.HTTPClientOption{commoncfg.WithDialContextFunc(r.dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []sinks.Integration
	kinds := map[string]bool{}
	for i, p := range providers {
		in := receivers[fmt.Sprint("r", i)]
		if len(in) != 1 || in[0].Name() != p.kind+"[0]" {
			t.Fatalf("%s: %d integrations", p.kind, len(in))
		}
		out = append(out, in[0])
		kinds[p.kind] = true
	}
	if len(kinds) != 18 {
		t.Fatalf("%d kinds of integrations, want Alertmanager's 18", len(kinds))
	}
	return out
}
