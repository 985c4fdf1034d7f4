package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
)

// keyring knows the credentials of one source by their digests. It holds no
// secret, and its answer takes the same time for any guess.
type keyring struct {
	bearer, basic [][sha256.Size]byte
}

// newKeyring reads the secrets, from their files where they stand in files.
func newKeyring(c SourceConfig) (*keyring, error) {
	k := new(keyring)
	for i, t := range c.Tokens {
		secret, err := t.Token.reveal(t.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", i, err)
		}
		k.bearer = append(k.bearer, sha256.Sum256([]byte(secret)))
	}
	for i, u := range c.BasicUsers {
		secret, err := u.Password.reveal(u.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("basic_users[%d]: %w", i, err)
		}
		k.basic = append(k.basic, sha256.Sum256([]byte(u.Username+":"+secret)))
	}
	return k, nil
}

// admits reports whether r carries credentials of the ring. An empty ring
// admits everyone.
func (k *keyring) admits(r *http.Request) bool {
	if len(k.bearer)+len(k.basic) == 0 {
		return true
	}
	if user, password, ok := r.BasicAuth(); ok {
		return holds(k.basic, user+":"+password)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "bearer") && holds(k.bearer, strings.TrimSpace(token))
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

// challenge answers 401.
func (k *keyring) challenge(w http.ResponseWriter, source string) int {
	if len(k.bearer) > 0 {
		w.Header().Add("WWW-Authenticate", `Bearer realm="winnow"`)
	}
	if len(k.basic) > 0 {
		w.Header().Add("WWW-Authenticate", `Basic realm="winnow"`)
	}
	return plainAnswer(w, http.StatusUnauthorized,
		"Credentials are missing or wrong: send a token or user that is configured under sources: "+source+".")
}
