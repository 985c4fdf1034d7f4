package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/winnowhq/winnow/ingest"
)

// maxWebConfigBytes bounds the web configuration file.
const maxWebConfigBytes = 1 << 20

// webConfig is a web configuration file with all that it names.
type webConfig struct {
	tls     *tls.Config // nil: plain HTTP
	users   map[string][]byte
	decoy   []byte // the costliest hash of users
	headers map[string]string
}

// verifies reports whether client certificates are checked.
func (w *webConfig) verifies() bool {
	return w.tls != nil && w.tls.ClientAuth >= tls.VerifyClientCertIfGiven
}

// loadWebConfig reads a file in exporter-toolkit's format, its certificates
// included. Without a path it says nothing.
func loadWebConfig(path string) (*webConfig, error) {
	if path == "" {
		return &webConfig{}, nil
	}
	text, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("read the web configuration: %w", err)
	}
	w, err := parseWebConfig(text, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("web configuration %s: %w", path, err)
	}
	return w, nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxWebConfigBytes+1))
	if err == nil && len(text) > maxWebConfigBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, maxWebConfigBytes)
	}
	return text, err
}

// webDefaults are exporter-toolkit's, but for HTTP/2: no sender needs it, and a
// connection of many streams is one of many requests for whoever has a grudge.
func webDefaults() web.Config {
	return web.Config{
		TLSConfig:  web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, PreferServerCipherSuites: true},
		HTTPConfig: web.HTTPConfig{},
	}
}

func parseWebConfig(text []byte, dir string) (*webConfig, error) {
	c := webDefaults()
	if err := decode(text, &c); err != nil {
		return nil, err
	}
	w := &webConfig{headers: c.HTTPConfig.Header, users: make(map[string][]byte, len(c.Users))}
	if c.RateLimiterConfig != (web.RateLimiterConfig{}) {
		return nil, errors.New("rate_limit would answer alerts 429, after which their senders give up: remove it")
	}
	if err := checkHeaders(w.headers); err != nil {
		return nil, err
	}
	costliest := 0
	for name, hash := range c.Users {
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case err != nil:
			return nil, fmt.Errorf("basic_auth_users: the password of %q is no bcrypt hash: make one with htpasswd -nBC 10 \"\"", name)
		case cost > maxBcryptCost:
			return nil, fmt.Errorf("basic_auth_users: the hash of %q has cost %d: at most %d, since one core checks them all", name, cost, maxBcryptCost)
		case name == "" || strings.Contains(name, ":"):
			return nil, fmt.Errorf("basic_auth_users: %q is empty or holds a colon", name)
		}
		w.users[name] = []byte(hash)
		if cost > costliest {
			costliest, w.decoy = cost, []byte(hash)
		}
	}
	var err error
	if !reflect.DeepEqual(c.TLSConfig, webDefaults().TLSConfig) {
		c.TLSConfig.SetDirectory(dir)
		if w.tls, err = listenerTLS(&c); err != nil {
			return nil, fmt.Errorf("tls_server_config: %w", err)
		}
	}
	return w, nil
}

// decode reads at most one document. One that says nothing leaves c as it is.
func decode(text []byte, c *web.Config) error {
	var documents []yaml.Node
	if err := yaml.Load(text, &documents, yaml.WithAllDocuments()); err != nil {
		return plain(err)
	}
	switch len(documents) {
	case 0:
		return nil
	case 1:
		return plain(documents[0].Load(c, yaml.WithKnownFields()))
	}
	return errors.New("more than one document")
}

// plain drops the values that an error of the YAML library quotes: they may be
// secrets. The lines stay.
func plain(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(quoted.ReplaceAllString(err.Error(), "<secret>"))
}

var quoted = regexp.MustCompile("`[^`]*`?|'[^']*'")

// listenerTLS builds the configuration of the listener. Certificates are read
// here and not at each handshake, so that a file that is half written breaks a
// reload and no connection.
func listenerTLS(c *web.Config) (*tls.Config, error) {
	if c.TLSConfig.TLSCertPath == "" && c.TLSConfig.TLSCert == "" {
		return nil, errors.New("want cert_file and key_file")
	}
	t, err := web.ConfigToTLSConfig(&c.TLSConfig)
	if err != nil {
		return nil, err
	}
	certificate, err := t.GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	t.Certificates, t.GetCertificate = []tls.Certificate{*certificate}, nil
	t.NextProtos = []string{"http/1.1"}
	if c.HTTPConfig.HTTP2 {
		t.NextProtos = []string{"h2", "http/1.1"}
	}
	if t.ClientCAs != nil && t.ClientCAs.Equal(x509.NewCertPool()) {
		return nil, errors.New("client_ca_file holds no certificate in PEM")
	}
	if t.ClientCAs == nil && t.ClientAuth >= tls.VerifyClientCertIfGiven {
		return nil, errors.New("client_auth_type verifies certificates: want client_ca_file")
	}
	// The callback that exporter-toolkit sets is not asked for resumed sessions.
	t.VerifyPeerCertificate = nil
	if allowed := c.TLSConfig.ClientAllowedSans; allowed != nil {
		if t.ClientAuth < tls.VerifyClientCertIfGiven {
			return nil, errors.New("client_allowed_sans can be forged unless client_auth_type is VerifyClientCertIfGiven or RequireAndVerifyClientCert")
		}
		t.VerifyConnection = func(s tls.ConnectionState) error { return checkSANs(&s, allowed) }
	}
	return t, nil
}

// checkSANs wants the certificate, where one was shown, to hold an allowed name.
func checkSANs(s *tls.ConnectionState, allowed []string) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	if slices.ContainsFunc(ingest.ClientSANs(s), func(san string) bool { return slices.Contains(allowed, san) }) {
		return nil
	}
	return errors.New("access: no subject alternative name of the client certificate is in client_allowed_sans")
}
