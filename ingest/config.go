package ingest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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
	HMAC       []HMAC      `yaml:"hmac,omitempty"`

	// ClientSANs admits whoever shows a certificate that the listener has
	// verified and that holds one of these subject alternative names.
	ClientSANs []string `yaml:"client_sans,omitempty"`

	// Closed refuses everyone: the source is not used.
	Closed bool `yaml:"closed,omitempty"`

	// ResolveAfter takes the place of Source.Validity; 0 leaves the end of an
	// alert to the policy's resolve timeout.
	ResolveAfter *time.Duration `yaml:"resolve_after,omitempty"`

	// SilentAfter is for a source that sends something at least that often, as
	// a Prometheus with an always-firing Watchdog does: when it does not, people
	// are told, and its alerts are not taken to have ended. 0 means not watched.
	SilentAfter time.Duration `yaml:"silent_after,omitempty"`
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
	errs := s.validateCredentials()
	if s.SilentAfter < 0 {
		errs = append(errs, fmt.Errorf("silent_after: %s is below 0", s.SilentAfter))
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
		if sc := c.Sources[s.Name]; sc.open() {
			names = append(names, s.Name)
		}
	}
	return names
}

// Certified lists the sources that can be sent to with a client certificate,
// sorted by name: the listener has to verify them.
func (c *Config) Certified() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		if len(c.Sources[name].ClientSANs) > 0 {
			names = append(names, name)
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
