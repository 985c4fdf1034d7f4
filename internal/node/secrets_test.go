package node

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/internal/access"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/logs"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// secretive has a secret wherever one can stand; KEY is another one each time.
const secretive = `
global: {resolve_timeout: 1h, smtp_smarthost: '127.0.0.1:1', smtp_from: a@test, smtp_auth_username: winnow, smtp_auth_password: KEY, smtp_require_tls: false}
route: {receiver: all, group_by: [alertname], group_wait: 1s, group_interval: 10s}
receivers:
  - name: all
    pagerduty_configs:
      - {routing_key: KEY, url: 'http://pagerduty.test/v2/enqueue'}
      - {service_key: KEY, url: 'http://pagerduty.test/generic'}
    slack_configs: [{api_url: 'http://slack.test/services/KEY', channel: ops}]
    discord_configs: [{webhook_url: 'http://discord.test/api/KEY'}]
    mattermost_configs: [{webhook_url: 'http://mattermost.test/hooks/KEY'}]
    msteams_configs: [{webhook_url: 'http://teams.test/KEY'}]
    msteamsv2_configs: [{webhook_url: 'http://teams.test/v2/KEY'}]
    opsgenie_configs: [{api_url: 'http://opsgenie.test/', api_key: KEY}]
    victorops_configs: [{api_url: 'http://victorops.test/', api_key: KEY, routing_key: team}]
    pushover_configs: [{user_key: KEY, token: KEY}]
    telegram_configs: [{api_url: 'http://telegram.test', bot_token: '1:KEY', chat_id: 7}]
    webex_configs: [{api_url: 'http://webex.test/', room_id: r, http_config: {authorization: {credentials: KEY}}}]
    wechat_configs: [{api_url: 'http://wechat.test/', api_secret: KEY, corp_id: c}]
    rocketchat_configs: [{api_url: 'http://rocket.test/', token: KEY, token_id: KEY, channel: ops}]
    incidentio_configs: [{url: 'http://incident.test/', alert_source_token: KEY}]
    jira_configs: [{api_url: 'http://jira.test/rest/api/2', project: P, issue_type: Bug, http_config: {basic_auth: {username: u, password: KEY}}}]
    sns_configs: [{api_url: 'http://sns.test', topic_arn: 'arn:aws:sns:us-east-2:1:t', sigv4: {region: us-east-2, access_key: AKIA, secret_key: KEY}}]
    email_configs: [{to: b@test}]
    webhook_configs:
      - {url: 'http://user:KEY@hook.test/KEY?token=KEY'}
      - {url: 'http://hook.test/a', http_config: {authorization: {type: Token, credentials: KEY}}}
      - {url: 'http://hook.test/b', http_config: {basic_auth: {username: u, password: KEY}}}
      - {url: 'http://hook.test/c', http_config: {http_headers: {X-Key: {secrets: [KEY, KEY]}, X-Other: {secrets: [KEY]}}}}
      - {url: 'http://hook.test/d', http_config: {proxy_url: 'http://user:KEY@proxy.test:3128'}}
      - {url: 'http://hook.test/e', http_config: {oauth2: {client_id: i, client_secret: KEY, token_url: 'http://hook.test/token'}}}
winnow:
  self_alert: {webhook: {url_file: SELF}}
  heartbeat: {urls: [{url_file: HEART}]}
  access: {tokens: [{name: a, role: admin, token: ROOT}, {name: v, role: viewer, token: KEY}]}
  ingest:
    sources:
      prometheus: {tokens: [{token: ADMIT}, {token: KEY}], basic_users: [{username: u, password: KEY}]}
      alertmanager: {tokens: [{token: KEY}], hmac: [{scheme: grafana, secret: KEY, timestamp_header: X-At}, {secret: whsec_STANDARD}]}
`

// leastSecrets is how many the configuration must hold.
const leastSecrets = 40

