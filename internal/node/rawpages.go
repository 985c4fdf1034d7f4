package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/sinks"
)

// maxRawPages bounds the raw pages that are remembered. The end of one more is
// told only if the core knows its alert.
const maxRawPages = 4096

// rawPage is a page that went out past the core, until its end is told, or one
// that is owed: it has to go out, and has no receiver and no key yet.
type rawPage struct {
	Fingerprint  alert.Fingerprint `json:"fingerprint"`
	Labels       alert.Labels      `json:"labels"`
	Annotations  alert.Labels      `json:"annotations,omitempty"`
	GeneratorURL string            `json:"generator_url,omitempty"`
	StartsAt     alert.Time        `json:"starts_at"`
	Receiver     string            `json:"receiver"`
	Key          string            `json:"key"`
	At           time.Time         `json:"at"`
	Ended        time.Time         `json:"ended,omitzero"`
	Owed         uint64            `json:"owed,omitempty"`    // the log message that has it
	Unnoted      bool              `json:"unnoted,omitempty"` // the alert is in the log, and not yet that this was sent
}

func (p *rawPage) same(f alert.Fingerprint, receiver, key string) bool {
	return p.Fingerprint == f && p.Receiver == receiver && p.Key == key
}

// rawPages remembers them, oldest first, in a file that is replaced as a whole.
type rawPages struct {
	path string

	turnedAway atomic.Uint64 // for want of room

	mu    sync.Mutex
	pages []rawPage
}

// rawFile is the file. The checksum is xxhash64 of the bytes of Pages.
type rawFile struct {
	Version  int             `json:"version"`
	Checksum string          `json:"checksum"`
	Pages    json.RawMessage `json:"pages"`
}

const rawVersion = 1

func (r *rawPages) read() error {
	b, err := os.ReadFile(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var f rawFile
	if err == nil && json.Unmarshal(b, &f) != nil {
		err = errors.New("it is damaged")
	}
	var pages []rawPage
	switch {
	case err != nil:
	case f.Version != rawVersion:
		err = fmt.Errorf("it is of version %d, and this program reads version %d", f.Version, rawVersion)
	case f.Checksum != rawSum(f.Pages) || json.Unmarshal(f.Pages, &pages) != nil:
		err = errors.New("it is damaged")
	}
	if err != nil {
		return fmt.Errorf("read the raw pages from %s: %w: those of before may have to be closed by hand", filepath.Base(r.path), err)
	}
	r.pages = pages
	return nil
}

func rawSum(b []byte) string { return fmt.Sprintf("%016x", xxhash.Sum64(b)) }

// add reports whether there was room.
func (r *rawPages) add(log *zap.Logger, p pager.Page) (kept bool) {
	a := p.Alert.Clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pages = slices.DeleteFunc(r.pages, func(old rawPage) bool {
		return old.same(a.Fingerprint, p.Receiver, p.Key) || old.Owed > 0 && old.Fingerprint == a.Fingerprint
	})
	if len(r.pages) >= maxRawPages {
		r.turnedAway.Add(1)
		log.Error("too many raw pages: the end of this one is told only if the core knows its alert", zap.Stringer("fingerprint", a.Fingerprint))
		return false
	}
	r.pages = append(r.pages, rawPage{
		Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
		Receiver: p.Receiver, Key: p.Key, At: time.Now(), Unnoted: p.Logged,
	})
	if err := r.write(); err != nil {
		log.Error("a raw page is remembered until the process ends only", zap.Error(err))
	}
	return true
}

// owe remembers alerts of a log message that nobody but the guard will page, so
// that the next life pages them if this one ends before.
func (r *rawPages) owe(alerts []alert.Alert, seq uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var full error
	if room := maxRawPages - len(r.pages); len(alerts) > room {
		r.turnedAway.Add(uint64(len(alerts) - room))
		full, alerts = fmt.Errorf("%d raw pages are remembered already", maxRawPages), alerts[:room]
	}
	if len(alerts) == 0 {
		return full
	}
	for i := range alerts {
		a := alerts[i].Clone()
		r.pages = append(r.pages, rawPage{
			Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, GeneratorURL: a.GeneratorURL, StartsAt: a.StartsAt,
			At: time.Now(), Owed: seq,
		})
	}
	return errors.Join(full, r.write())
}

// stands reports whether an alert has been paged past the core, or will be, and
// its end was not heard since.
func (r *rawPages) stands(f alert.Fingerprint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.pages, func(p rawPage) bool { return p.Fingerprint == f && p.Ended.IsZero() })
}

func (r *rawPages) ended(f alert.Fingerprint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	noted := false
	r.pages = slices.DeleteFunc(r.pages, func(p rawPage) bool {
		over := p.Owed > 0 && p.Fingerprint == f
		noted = noted || over
		return over
	})
	for i := range r.pages {
		if p := &r.pages[i]; p.Fingerprint == f && p.Ended.IsZero() {
			p.Ended, noted = time.Now(), true
		}
	}
	if !noted {
		return nil
	}
	return r.write()
}

// write replaces the file. The caller holds r.mu.
func (r *rawPages) write() error {
	if r.path == "" {
		return nil
	}
	pages, err := json.Marshal(r.pages)
	if err != nil {
		return err
	}
	b, err := json.Marshal(rawFile{rawVersion, rawSum(pages), pages})
	if err != nil {
		return err
	}
	return sinks.ReplaceFile(r.path, b)
}

func (r *rawPages) list() []rawPage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.pages)
}

func (r *rawPages) drop(p *rawPage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pages = slices.DeleteFunc(r.pages, func(old rawPage) bool { return old.same(p.Fingerprint, p.Receiver, p.Key) })
	return r.write()
}
