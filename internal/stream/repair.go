package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"
)

// descriptions are the files in which the embedded server says of a stream what
// it is. Nothing of them is our own word: they can be made again.
var descriptions = []string{"meta.inf", "meta.sum"}

const setAside = ".damaged"

// repair makes a stream again that the embedded server did not load though its
// messages are there: it does so when one bit of the stream's description has
// changed. What is in the messages is checked by us. A stream without messages
// is a loss to look into.
func (s *Stream) repair(ctx context.Context, js jetstream.JetStream, cfg *jetstream.StreamConfig) (jetstream.Stream, error) {
	dir := s.broker.streamDir(cfg.Name)
	blocks, err := filepath.Glob(filepath.Join(dir, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		return nil, fmt.Errorf("stream %s is missing from %s, which had it: the store is damaged; copy the folder aside before anything else, then start with an empty one to accept alerts again", cfg.Name, s.broker.dir)
	}
	for _, name := range descriptions {
		name = filepath.Join(dir, name)
		if err := os.Rename(name, name+setAside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("stream %s: set aside its damaged description: %w", cfg.Name, err)
		}
	}
	st, err := js.CreateStream(ctx, *cfg)
	if err != nil {
		return nil, fmt.Errorf("stream %s: make it again over its messages: %w", cfg.Name, err)
	}
	held, err := s.extent(ctx, st)
	if err != nil {
		return nil, err
	}
	s.faults = append(s.faults, fmt.Errorf("the description of stream %s was damaged and is made again; it holds messages %d to %d", cfg.Name, held.First, held.Last))
	return st, nil
}

// Faults says what was wrong with the store when it was opened, and was mended.
func (s *Stream) Faults() []error { return s.faults }
