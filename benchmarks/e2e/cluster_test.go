//go:build e2e && cluster

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
	"github.com/winnowhq/winnow/sinks/sinktest"
)

// TestCluster runs two Winnows on three real nats-servers with replicas on each:
// partitions, processes that are stopped and go on, and kills of the process that
// owns the shard and of servers. CLUSTER_ROUNDS says how many of each,
// CLUSTER_PAUSE for how many seconds a process is stopped, and CLUSTER_WITHIN
// within how many seconds pages have to resume; CLUSTER_ONLY names the chapters to
// play, all when it is empty.
func TestCluster(t *testing.T) {
	rounds := fromEnv(t, "CLUSTER_ROUNDS", 3)
	c := newPair(t)
	var lines []string
	for _, chapter := range []struct {
		name string
		play func(rounds int) string
	}{{"kills", c.kills}, {"servers", c.serverKills}, {"zombies", c.zombies}, {"partitions", c.partitions}} {
		if only := os.Getenv("CLUSTER_ONLY"); only != "" && !slices.Contains(strings.Fields(only), chapter.name) {
			continue
		}
		line := chapter.play(rounds)
		t.Log("cluster: " + line)
		lines = append(lines, line)
		if t.Failed() {
			break // what follows begins with what is left of it
		}
	}
	figures.say("cluster", strings.Join(lines, "; "))
}

// pair is two Winnows on one log, and whom they page.
type pair struct {
	t     *testing.T
	bus   *bus
	desk  *desk
	sides [2]*side
	names int // alerts so far
}

// side is one of the Winnows.
type side struct {
	*server
	id    string
	wires [natsServers]*wire
}

func newPair(t *testing.T) *pair {
	t.Helper()
	binary, err := winnowBinary()
	if err != nil {
		t.Fatal("build winnow: ", err)
	}
	c := &pair{t: t, bus: newBus(t), desk: newClusterDesk(t)}
	for i, id := range []string{"a", "b"} {
		s := &side{id: id}
		var urls []string
		for j, n := range c.bus.servers {
			s.wires[j] = newWire(t, n.client)
			urls = append(urls, "nats://"+s.wires[j].address)
		}
		s.server = newServer(t, "winnow", binary, fmt.Sprintf(`
route: {receiver: oncall, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 4h}
receivers: [{name: oncall, pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef, url: "%s/%s/v2/enqueue"}]}]
winnow: {storm: {new_groups_per_minute: 0}}
`, c.desk.url, id), "--nats.url", strings.Join(urls, ","), "--nats.replicas", fmt.Sprint(natsServers), "--storage.max-bytes", "1073741824")
		s.server.address = fixedAddress(t)
		c.sides[i] = s
		s.begin()
	}
	return c
}

// begin starts the process and waits until its doors are open.
func (s *side) begin() {
	s.t.Helper()
	s.launch()
	programs.Eventually(s.t, patience, "winnow "+s.id+" takes alerts", func() error {
		select {
		case <-s.done: // servers that elect a leader may not answer a start in time
			s.launch()
		default:
		}
		_, err := s.ask("/-/healthy")
		return err
	})
}

func (s *side) ask(path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return programs.Get(ctx, s.url(path))
}

// owns reports whether a process says that it owns the shard.
func (s *side) owns() (bool, error) {
	text, err := s.ask("/metrics")
	return bytes.Contains(text, []byte("\nwinnow_owner 1\n")), err
}

// wantOvertaken waits for the end of a process that another has taken over from,
// and starts it again, as a supervisor does.
func (s *side) wantOvertaken() {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("winnow %s goes on for %s though another has taken over", s.id, patience)
	}
	if exit, ok := errors.AsType[*exec.ExitError](s.err); !ok || exit.ExitCode() != 3 {
		s.t.Errorf("winnow %s was overtaken and ended with %v, want exit status 3", s.id, s.err)
	}
	s.begin()
}

