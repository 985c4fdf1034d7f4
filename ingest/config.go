package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Config says who may send, and how much at once.
type Config struct {
	// Sources is keyed by the name of a source. One that is not listed has its
	// doors open, without credentials.
	Sources map[string]SourceConfig `yaml:"sources,omitempty"`

	// Deadline is how long a request may take from its header to its answer.
	// What is late is answered 503, to be sent again.
	Deadline time.Duration `yaml:"deadline,omitempty"`

	Limits Limits `yaml:"limits,omitempty"`
}

// SourceConfig is what can be set for one source. Any one of the credentials
// is enough; several may be in force at once, so that they can be changed
// without a gap.
type SourceConfig struct {
	Tokens     []Token     `yaml:"tokens,omitempty"`
	BasicUsers []BasicUser `yaml:"basic_users,omitempty"`

	// ResolveAfter takes the place of Source.Validity; 0 leaves the end of an
	// alert to the policy's resolve timeout.
	ResolveAfter *time.Duration `yaml:"resolve_after,omitempty"`
}

// Token is a bearer token, here or in a file.
type Token struct {
	Token     Secret `yaml:"token,omitempty"`
	TokenFile string `yaml:"token_file,omitempty"`
}

// BasicUser is a user of HTTP basic authentication, the password here or in a
// file.
type BasicUser struct {
	Username     string `yaml:"username"`
	Password     Secret `yaml:"password,omitempty"`
	PasswordFile string `yaml:"password_file,omitempty"`
}

// Limits bound what one alert, one request and all requests together may take.
// What an alert has beyond them is cut off and the alert is marked; nothing is
// refused for its size.
type Limits struct {
	LabelNameBytes  int `yaml:"label_name_bytes,omitempty"`  // names of labels and annotations
	LabelValueBytes int `yaml:"label_value_bytes,omitempty"` // values of both, and the generator's URL
	Labels          int `yaml:"labels,omitempty"`
	Annotations     int `yaml:"annotations,omitempty"`
	AlertBytes      int `yaml:"alert_bytes,omitempty"`

	// BodyBytes bounds a body after decompression. Of a larger one the alerts
	// within the limit are taken and its beginning goes into quarantine.
	BodyBytes int `yaml:"body_bytes,omitempty"`

	// GzipRatio bounds how many times larger than its compressed form a body
	// may be, from ratioFreeBytes on.
	GzipRatio int `yaml:"gzip_ratio,omitempty"`

	// InFlightBytes bounds the bodies of all requests in memory. A request that
	// finds no room is answered 503.
	InFlightBytes int `yaml:"in_flight_bytes,omitempty"`
}

// What holds where the configuration says nothing.
const (
	DefaultDeadline        = 10 * time.Second // Prometheus waits no longer
	DefaultLabelNameBytes  = 1 << 10
	DefaultLabelValueBytes = 64 << 10
	DefaultLabels          = 256
	DefaultAnnotations     = 256
	DefaultAlertBytes      = MaxBatchBytes
	DefaultBodyBytes       = 64 << 20
	DefaultGzipRatio       = 200
	DefaultInFlightBytes   = 512 << 20
)

// The least that can be configured. Below it the parts of an alert that page
// policy needs might not fit.
const (
	minLabelNameBytes  = 64
	minLabelValueBytes = 256
	minLabels          = 16
	minAlertBytes      = 16 << 10
	minBodyBytes       = 1 << 20
)

// Defaults fills in what is not set.
func (c *Config) Defaults() {
	if c.Deadline == 0 {
		c.Deadline = DefaultDeadline
	}
	c.Limits.Defaults()
}

// Defaults fills in what is not set.
func (l *Limits) Defaults() {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.LabelNameBytes, DefaultLabelNameBytes},
		{&l.LabelValueBytes, DefaultLabelValueBytes},
		{&l.Labels, DefaultLabels},
		{&l.Annotations, DefaultAnnotations},
		{&l.AlertBytes, DefaultAlertBytes},
		{&l.BodyBytes, DefaultBodyBytes},
		{&l.GzipRatio, DefaultGzipRatio},
		{&l.InFlightBytes, DefaultInFlightBytes},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
}

