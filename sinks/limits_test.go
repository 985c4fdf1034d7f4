package sinks

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

func TestHanging(t *testing.T) {
	bubble(t, "one integration slows no other", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", hang), d.sink("b[0]", nil)}})
		for i := range uint64(50) {
			d.Deliver(note(correlate.Page, i+1, 1, group(fmt.Sprint("g", i))), enrich.Context{})
		}
		synctest.Wait()
		if _, n := d.count(); n != 50 || time.Since(d.start) != 0 {
			t.Errorf("%d receipts after %s", n, time.Since(d.start))
		}
	})
	bubble(t, "no more than so many attempts at once", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", hang)}})
		for i := range uint64(50) {
			d.Deliver(note(correlate.Page, i+1, 1, group(fmt.Sprint("g", i))), enrich.Context{})
		}
		time.Sleep(doubtPatience)
		synctest.Wait()
		if n, _ := d.count(); n != 8 {
			t.Errorf("%d attempts at once", n)
		}
	})
	bubble(t, "a call that ignores its deadline is left to itself, counted, and bounded", func(t *testing.T) {
		reg := prometheus.NewRegistry()
		d := newDesk(t, func(o *Options) { o.MaxAbandoned, o.Registerer = 3, reg })
		release := make(chan struct{})
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			<-release
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(10 * time.Minute)
		d.wantSent("0s INC-1/1 page key g (page)", "11s INC-1/1 page key g (page) again", "23s INC-1/1 page key g (page) again")
		if got := value(d.metrics.abandoned.WithLabelValues("oncall", "a[0]")); got != 3 {
			t.Errorf("%v abandoned calls", got)
		}
		close(release)
		time.Sleep(time.Minute)
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.receipts) != 1 || d.receipts[0].Outcome != correlate.Accepted {
			t.Errorf("receipts %+v", d.receipts)
		}
		if got := value(d.metrics.abandoned.WithLabelValues("oncall", "a[0]")); got != 0 {
			t.Errorf("%v abandoned calls", got)
		}
	})
	bubble(t, "a resolve waits for an abandoned page", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(_ context.Context, m *Message) error {
			if m.Notification.Kind == correlate.Page {
				time.Sleep(30 * time.Second)
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Resolve, 1, 2))
		time.Sleep(5 * time.Minute)
		d.wantSent("0s INC-1/1 page key g (page)", "30s INC-1/2 resolve key g")
		d.wantReceipts("a[0] INC-1/1 page superseded", "a[0] INC-1/2 resolve accepted")
	})
	bubble(t, "a page waits for an abandoned resolve, which would close its incident", func(t *testing.T) {
		for _, keyed := range []bool{true, false} {
			d := newDesk(t)
			in := d.sink("a[0]", func(_ context.Context, m *Message) error {
				if m.Notification.ID() == "INC-1/2" && !m.Redelivered {
					time.Sleep(90 * time.Second) // longer than it waits for itself
				}
				return nil
			})
			in.keyed = keyed
			d.Set(Receivers{"oncall": {in}})
			d.deliver(note(correlate.Page, 1, 1))
			d.deliver(note(correlate.Resolve, 1, 2))
			time.Sleep(75 * time.Second)
			d.deliver(note(correlate.Page, 2, 1))
			time.Sleep(5 * time.Minute)
			page := map[bool]string{true: "1m30s", false: "1m15s"}[keyed]
			d.mu.Lock()
			if got := d.sent[len(d.sent)-1]; got != page+" INC-2/1 page key g (page)" {
				t.Errorf("keyed %v: sent %q", keyed, d.sent)
			}
			d.mu.Unlock()
		}
	})
	bubble(t, "but not for ever", func(t *testing.T) {
		d := newDesk(t)
		release := make(chan struct{})
		defer close(release)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(_ context.Context, m *Message) error {
			if m.Notification.Kind == correlate.Page {
				<-release
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Resolve, 1, 2))
		time.Sleep(5 * time.Minute)
		d.wantSent("0s INC-1/1 page key g (page)", "1m10s INC-1/2 resolve key g")
	})
}