// roles waits until one owns the shard and the other stands by.
func (c *pair) roles() (owner, standby *side) {
	c.t.Helper()
	programs.Eventually(c.t, patience, "one of two owns the shard", func() error {
		var owns [2]bool
		for i, s := range c.sides {
			var err error
			if owns[i], err = s.owns(); err != nil {
				return err
			}
		}
		owner, standby = c.sides[0], c.sides[1]
		if owns[1] {
			owner, standby = standby, owner
		}
		if owns[0] == owns[1] {
			return fmt.Errorf("a owns it: %t, b: %t", owns[0], owns[1])
		}
		_, err := owner.ask("/-/ready")
		return err
	})
	return owner, standby
}

// known waits until the owner knows of every alert so far, those as well that were
// handed on past the log: an end that comes into it before its alert ends nothing.
func (c *pair) known() {
	c.t.Helper()
	programs.Eventually(c.t, 2*patience, "what was handed on is in the log", func() error {
		owner, _ := c.roles()
		text, err := owner.ask("/metrics")
		if err != nil {
			return err
		}
		if _, rest, ok := strings.Cut(string(text), "\nwinnow_ledger_onsets_total "); ok {
			var onsets float64
			if _, err = fmt.Sscan(rest, &onsets); err == nil && int(onsets) < c.names {
				err = fmt.Errorf("%v of %d alerts are", onsets, c.names)
			}
			return err
		}
		return errors.New("the owner does not say how many alerts it knows")
	})
}

// name is one that no alert has had.
func (c *pair) name() string {
	c.names++
	return fmt.Sprintf("C%06d", c.names)
}

var clusterName = regexp.MustCompile(`C\d{6}`)

// hurried is a sender that gives up on a door soon and tries another.
var hurried = &http.Client{Timeout: 8 * time.Second}

// send tells one of the doors of an alert, trying each in turn until one accepts
// it, and returns when that was; zero when none has for long.
func (c *pair) send(name string, over bool, doors ...*side) time.Time {
	for begun, i := time.Now(), 0; time.Since(begun) < 2*patience; i++ {
		if doors[i%len(doors)].takes(name, over) {
			return time.Now()
		}
		<-time.After(50 * time.Millisecond)
	}
	c.t.Errorf("nobody has accepted %s", name)
	return time.Time{}
}

func (s *side) takes(name string, over bool) bool {
	p := postable{Labels: map[string]string{"alertname": name, "severity": "critical"}}
	if over {
		p.EndsAt = time.Now().Format(time.RFC3339Nano)
	}
	body, err := json.Marshal([]postable{p})
	if err != nil {
		s.t.Error(err)
		return false
	}
	resp, err := hurried.Post(s.url("/api/v2/alerts"), "application/json", bytes.NewReader(body))
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// sending is criticals that are sent one after the other.
type sending struct {
	quit chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]time.Time
}

// load sends a critical every so often, to one door first and then to the other.
func (c *pair) load(every time.Duration) *sending {
	l := &sending{quit: make(chan struct{}), accepted: map[string]time.Time{}}
	l.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.quit:
				return
			case <-tick.C:
			}
			name, doors := c.name(), []*side{c.sides[i%2], c.sides[1-i%2]}
			l.done.Go(func() {
				if at := c.send(name, false, doors...); !at.IsZero() {
					l.mu.Lock()
					l.accepted[name] = at
					l.mu.Unlock()
				}
			})
		}
	})
	return l
}

// stop ends it and returns when each alert was accepted.
func (l *sending) stop() map[string]time.Time {
	close(l.quit)
	l.done.Wait()
	return l.accepted
}

// settle waits until each alert has been paged, ends them, and waits until nothing
// stands open. It returns how long after it was accepted one was paged at most.
func (c *pair) settle(accepted map[string]time.Time, doors ...*side) (slowest time.Duration) {
	c.t.Helper()
	names := slices.Sorted(maps.Keys(accepted))
	programs.Eventually(c.t, 2*patience, "all that was accepted is paged", func() error {
		paged := c.desk.paged()
		slowest = 0
		for _, name := range names {
			at, ok := paged[name]
			if !ok {
				return fmt.Errorf("%s, accepted at %s, is not", name, accepted[name].Format(time.TimeOnly))
			}
			slowest = max(slowest, at.Sub(accepted[name]))
		}
		return nil
	})
	for _, name := range names {
		c.send(name, true, doors...)
	}
	c.closed()
	return slowest
}

