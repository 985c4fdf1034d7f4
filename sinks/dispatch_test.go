package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
)

// fake is an integration that does what a test says.
type fake struct {
	name     string
	resolved bool
	keyed    bool
	send     func(context.Context, *Message) error
}

func (f fake) Name() string                               { return f.name }
func (f fake) SendResolved() bool                         { return f.resolved }
func (f fake) Keyed() bool                                { return f.keyed }
func (f fake) Send(ctx context.Context, m *Message) error { return f.send(ctx, m) }

// desk is a dispatcher with a record of what it sent and reported.
type desk struct {
	*Dispatcher
	t        *testing.T
	start    time.Time
	mu       sync.Mutex
	sent     []string
	receipts []correlate.Receipt
	slow     bool // receipts are noted when the test says so
	unnoted  []func()
}

func newDesk(t *testing.T, change ...func(*Options)) *desk {
	d := &desk{t: t, start: time.Now()}
	o := Options{Jitter: func() float64 { return 0 }, Receipt: func(r correlate.Receipt, noted func()) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.receipts = append(d.receipts, r)
		if d.slow {
			d.unnoted = append(d.unnoted, noted)
			return
		}
		noted()
	}}
	for _, f := range change {
		f(&o)
	}
	d.Dispatcher = NewDispatcher(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := d.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return d
}

// sink returns an integration that records each call and then answers with
// what answer says; nil accepts everything.
func (d *desk) sink(name string, answer func(ctx context.Context, m *Message) error) fake {
	return fake{name: name, resolved: true, send: func(ctx context.Context, m *Message) error {
		page := ""
		if m.Page {
			page = " (page)"
		}
		if m.Redelivered {
			page += " again"
		}
		d.mu.Lock()
		d.sent = append(d.sent, fmt.Sprintf("%s %s %s key %s%s", time.Since(d.start).Truncate(time.Second), m.Notification.ID(), m.Notification.Kind, m.Key, page))
		d.mu.Unlock()
		if answer == nil {
			return nil
		}
		return answer(ctx, m)
	}}
}

func (d *desk) deliver(n *correlate.Notification) {
	d.Deliver(n, enrich.Context{})
	synctest.Wait()
}

func (d *desk) wantSent(want ...string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	equalLines(d.t, "sent", d.sent, want)
}

func (d *desk) wantReceipts(want ...string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var got []string
	for _, r := range d.receipts {
		got = append(got, r.Integration+" "+brief(r))
	}
	equalLines(d.t, "receipts", got, want)
}

func (d *desk) count() (sent, receipts int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sent), len(d.receipts)
}

// refuse answers with a definite refusal that a later attempt may mend.
func refuse(context.Context, *Message) error {
	return &Error{Retry: true, Status: 503, Err: errors.New("503")}
}

// hang never answers, and heeds the deadline.
func hang(ctx context.Context, _ *Message) error {
	<-ctx.Done()
	return &Error{Retry: true, Unknown: true, Err: ctx.Err()}
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestReceipts(t *testing.T) {
	bubble(t, "one for each integration addressed, the last one marked", func(t *testing.T) {
		d := newDesk(t)
		quiet := d.sink("slack[0]", nil)
		quiet.resolved = false
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil), d.sink("b[0]", nil), quiet}})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Page, 1, 2, class(correlate.FiringOnly)))
		last := 0
		for _, r := range d.receipts {
			if r.Last {
				last++
			}
		}
		if len(d.receipts) != 3 || last != 2 || d.receipts[0].Last || !d.receipts[1].Last {
			t.Errorf("receipts %+v", d.receipts)
		}
	})
	bubble(t, "nobody there", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		d.deliver(note(correlate.Page, 1, 1, func(n *correlate.Notification) { n.Receiver = "gone" }))
		d.deliver(note(correlate.Page, 2, 1, class(correlate.FiringOnly)))
		d.wantReceipts("- INC-1/1 page skipped", "- INC-2/1 page skipped")
	})
	bubble(t, "nothing fires and the integration wants no resolves", func(t *testing.T) {
		d := newDesk(t)
		quiet := d.sink("slack[0]", nil)
		quiet.resolved = false
		d.Set(Receivers{"oncall": {quiet}})
		d.deliver(note(correlate.Resolve, 1, 2, class(correlate.FiringOnly)))
		d.wantSent()
		d.wantReceipts("slack[0] INC-1/2 resolve skipped")
	})
	bubble(t, "refused for good", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			return &Error{Status: 401, Err: errors.New("401")}
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		d.wantReceipts("a[0] INC-1/1 page failed")
		if d.receipts[0].Error != "401" || d.receipts[0].Attempts != 1 || d.receipts[0].At != alert.TimeOf(time.Now()) {
			t.Errorf("receipt %+v", d.receipts[0])
		}
	})
	bubble(t, "a panic is a failure and not the end", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(_ context.Context, m *Message) error {
			if m.Notification.Incident == 1 {
				panic("with a secret")
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Page, 2, 1))
		d.wantReceipts("a[0] INC-1/1 page failed", "a[0] INC-2/1 page accepted")
		if strings.Contains(d.receipts[0].Error, "with a secret") {
			t.Errorf("error %q", d.receipts[0].Error)
		}
	})
}

