package shape

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// pager takes the webhooks that a subject pages with. It looks into them only
// when it is asked, so as not to cost the machine anything meanwhile.
type pager struct {
	url    string
	server *http.Server

	mu    sync.Mutex
	pages []page
	came  chan struct{} // has room for one: something has come
}

type page struct {
	at   time.Time
	body []byte
}

func newPager() (*pager, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &pager{url: "http://" + l.Addr().String() + "/", came: make(chan struct{}, 1)}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(l) }() // ends with Close
	return p, nil
}

func (p *pager) close() error { return p.server.Close() }

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.mu.Lock()
	p.pages = append(p.pages, page{at, body})
	p.mu.Unlock()
	select {
	case p.came <- struct{}{}:
	default:
	}
}

func (p *pager) all() []page {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pages
}

// lookAgain is how long wait lets pass without a page before it asks done again.
const lookAgain = 500 * time.Millisecond

// wait returns once done says of all pages that they are enough.
func (p *pager) wait(ctx context.Context, within time.Duration, done func([]page) bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for !done(p.all()) {
		select {
		case <-p.came:
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("shape: %d pages came within %s, not all: %w", len(p.all()), within, ctx.Err())
		}
	}
	return nil
}

// webhook is what of a page is counted.
type webhook struct {
	Alerts []struct {
		Status string            `json:"status"`
		Labels map[string]string `json:"labels"`
	} `json:"alerts"`
}

// notified adds the pods that pages name: the label that tells one alert of a
// load from the next.
func notified(pods map[string]bool, pages []page) error {
	for i := range pages {
		var w webhook
		if err := json.Unmarshal(pages[i].body, &w); err != nil {
			return fmt.Errorf("shape: a page that is no webhook: %w", err)
		}
		for _, a := range w.Alerts {
			pods[a.Labels["pod"]] = true
		}
	}
	return nil
}

// told waits until each of the first n alerts is named in a page or hidden by an
// inhibition rule, and returns how many are the one and the other.
func (r *run) told(ctx context.Context, p *pager, n int) (paged, inhibited int, err error) {
	// A group tells again of all that is in it once more have joined.
	pods, seen := map[string]bool{}, 0
	var broken error
	var asked time.Time
	err = p.wait(ctx, pageTimeout, func(ps []page) bool {
		broken = errors.Join(broken, notified(pods, ps[seen:]))
		seen = len(ps)
		// To ask costs the server something, and is not what is measured.
		if len(pods)+inhibited >= n || time.Since(asked) >= lookAgain {
			var err error
			inhibited, err = r.server.Inhibited(ctx)
			broken, asked = errors.Join(broken, err), time.Now()
		}
		return broken != nil || len(pods)+inhibited >= n
	})
	return len(pods), inhibited, errors.Join(err, broken)
}
