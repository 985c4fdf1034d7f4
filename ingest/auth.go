package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// keyring knows the credentials of one source. Of tokens and passwords it holds
// digests alone, and its answer takes the same time for any guess.
type keyring struct {
	open       bool
	bearer     [][sha256.Size]byte
	basic      []login
	signatures []signature
	sans       []string
}

// login is a user of basic authentication, both halves as digests.
type login struct{ user, password [sha256.Size]byte }

// newKeyring reads the secrets, from their files where they stand in files.
func newKeyring(c SourceConfig) (*keyring, error) {
	k := &keyring{open: c.open()}
	if c.Closed {
		return k, nil
	}
	for i := range c.Tokens {
		d, err := c.Tokens[i].Digest()
		if err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", i, err)
		}
		k.bearer = append(k.bearer, d)
	}
	for i, u := range c.BasicUsers {
		d, err := digest(u.Password, u.PasswordFile, u.PasswordSHA256)
		if err != nil {
			return nil, fmt.Errorf("basic_users[%d]: %w", i, err)
		}
		k.basic = append(k.basic, login{sha256.Sum256([]byte(u.Username)), d})
	}
	for i := range c.HMAC {
		s, err := newSignature(&c.HMAC[i])
		if err != nil {
			return nil, fmt.Errorf("hmac[%d]: %w", i, err)
		}
		k.signatures = append(k.signatures, s)
	}
	k.sans = c.ClientSANs
	return k, nil
}

// admits reports whether what r carries beside its body is enough.
func (k *keyring) admits(r *http.Request) bool {
	if k.open || k.certified(r) {
		return true
	}
	if user, password, ok := r.BasicAuth(); ok {
		return k.knows(user, password)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return holds(k.bearer, strings.TrimSpace(token)) && strings.EqualFold(scheme, "bearer")
}

// claims returns the signatures that r may carry. Each has to be checked with
// the body. late reports whether there would be more, had they been made within
// signatureWindow of now.
func (k *keyring) claims(r *http.Request, now time.Time) (claims []claim, late bool) {
	for i := range k.signatures {
		c, state := k.signatures[i].claim(r.Header, now)
		switch state {
		case claimed:
			claims = append(claims, c)
		case claimedLate:
			late = true
		}
	}
	return claims, late
}

func (k *keyring) certified(r *http.Request) bool {
	return len(k.sans) > 0 && slices.ContainsFunc(ClientSANs(r.TLS), func(san string) bool { return slices.Contains(k.sans, san) })
}

// knows compares with all users, whichever matches.
func (k *keyring) knows(user, password string) bool {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	found := 0
	for i := range k.basic {
		found |= subtle.ConstantTimeCompare(k.basic[i].user[:], u[:]) & subtle.ConstantTimeCompare(k.basic[i].password[:], p[:])
	}
	return found == 1
}

// holds compares with all digests, whichever matches.
func holds(digests [][sha256.Size]byte, secret string) bool {
	d := sha256.Sum256([]byte(secret))
	found := 0
	for i := range digests {
		found |= subtle.ConstantTimeCompare(digests[i][:], d[:])
	}
	return found == 1
}

// ClientSANs lists the subject alternative names of the certificate that a
// client has shown and the listener has verified: none without such a one. They
// are compared as they stand, so *.example.com is only itself.
func ClientSANs(c *tls.ConnectionState) []string {
	if c == nil || len(c.VerifiedChains) == 0 || len(c.VerifiedChains[0]) == 0 {
		return nil
	}
	return SANs(c.VerifiedChains[0][0])
}

// SANs lists the subject alternative names of a certificate, as they are
// written in configurations. Whether to believe them is the caller's question.
func SANs(leaf *x509.Certificate) []string {
	out := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, ip := range leaf.IPAddresses {
		out = append(out, ip.String())
	}
	for _, uri := range leaf.URIs {
		out = append(out, uri.String())
	}
	return out
}

// unauthorized answers 401, in the same words for every source, whatever it is
// that is wrong.
func unauthorized(w http.ResponseWriter) int {
	w.Header().Add("WWW-Authenticate", `Bearer realm="winnow"`)
	w.Header().Add("WWW-Authenticate", `Basic realm="winnow"`)
	return plainAnswer(w, http.StatusUnauthorized,
		"Credentials are missing or wrong: send what is configured for this source under winnow.ingest.sources.")
}
