// Package config reads Winnow's one configuration file: Alertmanager's own file
// with one more key, winnow. It decides whether a file is valid, says what is
// wrong with it and where, and translates the routing tree for correlate.
//
// It never opens what a file names (templates, secrets), never starts anything,
// and never shows a secret: neither in an error nor in what it prints.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"

	"github.com/cespare/xxhash/v2"
	amconfig "github.com/prometheus/alertmanager/config"

	"github.com/winnowhq/winnow/correlate"
)

// MaxTextBytes bounds a configuration file. The largest ones in the wild have a
// few hundred kilobytes.
const MaxTextBytes = 8 << 20

// Config is a valid configuration.
type Config struct {
	// Alertmanager is the file without its winnow key, with Alertmanager's
	// defaults filled in.
	Alertmanager *amconfig.Config
	Winnow       Winnow

	// Policy is what of it correlate needs. It holds no secret, and the same
	// text always gives the same one, to the byte of its JSON.
	Policy correlate.Policy

	// Text is the file as it was read. It holds secrets: never print it.
	Text string `json:"-" yaml:"-"`
	// Hash is the xxhash64 of Text in hexadecimal.
	Hash string
}

// Load reads the configuration file at path. Relative paths in it are resolved
// against its directory, all of them: Alertmanager resolves only some.
//
// A file that is not valid gives an *Errors with every mistake in it.
func Load(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return parse(path, text, dir)
}

// readFile reads no more than one byte beyond what is allowed: what stands at
// path may be a disk image.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxTextBytes+1))
}

// Read is Parse for the text of a file whose place is not known: its relative
// paths are no mistakes, and lead nowhere.
func Read(name string, text []byte) (*Config, error) {
	return parse(name, text, string(filepath.Separator))
}

// Parse reads a configuration from text. The name stands in its errors.
// Relative paths stay as they are, and are mistakes where a path must be
// absolute.
//
// A text that is not valid gives an *Errors with every mistake in it.
func Parse(name string, text []byte) (*Config, error) { return parse(name, text, "") }

func parse(name string, text []byte, dir string) (*Config, error) {
	initCompat()
	doc, bad := compose(name, text)
	if bad != nil {
		return nil, doc.errors([]fault{*bad}, nil)
	}
	p := &parser{doc: doc, dir: dir}
	if !p.parse() {
		return nil, doc.errors(p.faults, p.hidden)
	}
	if dir != "" {
		resolvePaths(reflect.ValueOf(p.am), dir)
	}
	return &Config{
		Alertmanager: p.am,
		Winnow:       p.winnow,
		Policy:       p.policy,
		Text:         string(text),
		Hash:         fmt.Sprintf("%016x", xxhash.Sum64(text)),
	}, nil
}

// String is Redacted, so that a Config that strays into a log shows no secret.
func (c Config) String() string { return c.Redacted() }

// GoString is Redacted, for %#v.
func (c Config) GoString() string { return c.Redacted() }
