package ingest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Token is a bearer token: here, in a file, or as the SHA-256 of it in
// hexadecimal. Exactly one of them is set.
type Token struct {
	Token       Secret `yaml:"token,omitempty"`
	TokenFile   string `yaml:"token_file,omitempty"`
	TokenSHA256 Secret `yaml:"token_sha256,omitempty"`
}

// BasicUser is a user of HTTP basic authentication. Exactly one form of the
// password is set. The SHA-256 of it suits long random passwords: one that
// people choose can be found from it.
type BasicUser struct {
	Username       string `yaml:"username"`
	Password       Secret `yaml:"password,omitempty"`
	PasswordFile   string `yaml:"password_file,omitempty"`
	PasswordSHA256 Secret `yaml:"password_sha256,omitempty"`
}

// HMAC is a key with which a sender signs what it sends. The signature covers
// the time of sending and the body as it is on the wire, before decompression.
type HMAC struct {
	// Scheme is standard, for Standard Webhooks, or grafana. Empty is standard.
	Scheme     string `yaml:"scheme,omitempty"`
	Secret     Secret `yaml:"secret,omitempty"`
	SecretFile string `yaml:"secret_file,omitempty"`

	// Header and TimestampHeader are as they stand in Grafana's contact point.
	// An empty Header is Grafana's default. Without the time in the signature a
	// request could be sent again for ever, so TimestampHeader is required.
	Header          string `yaml:"header,omitempty"`
	TimestampHeader string `yaml:"timestamp_header,omitempty"`
}

// What HMAC.Scheme may say.
const (
	schemeStandard = "standard"
	schemeGrafana  = "grafana"
)

// The length of a key of Standard Webhooks, as its specification has it.
const (
	minStandardKeyBytes = 24
	maxStandardKeyBytes = 64
)

// maxCredentials bounds each kind of credentials of a source: a request is
// compared with all of them.
const maxCredentials = 64

// open reports whether anyone may send.
func (s *SourceConfig) open() bool {
	return !s.Closed && len(s.Tokens)+len(s.BasicUsers)+len(s.HMAC)+len(s.ClientSANs) == 0
}

func (s *SourceConfig) validateCredentials() []error {
	var errs []error
	add := func(err error, what string, i int) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", what, i, err))
		}
	}
	for _, n := range []int{len(s.Tokens), len(s.BasicUsers), len(s.HMAC)} {
		if n > maxCredentials {
			errs = append(errs, fmt.Errorf("%d credentials of one kind: at most %d are compared", n, maxCredentials))
		}
	}
	for i := range s.Tokens {
		add(s.Tokens[i].Validate(), "tokens", i)
	}
	for i := range s.BasicUsers {
		add(s.BasicUsers[i].validate(), "basic_users", i)
	}
	for i := range s.HMAC {
		add(s.HMAC[i].validate(), "hmac", i)
	}
	if i := slices.Index(s.ClientSANs, ""); i >= 0 {
		add(errors.New("is empty: remove it"), "client_sans", i)
	}
	return errs
}

// Validate reports what is wrong with t. It opens no file.
func (t *Token) Validate() error {
	return oneSecret(given{"token", t.Token}, given{"token_file", Secret(t.TokenFile)}, given{"token_sha256", t.TokenSHA256})
}

// Digest is the SHA-256 of the token. It reads the file.
func (t *Token) Digest() ([sha256.Size]byte, error) {
	return digest(t.Token, t.TokenFile, t.TokenSHA256)
}

func (u *BasicUser) validate() error {
	if u.Username == "" || strings.Contains(u.Username, ":") {
		return fmt.Errorf("username: %q is empty or holds a colon", u.Username)
	}
	return oneSecret(given{"password", u.Password}, given{"password_file", Secret(u.PasswordFile)}, given{"password_sha256", u.PasswordSHA256})
}

func (h *HMAC) validate() error {
	if err := oneSecret(given{"secret", h.Secret}, given{"secret_file", Secret(h.SecretFile)}); err != nil {
		return err
	}
	for _, name := range []string{h.Header, h.TimestampHeader} {
		if strings.ContainsAny(name, ": \t\r\n") {
			return fmt.Errorf("%q is no name of a header", name)
		}
	}
	switch h.Scheme {
	case "", schemeStandard:
		if h.Header != "" || h.TimestampHeader != "" {
			return errors.New("header and timestamp_header go with scheme: grafana; Standard Webhooks has headers of its own")
		}
		if h.Secret != "" {
			_, err := standardKey(string(h.Secret))
			return err
		}
	case schemeGrafana:
		if h.TimestampHeader == "" {
			return errors.New("timestamp_header is empty: set it here and in Grafana's contact point, or a recorded request could be sent again at any time")
		}
	default:
		return fmt.Errorf("scheme: %q is not standard or grafana", h.Scheme)
	}
	return nil
}

// given is one form in which a secret can be configured.
type given struct {
	key   string
	value Secret
}

// oneSecret wants exactly one form to be there, and to be sound.
func oneSecret(forms ...given) error {
	var keys, set []string
	for _, f := range forms {
		keys = append(keys, f.key)
		if f.value != "" {
			set = append(set, f.key)
		}
	}
	if len(set) != 1 {
		return fmt.Errorf("want exactly one of %s", strings.Join(keys, ", "))
	}
	for _, f := range forms {
		switch {
		case f.value == redacted:
			return fmt.Errorf("%s is what Winnow prints in place of a secret: write the secret itself", f.key)
		case f.value != "" && strings.HasSuffix(f.key, "_sha256"):
			if b, err := hex.DecodeString(string(f.value)); err != nil || len(b) != sha256.Size {
				return fmt.Errorf("%s is not a SHA-256 in 64 hexadecimal digits", f.key)
			}
		}
	}
	return nil
}

// digest is the SHA-256 of a secret in any of its forms.
func digest(secret Secret, file string, sum Secret) (d [sha256.Size]byte, err error) {
	if sum != "" {
		_, err = hex.Decode(d[:], []byte(sum))
		return d, err
	}
	text, err := secret.reveal(file)
	if err != nil {
		return d, err
	}
	return sha256.Sum256([]byte(text)), nil
}

// key returns what h signs with. It reads the file.
func (h *HMAC) key() ([]byte, error) {
	text, err := h.Secret.reveal(h.SecretFile)
	if err != nil || h.Scheme == schemeGrafana {
		return []byte(text), err
	}
	return standardKey(text)
}

// standardKey reads a secret of Standard Webhooks.
func standardKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) < minStandardKeyBytes || len(key) > maxStandardKeyBytes {
		return nil, fmt.Errorf("the secret is not whsec_ and %d to %d bytes in base64, as Standard Webhooks has it", minStandardKeyBytes, maxStandardKeyBytes)
	}
	return key, nil
}

// headers are where a signature of h may stand.
func (h *HMAC) headers() []string {
	if h.Header != "" {
		return []string{http.CanonicalHeaderKey(h.Header)}
	}
	// Grafana's screen shows the first as the default; its code sends the second.
	return []string{"X-Grafana-Alerting-Signature", "X-Grafana-Alert-Signature"}
}
