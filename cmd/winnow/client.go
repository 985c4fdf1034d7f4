package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/winnowhq/winnow/correlate"
)

const (
	clientTimeout  = 30 * time.Second
	maxAnswerBytes = 64 << 20
)

// client asks a running Winnow.
type client struct {
	server    string
	tokenFile string
}

func (c *client) flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.server, "server", "http://127.0.0.1:9099", "the running Winnow to ask")
	fs.StringVar(&c.tokenFile, "server.token-file", "", "file with a token of winnow.access, where the server asks who calls")
}

func logFlags(fs *pflag.FlagSet, level, format *string) {
	fs.StringVar(level, "log.level", "info", "debug, info, warn or error")
	fs.StringVar(format, "log.format", "logfmt", "logfmt or json")
}

func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, path, nil)
}

func (c *client) post(ctx context.Context, path, body string) ([]byte, error) {
	return c.ask(ctx, http.MethodPost, path, strings.NewReader(body))
}

func (c *client) ask(ctx context.Context, method, path string, send io.Reader) ([]byte, error) {
	base, err := url.Parse(c.server)
	if err != nil || base.Host == "" {
		return nil, usageError{fmt.Errorf("server %q: want a URL, as http://127.0.0.1:9099", c.server)}
	}
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.server, "/")+path, send)
	if err != nil {
		return nil, err
	}
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--server.token-file: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w; is winnow serve running there?", base.Redacted(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base.Redacted(), err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %s", base.Redacted(), resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

func walkRoutes(r *correlate.Route, visit func()) {
	visit()
	for i := range r.Routes {
		walkRoutes(&r.Routes[i], visit)
	}
}