// said is whatever leaves the program but for what goes to its providers.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// TestNoSecretLeaves has providers fail in every way, callers who may not, a core
// that breaks, reloads that fail and all that can be asked, and looks for the
// secrets of the configuration in what was logged, answered, printed and stored.
func TestNoSecretLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var secrets []string
		add := func() string {
			secrets = append(secrets, fmt.Sprintf("c0ffee%02dSECRETc0ffee%02dSECRET0000", len(secrets), len(secrets)))
			return secrets[len(secrets)-1]
		}
		s := &site{t: t, dir: t.TempDir(), kept: true, pager: sinktest.NewPagerDuty()}
		files := t.TempDir()
		text := secretive
		for name, file := range map[string]string{"SELF": "self", "HEART": "heart"} { // order: each has a name of its own
			path := filepath.Join(files, file)
			if err := os.WriteFile(path, []byte("http://"+file+".test/"+add()), 0o600); err != nil {
				t.Fatal(err)
			}
			text = strings.Replace(text, name, path, 1)
		}
		admit := add()
		text = strings.Replace(text, "ADMIT", admit, 1)
		root := add()
		text = strings.Replace(text, "ROOT", root, 1)
		text = strings.Replace(text, "STANDARD", add(), 1)
		text = regexp.MustCompile(`\bKEY\b`).ReplaceAllStringFunc(text, func(string) string { return add() })
		s.text = text
		if len(secrets) < leastSecrets {
			t.Errorf("%d secrets, want %d", len(secrets), leastSecrets)
		}
		// Each provider fails in another way, and says back what it was sent.
		calls := 0
		s.network = sinktest.NewNetwork(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			w.WriteHeader([]int{500, 403, 429, 400, 404, 200}[calls%6])
			fmt.Fprintf(w, "no: %s %s", r.URL, r.Header)
		}))
		t.Cleanup(func() { s.network.Close() })
		out := &said{}
		logger, err := logs.New(out, "debug", logs.JSON)
		if err != nil {
			t.Fatal(err)
		}
		s.probe = func(e *frame.Event) {
			for i := range e.Alerts {
				if e.Alerts[i].Name() == "Poison" {
					panic("broken by " + e.Alerts[i].Name())
				}
			}
		}
		o := s.options()
		o.Logger, o.Stdout = logger, out
		if o.Access, err = access.New(access.Options{}); err != nil {
			t.Fatal(err)
		}
		o.selfAlert = &http.Client{Transport: refusing{}}
		if s.node, err = Start(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		<-s.node.Ready()
		ask := func(method, path, token, body string) int {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			s.node.Handler().ServeHTTP(rec, r)
			fmt.Fprintf(out, "%s %s: %d %v %s\n", method, path, rec.Code, rec.Header(), rec.Body)
			return rec.Code
		}
		for i, name := range []string{"A", "B", "Poison", "C"} {
			if code := ask("POST", "/api/v2/alerts", admit, fmt.Sprintf(`[{"labels":{"alertname":%q,"severity":"critical"}}]`, name)); code != 200 {
				t.Errorf("alert %d is answered %d", i, code)
			}
			time.Sleep(time.Minute)
		}
		ask("POST", "/api/v2/alerts", admit, `{"broken`)
		for _, token := range []string{root, admit, "wrong"} {
			for _, path := range []string{"/api/v1/report", "/api/v1/incidents", "/api/v1/explain/INC-1", "/api/v1/status", "/metrics", "/", "/debug/pprof/heap", "/-/ready"} {
				if code := ask("GET", path, token, ""); (code == 401) != (token != root && path != "/" && path != "/-/ready") && code != 404 {
					t.Errorf("%s: %d", path, code)
				}
			}
			ask("POST", "/-/reload", token, "")
			ask("POST", "/ingest/alertmanager", token+"x", "[]")
		}
		good := s.text
		for _, broken := range []string{good + "\n: [", strings.Replace(good, "routing_key: ", "routing_key: [", 1), strings.Replace(good, "token: ", "tokn: ", 1),
			strings.Replace(good, "http://slack.test", "ht!tp://slack.test", 1), strings.Replace(good, "receiver: all", "receiver: "+admit, 1)} {
			s.text = broken
			_ = s.node.Reload(t.Context()) // it fails; what it says is in the log
		}
		s.text = good
		time.Sleep(5 * time.Minute)
		if err := stopIdle(s.node); err != nil {
			fmt.Fprintln(out, err)
		}
		if n := out.b.Len(); n < 50_000 || !strings.Contains(out.b.String(), "goroutine ") || calls < 100 {
			t.Errorf("%d bytes were said in all, a stack among them: %v; %d calls: this proves nothing", n, strings.Contains(out.b.String(), "goroutine "), calls)
		}
		leaks(t, "what was said", out.b.Bytes(), secrets)
		err = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "receivers.json" { // which holds them, for whoever owns it
				return err
			}
			b, err := os.ReadFile(path)
			leaks(t, d.Name(), b, secrets)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func leaks(t *testing.T, what string, b []byte, secrets []string) {
	t.Helper()
	for i, s := range secrets {
		if at := bytes.Index(b, []byte(s)); at >= 0 {
			t.Errorf("secret %d of %d is in %s: %q", i, len(secrets), what, b[max(0, at-200):min(len(b), at+40)])
		}
	}
}

// refusing is a network on which nobody is reached, and whose errors say whom.
type refusing struct{}

func (refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: r.URL.String(), Err: fmt.Errorf("refused %s", r.Header)}
}
