package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/durable"
	"github.com/winnowhq/winnow/internal/stream"
)

// maxBreaks is how often a message may break the core before it is given up.
const maxBreaks = 3

// maxPoison bounds the messages that are listed. The oldest is forgotten for one
// more: a snapshot covers it, or it breaks the core and is given up again.
const maxPoison = 1024

// poisonFile lists the messages that were given up, so that no later life and
// no replay breaks on them again.
const poisonFile = "poison.json"

// poisoned is that list. The snapshots' goroutine reads it too.
type poisoned struct {
	mu   sync.Mutex
	dir  string // none is kept on disk when it is empty
	seqs map[uint64]bool
}

func loadPoison(dir string) (*poisoned, error) {
	p := &poisoned{dir: dir, seqs: map[uint64]bool{}}
	if dir == "" {
		return p, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, poisonFile))
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	var seqs []uint64
	if err := json.Unmarshal(b, &seqs); err != nil {
		return p, fmt.Errorf("%s: %w", poisonFile, err)
	}
	for _, seq := range seqs {
		p.seqs[seq] = true
	}
	return p, nil
}

func (p *poisoned) list() map[uint64]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.seqs)
}

func (p *poisoned) add(seq uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seqs[seq] = true
	seqs := slices.Sorted(maps.Keys(p.seqs))
	if over := len(seqs) - maxPoison; over > 0 {
		delete(p.seqs, seqs[0])
		seqs = seqs[over:]
	}
	if p.dir == "" {
		return nil
	}
	b, err := json.Marshal(seqs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(p.dir, poisonFile), b, nil)
}

// apply feeds the shard. A message that breaks the core leaves it in pieces: it
// is made anew as it was before, and tries again. What breaks it each time is
// given up and handed to Poisoned.
func (e *Engine) apply(ctx context.Context, m *stream.Message) ([]correlate.Notification, error) {
	for {
		outputs, broke := e.owner.Try(m)
		if broke == nil {
			return outputs, nil
		}
		e.log.Error("the core panicked", zap.Uint64("seq", m.Seq), zap.Any("panic", broke.value), zap.ByteString("stack", broke.stack))
		e.stats.Breaks.Add(1)
		e.fault("the core broke", fmt.Errorf("log message %d, try %d of %d: %w", m.Seq, broke.Tries, maxBreaks, broke))
		if broke.GiveUp {
			// Told before it is listed: what is listed is not tried again.
			if e.opts.Poisoned != nil {
				e.opts.Poisoned(m, broke)
			}
			if err := e.poisoned.add(m.Seq); err != nil {
				e.fault("a message is passed over only until the next start", err)
			}
			e.pass(GivenUp, m)
		}
		s, err := e.shardAt(ctx, m.Seq-1)
		if err != nil {
			return nil, fmt.Errorf("engine: make the shard anew after the core broke on message %d: %w", m.Seq, err)
		}
		e.owner.Adopt(s, e.poisoned.list())
	}
}
