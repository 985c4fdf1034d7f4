package sinks

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/correlate"
)

// TestWhatMayNotBeSentWaits holds that nothing is sent while another process may
// be sending in place of this one, that it goes out once that is not so, and that
// the time in between counts as no failure of the provider.
func TestWhatMayNotBeSentWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var may atomic.Bool
		d := newDesk(t, func(o *Options) { o.May = may.Load })
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(10 * time.Minute)
		d.wantSent()
		may.Store(true)
		time.Sleep(mayAgain + time.Millisecond) // both wake at one moment
		d.wantSent("10m0s INC-1/1 page key g (page)")
		d.wantReceipts("a[0] INC-1/1 page accepted")
	})
}

// TestIsAskedAgainRightBeforeTheCall: between the first question and the call the
// process may have stood still for as long as it takes another to take over.
func TestIsAskedAgainRightBeforeTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		d := newDesk(t, func(o *Options) { o.May = func() bool { return asked.Add(1) != 2 } })
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		d.deliver(note(correlate.Page, 1, 1))
		d.wantSent()
		time.Sleep(time.Second)
		d.wantSent("0s INC-1/1 page key g (page)")
	})
}
