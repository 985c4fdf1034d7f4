package canary

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnlyItsOwnProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Path: "/ingest/winnow"})
		time.Sleep(time.Hour)
		if proved, age := c.Age(time.Now()); proved || age != time.Hour {
			t.Errorf("before any came out: proved %v, age %s", proved, age)
		}
		id := c.launch(time.Now())
		time.Sleep(2 * time.Second)
		c.Out("of another life")
		if proved, _ := c.Age(time.Now()); proved {
			t.Error("one of another life proves something")
		}
		c.Out(id)
		if proved, age := c.Age(time.Now()); !proved || age != 0 || c.latency != 2*time.Second {
			t.Errorf("proved %v, age %s, latency %s", proved, age, c.latency)
		}
		time.Sleep(time.Minute)
		c.Out(id) // delivered again
		if _, age := c.Age(time.Now()); age != time.Minute {
			t.Errorf("one that came twice counts twice: age %s", age)
		}
		for i := range 10 * maxFlying {
			if id := c.launch(time.Now()); id == "" || len(c.flying) > maxFlying {
				t.Fatalf("%d are remembered after %d", len(c.flying), i)
			}
		}
	})
}

func TestEachIsSignedAnew(t *testing.T) {
	a, b := New(Options{Path: "/x"}), New(Options{Path: "/x"})
	if a.Secret() == b.Secret() {
		t.Error("two processes have the same key")
	}
	seen := map[string]bool{}
	for i := range 5 {
		req, err := a.request(t.Context(), fmt.Sprint(i), time.Unix(1, 0))
		if err != nil || req.Method != http.MethodPost {
			t.Fatal(req, err)
		}
		seen[req.Header.Get("Webhook-Signature")] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d signatures for 5 requests", len(seen))
	}
}
