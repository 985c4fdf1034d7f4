package programs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"
)

const tailBytes = 32 << 10

// Output keeps what a process writes. It is safe for concurrent use.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Tail is the end of it, for a person to read.
func (o *Output) Tail() string {
	s := o.String()
	if len(s) > tailBytes {
		s = "...\n" + s[len(s)-tailBytes:]
	}
	return s
}

var listening = regexp.MustCompile(`msg="Listening on".* address=(127\.0\.0\.1:\d+)`)

// Address is where a process listens by what it has said so far: what Winnow and
// Alertmanager write when they do.
func Address(said string) (hostPort string, ok bool) {
	m := listening.FindStringSubmatch(said)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// Eventually polls until f returns nil, and fails the test with what f said last
// when that takes too long.
func Eventually(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.After(within)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
	}
}

// Get fetches a URL; any answer but 200 is an error with what it says.
func Get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", req.URL.Path, resp.Status, body)
	}
	return body, err
}
