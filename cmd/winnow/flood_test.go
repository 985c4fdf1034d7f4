//go:build sec

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/node"
)

// What valid webhooks have to stand, and for how long.
const (
	floodTime       = 10 * time.Second
	idleConnections = 5000
	badPerSecond    = 1000
	goodPerSecond   = 100
	mayTake         = 100 * time.Millisecond // the 99th percentile
	floodWorkers    = 64
)

// TestFlood holds that neither guesses nor idle connections slow a webhook that
// has its credentials: the whole program, over real connections of this machine,
// each valid webhook synced to disk.
func TestFlood(t *testing.T) {
	s := startSite(t)
	s.holdIdle(t)
	login(t, s, 200)

	ctx, cancel := context.WithTimeout(t.Context(), floodTime)
	defer cancel()
	var running sync.WaitGroup
	var bad tally
	var good samples
	running.Go(func() { s.paced(ctx, badPerSecond, func(i int, _ time.Time) { bad.add(s.attack(i)) }) })
	running.Go(func() {
		s.paced(ctx, goodPerSecond, func(i int, due time.Time) { good.add(func() (int, error) { return s.webhook(i) }, due) })
	})
	running.Wait()

	login(t, s, 200) // who had logged in before need not wait for bcrypt
	idle := s.metric(t, "winnow_access_connections")
	p50, p99, longest := good.at(50), good.at(99), good.at(100)
	figures := fmt.Sprintf("sec: valid webhooks %d, p50 %s, p99 %s, max %s, refused %d, under %d bad attempts/s (401: %d, 503: %d) and %d connections",
		len(good.took), p50, p99, longest, good.failed, bad.total()/int(floodTime/time.Second), bad.count(401), bad.count(503), int(idle))
	t.Log(figures)
	if file := os.Getenv("WINNOW_SEC_FIGURES"); file != "" {
		if err := os.WriteFile(file, []byte(figures+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if p99 > mayTake {
		t.Errorf("p99 of valid webhooks is %s, at most %s", p99, mayTake)
	}
	if good.failed > 0 || len(good.took) < goodPerSecond*int(floodTime/time.Second)*9/10 {
		t.Errorf("%d valid webhooks sent, %d refused: %v", len(good.took), good.failed, good.why)
	}
	if n := bad.total(); n < badPerSecond*int(floodTime/time.Second)*9/10 {
		t.Errorf("only %d bad attempts in %s: this measured no flood", n, floodTime)
	}
	if n := bad.total() - bad.count(401) - bad.count(503); n > 0 || bad.count(503) == 0 {
		t.Errorf("answers to bad attempts: %v; want 401, and 503 from those who wait for bcrypt", bad.codes)
	}
	if idle < idleConnections {
		t.Errorf("%v connections at the end, want at least the %d idle ones", idle, idleConnections)
	}
}

// site is a running Winnow and a client of it.
type site struct {
	addr   string
	client *http.Client
	junk   []byte
}

func startSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	var others strings.Builder
	for _, s := range ingest.Sources() {
		if s.Name != "alertmanager" && s.Name != "prometheus" {
			fmt.Fprintf(&others, "      %s: {closed: true}\n", s.Name)
		}
	}
	f := &serveFlags{
		listen: "127.0.0.1:0", storagePath: filepath.Join(dir, "data"), maxBytes: 1 << 30, maxAge: 24 * time.Hour,
		webConfig: writeFile(t, filepath.Join(dir, "web.yml"), "basic_auth_users: {ada: '"+string(hash)+"'}\n"),
		configFile: writeFile(t, filepath.Join(dir, "winnow.yml"), route+`winnow:
  access:
    tokens: [{name: prometheus, role: viewer, token: scrape}]
  ingest:
    sources:
      alertmanager:
        tokens: [{token: first}, {token: second}]
        basic_users: [{username: am, password: secret}]
        hmac: [{scheme: grafana, secret: shared, timestamp_header: X-Sent}]
      prometheus: {tokens: [{token: third}]}
`+others.String()),
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.options(listener.Addr(), io.Discard, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(n.Handler(), o)
	ended := make(chan error, 1)
	go func() { ended <- accept(server, listener) }()
	t.Cleanup(func() {
		_ = server.Close() // the idle connections would hold an orderly stop
		<-ended
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	<-n.Ready()
	return &site{
		addr: listener.Addr().String(), junk: bytes.Repeat([]byte("x"), 16<<10),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * floodWorkers}},
	}
}

// holdIdle opens connections that have asked once and say nothing any more.
func (s *site) holdIdle(t *testing.T) {
	t.Helper()
	for i := range idleConnections {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatalf("connection %d: %v; this test needs %d open files", i, err, 2*idleConnections+1000)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET /-/healthy HTTP/1.1\r\nHost: winnow\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("connection %d: %v %v", i, resp, err)
		}
	}
}

// paced calls f so many times a second until ctx ends, each time in a worker of
// its own, and tells it when its turn was.
func (s *site) paced(ctx context.Context, perSecond int, f func(i int, due time.Time)) {
	type turn struct {
		i   int
		due time.Time
	}
	turns := make(chan turn, perSecond)
	var workers sync.WaitGroup
	for range floodWorkers {
		workers.Go(func() {
			for t := range turns {
				f(t.i, t.due)
			}
		})
	}
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; {
		<-tick.C
		for ; i < int(time.Since(start).Seconds()*float64(perSecond)); i++ {
			turns <- turn{i, start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))}
		}
	}
	close(turns)
	workers.Wait()
}

// do sends a request and returns the code of its answer, 0 where there is none.
func (s *site) do(method, path string, body []byte, header ...string) (int, error) {
	r, err := http.NewRequest(method, "http://"+s.addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// attack makes one bad attempt of one kind or another. One in ten is a guess at
// a password that bcrypt has to look at.
func (s *site) attack(i int) (int, error) {
	guess := strconv.Itoa(i)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	switch i % 10 {
	case 0:
		return s.do("GET", "/api/v1/report", nil, "Authorization", authorization("ada", guess))
	case 1, 2:
		return s.do("POST", "/ingest/alertmanager", s.junk, "Authorization", "Bearer "+guess)
	case 3:
		return s.do("POST", "/ingest/alertmanager", s.junk, "Authorization", authorization("am", guess))
	case 4, 5:
		return s.do("POST", "/ingest/alertmanager", s.junk, "X-Sent", now, "X-Grafana-Alerting-Signature", hex.EncodeToString(sign(guess, now, s.junk)))
	case 6:
		return s.do("POST", "/ingest/nagios", s.junk, "Authorization", "Bearer "+guess)
	case 7:
		return s.do("POST", "/api/v2/alerts", nil, "Connection", "close")
	case 8:
		return s.do("GET", "/metrics", nil, "Authorization", "Bearer "+guess)
	default:
		return s.do("POST", "/-/reload", nil, "Connection", "close")
	}
}

// webhook sends an alert, with a token or signed, now and then over a new
// connection.
func (s *site) webhook(i int) (int, error) {
	body := fmt.Appendf(nil, `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Slow","pod":"pod-%d"},"startsAt":"2025-01-01T00:00:00Z"}]}`, i)
	header := []string{"Authorization", "Bearer second"}
	if i%2 == 1 {
		now := strconv.FormatInt(time.Now().Unix(), 10)
		header = []string{"X-Sent", now, "X-Grafana-Alerting-Signature", hex.EncodeToString(sign("shared", now, body))}
	}
	if i%10 == 0 {
		header = append(header, "Connection", "close")
	}
	return s.do("POST", "/ingest/alertmanager", body, header...)
}

func sign(key, at string, body []byte) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(at + ":"))
	m.Write(body)
	return m.Sum(nil)
}

func authorization(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func login(t *testing.T, s *site, want int) {
	t.Helper()
	if code, err := s.do("GET", "/api/v1/report", nil, "Authorization", authorization("ada", "right")); err != nil || code != want {
		t.Errorf("the right password: %d %v, want %d", code, err, want)
	}
}

// metric scrapes one value.
func (s *site) metric(t *testing.T, name string) float64 {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+s.addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer scrape")
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("%s is not among the metrics (%s)", name, resp.Status)
	return 0
}

// tally counts answers by their code.
type tally struct {
	mu    sync.Mutex
	codes map[int]int
}

func (b *tally) add(code int, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.codes == nil {
		b.codes = map[int]int{}
	}
	b.codes[code]++
}

func (b *tally) count(code int) int { return b.codes[code] }

func (b *tally) total() (n int) {
	for _, c := range b.codes {
		n += c
	}
	return n
}

// samples are how long valid webhooks took, from when their turn was.
type samples struct {
	mu     sync.Mutex
	took   []time.Duration
	failed int
	why    string // the last failure
}

func (g *samples) add(answer func() (int, error), due time.Time) {
	code, err := answer()
	took := time.Since(due)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.took = append(g.took, took)
	if err != nil || code != 200 {
		g.failed++
		g.why = fmt.Sprint(code, " ", err)
	}
}

// at is a percentile.
func (g *samples) at(percent int) time.Duration {
	if len(g.took) == 0 {
		return 0
	}
	slices.Sort(g.took)
	return g.took[(len(g.took)-1)*percent/100].Round(100 * time.Microsecond)
}