// lost counts the alerts that were accepted and never paged.
func (c *pair) lost(accepted map[string]time.Time) (n int) {
	paged := c.desk.paged()
	for name := range accepted { // order: a sum
		if paged[name].IsZero() {
			n++
		}
	}
	return n
}

// closed waits until nothing stands open, and holds that nobody was called to what
// was over.
func (c *pair) closed() {
	c.t.Helper()
	programs.Eventually(c.t, 2*patience, "nothing stands open", func() error {
		if open := c.desk.Open(); len(open) > 0 {
			return fmt.Errorf("%d incidents do, one of them %s", len(open), open[0].Summary)
		}
		return nil
	})
	if p := c.desk.Phantoms(); len(p) > 0 {
		c.t.Errorf("%d incidents of what was over, one of them %s", len(p), p[0].Summary)
	}
}

// desk is a fake PagerDuty that knows which process has told it what.
type desk struct {
	*sinktest.PagerDuty
	url string

	mu   sync.Mutex
	down map[string]bool // it takes nothing of that side
	told []telling
	name map[string]string // of the alert that a key stands for
}

type telling struct {
	at                 time.Time
	side, action, name string
	refused            bool
}

func newClusterDesk(t testing.TB) *desk {
	d := &desk{PagerDuty: sinktest.NewPagerDuty(), down: map[string]bool{}, name: map[string]string{}}
	server := httptest.NewServer(d)
	d.url = server.URL
	t.Cleanup(func() {
		server.Close()
		if t.Failed() {
			t.Logf("PagerDuty got, at last:\n%s", d.log())
		}
	})
	return d
}

func (d *desk) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, e := range d.told[max(0, len(d.told)-200):] {
		fmt.Fprintf(&b, "%s %s %-7s %s refused=%t\n", e.at.Format("15:04:05.000"), e.side, e.action, e.name, e.refused)
	}
	return b.String()
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var e struct {
		Action  string `json:"event_action"`
		Key     string `json:"dedup_key"`
		Payload struct {
			Summary string `json:"summary"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	side, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	d.mu.Lock()
	if name := clusterName.FindString(e.Payload.Summary); name != "" && e.Action == "trigger" {
		d.name[e.Key] = name
	}
	down := d.down[side]
	d.told = append(d.told, telling{at: time.Now(), side: side, action: e.Action, name: d.name[e.Key], refused: down})
	d.mu.Unlock()
	if down {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	d.PagerDuty.ServeHTTP(w, again)
}

// takes says whether it takes what a side tells it.
func (d *desk) takes(s *side, all bool) {
	d.mu.Lock()
	d.down[s.id] = !all
	d.mu.Unlock()
}

// since lists what a side has told it since a time, whatever it was answered.
func (d *desk) since(s *side, at time.Time) (out []telling) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.told {
		if e.side == s.id && !e.at.Before(at) {
			out = append(out, e)
		}
	}
	return out
}

// paged says when each alert was paged first.
func (d *desk) paged() map[string]time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]time.Time{}
	for _, e := range d.told {
		if _, ok := out[e.name]; !ok && e.action == "trigger" && !e.refused {
			out[e.name] = e.at
		}
	}
	return out
}

// triggers counts those of an alert that a side has had accepted.
func (d *desk) triggers(name, side string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.told {
		if e.name == name && e.side == side && e.action == "trigger" && !e.refused {
			n++
		}
	}
	return n
}

// stop and resume do what a machine does that stands still.
func (s *side) stop()   { s.must(syscall.SIGSTOP) }
func (s *side) resume() { s.must(syscall.SIGCONT) }

func (s *side) must(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("winnow %s: %v: %v", s.id, sig, err)
	}
}
