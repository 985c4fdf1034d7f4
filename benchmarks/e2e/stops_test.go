//go:build e2e && k9

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// TestStopsUnderLoad stops Winnow with SIGTERM over and over while senders post
// 5,000 alerts a second and go on at the next start. Each stop is in order and
// over within 10 s, each alert that was accepted is in the books, and each
// critical has its incident. K9_STOPS says how often.
func TestStopsUnderLoad(t *testing.T) {
	const within = 10 * time.Second
	stops := fromEnv(t, "K9_STOPS", 10)
	pd := newPager(t)
	l := &pressure{quit: make(chan struct{})}
	l.w = stoppedWinnow(t, pd.routes(timing{wait: time.Second, interval: time.Second}, false)+"winnow: {storm: {new_groups_per_minute: 0}}\n")
	l.w.address = fixedAddress(t)
	l.w.launch()
	l.w.ready()
	var senders sync.WaitGroup
	for i := range loadSenders {
		senders.Go(func() { l.send(i) })
	}
	ended := sync.OnceFunc(func() { close(l.quit); senders.Wait() })
	defer ended()
	slowest, busy := time.Duration(0), 0
	for range stops {
		before := l.accepted.Load()
		<-time.After(time.Second)
		if l.accepted.Load()-before > loadRate/2 {
			busy++
		}
		began := time.Now()
		l.w.signal(t, syscall.SIGTERM)
		slowest = max(slowest, time.Since(began))
		l.w.launch()
		l.w.ready()
	}
	ended()
	var r report
	programs.Eventually(t, patience, "all pages are out", func() (err error) {
		if r, err = l.w.report(); err == nil && r.Pending > 0 {
			err = fmt.Errorf("%d are pending", r.Pending)
		}
		return err
	})
	accepted, doubt := int(l.accepted.Load()), int(l.doubt.Load())
	lost := max(0, accepted-r.Deliveries)
	unpaged := 0
	for _, key := range l.criticals() {
		if !pd.IsOpen(key) {
			unpaged++
		}
	}
	figures.say("stops", fmt.Sprintf("stops=%d accepted=%d in_doubt=%d unavailable=%d deliveries=%d lost=%d criticals=%d unpaged=%d slowest=%dms busy=%d", stops, accepted, doubt, l.refused.Load(), r.Deliveries, lost, len(l.criticals()), unpaged, slowest.Milliseconds(), busy))
	if lost > 0 || r.Deliveries > accepted+doubt || !r.Balanced || r.Swallowed != 0 {
		t.Errorf("%d alerts were accepted and %d are in doubt; the report: %+v", accepted, doubt, r)
	}
	if unpaged > 0 || len(pd.Phantoms()) > 0 {
		t.Errorf("%d of %d criticals were paged to nobody; phantoms %v", unpaged, len(l.criticals()), pd.Phantoms())
	}
	if slowest > within {
		t.Errorf("a stop took %s, at most %s", slowest, within)
	}
	if busy < stops*9/10 {
		t.Errorf("only %d of %d stops came under half of the load at least", busy, stops)
	}
}

const (
	loadSenders = 10
	loadBatch   = 50
	loadRate    = 5000 // alerts a second, of all
)

// pressure is senders that post until it quits. Each batch repeats alerts of which
// there are few; each tenth brings a critical in a group of its own.
type pressure struct {
	w    *winnow
	quit chan struct{}

	accepted atomic.Int64 // alerts, answered 2xx
	doubt    atomic.Int64 // alerts of requests that left and were not answered
	refused  atomic.Int64 // answers of 503 and connections that were refused

	mu   sync.Mutex
	keys []string // of criticals that were accepted
}

func (l *pressure) criticals() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys
}

func (l *pressure) send(sender int) {
	client := &http.Client{Timeout: patience}
	tick := time.NewTicker(time.Second * loadSenders * loadBatch / loadRate)
	defer tick.Stop()
	ends := time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	for n := 0; ; n++ {
		var ps []postable
		for i := range loadBatch {
			ps = append(ps, postable{
				Labels: map[string]string{"alertname": fmt.Sprintf("Load%d", sender), "cluster": "eu", "namespace": "load", "pod": fmt.Sprint((n*loadBatch + i) % 500), "severity": "warning"},
				EndsAt: ends,
			})
		}
		key := ""
		if n%10 == 0 {
			ps[0].Labels = map[string]string{"alertname": "LoadCritical", "cluster": fmt.Sprint(sender), "namespace": fmt.Sprint(n), "severity": "critical"}
			key = dedupKey(pageKey(ps[0].Labels))
		}
		if l.post(client, ps) && key != "" {
			l.mu.Lock()
			l.keys = append(l.keys, key)
			l.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-l.quit:
			return
		}
	}
}

// post sends until it is accepted. It is not at the end.
func (l *pressure) post(client *http.Client, ps []postable) bool {
	body, err := json.Marshal(ps)
	if err != nil {
		panic(err) // ours
	}
	for {
		resp, err := client.Post(l.w.url("/api/v2/alerts"), "application/json", bytes.NewReader(body))
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		dial, dialled := errors.AsType[*net.OpError](err)
		switch {
		case err == nil && resp.StatusCode/100 == 2:
			l.accepted.Add(int64(len(ps)))
			return true
		case err == nil, dialled && dial.Op == "dial":
			l.refused.Add(1)
			if err == nil {
				l.doubt.Add(int64(len(ps))) // stored in part, it may be
			}
		default:
			l.doubt.Add(int64(len(ps)))
		}
		select {
		case <-l.quit:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}
