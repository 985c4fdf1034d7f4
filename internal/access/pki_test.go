package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pki is an authority and a server's certificate, as files in a folder.
type pki struct {
	dir  string
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir(), pool: x509.NewCertPool()}
	p.key = newKey(t)
	p.ca = &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	p.write(t, "ca.pem", "CERTIFICATE", p.sign(t, p.ca, &p.key.PublicKey))
	key := newKey(t)
	p.write(t, "server.pem", "CERTIFICATE", p.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"winnow.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &key.PublicKey))
	p.write(t, "server.key", "EC PRIVATE KEY", marshal(t, key))
	if ca, err := x509.ParseCertificate(p.sign(t, p.ca, &p.key.PublicKey)); err != nil {
		t.Fatal(err)
	} else {
		p.pool.AddCert(ca)
	}
	return p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func marshal(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (p *pki) sign(t *testing.T, c *x509.Certificate, key *ecdsa.PublicKey) []byte {
	t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, p.ca, key, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (p *pki) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	write(t, p.dir, name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

// webConfig is a web configuration with the server's certificate, further
// options of TLS and further lines.
func (p *pki) webConfig(options, lines string) string {
	options = strings.ReplaceAll(options, "ca.pem", filepath.Join(p.dir, "ca.pem"))
	if options != "" {
		options = ", " + options
	}
	return fmt.Sprintf("tls_server_config: {cert_file: %s/server.pem, key_file: %s/server.key%s}\n%s\n", p.dir, p.dir, options, lines)
}

// client is a certificate and the sessions that it has.
type client struct {
	certificate tls.Certificate
	sessions    tls.ClientSessionCache
}

func (p *pki) client(t *testing.T, san string) *client {
	t.Helper()
	key := newKey(t)
	der := p.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), DNSNames: []string{san}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, &key.PublicKey)
	return &client{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, tls.NewLRUClientSessionCache(1)}
}

// get asks over a new connection and returns the code, the protocol and whether
// a session was resumed, or "refused": how that reaches a client depends on who
// writes first.
func (p *pki) get(t *testing.T, addr string, as *client, options func(*tls.Config)) string {
	t.Helper()
	c := &tls.Config{RootCAs: p.pool}
	if as != nil {
		c.Certificates, c.ClientSessionCache = []tls.Certificate{as.certificate}, as.sessions
	}
	if options != nil {
		options(c)
	}
	transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get("https://" + addr + "/")
	if err != nil {
		return "refused"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