func TestBounds(t *testing.T) {
	fallsBack := func(o *Options) { o.Elsewhere = func(*correlate.Notification) bool { return true } }
	bubble(t, "what nobody else is told of waits beyond the bounds", func(t *testing.T) {
		d := newDesk(t, func(o *Options) { o.MaxGroups = 2 })
		d.Set(Receivers{"oncall": {d.sink("a[0]", hang)}})
		for i := range uint64(maxWaiting + 1) {
			d.deliver(note(correlate.Page, i+1, 1))
		}
		for i := range uint64(2) {
			d.deliver(note(correlate.Page, 1000+i, 1, group(fmt.Sprint("g", i))))
		}
		if n := d.TurnedAway(); n != 2 {
			t.Errorf("%d are counted", n)
		}
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		accepted := 0
		for _, r := range d.receipts {
			if r.Outcome == correlate.Accepted {
				accepted++
			}
		}
		if accepted != maxWaiting+3 {
			t.Errorf("%d were accepted, want %d", accepted, maxWaiting+3)
		}
	})
	bubble(t, "a group too many fails at once", func(t *testing.T) {
		d := newDesk(t, fallsBack, func(o *Options) { o.MaxGroups = 2 })
		d.Set(Receivers{"oncall": {d.sink("a[0]", refuse)}})
		for i := range uint64(3) {
			d.deliver(note(correlate.Page, i+1, 1, group(fmt.Sprint("g", i))))
		}
		d.wantReceipts("a[0] INC-3/1 page failed")
		if n := d.TurnedAway(); n != 1 {
			t.Errorf("%d are counted", n)
		}
	})
	bubble(t, "one too many for its group fails at once", func(t *testing.T) {
		d := newDesk(t, fallsBack)
		d.Set(Receivers{"oncall": {d.sink("a[0]", hang)}})
		for i := range uint64(maxWaiting + 1) {
			d.deliver(note(correlate.Page, i+1, 1))
		}
		d.wantReceipts("a[0] INC-65/1 page failed")
		if n := d.TurnedAway(); n != 1 {
			t.Errorf("%d are counted", n)
		}
	})
	bubble(t, "an incident too many to remember is closed by what is in force", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		for i := range uint64(maxHeld) {
			d.held.at[1000+i] = nil
		}
		d.deliver(note(correlate.Page, 1, 1))
		synctest.Wait()
		d.deliver(note(correlate.Resolve, 1, 2))
		synctest.Wait()
		d.wantReceipts("a[0] INC-1/1 page accepted", "a[0] INC-1/2 resolve accepted")
		if n := d.Unremembered(); n == 0 || len(d.held.at) != maxHeld {
			t.Errorf("%d are remembered, %d not", len(d.held.at), n)
		}
	})
	bubble(t, "nothing is left of what was sent", func(t *testing.T) {
		reg := prometheus.NewRegistry()
		d := newDesk(t, func(o *Options) { o.Registerer = reg })
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		for i := range uint64(1000) {
			d.Deliver(note(correlate.Page, i+1, 1, group(fmt.Sprint("g", i))), enrich.Context{})
		}
		synctest.Wait()
		target := d.targets[targetID{"oncall", "a[0]"}]
		if len(target.queues) != 0 || target.slots.free != 8 || target.slots.doubt != 0 || target.slots.pressed != 0 {
			t.Errorf("%d queues, slots %+v", len(target.queues), &target.slots)
		}
		if got := value(d.metrics.queued.WithLabelValues("oncall", "a[0]")); got != 0 {
			t.Errorf("queue length %v", got)
		}
		if got := value(d.metrics.attempts.WithLabelValues("oncall", "a[0]", "accepted")); got != 1000 {
			t.Errorf("%v accepted", got)
		}
	})
	bubble(t, "Deliver waits for a callback that is far behind, and loses nothing", func(t *testing.T) {
		release := make(chan struct{})
		seen := 0
		d := newDesk(t, func(o *Options) {
			o.Receipt = func(correlate.Receipt, func()) {
				<-release
				seen++
			}
		})
		n := note(correlate.Page, 1, 1) // nobody to send it to: a receipt at once
		delivered := 0
		go func() {
			for range maxReceipts + 100 {
				d.Deliver(n, enrich.Context{})
				delivered++
			}
		}()
		synctest.Wait()
		if delivered >= maxReceipts+100 || delivered < maxReceipts {
			t.Errorf("%d delivered", delivered)
		}
		close(release)
		synctest.Wait()
		if seen != maxReceipts+100 {
			t.Errorf("%d receipts", seen)
		}
	})
}

// value reads a gauge or a counter.
func value(m prometheus.Metric) float64 {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		panic(err)
	}
	return out.GetGauge().GetValue() + out.GetCounter().GetValue()
}

func TestOwnSinksAreBounded(t *testing.T) {
	c := slices.Repeat(Config{{Receiver: "oncall", Stdout: &StdoutConfig{}}}, MaxOwnSinks)
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if err := append(c, c[0]).Validate(); err == nil {
		t.Error("one too many is valid")
	}
}