// Validate reports everything that is wrong with a Config whose defaults are
// filled in. It opens no file.
func (c *Config) Validate() error {
	var errs []error
	if c.Deadline <= 0 {
		errs = append(errs, fmt.Errorf("deadline: %s is not a time span above 0", c.Deadline))
	}
	errs = append(errs, c.Limits.validate()...)
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		if _, ok := Lookup(name); !ok {
			errs = append(errs, fmt.Errorf("sources: there is no source %q; there are %s", name, sourceNames()))
			continue
		}
		s := c.Sources[name]
		for _, err := range s.validate() {
			errs = append(errs, fmt.Errorf("sources: %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (l *Limits) validate() []error {
	var errs []error
	between := func(name string, value, low, high int) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("limits: %s: %d is not between %d and %d", name, value, low, high))
		}
	}
	atLeast := func(name string, value, low int) {
		if value < low {
			errs = append(errs, fmt.Errorf("limits: %s: %d is below %d", name, value, low))
		}
	}
	between("label_name_bytes", l.LabelNameBytes, minLabelNameBytes, DefaultLabelNameBytes)
	between("label_value_bytes", l.LabelValueBytes, minLabelValueBytes, DefaultLabelValueBytes)
	between("labels", l.Labels, minLabels, DefaultLabels)
	between("annotations", l.Annotations, 1, DefaultAnnotations)
	between("alert_bytes", l.AlertBytes, minAlertBytes, MaxBatchBytes)
	atLeast("body_bytes", l.BodyBytes, minBodyBytes)
	atLeast("gzip_ratio", l.GzipRatio, 1)
	// A body that grows is copied: both copies must fit.
	atLeast("in_flight_bytes", l.InFlightBytes, 2*l.BodyBytes)
	return errs
}

func (s *SourceConfig) validate() []error {
	var errs []error
	oneOf := func(field string, secret Secret, file string) {
		switch {
		case secret != "" && file != "":
			errs = append(errs, fmt.Errorf("%s and %s_file are both set: keep one", field, field))
		case secret == "" && file == "":
			errs = append(errs, fmt.Errorf("%s and %s_file are both empty: set one", field, field))
		case secret == redacted:
			errs = append(errs, fmt.Errorf("%s is what Winnow prints in place of a secret: write the secret itself", field))
		}
	}
	for i, t := range s.Tokens {
		oneOf(fmt.Sprintf("tokens[%d]: token", i), t.Token, t.TokenFile)
	}
	for i, u := range s.BasicUsers {
		if u.Username == "" || strings.Contains(u.Username, ":") {
			errs = append(errs, fmt.Errorf("basic_users[%d]: username: %q is empty or holds a colon", i, u.Username))
		}
		oneOf(fmt.Sprintf("basic_users[%d]: password", i), u.Password, u.PasswordFile)
	}
	if s.ResolveAfter != nil && *s.ResolveAfter < 0 {
		errs = append(errs, fmt.Errorf("resolve_after: %s is below 0", *s.ResolveAfter))
	}
	return errs
}

// Open lists the sources that anyone may send to, sorted by name.
func (c *Config) Open() []string {
	var names []string
	for _, s := range Sources() {
		if sc := c.Sources[s.Name]; len(sc.Tokens)+len(sc.BasicUsers) == 0 {
			names = append(names, s.Name)
		}
	}
	return names
}

// validity is what a batch of s carries.
func (c *Config) validity(s *Source) time.Duration {
	if after := c.Sources[s.Name].ResolveAfter; after != nil {
		return *after
	}
	return s.Validity
}

// Secret is a string that is written as <secret> wherever it is printed or
// marshalled. Convert it to a string to use it.
type Secret string

const redacted = "<secret>"

// String hides the secret; an empty one is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format hides the secret from every verb of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalYAML is String.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalJSON is String.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// reveal returns the secret, read from file where there is one. A line break at
// the end of the file is not part of it.
func (s Secret) reveal(file string) (string, error) {
	if file == "" {
		return string(s), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("read secret: %s is empty", file)
	}
	return secret, nil
}
