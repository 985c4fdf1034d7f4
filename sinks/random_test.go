package sinks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// faulty is a keyed integration before a PagerDuty, with faults until healthy.
type faulty struct {
	fake
	pd   *sinktest.PagerDuty
	seed uint64

	mu       sync.Mutex
	attempts map[string]uint64
	faults   map[string]int
	healthy  bool
}

// fault decides what goes wrong with an attempt: the same for the same seed,
// whichever of two attempts of one moment comes first.
func (f *faulty) fault(m *Message) (string, *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := m.Notification.ID() + m.Key
	f.attempts[id]++
	rnd := rand.New(rand.NewPCG(f.seed, xxhash.Sum64String(id)+f.attempts[id]))
	fault := "none"
	if !f.healthy {
		fault = []string{"none", "slow", "refused", "lost answer", "hangs", "late", "wait"}[rnd.IntN(7)]
	}
	f.faults[fault]++
	return fault, rnd
}

func (f *faulty) deliver(m *Message) error {
	action := "trigger"
	if m.Notification.Kind == correlate.Resolve {
		action = "resolve"
	}
	body, err := json.Marshal(map[string]any{
		"routing_key": "r", "event_action": action, "dedup_key": m.Key,
		"payload": map[string]any{
			"summary": m.Notification.ID(), "source": "x", "severity": "critical",
			"custom_details": map[string]string{"incident": correlate.IncidentName(m.Notification.Incident)},
		},
	})
	if err != nil {
		return err
	}
	w := httptest.NewRecorder()
	f.pd.ServeHTTP(w, httptest.NewRequest("POST", "/v2/enqueue", strings.NewReader(string(body))))
	if w.Code != 202 {
		return fmt.Errorf("%d: %s", w.Code, w.Body)
	}
	return nil
}

func (f *faulty) send(ctx context.Context, m *Message) error {
	fault, rnd := f.fault(m)
	switch fault {
	case "slow":
		time.Sleep(time.Duration(rnd.IntN(9000)) * time.Millisecond)
	case "refused":
		return refuse(ctx, m)
	case "lost answer":
		if err := f.deliver(m); err != nil {
			return err
		}
		return &Error{Retry: true, Unknown: true, Err: errors.New("EOF")}
	case "hangs":
		return hang(ctx, m)
	case "late": // past its deadline, and it arrives all the same
		time.Sleep(time.Duration(10+rnd.IntN(50)) * time.Second)
	case "wait":
		return &Error{Retry: true, After: time.Duration(rnd.IntN(60)) * time.Second, Err: errors.New("429")}
	}
	return f.deliver(m)
}

// TestAnyFaults plays random incidents into random faults. Whatever happens:
// each notification has one receipt of each integration, what was resolved is
// closed at the provider and stays so, and what fires is open. WINNOW_FAULTS says
// how many incidents at least.
func TestAnyFaults(t *testing.T) {
	least := 600
	if s := os.Getenv("WINNOW_FAULTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal("WINNOW_FAULTS: ", err)
		}
		least = max(least, n)
	}
	faults := map[string]int{}
	outcomes := map[correlate.Outcome]int{}
	incidents := 0
	for seed := uint64(0); incidents < least; seed++ {
		synctest.Test(t, func(t *testing.T) {
			incidents += playFaults(t, seed, faults, outcomes)
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
	// A run in which little went wrong shows little.
	for _, f := range []string{"slow", "refused", "lost answer", "hangs", "late", "wait"} {
		if faults[f] < 100 {
			t.Errorf("only %d faults %q", faults[f], f)
		}
	}
	for _, o := range []correlate.Outcome{correlate.Accepted, correlate.Superseded, correlate.Skipped} {
		if outcomes[o] < 50 {
			t.Errorf("only %d notifications %s", outcomes[o], o)
		}
	}
	t.Logf("faults: incidents=%d %v phantoms=0 open=0", incidents, faults)
}

func playFaults(t *testing.T, seed uint64, faults map[string]int, outcomes map[correlate.Outcome]int) (incidents int) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := newDesk(t, func(o *Options) { o.Jitter = rand.New(rand.NewPCG(seed, 2)).Float64 })
	pd := sinktest.NewPagerDuty()
	f := &faulty{pd: pd, seed: seed, faults: faults, attempts: map[string]uint64{}}
	in := fake{name: "pagerduty[0]", resolved: true, keyed: true, send: f.send}
	d.Set(Receivers{"oncall": {in, d.sink("other[0]", nil)}})

	open := map[string]bool{} // keys that must be open in the end
	delivered, incident := 0, uint64(0)
	deliver := func(n *correlate.Notification) {
		d.Deliver(n, enrich.Context{})
		delivered++
		time.Sleep(time.Duration(rnd.IntN(40)) * time.Second)
		if rnd.IntN(10) == 0 {
			d.Set(Receivers{"oncall": {in, d.sink("other[0]", nil)}})
		}
	}
	for range 12 {
		incident++
		key := fmt.Sprint("g", rnd.IntN(3))
		if open[key] {
			continue // the group has an incident that does not end
		}
		incidents++
		revision, page := uint32(1), uint32(1)
		deliver(note(correlate.Page, incident, 1, group(key)))
		for range rnd.IntN(4) {
			revision++
			if rnd.IntN(3) == 0 {
				page++
				deliver(note(correlate.Page, incident, revision, group(key), escalation(page)))
			} else {
				deliver(note(correlate.Update, incident, revision, group(key), pages(page)))
			}
		}
		if rnd.IntN(8) == 0 {
			open[key] = true
			continue
		}
		deliver(note(correlate.Resolve, incident, revision+1, group(key), pages(page)))
	}
	f.mu.Lock()
	f.healthy = true
	f.mu.Unlock()
	time.Sleep(time.Hour)

	got := map[string]int{}
	last := map[string]int{}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.receipts {
		id := fmt.Sprint(r.Incident, "/", r.Revision)
		got[id+r.Integration]++
		outcomes[r.Outcome]++
		if last[id]++; r.Last != (last[id] == 2) {
			t.Errorf("receipt %+v is number %d", r, last[id])
		}
	}
	if len(got) != 2*delivered || len(d.receipts) != 2*delivered {
		t.Errorf("%d notifications, %d receipts for %d", delivered, len(d.receipts), len(got))
	}
	if p := pd.Phantoms(); len(p) > 0 {
		t.Errorf("phantoms %+v", p)
	}
	for _, i := range pd.Open() {
		key, _, _ := strings.Cut(i.Key, "#")
		if !open[key] {
			t.Errorf("still open: %+v", i)
		}
	}
	for key := range open {
		found := false
		for _, i := range pd.Open() {
			k, _, _ := strings.Cut(i.Key, "#")
			found = found || k == key
		}
		if !found {
			t.Errorf("%s fires and is not open", key)
			for _, e := range pd.Events() {
				if k, _, _ := strings.Cut(e.Key, "#"); k == key {
					t.Log(e.At.Sub(d.start), e.Action, e.Key, e.Summary)
				}
			}
		}
	}
	return incidents
}