func TestRetries(t *testing.T) {
	bubble(t, "until accepted: 1, 2, 4, ... 30 seconds apart", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			if time.Since(d.start) < 2*time.Minute {
				return refuse(t.Context(), nil)
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(5 * time.Minute)
		d.wantSent(
			"0s INC-1/1 page key g (page)", "1s INC-1/1 page key g (page)", "3s INC-1/1 page key g (page)",
			"7s INC-1/1 page key g (page)", "15s INC-1/1 page key g (page)", "31s INC-1/1 page key g (page)",
			"1m1s INC-1/1 page key g (page)", "1m31s INC-1/1 page key g (page)", "2m1s INC-1/1 page key g (page)",
		)
		d.wantReceipts("a[0] INC-1/1 page accepted after 9")
	})
	bubble(t, "six hours of 503: one message an incident, the newest, within a minute of recovery", func(t *testing.T) {
		const outage = 6 * time.Hour
		d := newDesk(t, func(o *Options) { o.Jitter = func() float64 { return .99 } })
		accepted := map[uint64][]string{}
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(_ context.Context, m *Message) error {
			if time.Since(d.start) < outage {
				return refuse(t.Context(), nil)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			accepted[m.Notification.Incident] = append(accepted[m.Notification.Incident],
				fmt.Sprintf("%d page %v late %v", m.Notification.Revision, m.Page, time.Since(d.start)-outage > time.Minute))
			return nil
		})}})
		revision := map[uint64]uint32{}
		next := func(kind correlate.Kind, incident uint64) {
			revision[incident]++
			d.Deliver(note(kind, incident, revision[incident], group(fmt.Sprint("g", incident))), enrich.Context{})
			time.Sleep(4 * time.Minute)
		}
		for i := uint64(1); i <= 20; i++ {
			next(correlate.Page, i)
			next(correlate.Update, i)
			if i%2 == 0 {
				next(correlate.Resolve, i)
			}
		}
		time.Sleep(outage)
		sent, receipts := d.count()
		if receipts != 50 || sent < 500 {
			t.Errorf("%d attempts, %d receipts", sent, receipts)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		for i := uint64(1); i <= 20; i++ {
			want := "[2 page true late false]"
			if i%2 == 0 {
				want = "[]"
			}
			if got := fmt.Sprint(accepted[i]); got != want {
				t.Errorf("incident %d: accepted %s, want %s", i, got, want)
			}
		}
	})
	bubble(t, "Retry-After holds for the whole integration, and the critical goes first", func(t *testing.T) {
		d := newDesk(t, func(o *Options) { o.Concurrency = 1 })
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			if time.Since(d.start) < time.Minute {
				return &Error{Retry: true, Status: 429, After: 90 * time.Second, Err: errors.New("429")}
			}
			time.Sleep(time.Second)
			return nil
		})}})
		severity := func(s alert.Severity) func(*correlate.Notification) {
			return func(n *correlate.Notification) { n.Severity = s }
		}
		d.deliver(note(correlate.Page, 1, 1, group("g1"), severity(alert.Info)))
		d.deliver(note(correlate.Update, 2, 5, group("g2"), severity(alert.Critical)))
		d.deliver(note(correlate.Page, 3, 1, group("g3"), severity(alert.Warning)))
		d.deliver(note(correlate.Page, 4, 1, group("g4"), severity(alert.Critical)))
		time.Sleep(10 * time.Minute)
		// Who wakes first at 1m30s takes the free slot; from then on rank decides.
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.sent) != 5 || !strings.HasPrefix(d.sent[1], "1m30s ") {
			t.Fatalf("sent %q", d.sent)
		}
		var order []int
		for _, s := range d.sent[2:] {
			order = append(order, slices.IndexFunc([]string{"INC-4/1", "INC-3/1", "INC-1/1", "INC-2/5"}, func(id string) bool {
				return strings.Contains(s, id)
			}))
		}
		if !slices.IsSorted(order) {
			t.Errorf("sent %q", d.sent)
		}
	})
	bubble(t, "a provider cannot silence us for longer than five minutes", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			if time.Since(d.start) == 0 {
				return &Error{Retry: true, After: 24 * time.Hour, Err: errors.New("429")}
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(time.Hour)
		d.wantSent("0s INC-1/1 page key g (page)", "5m0s INC-1/1 page key g (page)")
	})
}

