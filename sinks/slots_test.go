package sinks

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// wantCount holds how many attempts were made.
func wantCount(d *desk, want int) {
	d.t.Helper()
	if sent, _ := d.count(); sent != want {
		d.t.Errorf("%d sent, want %d", sent, want)
	}
}

// TestOneMessageIsInDoubt: how many messages a crash can make come again at a
// provider that shows it.
func TestOneMessageIsInDoubt(t *testing.T) {
	// three delivers a page of each of three groups at once.
	three := func(d *desk) {
		for i := range uint64(3) {
			d.Deliver(note(correlate.Page, i+1, 1, group(fmt.Sprint("g", i))), enrich.Context{})
		}
		synctest.Wait()
	}
	// slow has been given those, for a provider without keys; its receipts are noted
	// when the test says so.
	slow := func(t *testing.T) *desk {
		d := newDesk(t)
		d.slow = true
		d.Set(Receivers{"oncall": {d.sink("slack[0]", nil)}})
		three(d)
		return d
	}
	bubble(t, "the next is sent when the receipt of the one before is safe", func(t *testing.T) {
		d := slow(t)
		for want := 1; want <= 3; want++ {
			if sent, _ := d.count(); sent != want || len(d.unnoted) != want {
				t.Fatalf("%d sent with %d receipts, want %d", sent, len(d.unnoted), want)
			}
			d.unnoted[want-1]()
			synctest.Wait()
		}
		if since := time.Since(d.start); since != 0 {
			t.Errorf("it took %s", since)
		}
	})
	bubble(t, "nobody waits longer than half a second", func(t *testing.T) {
		d := slow(t)
		time.Sleep(doubtPatience - 1)
		synctest.Wait()
		wantCount(d, 1)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantCount(d, 3)
	})
	bubble(t, "a provider that hangs makes nobody wait longer either", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("slack[0]", hang)}})
		three(d)
		time.Sleep(doubtPatience)
		synctest.Wait()
		wantCount(d, 3)
	})
	bubble(t, "what is new about a group starts no new wait", func(t *testing.T) {
		d := slow(t)
		time.Sleep(doubtPatience - 1)
		for i := range uint64(3) {
			d.Deliver(note(correlate.Page, i+1, 2, group(fmt.Sprint("g", i))), enrich.Context{})
		}
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if sent, _ := d.count(); sent < 3 {
			t.Errorf("%d sent", sent)
		}
	})
	bubble(t, "a refusal leaves no doubt", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("slack[0]", refuse)}})
		three(d)
		wantCount(d, 3)
	})
	bubble(t, "who has waited long makes way for a worse one", func(t *testing.T) {
		d := newDesk(t, func(o *Options) { o.Concurrency = 1 })
		release := make(chan struct{})
		first := true
		d.Set(Receivers{"oncall": {d.sink("slack[0]", func(context.Context, *Message) error {
			if first {
				first = false
				<-release
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1, group("a")))
		d.deliver(note(correlate.Update, 2, 2, group("b")))
		time.Sleep(doubtPatience)
		d.deliver(note(correlate.Page, 3, 1, group("c")))
		close(release)
		synctest.Wait()
		d.wantSent("0s INC-1/1 page key a (page)", "0s INC-3/1 page key c (page)", "0s INC-2/2 update key b")
	})
	bubble(t, "a provider that knows its keys is told side by side", func(t *testing.T) {
		d := newDesk(t)
		d.slow = true
		keyed := d.sink("pagerduty[0]", nil)
		keyed.keyed = true
		d.Set(Receivers{"oncall": {keyed}})
		three(d)
		wantCount(d, 3)
	})
}
