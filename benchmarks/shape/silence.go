package shape

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// silence puts silences in force of which none matches an alert: two matchers
// each, one in two of them with a regular expression. They are written to the
// log, as there is no other way in.
func (r *run) silence(ctx context.Context, n int) error {
	return r.restart(ctx, true, func() error {
		st, err := stream.Open(ctx, stream.Options{Dir: filepath.Join(r.dir, storageDir)})
		if err != nil {
			return err
		}
		return errors.Join(appendSilences(ctx, st, n), st.Close())
	})
}

// Silences makes silences as described at silence.
func Silences(n int, from time.Time) ([]correlate.Silence, error) {
	out := make([]correlate.Silence, n)
	for i := range out {
		op, service := alert.Equal, fmt.Sprintf("nobody-%d", i)
		if i%2 == 1 {
			op, service = alert.Regexp, fmt.Sprintf("nobody-%d-.*", i)
		}
		first, err := alert.NewMatcher("service", op, service)
		second, err2 := alert.NewMatcher("cluster", alert.Equal, fmt.Sprintf("eu-west-%d", i%50))
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		out[i] = correlate.Silence{ID: fmt.Sprintf("silence-%d", i), Matchers: []alert.Matchers{{first, second}},
			StartsAt: alert.TimeOf(from), EndsAt: alert.TimeOf(from.Add(24 * time.Hour)), CreatedBy: "benchmark", Comment: "matches nothing"}
	}
	return out, nil
}

// inOneMessage bounds the silences of a message of the log.
const inOneMessage = 500

func appendSilences(ctx context.Context, st *stream.Stream, n int) error {
	all, err := Silences(n, time.Now())
	if err != nil {
		return err
	}
	for from := 0; from < n; from += inOneMessage {
		var events []frame.Event
		for i := from; i < min(from+inOneMessage, n); i++ {
			events = append(events, frame.Event{Kind: frame.Silence, Silence: &all[i]})
		}
		if _, err := st.AppendEvents(ctx, events...); err != nil {
			return err
		}
	}
	return nil
}