func TestOrder(t *testing.T) {
	bubble(t, "one at a time for a group, and the newest waits", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			time.Sleep(5 * time.Second)
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Update, 1, 2))
		d.deliver(note(correlate.Update, 1, 3))
		d.deliver(note(correlate.Resolve, 1, 4))
		time.Sleep(time.Minute)
		d.wantSent("0s INC-1/1 page key g (page)", "5s INC-1/4 resolve key g")
		d.wantReceipts("a[0] INC-1/2 update superseded", "a[0] INC-1/3 update superseded",
			"a[0] INC-1/1 page accepted", "a[0] INC-1/4 resolve accepted")
	})
	bubble(t, "groups do not wait for one another", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(_ context.Context, m *Message) error {
			if m.Key == "g1" {
				return refuse(t.Context(), nil)
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1, group("g1")))
		d.deliver(note(correlate.Page, 2, 1, group("g2")))
		d.wantReceipts("a[0] INC-2/1 page accepted")
	})
	bubble(t, "an update that took the page's place pages", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			if time.Since(d.start) < 500*time.Millisecond {
				return refuse(t.Context(), nil)
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Update, 1, 2))
		time.Sleep(time.Minute)
		d.wantSent("0s INC-1/1 page key g (page)", "1s INC-1/2 update key g (page)")
		d.wantReceipts("a[0] INC-1/1 page superseded", "a[0] INC-1/2 page accepted")
	})
	bubble(t, "a redelivered page may have arrived in an earlier life", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(_ context.Context, m *Message) error {
			if m.Notification.Kind == correlate.Page {
				return refuse(t.Context(), nil)
			}
			return nil
		})}})
		d.Redeliver(note(correlate.Page, 1, 1), enrich.Context{}, nil)
		synctest.Wait()
		d.deliver(note(correlate.Resolve, 1, 2))
		time.Sleep(time.Minute)
		d.wantReceipts("a[0] INC-1/1 page superseded", "a[0] INC-1/2 resolve accepted")
	})
	bubble(t, "one that has taken it in an earlier life does not get it again, nor does anybody look for it", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil), d.sink("b[1]", nil)}})
		d.Redeliver(note(correlate.Page, 1, 1), enrich.Context{}, []Answer{{"oncall", "a[0]", ""}, {"second", "b[1]", ""}})
		synctest.Wait()
		d.Redeliver(note(correlate.Page, 2, 1), enrich.Context{}, []Answer{{"oncall", "a[0]", ""}, {"oncall", "b[1]", ""}})
		synctest.Wait()
		d.Redeliver(note(correlate.Page, 3, 1), enrich.Context{}, []Answer{{"oncall", "a[0]", "what the settings were"}, {"oncall", "b[1]", ""}})
		time.Sleep(time.Minute)
		d.wantSent("0s INC-1/1 page key g (page) again", "0s INC-3/1 page key g (page) again")
		d.wantReceipts("b[1] INC-1/1 page accepted", "b[1] INC-2/1 page skipped", "a[0] INC-3/1 page accepted")
	})
	bubble(t, "what may have arrived is marked when it goes out again, and what takes its place is not", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(_ context.Context, m *Message) error {
			if time.Since(d.start) < 5*time.Second {
				return &Error{Retry: true, Unknown: true, Err: errors.New("no answer")}
			}
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(2 * time.Second)
		d.deliver(note(correlate.Update, 1, 2))
		time.Sleep(time.Minute)
		d.wantSent("0s INC-1/1 page key g (page)", "1s INC-1/1 page key g (page) again", "3s INC-1/2 update key g (page)", "7s INC-1/2 update key g (page) again")
	})
	bubble(t, "an incident that ends is not paged to integrations that hear of no end", func(t *testing.T) {
		d := newDesk(t)
		quiet := d.sink("slack[0]", refuse)
		quiet.resolved = false
		d.Set(Receivers{"oncall": {quiet, d.sink("a[0]", nil)}})
		d.deliver(note(correlate.Page, 1, 1, class(correlate.FiringOnly)))
		d.deliver(note(correlate.Page, 1, 2))
		d.deliver(note(correlate.Resolve, 1, 3))
		time.Sleep(time.Hour)
		d.wantReceipts("a[0] INC-1/2 page accepted", "slack[0] INC-1/1 page superseded", "a[0] INC-1/3 resolve accepted")
	})
}

