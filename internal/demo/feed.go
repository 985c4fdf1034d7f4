package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Tally counts the deliveries of one source.
type Tally struct {
	Accepted uint64 // in requests that were answered 2xx

	// Unsure were in requests that were answered otherwise or not at all and
	// were made again: whether they were taken, too, only the books can tell.
	Unsure uint64
}

const (
	attempts     = 5
	retryPause   = 200 * time.Millisecond
	postTimeout  = 10 * time.Second
	maxAnswer    = 1 << 10
	maxReport    = 16 << 20
	jsonDocument = "application/json"
)

// feed sends a story's posts, one after the other, and counts what was taken.
type feed struct {
	client *http.Client
	base   string
	story  *Story

	mu      sync.Mutex
	tallies map[string]Tally
	sent    map[alert.Fingerprint]bool
	quietAt time.Time // when the quiet alert was first sent
}

func newFeed(c *http.Client, base string, s *Story) *feed {
	return &feed{client: c, base: base, story: s, tallies: map[string]Tally{}, sent: map[alert.Fingerprint]bool{}}
}

// play sends each post at its time and tells scenes as they come. It returns
// early, and says so, when ctx ends; the request under way is finished first.
func (f *feed) play(ctx context.Context, tell func(Scene)) (cut bool, err error) {
	start := time.Now()
	scenes := f.story.Scenes
	for i := range f.story.Posts {
		p := &f.story.Posts[i]
		for len(scenes) > 0 && scenes[0].At <= p.At {
			if !waitUntil(ctx, start.Add(scenes[0].At)) {
				return true, nil
			}
			tell(scenes[0])
			scenes = scenes[1:]
		}
		if !waitUntil(ctx, start.Add(p.At)) {
			return true, nil
		}
		if err := f.post(context.WithoutCancel(ctx), start, p); err != nil {
			return false, err
		}
	}
	return !waitUntil(ctx, start.Add(f.story.Duration)), nil
}

// waitUntil reports false when ctx ends first.
func waitUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// post sends until the alerts are taken, as Alertmanager does after a 5xx.
func (f *feed) post(ctx context.Context, start time.Time, p *Post) error {
	body, err := p.Sender.encode(start, p.Sender, p.Deliveries)
	if err != nil {
		return err
	}
	f.begins(p)
	for attempt := 1; ; attempt++ {
		retry, err := f.request(ctx, p.Sender.Path, body)
		f.count(p, err == nil)
		if err == nil {
			return nil
		}
		if !retry || attempt == attempts {
			return fmt.Errorf("demo: %s: send %d alerts: %w", p.Sender.Name, len(p.Deliveries), err)
		}
		waitUntil(ctx, time.Now().Add(retryPause))
	}
}

func (f *feed) request(ctx context.Context, path string, body []byte) (retry bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.base+path, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", jsonDocument)
	resp, err := f.client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case resp.StatusCode/100 == 2:
		return false, nil
	case err != nil:
		return true, err
	}
	return resp.StatusCode/100 == 5, errors.New(resp.Status + ": " + strings.TrimSpace(string(answer)))
}

// begins notes when the quiet alert sets out.
func (f *feed) begins(p *Post) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range p.Deliveries {
		if p.Deliveries[i].Alert == f.story.Quiet && f.quietAt.IsZero() {
			f.quietAt = time.Now()
		}
	}
}

func (f *feed) count(p *Post, accepted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tallies[p.Sender.Source]
	if !accepted {
		t.Unsure += uint64(len(p.Deliveries))
		f.tallies[p.Sender.Source] = t
		return
	}
	t.Accepted += uint64(len(p.Deliveries))
	f.tallies[p.Sender.Source] = t
	for i := range p.Deliveries {
		f.sent[p.Deliveries[i].Alert.Fingerprint] = true
	}
}

// total sums over the sources.
func (f *feed) total() Tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	var sum Tally
	for _, t := range f.tallies {
		sum.Accepted += t.Accepted
		sum.Unsure += t.Unsure
	}
	return sum
}

// get asks Winnow as its own commands do.
func (f *feed) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("demo: get %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReport))
	if err != nil {
		return nil, fmt.Errorf("demo: get %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("demo: get %s: %s: %s", path, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}
