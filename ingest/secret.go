package ingest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

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
