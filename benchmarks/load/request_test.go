package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

// posted is an alert as it stands in either body.
type posted struct {
	Labels           map[string]string
	StartsAt, EndsAt time.Time
	Status           string
}

// sent reads a request as a server does.
func sent(t *testing.T, r *Request, ends time.Time) (path string, alerts []posted) {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.append(nil, ends))))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || int64(len(body)) != req.ContentLength {
		t.Fatalf("%d bytes of %d: %v", len(body), req.ContentLength, err)
	}
	if body[0] == '{' {
		var hook struct{ Alerts []posted }
		err = json.Unmarshal(body, &hook)
		alerts = hook.Alerts
	} else {
		err = json.Unmarshal(body, &alerts)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return req.URL.Path, alerts
}

func TestRequests(t *testing.T) {
	u := New(1, 10)
	started := time.Date(2030, 1, 2, 3, 4, 5, 60e6, time.UTC)
	f := func(format Format, from, to, batch int, want ...int) {
		t.Helper()
		requests := u.Render(format, from, to, batch, started)
		if len(requests) != len(want) {
			t.Fatalf("%d requests, want %d", len(requests), len(want))
		}
		n := from
		for i := range requests {
			for _, ends := range []time.Time{started.Add(time.Hour), started.Add(2 * time.Hour)} {
				path, alerts := sent(t, &requests[i], ends)
				if path != format.Path() || len(alerts) != want[i] || requests[i].Alerts != want[i] {
					t.Fatalf("request %d goes to %s with %d alerts, says %d, want %d", i, path, len(alerts), requests[i].Alerts, want[i])
				}
				for k, a := range alerts {
					if a.Labels["pod"] != u.Alert(n+k).Labels.Get("pod") || !a.StartsAt.Equal(started) {
						t.Errorf("alert %d is %+v", n+k, a)
					}
					if format == API && !a.EndsAt.Equal(ends) || format == Webhook && !(a.EndsAt.IsZero() && a.Status == "firing") {
						t.Errorf("alert %d ends at %v, want %v", n+k, a.EndsAt, ends)
					}
				}
			}
			n += want[i]
		}
	}
	f(API, 100, 164, 64, 64)
	f(API, 0, 10, 4, 4, 4, 2)
	f(API, 0, 3, 1, 1, 1, 1)
	f(Webhook, 100, 164, 64, 64)
	f(Webhook, 5, 10, 4, 4, 1)
}

func TestRounds(t *testing.T) {
	got := Rounds(3, 2)
	for i, want := range []int32{0, 1, 2, 0, 1, 2} {
		if len(got) != 6 || got[i] != want {
			t.Fatalf("%v", got)
		}
	}
}

func TestMixed(t *testing.T) {
	const known, all, share = 50, 1050, 0.1
	s, err := Mixed(7, known, all, share)
	if err != nil {
		t.Fatal(err)
	}
	fresh := int32(known)
	for _, i := range s {
		switch {
		case i == fresh:
			fresh++
		case i >= known:
			t.Fatalf("request %d comes when %d is next", i, fresh)
		}
	}
	if fresh != all {
		t.Errorf("%d fresh requests were sent, want %d", fresh-known, all-known)
	}
	if got := float64(all-known) / float64(len(s)); got < 0.08 || got > 0.12 {
		t.Errorf("%.3f of the requests are fresh, want about %g", got, share)
	}
	again, _ := Mixed(7, known, all, share)
	other, _ := Mixed(8, known, all, share)
	same := func(a, b Sequence) bool {
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				return false
			}
		}
		return len(a) == len(b)
	}
	if !same(s, again) || same(s, other) {
		t.Error("the seed does not decide")
	}
	if _, err := Mixed(1, 0, 10, 0.5); err == nil {
		t.Error("a mix with nothing known was made")
	}
}
