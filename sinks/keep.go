package sinks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// keepVersion is that of the file's format.
const keepVersion = 1

// Keep remembers by which settings incidents were opened at providers, so that
// their ends go to the same place when the configuration has become another,
// also in the next life of the process. Each set of settings is a generation:
// its id is a hash under a key of this installation, and says nothing to whoever
// does not have the key.
//
// Its file holds the settings of what has something open, with secrets in the
// clear and templates: mode 0600, replaced as a whole, synced.
type Keep struct {
	path string // memory only when it is empty

	mu      sync.Mutex
	key     []byte
	places  map[string]*place // by generation
	texts   map[string][]string
	restore func(p *place, templates []string) (Integration, error)
}

// place is one generation: where its messages go.
type place struct {
	Kind      string          `json:"kind"` // the key of its list in a receiver, or of one of our own sinks
	Index     int             `json:"index"`
	Settings  json.RawMessage `json:"settings"`
	Templates string          `json:"templates,omitempty"` // names the texts that it renders by
	At        []string        `json:"at"`                  // receivers and integrations that it went by, sorted

	touched bool        // since Retain was called last
	in      Integration // nil until it is asked for, in a life that did not build it
}

// placed is an integration that knows its place.
type placed interface {
	generation() string
	place() (place, []string)
}

// following is an integration whose place may become another while it stands.
type following interface{ now() Integration }

// keepFile is the file. The checksum is xxhash64 of the bytes of Body.
type keepFile struct {
	Version  int             `json:"version"`
	Checksum string          `json:"checksum"`
	Body     json.RawMessage `json:"body"`
}

type keepBody struct {
	Key         []byte              `json:"key"`
	Generations map[string]*place   `json:"generations"`
	Templates   map[string][]string `json:"templates,omitempty"`
}

// NewKeep returns one that forgets everything with the process.
func NewKeep() *Keep {
	k := &Keep{places: map[string]*place{}, texts: map[string][]string{}, key: make([]byte, 32)}
	_, _ = rand.Read(k.key) // it never fails
	return k
}

// OpenKeep reads the file at path, if there is one. It always returns a Keep
// that works; the error says that what stood in the file is lost.
func OpenKeep(path string) (*Keep, error) {
	k := NewKeep()
	k.path = path
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = k.read(b)
	}
	if err != nil {
		return k, fmt.Errorf("read the settings of open incidents from %s: %w: what they stand for has to be closed by hand where the configuration has become another", path, err)
	}
	return k, nil
}

// restoreBy says how to build what an earlier life has left.
func (k *Keep) restoreBy(restore func(p *place, templates []string) (Integration, error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.restore = restore
}

func (k *Keep) read(b []byte) error {
	var f keepFile
	if json.Unmarshal(b, &f) != nil {
		return errors.New("it is damaged")
	}
	if f.Version != keepVersion {
		return fmt.Errorf("it is of version %d, and this program reads version %d", f.Version, keepVersion)
	}
	var body keepBody
	if f.Checksum != checksum(f.Body) || json.Unmarshal(f.Body, &body) != nil || len(body.Key) == 0 {
		return errors.New("it is damaged")
	}
	k.key = body.Key
	for id, p := range body.Generations { // order: a map is filled
		if p == nil {
			return errors.New("it is damaged")
		}
		k.places[id] = p
	}
	maps.Copy(k.texts, body.Templates)
	return nil
}

func checksum(b []byte) string { return fmt.Sprintf("%016x", xxhash.Sum64(b)) }

// id names settings.
func (k *Keep) id(kind string, settings []byte) string {
	if k == nil {
		return ""
	}
	h := hmac.New(sha256.New, k.key)
	_, _ = fmt.Fprintf(h, "%s\x00%s", kind, settings) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// use notes that something is about to be sent by in as id. When it returns nil,
// the next life will find the place too.
func (k *Keep) use(id targetID, in Integration) error {
	p, ok := in.(placed)
	if k == nil || !ok || p.generation() == "" {
		return nil
	}
	at := id.receiver + "/" + id.integration
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.places[p.generation()]
	if old != nil && slices.Contains(old.At, at) {
		old.in, old.touched = in, true
		return nil
	}
	fresh, texts := p.place()
	if old != nil {
		fresh.At = slices.Clone(old.At)
	}
	fresh.At = append(fresh.At, at)
	slices.Sort(fresh.At)
	fresh.in, fresh.touched = in, true
	if len(texts) > 0 {
		b, err := json.Marshal(texts)
		if err != nil {
			return err
		}
		fresh.Templates = checksum(b)
		k.texts[fresh.Templates] = texts
	}
	k.places[p.generation()] = &fresh
	return k.write()
}

// integration returns what goes to a generation's place, nil when that is not
// known (any more).
func (k *Keep) integration(generation string) (Integration, error) {
	if k == nil || generation == "" {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.places[generation]
	if p == nil || p.in != nil || k.restore == nil {
		if p == nil {
			return nil, nil
		}
		return p.in, nil
	}
	in, err := k.restore(p, k.texts[p.Templates])
	if err != nil {
		return nil, err
	}
	p.in = in
	return in, nil
}

// usedAt lists the generations that have gone by a receiver and an integration.
func (k *Keep) usedAt(id targetID) (out []string) {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for generation, p := range k.places { // order: sorted below
		if slices.Contains(p.At, id.receiver+"/"+id.integration) {
			out = append(out, generation)
		}
	}
	slices.Sort(out)
	return out
}

// Retain forgets the generations that needed says are not needed, unless they
// have been used since it was called last.
func (k *Keep) Retain(needed func(generation string) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := len(k.places)
	maps.DeleteFunc(k.places, func(generation string, p *place) bool {
		used := p.touched
		p.touched = false
		return !used && !needed(generation)
	})
	if len(k.places) == before {
		return nil
	}
	used := map[string]bool{}
	for _, p := range k.places { // order: a set
		used[p.Templates] = true
	}
	maps.DeleteFunc(k.texts, func(name string, _ []string) bool { return !used[name] })
	return k.write()
}

// write replaces the file. The caller holds k.mu.
func (k *Keep) write() error {
	if k.path == "" {
		return nil
	}
	body, err := json.Marshal(keepBody{k.key, k.places, k.texts})
	if err != nil {
		return fmt.Errorf("keep settings of open incidents: %w", err)
	}
	b, err := json.Marshal(keepFile{keepVersion, checksum(body), body})
	if err == nil {
		err = ReplaceFile(k.path, b)
	}
	if err != nil {
		return fmt.Errorf("keep settings of open incidents: %w", err)
	}
	return nil
}

// ReplaceFile puts b in the place of path at once, also across a loss of power.
// Only its owner can read it.
func ReplaceFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// fixed is in as it stands now.
func fixed(in Integration) Integration {
	if f, ok := in.(following); ok {
		return f.now()
	}
	return in
}

// generationOf is "" for what has none.
func generationOf(in Integration) string {
	if p, ok := in.(placed); ok {
		return p.generation()
	}
	return ""
}
