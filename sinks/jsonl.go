package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// jsonl appends each notification to a file as one line of JSON.
type jsonl struct {
	name string
	path string
	sync bool
	mu   sync.Mutex
	ground
}

// Line is one line of a jsonl file: the names people use, then everything.
type Line struct {
	At           string                  `json:"at"`
	ID           string                  `json:"id"`       // the same for every attempt
	Incident     string                  `json:"incident"` // INC-n
	Kind         string                  `json:"kind"`     // page, update or resolve
	Page         bool                    `json:"page"`     // somebody must look now
	Reason       string                  `json:"reason"`
	Severity     string                  `json:"severity"`
	Receiver     string                  `json:"receiver"`
	Redelivered  bool                    `json:"redelivered,omitempty"` // the line may stand in the file already
	Context      enrich.Context          `json:"context"`
	Notification *correlate.Notification `json:"notification"`
}

func (s *jsonl) Name() string       { return s.name }
func (s *jsonl) SendResolved() bool { return true }
func (s *jsonl) Keyed() bool        { return false }

func (s *jsonl) Send(_ context.Context, m *Message) error {
	n := m.Notification
	line, err := json.Marshal(Line{
		At: n.At.String(), ID: n.ID(), Incident: correlate.IncidentName(n.Incident), Kind: n.Kind.String(), Page: m.Page,
		Reason: n.Reason.String(), Severity: n.Severity.String(), Receiver: n.Receiver, Redelivered: m.Redelivered, Context: m.Context, Notification: n,
	})
	if err != nil {
		return &Error{Err: fmt.Errorf("%s: encode %s: %w", s.name, n.ID(), err)}
	}
	if err := s.append(append(escapeUnseen(line), '\n')); err != nil {
		// A full disk may be mended in time; a missing directory or a lack of
		// rights is a mistake that somebody must hear of now.
		retry := !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission)
		return &Error{Retry: retry, Err: fmt.Errorf("%s: append %s: %w", s.name, n.ID(), err)}
	}
	return nil
}

// escapeUnseen writes the characters that nobody sees, and a terminal may obey,
// as JSON's escapes: encoding/json leaves DEL, the controls above it and what
// turns the direction of text as they are.
func escapeUnseen(line []byte) []byte {
	if bytes.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return line
	}
	out := make([]byte, 0, len(line)+64)
	for _, r := range string(line) { // outside its strings, JSON is printable ASCII
		switch {
		case unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// append writes a whole line or takes back what it wrote. A process that was
// killed may have left a part of one: the line begins on a line of its own.
func (s *jsonl) append(line []byte) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, seekErr := f.Seek(0, io.SeekEnd)
	last := []byte{'\n'}
	if end > 0 {
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
	}
	if last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	_, err = f.Write(line)
	if err == nil && s.sync {
		err = f.Sync()
	}
	if err != nil && seekErr == nil {
		err = errors.Join(err, f.Truncate(end))
	}
	return err
}
