package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/winnowhq/winnow/ingest"
)

// Config says which role callers have. Who nobody has heard of has none, and
// where nobody is named, here or in the web configuration file, everybody has
// all.
type Config struct {
	// Users gives roles to users of basic_auth_users in the web configuration
	// file. One who is there and not here is a viewer.
	Users []User `yaml:"users,omitempty"`

	// Tokens are bearer tokens, for programs.
	Tokens []Token `yaml:"tokens,omitempty"`

	// Certificates admits callers by a client certificate that the listener has
	// verified.
	Certificates []Certificate `yaml:"certificates,omitempty"`
}

// User is the role of a user.
type User struct {
	Name string `yaml:"name"`
	Role Role   `yaml:"role"`
}

// Token is a bearer token with a name for people to know it by.
type Token struct {
	Name         string `yaml:"name"`
	Role         Role   `yaml:"role"`
	ingest.Token `yaml:",inline"`
}

// Certificate is the role of who shows a certificate with a subject alternative
// name.
type Certificate struct {
	SAN  string `yaml:"san"`
	Role Role   `yaml:"role"`
}

// maxTokens bounds what each request is compared with.
const maxTokens = 1024

// Validate reports everything that is wrong with c. It opens no file.
func (c *Config) Validate() error {
	var errs []error
	names := map[string]string{}
	add := func(list string, i int, field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("access.%s[%d]%s: %w", list, i, field, err))
		}
	}
	named := func(list, field string, i int, name string, role Role) {
		switch {
		case name == "":
			add(list, i, "."+field, errors.New("is empty"))
		case names[list+"/"+name] != "":
			add(list, i, "."+field, fmt.Errorf("%q is named twice", name))
		}
		names[list+"/"+name] = name
		if role == Nobody || role.rank() < 0 {
			add(list, i, ".role", fmt.Errorf("%q is not viewer, responder or admin", string(role)))
		}
	}
	for i, u := range c.Users {
		named("users", "name", i, u.Name, u.Role)
	}
	for i := range c.Tokens {
		t := &c.Tokens[i]
		named("tokens", "name", i, t.Name, t.Role)
		add("tokens", i, "", t.Validate())
	}
	for i, x := range c.Certificates {
		named("certificates", "san", i, x.SAN, x.Role)
	}
	if len(c.Tokens) > maxTokens {
		errs = append(errs, fmt.Errorf("access.tokens: %d of them; at most %d are compared", len(c.Tokens), maxTokens))
	}
	return errors.Join(errs...)
}

// user is one of basic_auth_users.
type user struct {
	role Role
	hash []byte // of bcrypt
}

// token is a Token by its digest.
type token struct {
	caller Caller
	digest [sha256.Size]byte
}

// users joins the users of the web configuration file with their roles.
func (c *Config) users(web *webConfig) (map[string]user, error) {
	users := make(map[string]user, len(web.users))
	for name, hash := range web.users {
		users[name] = user{Viewer, hash}
	}
	for i, u := range c.Users {
		known, ok := users[u.Name]
		if !ok {
			return nil, fmt.Errorf("winnow.access.users[%d].name: %q is not in basic_auth_users of --web.config.file, which holds the passwords", i, u.Name)
		}
		known.role = u.Role
		users[u.Name] = known
	}
	return users, nil
}

func (c *Config) tokens() ([]token, error) {
	tokens := make([]token, 0, len(c.Tokens))
	for i := range c.Tokens {
		t := &c.Tokens[i]
		d, err := t.Digest()
		if err != nil {
			return nil, fmt.Errorf("winnow.access.tokens[%d]: %w", i, err)
		}
		tokens = append(tokens, token{Caller{t.Name, t.Role}, d})
	}
	return tokens, nil
}

// certified is the caller with the highest role among those that the client
// certificate names.
func (r *Rules) certified(req *http.Request) Caller {
	var found Caller
	if len(r.certificates) == 0 {
		return found
	}
	sans := ingest.ClientSANs(req.TLS)
	for _, c := range r.certificates {
		if slices.Contains(sans, c.SAN) {
			found = better(found, Caller{c.SAN, c.Role})
		}
	}
	return found
}

// bearer compares a secret with all tokens, whichever it is.
func (r *Rules) bearer(secret string) Caller {
	d := sha256.Sum256([]byte(secret))
	found := -1
	for i := range r.tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(r.tokens[i].digest[:], d[:]), i, found)
	}
	if found < 0 {
		return Caller{}
	}
	return r.tokens[found].caller
}
