package sinks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/winnowhq/winnow/correlate"
)

// TestNetworkFaultsSayWhereAndWhy: whatever stands between here and a provider,
// no message gets past a certificate that does not hold, the attempt ends by its
// deadline and is made again, and the error names the host and the cause.
func TestNetworkFaultsSayWhereAndWhy(t *testing.T) {
	const host = "pager.example.org"
	var taken atomic.Int64
	provider := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		taken.Add(1)
		w.WriteHeader(http.StatusAccepted)
	})
	now := time.Now()
	ca := newIssuer(t, nil, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)})
	serve := func(by *issuer, c *x509.Certificate) string {
		c.DNSNames = append(c.DNSNames, "localhost")
		return listen(t, newIssuer(t, by, c).tls(), provider)
	}
	valid := func() *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{host}}
	}
	expired, early, other := valid(), valid(), valid()
	expired.NotAfter, early.NotBefore, other.DNSNames = now.Add(-time.Minute), now.Add(time.Minute), []string{"elsewhere.example.org"}
	raw := func(f func(net.Conn)) string { return listenRaw(t, f) }
	dial := func(address string) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", address) }
	}
	cases := []struct {
		name, cause string
		dial        func(context.Context) (net.Conn, error)
	}{
		{"well", "", dial(serve(ca, valid()))},
		{"no such host", "no such host", func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
		}},
		{"the name server hangs", "deadline exceeded", func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }},
		{"no route", "no route to host", func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
		}},
		{"refused", "connection refused", dial(deadAddress(t))},
		{"reset", "reset by peer", dial(raw(func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _, _ = c.Read(make([]byte, 1)); c.Close() }))},
		{"closed in the handshake", "EOF", dial(raw(func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)); c.Close() }))},
		{"half open", "deadline exceeded", dial(raw(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))},
		{"speaks no TLS", "server gave HTTP response to HTTPS client", dial(listen(t, nil, provider))},
		{"expired", "expired", dial(serve(ca, expired))},
		{"not yet valid", "not yet valid", dial(serve(ca, early))},
		{"of another host", "elsewhere.example.org", dial(serve(ca, other))},
		{"signed by itself", "unknown authority", dial(serve(nil, valid()))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := buildOne(t, fmt.Sprintf("pagerduty_configs: [{routing_key: k, url: 'https://%s/v2/enqueue', http_config: {tls_config: {ca: %q}}}]", host, ca.pem()),
				commoncfg.WithDialContextFunc(func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) }))
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			if c.cause != "deadline exceeded" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
			}
			defer cancel()
			taken.Store(0)
			err := in.Send(ctx, &Message{Notification: note(correlate.Page, 1, 1), Key: "g"})
			if c.cause == "" {
				if err != nil || taken.Load() != 1 {
					t.Errorf("%v, %d messages taken", err, taken.Load())
				}
				return
			}
			e, _ := errors.AsType[*Error](err)
			if e == nil || !e.Retry {
				t.Fatalf("it is not tried again: %v", err)
			}
			if !strings.Contains(e.Error(), host) || !strings.Contains(e.Error(), c.cause) {
				t.Errorf("%q is not in %q, or %q is not", host, e.Error(), c.cause)
			}
			if taken.Load() != 0 {
				t.Error("the message got past it")
			}
		})
	}
}

// issuer is a certificate with its key.
type issuer struct {
	der []byte
	c   *x509.Certificate
	key *ecdsa.PrivateKey
}

// newIssuer is c, signed by another one or, if that is nil, by itself.
func newIssuer(t *testing.T, by *issuer, c *x509.Certificate) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(1), pkix.Name{CommonName: "test"}
	if by == nil {
		by = &issuer{c: c, key: key}
	} else {
		c.SerialNumber, c.Subject = big.NewInt(2), pkix.Name{CommonName: "provider"}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.c, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{der, c, key}
}

func (i *issuer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.der}))
}

func (i *issuer) tls() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{i.der}, PrivateKey: i.key}}}
}

// listen serves h, by TLS if there is a configuration of it.
func listen(t *testing.T, c *tls.Config, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are meant to fail
	if server.TLS = c; c != nil {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// listenRaw has f see to each connection.
func listenRaw(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	return l.Addr().String()
}

// TestAnswersThatNeverEnd: an answer that drips, and redirects in a circle, hold
// an attempt no longer than its deadline, whatever the status was.
func TestAnswersThatNeverEnd(t *testing.T) {
	p := newProvider(t)
	for _, c := range integrations {
		if c.kind == "email" {
			continue
		}
		in := p.build(t, c.conf)
		for _, status := range []int{200, 400, 500} {
			p.set(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client has gone
				w.WriteHeader(status)
				for r.Context().Err() == nil {
					_, _ = w.Write([]byte(" "))
					_ = http.NewResponseController(w).Flush()
					select {
					case <-time.After(5 * time.Millisecond):
					case <-r.Context().Done():
					}
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			done := make(chan error, 1)
			go func() { done <- in.Send(ctx, &Message{Notification: note(correlate.Page, 1, 1), Key: "g"}) }()
			select {
			case err := <-done:
				if e, _ := errors.AsType[*Error](err); status != 200 && e == nil {
					t.Errorf("%s: %d that drips is accepted", c.kind, status)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s: %d that drips holds an attempt for ever", c.kind, status)
			}
			cancel()
		}
		for _, status := range []int{302, 307} {
			p.set(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", r.URL.Path)
				w.WriteHeader(status)
			})
			e, _ := errors.AsType[*Error](send(t, in))
			if e == nil || e.Retry || e.Status != status {
				t.Errorf("%s: %d in a circle: %+v", c.kind, status, e)
			}
			if n := p.requests.Load(); n > 11 {
				t.Errorf("%s: %d in a circle: %d requests", c.kind, status, n)
			}
		}
	}
}
