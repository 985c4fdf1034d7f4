package heartbeat

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		err := c.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	one := URL{URLFile: "a"}
	f(Config{}, "")
	f(Config{URLs: []URL{one, one}, Interval: 15 * time.Second}, "")
	f(Config{URLs: []URL{one, one, one}}, "3 are given")
	f(Config{URLs: []URL{one, {}}}, "urls[1]: url_file is missing")
	f(Config{URLs: []URL{one}, Interval: time.Second}, "interval: 1s")
	f(Config{URLs: []URL{one}, Interval: time.Hour}, "interval: 1h")
}

// The URL may be a secret: no error holds it, and no redirect takes it elsewhere.
func TestErrorsHoldNoURL(t *testing.T) {
	const token = "s3cr3t-token"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("a redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	h := New(Options{Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
	file := filepath.Join(t.TempDir(), "url")
	for _, url := range []string{server.URL + "/" + token, "http://127.0.0.1:1/" + token, "http://[" + token, token + "\x00"} {
		if err := os.WriteFile(file, []byte(url), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.send(t.Context(), file, http.MethodGet, "", ""); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("error %v", err)
		}
	}
}
