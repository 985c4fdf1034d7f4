package shape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// silence puts silences in force of which none matches an alert: two matchers
// each, one in two of them with a regular expression. A peer is sent them; to
// Winnow's log they are written, as there is no other way in.
func (r *run) silence(ctx context.Context, n int) error {
	all, err := Silences(n, time.Now())
	if err != nil {
		return err
	}
	if r.subject.Peer {
		for i := range all {
			if err := r.postSilence(ctx, &all[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return r.restart(ctx, true, func() error {
		st, err := stream.Open(ctx, stream.Options{Dir: filepath.Join(r.dir, storageDir)})
		if err != nil {
			return err
		}
		return errors.Join(appendSilences(ctx, st, all), st.Close())
	})
}

// postSilence sends a silence to an Alertmanager.
func (r *run) postSilence(ctx context.Context, s *correlate.Silence) error {
	type matcher struct {
		Name    string `json:"name"`
		Value   string `json:"value"`
		IsRegex bool   `json:"isRegex"`
		IsEqual bool   `json:"isEqual"`
	}
	var of []matcher
	for _, m := range s.Matchers[0] {
		of = append(of, matcher{m.Name, m.Value, m.Op == alert.Regexp, true})
	}
	body, err := json.Marshal(map[string]any{"matchers": of, "startsAt": s.StartsAt.Std(), "endsAt": s.EndsAt.Std(), "createdBy": s.CreatedBy, "comment": s.Comment})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.server.Address+"/api/v2/silences", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		return fmt.Errorf("shape: %s: a silence was answered with %s: %s", r.subject.Name, res.Status, answer)
	}
	return nil
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

func appendSilences(ctx context.Context, st *stream.Stream, all []correlate.Silence) error {
	for some := range slices.Chunk(all, inOneMessage) {
		var events []frame.Event
		for i := range some {
			events = append(events, frame.Event{Kind: frame.Silence, Silence: &some[i]})
		}
		if _, err := st.AppendEvents(ctx, events...); err != nil {
			return err
		}
	}
	return nil
}