func TestKeyed(t *testing.T) {
	keyed := func(d *desk, answer func(context.Context, *Message) error) fake {
		f := d.sink("pagerduty[0]", answer)
		f.keyed = true
		return f
	}
	bubble(t, "a page of its own for an escalation, and a resolve for each", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {keyed(d, nil)}})
		d.deliver(note(correlate.Page, 1, 1))
		d.deliver(note(correlate.Page, 1, 2, escalation(2)))
		d.deliver(note(correlate.Update, 1, 3, pages(2)))
		d.deliver(note(correlate.Resolve, 1, 4, pages(2)))
		d.wantSent("0s INC-1/1 page key g (page)", "0s INC-1/2 page key g#2 (page)", "0s INC-1/3 update key g#2",
			"0s INC-1/4 resolve key g", "0s INC-1/4 resolve key g#2")
		if _, n := d.count(); n != 4 {
			t.Errorf("%d receipts", n)
		}
	})
	bubble(t, "a resolve goes on where it failed", func(t *testing.T) {
		d := newDesk(t)
		broken := true
		d.Set(Receivers{"oncall": {keyed(d, func(_ context.Context, m *Message) error {
			if m.Key == "g#2" && broken {
				broken = false
				return refuse(t.Context(), nil)
			}
			return nil
		})}})
		d.deliver(note(correlate.Resolve, 1, 9, pages(3)))
		time.Sleep(time.Minute)
		d.wantSent("0s INC-1/9 resolve key g", "0s INC-1/9 resolve key g#2", "1s INC-1/9 resolve key g#2", "1s INC-1/9 resolve key g#3")
		d.wantReceipts("pagerduty[0] INC-1/9 resolve accepted after 2")
	})
	bubble(t, "others have one key", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("slack[0]", nil)}})
		d.deliver(note(correlate.Page, 1, 2, escalation(2)))
		d.deliver(note(correlate.Resolve, 1, 3, pages(2)))
		d.wantSent("0s INC-1/2 page key g (page)", "0s INC-1/3 resolve key g")
	})
}

func TestReload(t *testing.T) {
	bubble(t, "what waits is sent by the new integration at once", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", refuse)}})
		d.deliver(note(correlate.Page, 1, 1))
		time.Sleep(time.Hour - time.Second)
		before, _ := d.count()
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		synctest.Wait()
		if after, receipts := d.count(); after != before+1 || receipts != 1 {
			t.Errorf("%d attempts, %d receipts", after-before, receipts)
		}
	})
	bubble(t, "what is under way ends with the old one", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error {
			time.Sleep(5 * time.Second)
			return nil
		})}})
		d.deliver(note(correlate.Page, 1, 1))
		d.Set(Receivers{"oncall": {d.sink("a[0]", func(context.Context, *Message) error { return errors.New("the new one") })}})
		time.Sleep(time.Minute)
		d.wantReceipts("a[0] INC-1/1 page accepted")
	})
	bubble(t, "what waits for an integration that is gone fails", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", refuse), d.sink("b[0]", nil)}})
		d.deliver(note(correlate.Page, 1, 1))
		d.Set(Receivers{"oncall": {d.sink("b[0]", nil)}})
		synctest.Wait()
		d.wantReceipts("b[0] INC-1/1 page accepted more to come", "a[0] INC-1/1 page failed after 2")
		d.deliver(note(correlate.Update, 1, 2))
		if _, n := d.count(); n != 3 {
			t.Errorf("%d receipts", n)
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, "waits for attempts, makes no new ones, and leaves the rest without a receipt", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {
			d.sink("a[0]", func(context.Context, *Message) error { time.Sleep(5 * time.Second); return nil }),
			d.sink("b[0]", refuse),
		}})
		d.deliver(note(correlate.Page, 1, 1))
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := time.Since(d.start); got != 5*time.Second {
			t.Errorf("closed after %s", got)
		}
		d.deliver(note(correlate.Page, 2, 1))
		time.Sleep(time.Hour)
		d.wantReceipts("a[0] INC-1/1 page accepted more to come")
	})
	bubble(t, "cancels what takes longer than it may", func(t *testing.T) {
		d := newDesk(t)
		d.Set(Receivers{"oncall": {d.sink("a[0]", hang)}})
		d.deliver(note(correlate.Page, 1, 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if got := time.Since(d.start); got != time.Second {
			t.Errorf("closed after %s", got)
		}
		d.wantReceipts()
	})
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		d := newDesk(t, func(o *Options) { o.Registerer = reg })
		d.Set(Receivers{"oncall": {d.sink("a[0]", nil)}})
		n := note(correlate.Page, 1, 1)
		time.Sleep(2 * time.Second)
		d.deliver(n)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "winnow_sink_notification_latency_seconds" {
				if h := f.GetMetric()[0].GetHistogram(); h.GetSampleSum() != 2 || h.GetSampleCount() != 1 {
					t.Errorf("latency %v", h)
				}
				return
			}
		}
		t.Error("no latency was measured")
	})
}
