package ingest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Source is one kind of sender.
type Source struct {
	// Name is the last part of the door's path, /ingest/<name>, and the key
	// under which the source is configured.
	Name string

	// Doc says in a sentence what the sender is and how to point it here.
	Doc string

	// Path is a second door for senders that cannot be told the path of the
	// first, "" where there is none.
	Path string

	// Answer writes the answer at Path in the form that its senders expect and
	// returns the status code. Required where Path is set.
	Answer func(w http.ResponseWriter, r *Result) int

	// Validity is how long a firing alert without an end is vouched for after
	// each delivery. Zero leaves that to the policy's resolve timeout.
	Validity time.Duration

	// Decode reads body and hands what it finds to e. It returns an error where
	// the body, or the rest of it, cannot be read; what it has emitted until
	// then stands. It must not modify body, and emitted strings may alias it.
	Decode func(body []byte, e *Emitter) error
}

// door is the path every source has.
func (s *Source) door() string { return doorPrefix + s.Name }

const doorPrefix = "/ingest/"

var registry []Source

// add registers a source while the package's variables are initialised.
func add(s Source) struct{} {
	if s.Name == "" || s.Decode == nil || (s.Path == "") != (s.Answer == nil) {
		panic("ingest: source " + s.Name + " is incomplete")
	}
	registry = append(registry, s)
	return struct{}{}
}

// Sources lists all sources, sorted by name.
func Sources() []Source {
	out := slices.Clone(registry)
	slices.SortFunc(out, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Lookup finds a source by name.
func Lookup(name string) (Source, bool) {
	for _, s := range registry {
		if s.Name == name {
			return s, true
		}
	}
	return Source{}, false
}

func sourceNames() string {
	var names []string
	for _, s := range Sources() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
