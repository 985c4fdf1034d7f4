package sinks

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Config lists Winnow's own sinks, each attached to a receiver of the
// Alertmanager configuration. It stands under the key sinks.
type Config []SinkConfig

// SinkConfig attaches one sink to a receiver. Exactly one kind is set.
type SinkConfig struct {
	Receiver string        `yaml:"receiver"`
	Stdout   *StdoutConfig `yaml:"stdout,omitempty"`
	JSONL    *JSONLConfig  `yaml:"jsonl,omitempty"`
}

// StdoutConfig prints notifications as text for people.
type StdoutConfig struct{}

// JSONLConfig appends notifications to a file, one JSON object a line.
type JSONLConfig struct {
	// Path is absolute. The file is opened for each line, so that it can be
	// rotated by renaming it; its directory must exist.
	Path string `yaml:"path"`
	// Sync waits until the line is on disk before it counts as accepted.
	Sync bool `yaml:"sync,omitempty"`
}

// MaxOwnSinks bounds the list.
const MaxOwnSinks = 1024

// Validate reports everything that is wrong with c, each error with its key.
// Whether the receivers exist is for Build to say.
func (c Config) Validate() error {
	var errs []error
	if len(c) > MaxOwnSinks {
		errs = append(errs, fmt.Errorf("sinks: %d entries: at most %d", len(c), MaxOwnSinks))
	}
	for i := range c {
		s := &c[i]
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("sinks[%d]"+format, append([]any{i}, args...)...))
		}
		if s.Receiver == "" {
			bad(".receiver is empty: name a receiver of the receivers block")
		}
		if (s.Stdout != nil) == (s.JSONL != nil) {
			bad(": want exactly one of stdout (write stdout: {}) and jsonl")
		}
		if s.JSONL != nil && !filepath.IsAbs(s.JSONL.Path) {
			bad(".jsonl.path %q: want an absolute path", s.JSONL.Path)
		}
	}
	return errors.Join(errs...)
}
